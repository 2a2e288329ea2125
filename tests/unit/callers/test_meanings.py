from __future__ import annotations

import pytest

from router.callers.bands import AgeBand, AgeBands
from router.callers.meanings import meanings_that_differ


def bands(**from_years: int) -> AgeBands:
    return AgeBands(tuple(AgeBand(name, years) for name, years in from_years.items()))


STORED = bands(minor=0, adult=18, senior=60, elder=75)


def test_the_same_bands_mean_the_same() -> None:
    assert meanings_that_differ(STORED, bands(minor=0, adult=18, senior=60, elder=75)) == ()


@pytest.mark.parametrize(
    ("ruled", "said"),
    [
        pytest.param(
            bands(minor=0, adult=18, senior=65, elder=75),
            [
                "«adult» is 18 to 59 in the registry and 18 to 64 in the rules",
                "«senior» is 60 to 74 in the registry and 65 to 74 in the rules",
            ],
            id="a-threshold-is-moved",
        ),
        pytest.param(
            bands(minor=0, adult=18, older=60, elder=75),
            ["«senior» is 60 to 74 in the registry, and the rules define no such band: these callers count as unknown"],
            id="a-band-is-renamed",
        ),
        pytest.param(
            bands(minor=0, adult=18, senior=60, elder=75, oldest=90),
            ["«elder» is 75 and over in the registry and 75 to 89 in the rules"],
            id="a-band-is-added",
        ),
        pytest.param(
            bands(minor=0, adult=18, senior=60),
            [
                "«senior» is 60 to 74 in the registry and 60 and over in the rules",
                "«elder» is 75 and over in the registry, and the rules define no such band: "
                "these callers count as unknown",
            ],
            id="a-band-is-taken-away",
        ),
        pytest.param(
            bands(minor=0, adult=18, elder=60, senior=75),
            [
                "«senior» is 60 to 74 in the registry and 75 and over in the rules",
                "«elder» is 75 and over in the registry and 60 to 74 in the rules",
            ],
            id="two-names-change-places",
        ),
    ],
)
def test_a_band_of_other_ages_or_of_no_name_is_told(ruled: AgeBands, said: list[str]) -> None:
    assert [str(differs) for differs in meanings_that_differ(STORED, ruled)] == said
