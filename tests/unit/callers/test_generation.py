from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.callers.bands import AgeBand, AgeBands
from router.callers.generation import (
    KEPT_AFTER_SWITCH_S,
    MAX_TEXT_BYTES,
    MOST_BANDS,
    SHARED,
    TRUSTED_S,
    Generation,
    read_generation,
    stored_bands,
)
from router.callers.watching import READ_EVERY_S
from router.errors import RegistryError

BANDS = AgeBands((AgeBand("minor", 0), AgeBand("adult", 18), AgeBand("senior", 60), AgeBand("elder", 75)))
GOLDEN = (
    '{"format":1,"generation":3,"secret":"0123abcd","buckets":128,"bands":[{"name":"minor","from_years":0},'
    '{"name":"adult","from_years":18},{"name":"senior","from_years":60},{"name":"elder","from_years":75}],'
    '"callers":20000,"by_band":{"adult":12000,"senior":8000},"as_of":"2026-11-25","loaded_at":1795618800.0,'
    '"fresh_at":1795705200.5,"feed":"f1","largest_bucket":191}'
)


def generation(**changes: object) -> Generation:
    return Generation.model_validate(json.loads(GOLDEN) | changes)


def test_the_text_is_as_it_was_published() -> None:
    assert generation().text().decode() == GOLDEN
    assert read_generation(GOLDEN.encode()) == generation()


def test_a_later_version_may_add_to_the_text() -> None:
    assert read_generation(json.dumps(json.loads(GOLDEN) | {"colour": "red"}).encode()) == generation()


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("format", {"format": 2}),
    ("generation", {"generation": 0}),
    ("secret", {"secret": "0123ABCD"}),
    ("secret", {"secret": "0123abcd\n"}),
    ("buckets", {"buckets": 100}),
    ("buckets", {"buckets": 0}),
    ("buckets", {"buckets": 1 << 40}),
    ("bands", {"bands": []}),
    ("the whole", {"bands": [{"name": "adult", "from_years": 18}]}),
    ("the whole", {"bands": [{"name": "a", "from_years": 0}, {"name": "a", "from_years": 9}]}),
    ("bands.0.name", {"bands": [{"name": "", "from_years": 0}]}),
    ("bands", {"bands": [{"name": f"b{years}", "from_years": years} for years in range(MOST_BANDS + 1)]}),
    ("callers", {"callers": -1}),
    ("as_of", {"as_of": "yesterday"}),
    ("fresh_at", {"fresh_at": "soon"}),
    ("fresh_at", {"fresh_at": float("inf")}),
    ("callers", {"callers": 10**400}),
    ("by_band", {"by_band": {"adult": "many"}}),
    ("by_band.adult", {"by_band": {"adult": 10**400}}),
]


@pytest.mark.parametrize(("where", "changes"), WRONG)
def test_a_text_that_is_wrong_is_refused_and_says_where(where: str, changes: dict[str, Any]) -> None:
    with pytest.raises(RegistryError) as raised:
        read_generation(json.dumps(json.loads(GOLDEN) | changes).encode())
    assert f"elder:registry cannot be used ({where}" in str(raised.value)
    assert "load callers anew" in str(raised.value)


@pytest.mark.parametrize(
    "text", [b"", b"null", b"[]", b"{}", b"\xff\xfe", b'{"format":1', b"elder", GOLDEN.encode() + b"}", b"[" * 60_000]
)
def test_what_is_no_such_text_is_refused(text: bytes) -> None:
    with pytest.raises(RegistryError, match="load callers anew"):
        read_generation(text)


def test_a_text_without_end_is_not_even_parsed() -> None:
    with pytest.raises(RegistryError, match="too long"):
        read_generation(GOLDEN.encode() + b" " * MAX_TEXT_BYTES)


@given(st.binary(max_size=300))
def test_no_text_does_more_than_be_refused(text: bytes) -> None:
    with pytest.raises(RegistryError):
        read_generation(text)


def test_a_value_is_a_code_and_whether_the_number_is_shared() -> None:
    here = generation()
    assert here.band_of(b"1") == ("minor", False)
    assert here.band_of(b"4") == ("elder", False)
    assert here.band_of(str(4 | SHARED).encode()) == ("elder", True)


@pytest.mark.parametrize(
    "value", [b"", b"0", b"5", b"32", b"127", b"999", b"1000", b"-1", b"+1", b" 1", b"1.0", b"elder"]
)
def test_what_stands_for_no_band_is_none(value: bytes) -> None:
    assert generation().band_of(value) is None


@given(st.integers(1, MOST_BANDS), st.booleans())
def test_every_band_that_may_be_has_a_value_that_redis_keeps_in_two_bytes(code: int, shared: bool) -> None:
    bands = AgeBands(tuple(AgeBand(f"b{years}", years) for years in range(MOST_BANDS)))
    value = code | (SHARED if shared else 0)
    assert 0 < value < 128, "a whole number of seven bits is one byte in a listpack, and one for its length"
    here = generation(bands=[band.model_dump() for band in stored_bands(bands)])
    assert here.band_of(str(value).encode()) == (f"b{code - 1}", shared)


def test_editing_the_bands_of_the_rules_relabels_nobody() -> None:
    loaded = generation(bands=[band.model_dump() for band in stored_bands(BANDS)]).text()
    senior = str(BANDS.names.index("senior") + 1).encode()
    edited = AgeBands((AgeBand("child", 0), AgeBand("young", 14), *BANDS.bands[1:]))
    assert stored_bands(edited)[int(senior) - 1].name != "senior", "else this test tells nothing"
    assert read_generation(loaded).band_of(senior) == ("senior", False)
    assert read_generation(loaded).age_bands() == BANDS


def test_what_is_relied_on_is_still_there() -> None:
    assert READ_EVERY_S < TRUSTED_S < KEPT_AFTER_SWITCH_S
