from __future__ import annotations

from collections import Counter

import pytest

from router.callers.bands import AgeBand, AgeBands
from router.callers.generation import Generation, StoredBand
from router.callers.inspecting.contents import KeysSeen, generation_findings, keys_findings
from router.callers.inspecting.findings import Finding, Level

BANDS = AgeBands((AgeBand("adult", 0), AgeBand("senior", 60)))
DAY_S = 86_400.0
LOADED = 1_795_000_000.0
GENERATION = Generation(
    generation=3,
    secret="0123abcd",
    buckets=64,
    bands=(StoredBand(name="adult", from_years=0), StoredBand(name="senior", from_years=60)),
    callers=12_000,
    by_band={"adult": 9000, "senior": 3000},
    as_of="2026-11-18",
    loaded_at=LOADED,
    fresh_at=LOADED,
)


def of(age_s: float, ruled: AgeBands | None = BANDS) -> dict[str, Finding]:
    return {each.about: each for each in generation_findings(GENERATION, ruled, 1.5 * DAY_S, LOADED + age_s)}


def test_a_fresh_registry_of_the_same_bands_is_well() -> None:
    every = of(3600)
    assert {finding.level for finding in every.values()} == {Level.OK}
    assert every["registry"].says == (
        "generation 3: 12,000 callers (9,000 adult, 3,000 senior), ages as of 2026-11-18, secret 0123abcd"
    )
    assert every["freshness"].says == "loaded or updated 1.0 hours ago"


@pytest.mark.parametrize(("age_s", "level"), [(1.5 * DAY_S, Level.OK), (1.5 * DAY_S + 1, Level.WARNING)])
def test_a_registry_older_than_the_limit_is_stale(age_s: float, level: Level) -> None:
    assert of(age_s)["freshness"].level is level


def test_bands_that_mean_something_else_are_told_with_both_meanings() -> None:
    finding = of(0, AgeBands((AgeBand("adult", 0), AgeBand("senior", 65))))["age bands"]
    assert finding.level is Level.WARNING
    assert "«senior» is 60 and over in the registry and 65 and over in the rules" in finding.says
    assert "load callers anew" in finding.do


def test_without_rules_nothing_is_said_of_bands() -> None:
    assert set(of(0, None)) == {"registry", "freshness"}


def said(seen: KeysSeen | None, *, importing: bool = False) -> dict[str, Finding]:
    return {each.about: each for each in keys_findings(seen, GENERATION, importing=importing)}


def test_buckets_of_other_generations_are_left_over() -> None:
    seen = KeysSeen(looked_at=500, is_all=True, buckets=Counter({2: 40, 3: 64}))
    finding = said(seen)["leftovers"]
    assert finding.level is Level.WARNING
    assert finding.says.startswith("buckets of no generation in force: 40 (of generation 2)")


def test_they_are_not_while_an_import_is_under_way() -> None:
    finding = said(KeysSeen(is_all=True, buckets=Counter({2: 40, 3: 64})), importing=True)["leftovers"]
    assert (finding.level, finding.do) == (Level.OK, "")
    assert finding.says == "none: 40 buckets are the import's that is under way"


def test_numbers_in_clear_are_told_with_how_to_remove_them() -> None:
    every = said(KeysSeen(looked_at=50_000, clear=7))
    assert set(every) == {"old keys"}
    assert every["old keys"].says == (
        "7 of an earlier version of those looked at (about 50,000), with numbers in clear"
    )
    assert "callers remove-old --yes" in every["old keys"].do


def test_where_all_is_well_it_is_said_how_much_was_looked_at() -> None:
    assert said(KeysSeen(is_all=True, buckets=Counter({3: 64})))["leftovers"].says == "none"


def test_who_may_not_scan_is_told() -> None:
    assert said(None)["leftovers"].level is Level.WARNING
