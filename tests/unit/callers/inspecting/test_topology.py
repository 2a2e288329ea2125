from __future__ import annotations

from redis.exceptions import NoPermissionError

from router.callers.inspecting.findings import Level
from router.callers.inspecting.topology import cluster_finding

A, B, R = ([b"192.0.2.1", 6379, b"a"], [b"192.0.2.2", 6379, b"b"], [b"192.0.2.3", 6379, b"r"])


def test_a_cluster_that_serves_every_slot_is_well() -> None:
    finding = cluster_finding([[0, 8191, A, R], [8192, 16_000, B], [16_001, 16_383, A, R]])
    assert (finding.level, finding.says) == (Level.OK, "2 primaries, 1 replicas, every slot is served")


def test_slots_that_nobody_serves_are_wrong() -> None:
    finding = cluster_finding([[0, 8191, A]])
    assert (finding.level, finding.says) == (
        *(Level.WRONG, "1 primaries, 0 replicas, and nobody serves 8,192 of 16,384 slots"),
    )


def test_who_may_not_ask_cannot_look_callers_up_either() -> None:
    finding = cluster_finding(NoPermissionError("this user has no permissions"))
    assert finding.level is Level.WRONG
    assert "+cluster|slots" in finding.do
