from __future__ import annotations

import pytest

from router.errors import SpeechError
from router.speech.profile import SpokenProfile, language_for


def test_a_slowed_profile_is_a_suffix_to_the_language() -> None:
    assert language_for("en", SpokenProfile("unhurried", rate=0.85)) == "en_unhurried"
    assert language_for("en_GB", SpokenProfile("unhurried", rate=0.85)) == "en_GB_unhurried"


def test_a_profile_that_changes_nothing_is_the_language_itself() -> None:
    assert language_for("zh", SpokenProfile("standard")) == "zh"


@pytest.mark.parametrize(
    "profile",
    [SpokenProfile("p", rate=0.99), SpokenProfile("p", sentence_pause_s=0.1), SpokenProfile("p", gain_db=-1.0)],
)
def test_any_change_makes_a_language_of_its_own(profile: SpokenProfile) -> None:
    assert language_for("en", profile) == "en_p"


@pytest.mark.parametrize("name", ["", "../en", "a/b", "-x", "a b", ".", "a\n", "慢"])
def test_a_name_that_could_lead_to_another_directory_is_refused(name: str) -> None:
    with pytest.raises(SpeechError, match="letters, digits"):
        SpokenProfile(name)


@pytest.mark.parametrize("language", ["", "..", "en/..", "/en", "e", "en_", "-w"])
def test_a_language_that_could_lead_to_another_directory_is_refused(language: str) -> None:
    with pytest.raises(SpeechError, match="is not a language"):
        language_for(language, SpokenProfile("slow", rate=0.7))


@pytest.mark.parametrize("rate", [0.0, 0.49, 2.01, -1.0, float("nan"), float("inf")])
def test_a_rate_nobody_could_follow_is_refused(rate: float) -> None:
    with pytest.raises(SpeechError, match=r"the rate is .*; use one from 0\.5 to 2"):
        SpokenProfile("slow", rate=rate)


def test_a_negative_pause_is_refused() -> None:
    with pytest.raises(SpeechError, match="sentence pause"):
        SpokenProfile("slow", sentence_pause_s=-0.1)
