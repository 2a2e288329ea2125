from __future__ import annotations

import pytest

from router.cli.reports.measures import BY_NAME, change, said
from router.cli.reports.words import LANGUAGES, words_in
from router.journal.counting.figures import NOTHING, Share, Tally


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (Share(0, 0), "–"),
        (Share(0, 9), "0.0%"),
        (Share(9, 9), "100.0%"),
        (Share(99_999, 100_000), ">99.9%"),
        (Share(1, 100_000), "<0.1%"),
        (Share(1, 3), "33.3%"),
        (2_120_000, "2,120,000"),
        (9.04, "9.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1:00 min"),
        (75.5, "1:16 min"),
        (3_725.0, "1:02:05 h"),
    ],
)
def test_a_figure_says_no_more_than_it_knows(value: int | float | Share | None, text: str) -> None:
    assert said(value) == text


def of(**counts: float) -> Tally:
    return Tally(**counts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "now", "before", "text", "verdict"),
    [
        ("calls", of(calls=110), of(calls=100), "+10.0%", "more"),
        ("calls", of(calls=90), of(calls=100), "−10.0%", "fewer"),
        ("calls", of(calls=100), of(calls=100), "±0", "same"),
        ("calls", of(calls=5), NOTHING, "+5", "more"),
        ("answered_within_15s", of(answered=1000, in_time_published=900), of(answered=1000, in_time_published=800),
         "+10.0 pt", "better"),
        ("answered_within_15s", of(answered=10, in_time_published=9), of(answered=10, in_time_published=8),
         "+10.0 pt", "chance"),
        ("answered_within_15s", of(answered=10_000, in_time_published=9_001), of(answered=1000, in_time_published=900),
         "±0 pt", "same"),
        ("abandon_rate", of(answered=800, abandoned=200), of(answered=900, abandoned=100), "+10.0 pt", "worse"),
        ("wait_95th_s", of(wait_95th_s=12.0), of(wait_95th_s=10.5), "+1.5 s", "longer"),
        ("wait_longest_s", of(wait_longest_s=9.0), of(wait_longest_s=10.5), "−1.5 s", "shorter"),
        ("wait_95th_s", of(wait_95th_s=10.51), of(wait_95th_s=10.5), "±0 s", "same"),
        ("fallback", of(calls=1000, fallback=6), of(calls=1000, fallback=5), "+20.0%", "chance"),
        ("fallback", of(calls=1000, fallback=90), of(calls=1000, fallback=5), "+1,700.0%", "worse"),
    ],
)  # fmt: skip
def test_changes_have_a_size_and_a_direction(name: str, now: Tally, before: Tally, text: str, verdict: str) -> None:
    what = change(BY_NAME[name], now, before)
    assert what is not None
    assert (what.text, what.verdict) == (text, verdict)


def test_what_is_not_told_has_no_change() -> None:
    assert change(BY_NAME["service_level"], NOTHING, of(answered=1)) is None
    assert change(BY_NAME["wait_median_s"], of(wait_median_s=1.0), NOTHING) is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_all_words(language: str) -> None:
    words, english = words_in(language), words_in("en")
    for kind in ("says", "figures", "short", "sections", "verdicts", "reasons"):
        assert getattr(words, kind).keys() == getattr(english, kind).keys()
    assert {*BY_NAME} == {*words.figures}
