from __future__ import annotations

import pytest

from router.callers.inspecting.findings import Level
from router.callers.inspecting.limits import entries_for, limits_finding

FINE = {"hash-max-listpack-entries": "512", "hash-max-listpack-value": "64"}


def test_usual_limits_are_enough_for_a_usual_registry() -> None:
    finding = limits_finding(FINE, 240)
    assert (finding.level, finding.do) == (Level.OK, "")


@pytest.mark.parametrize(("entries", "level"), [("239", Level.WARNING), ("240", Level.OK)])
def test_the_fullest_bucket_may_just_fit(entries: str, level: Level) -> None:
    assert limits_finding(FINE | {"hash-max-listpack-entries": entries}, 240).level is level


def test_what_to_set_is_said_for_now_and_for_redis_conf() -> None:
    finding = limits_finding(FINE | {"hash-max-listpack-entries": "128"}, 500)
    assert finding.do == (
        "`CONFIG SET hash-max-listpack-entries 640`, write `hash-max-listpack-entries 640` into redis.conf, "
        "and load callers anew"
    )


def test_both_limits_are_told_at_once_by_the_names_of_redis_6() -> None:
    finding = limits_finding({"hash-max-ziplist-entries": "100", "hash-max-ziplist-value": "4"}, 240)
    assert finding.level is Level.WARNING
    assert "CONFIG SET hash-max-ziplist-entries 512` and `CONFIG SET hash-max-ziplist-value 64`" in finding.do


def test_the_new_names_count_where_a_server_has_both() -> None:
    both = {"hash-max-ziplist-entries": "1", "hash-max-ziplist-value": "1", **FINE}
    assert limits_finding(both, 240).level is Level.OK


def test_limits_that_may_not_be_read_are_told_to_an_administrator() -> None:
    finding = limits_finding(None, 240)
    assert (finding.level, finding.says) == (Level.WARNING, "this user may not read them")
    assert "entries 512 and value 6 or more" in finding.do


@pytest.mark.parametrize(("largest", "entries"), [(0, 512), (409, 512), (500, 640), (1000, 1280)])
def test_there_is_room_for_deltas(largest: int, entries: int) -> None:
    assert entries_for(largest) == entries
    assert entries >= largest
