"""Phrases are remembered up to a number of bytes, those used last."""

from __future__ import annotations

from router.speech.remembered import Remembered


def test_what_was_not_used_for_longest_is_forgotten_first() -> None:
    remembered = Remembered(most_bytes=30)
    for key in "abc":
        remembered.put(key, bytes(10))
    assert remembered.get("a") is not None
    remembered.put("d", bytes(10))
    assert [remembered.get(key) is not None for key in "abcd"] == [True, False, True, True]


def test_what_is_put_again_takes_the_place_of_what_was_there() -> None:
    remembered = Remembered(most_bytes=30)
    for size in (10, 20, 30):
        remembered.put("a", bytes(size))
    assert remembered.get("a") == bytes(30)
    remembered.put("b", bytes(1))
    assert remembered.get("a") is None


def test_what_is_larger_than_all_room_is_not_remembered() -> None:
    remembered = Remembered(most_bytes=30)
    remembered.put("a", bytes(31))
    assert remembered.get("a") is None
