"""Which server holds which keys, and what CLUSTER SLOTS says of it."""

from __future__ import annotations

import pytest
from redis.crc import key_slot

from router.callers.servers.cluster import read_slots
from router.callers.servers.layout import SLOTS, Layout, Shard

KEY = "elder:{3f}:a"
NODE = [b"192.0.2.1", 7000, b"id"]


def halves() -> Layout:
    shards = [Shard("192.0.2.1:1", ("192.0.2.1:2", "192.0.2.1:3")), Shard("192.0.2.2:1")]
    return Layout(shards, [0] * (SLOTS // 2) + [1] * (SLOTS // 2))


def test_without_slots_one_shard_holds_every_key() -> None:
    layout = Layout([Shard("192.0.2.1:1", ("192.0.2.1:2",))])
    assert layout.shard_of(KEY) == layout.shard_of("") == layout.shards[0]
    assert layout.servers == {"192.0.2.1:1", "192.0.2.1:2"}
    assert layout.is_complete


def test_what_stands_in_braces_decides_the_slot() -> None:
    layout = halves()
    assert {layout.shard_of(f"elder:{{3f}}:{rest}") for rest in ("a", "1:2", "set:x:y")} == {layout.shard_of(KEY)}


def test_a_slot_that_moved_is_with_its_new_server_and_the_others_where_they_were() -> None:
    before = halves()
    slot = key_slot(KEY.encode())
    (there,) = {"192.0.2.1:1", "192.0.2.2:1"} - {str(before.shard_of(KEY) and before.shard_of(KEY).primary)}  # type: ignore[union-attr]
    after = before.moved(slot, there)
    shard = after.shard_of(KEY)
    assert shard is not None
    assert shard.primary == there
    assert after.shards == before.shards
    assert after != before
    assert after.moved(slot, there) == after


def test_a_replica_that_was_promoted_has_the_slot_and_the_others_follow_it() -> None:
    after = halves().moved(5, "192.0.2.1:3")
    assert after.shards[-1] == Shard("192.0.2.1:3", ("192.0.2.1:1", "192.0.2.1:2"))
    assert after.servers == halves().servers


@pytest.mark.parametrize(("slot", "server"), [(5, "192.0.2.9:1"), (-1, "192.0.2.2:1"), (SLOTS, "192.0.2.2:1")])
def test_what_cannot_be_changes_nothing(slot: int, server: str) -> None:
    assert halves().moved(slot, server) == halves()
    assert Layout([Shard("a:1")]).moved(1, "a:1") == Layout([Shard("a:1")])


def test_slots_are_read_with_replicas_and_without_what_came_later() -> None:
    more = [b"192.0.2.2", 7001, b"id", [b"hostname", b"redis-2"]]
    layout = read_slots([[0, SLOTS - 1, NODE, more]], "192.0.2.9:1")
    assert layout.shards == (Shard("192.0.2.1:7000", ("192.0.2.2:7001",)),)
    assert layout.is_complete


@pytest.mark.parametrize("host", [None, b""])
def test_a_server_that_leaves_out_its_host_has_the_one_it_was_asked_at(host: bytes | None) -> None:
    layout = read_slots([[0, 1, [host, 7000, b"id"]]], "192.0.2.9:1")
    assert layout.shards == (Shard("192.0.2.9:7000"),)
    assert not layout.is_complete


def test_a_server_whose_host_nobody_knows_is_left_out() -> None:
    layout = read_slots([[0, 1, NODE, [b"?", 7001, b"id"]], [2, 3, [b"?", 7002, b"id"]]], "192.0.2.9:1")
    assert layout.servers == {"192.0.2.1:7000"}


def test_an_ipv6_address_is_written_in_brackets() -> None:
    assert read_slots([[0, 1, [b"2001:db8::1", 7000, b"id"]]], "192.0.2.9:1").servers == {"[2001:db8::1]:7000"}


@pytest.mark.parametrize(
    "reply",
    [
        None,
        b"OK",
        [],
        [[0, 1]],
        [[0, SLOTS, NODE]],
        [[-1, 1, NODE]],
        [[2, 1, NODE]],
        [[0, 1, []]],
        [[0, 1, [b"h", 0, b"id"]]],
        [[0, 1, [b"\xff", 7000, b"id"]]],
        [[0, 1, [b"?", 7000, b"id"]]],
        [[0, 1, NODE, [b"h", b"7000", b"id"]]],
    ],
)
def test_anything_else_is_refused(reply: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_slots(reply, "192.0.2.9:1")
