"""Records to persons: each once, in the order of places, with the oldest band."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.callers.feed.block import Records, Tally
from router.callers.feed.runs import HEAD_BYTES, RECORD_BYTES, Part, merged, persons, write_run
from router.callers.generation import SHARED
from router.callers.keys import TAGS, tag_of

# Few of each, so that they meet: the same person, and two that share eight of ten bytes.
_KEYS = st.sampled_from([0, 1, (1 << 58) - 1, 1 << 58, (1 << 64) - 1, 0x1234_5678_9ABC_DEF0])
_RECORDS = st.lists(st.tuples(_KEYS, st.integers(0, 2), st.integers(0, 4)), max_size=40)


def expected(records: list[tuple[int, int, int]]) -> list[tuple[int, bytes, int]]:
    found = defaultdict(set)
    for key, low, value in records:
        found[key, low].add(value)
    persons = []
    for (key, low), values in sorted(found.items()):
        bands = values - {0}
        value = max(bands, default=0) | (SHARED if len(bands) > 1 else 0)
        persons.append((key >> 32, (key & 0xFFFFFFFF).to_bytes(4, "big") + low.to_bytes(2, "big"), value))
    return persons


def columns(records: list[tuple[int, int, int]]) -> Records:
    ordered = sorted(records)
    return Records(
        np.array([key for key, _, _ in ordered], np.uint64),
        np.array([low for _, low, _ in ordered], np.uint16),
        np.array([value for _, _, value in ordered], np.uint8),
        Tally(),
        b"",
    )


def rows(part: Part) -> list[tuple[int, bytes, int]]:
    return list(zip(part.place.tolist(), map(bytes, part.field.tolist()), part.value.tolist(), strict=True))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.lists(_RECORDS, max_size=4))
def test_persons_come_once_by_place_with_their_oldest_band(
    tmp_path: Path, runs: list[list[tuple[int, int, int]]]
) -> None:
    paths = [tmp_path / write_run(tmp_path, columns(records)) for records in runs]
    parts = list(persons(paths))
    assert len(parts) == TAGS
    assert [row for part in parts for row in rows(part)] == expected([record for run in runs for record in run])
    assert sum(part.repeated for part in parts) == sum(map(len, runs)) - sum(len(part.place) for part in parts)
    for tag, part in enumerate(parts):
        assert {tag_of(place) for place in part.place.tolist()} <= {f"{tag:02x}"}
        assert [str(column.dtype) for column in (part.place, part.field, part.value)] == ["uint32", "|V6", "uint8"]
    for path in paths:
        path.unlink()


@pytest.mark.parametrize(
    ("values", "result"),
    [
        ([3], 3),
        ([3, 3], 3),
        ([2, 4], 4 | SHARED),
        ([4, 2, 3], 4 | SHARED),
        ([0], 0),
        ([0, 0], 0),
        ([0, 3], 3),
        ([0, 3, 2], 3 | SHARED),
        ([31, 1], 31 | SHARED),
    ],
)
def test_the_oldest_band_counts_and_any_more_than_a_removal(values: list[int], result: int) -> None:
    count = len(values)
    part = merged(np.full(count, 7, np.uint64), np.full(count, 9, np.uint16), np.array(values, np.uint8))
    assert rows(part) == [(0, bytes([0, 0, 0, 7, 0, 9]), result)]
    assert part.repeated == count - 1


def test_a_run_is_for_its_owner_only_and_as_large_as_told(tmp_path: Path) -> None:
    path = tmp_path / write_run(tmp_path, columns([(1, 1, 1), (2, 2, 2)]))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_size == HEAD_BYTES + 2 * RECORD_BYTES
