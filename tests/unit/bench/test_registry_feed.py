"""Feeds of made-up callers: everybody in them is somebody else, and a caller that can be looked up."""

from __future__ import annotations

import csv
import gzip
from datetime import date
from pathlib import Path

import numpy as np
import phonenumbers

from bench.registry_feed import (
    MOST_CALLERS,
    NUMBERS,
    PROTOCOL_BYTES,
    ROW_BYTES,
    append_row,
    compress,
    numbers,
    write_feed,
    write_protocol,
)
from router.callers.number import PhoneNumber, parse_caller

CALLERS = (1 << 20) + 7  # more than are made at once


def test_all_numbers_differ_those_of_unknown_callers_too() -> None:
    drawn = np.random.default_rng(1).integers(0, NUMBERS, 200_000).astype(np.uint64)
    assert len(set(numbers(drawn))) == len(set(drawn.tolist()))
    assert len(set(numbers(np.arange(CALLERS, dtype=np.uint64)))) == CALLERS


def test_every_number_is_a_mobile_number_that_a_lookup_takes() -> None:
    drawn = np.random.default_rng(2).integers(0, NUMBERS, 2_000).astype(np.uint64)
    for number in numbers(drawn):
        assert parse_caller(number, "CN") == PhoneNumber(number)
        parsed = phonenumbers.parse(number)
        assert phonenumbers.number_type(parsed) == phonenumbers.PhoneNumberType.MOBILE


def test_a_feed_holds_each_caller_once_with_a_date_of_birth_from_1930_to_2020(tmp_path: Path) -> None:
    told: list[int] = []
    file = tmp_path / "callers.csv"
    write_feed(file, CALLERS, told.append)
    assert told == [1 << 20, CALLERS]
    assert file.stat().st_size == len("number,birth_date\n") + CALLERS * ROW_BYTES
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["number"] for row in rows] == numbers(np.arange(CALLERS, dtype=np.uint64))
    births = {date.fromisoformat(text) for text in {row["birth_date"] for row in rows}}
    assert (min(births), max(births)) == (date(1930, 1, 1), date(2020, 12, 31))
    assert len(births) == (date(2021, 1, 1) - date(1930, 1, 1)).days


def test_another_feed_has_one_caller_more(tmp_path: Path) -> None:
    file = tmp_path / "callers.csv"
    write_feed(file, 3, lambda _rows: None)
    append_row(file, 3)
    longer = tmp_path / "longer.csv"
    write_feed(longer, 4, lambda _rows: None)
    assert file.read_bytes() == longer.read_bytes()


def test_a_compressed_feed_is_the_same(tmp_path: Path) -> None:
    file, packed = tmp_path / "callers.csv", tmp_path / "callers.csv.gz"
    write_feed(file, 1_000, lambda _rows: None)
    compress(file, packed)
    assert gzip.decompress(packed.read_bytes()) == file.read_bytes()


def test_the_stream_for_mass_insertion_is_redis_protocol(tmp_path: Path) -> None:
    file = tmp_path / "callers.resp"
    write_protocol(file, 1_000, lambda _rows: None)
    written = file.read_bytes()
    assert len(written) == 1_000 * PROTOCOL_BYTES
    words = written.split(b"\r\n")[:-1]
    assert words[::7] == [b"*3"] * 1_000
    assert [word.decode() for word in words[4::7]] == [f"elder:{n}" for n in numbers(np.arange(1_000, dtype=np.uint64))]
    assert {len(word) for word in words[4::7]} == {20}
    assert set(words[6::7]) == {b"1", b"2", b"3", b"4"}


def test_unknown_callers_are_in_no_feed() -> None:
    assert MOST_CALLERS < NUMBERS
    most = numbers(np.arange(MOST_CALLERS - 5_000, MOST_CALLERS, dtype=np.uint64))
    unknown = numbers(np.arange(MOST_CALLERS, MOST_CALLERS + 5_000, dtype=np.uint64))
    assert not set(most) & set(unknown)
