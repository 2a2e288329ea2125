"""Each condition as a file has it: what it accepts, and what a trace says of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from router.callers.number import NoNumber, NoNumberReason, PhoneNumber
from router.rules.book import source_of_text
from router.rules.conditions import Condition, NumberPatterns, QueueIs
from router.rules.lists import parse_list
from router.rules.model import Facts, QueueState
from router.rules.schema import WhenEntry
from router.rules.when import conditions_of

FACTS = Facts(
    caller=PhoneNumber("+8613900000001"),
    called="95519",
    language="zh_CN",
    age_band="senior",
    at=datetime(2026, 11, 23, 9, tzinfo=UTC),
    queues={"agents": QueueState(waiting=5, longest_wait_s=90, agents_free=2)},
    earlier_calls_s=(30.0, 3600.0, 86_400.0),
    choice="slower:slow+person",
    rollout=12.5,
    calendars=frozenset({"open", "summer"}),
)
NOTHING_KNOWN = Facts(
    caller=NoNumber(NoNumberReason.WITHHELD, ""), called="", language="", age_band=None, at=FACTS.at, calendars=None
)
LISTS = {"vip.txt": parse_list(source_of_text("+8613900000001\n+8610*\n"))[0]}


def condition(**when: object) -> Condition:
    entry = WhenEntry.model_validate(when)
    (one,) = conditions_of(entry, lists=LISTS, queues={"people": "agents", "care": "senior-care"})
    return one


def queue(**bounds: object) -> Condition:
    return condition(queue={"people": bounds})


@pytest.mark.parametrize(
    ("one", "accepts", "wanted", "saw"),
    [
        (condition(age_band="senior"), True, "senior", "senior"),
        (condition(age_band=["elder", "unknown"]), False, "elder, unknown", "senior"),
        (condition(called=[95519]), True, "95519", "95519"),
        (condition(called="9551*"), True, "9551*", "95519"),
        (condition(called=["9551", "1*"]), False, "9551, 1*", "95519"),
        (condition(caller="+8613900000001"), True, "1 listed number", "+86139****0001"),
        (condition(caller=["+86139*", "+8613900000002", "+8613900000003"]), True, "+86139*, 2 listed numbers",
         "+86139****0001"),
        (condition(caller="vip.txt"), True, "vip.txt", "+86139****0001"),
        (condition(caller=["vip.txt", "+1*"]), True, "vip.txt, +1*", "+86139****0001"),
        (condition(caller="+86139000000011"), False, "1 listed number", "+86139****0001"),
        (condition(anonymous=False), True, "false", "false"),
        (condition(anonymous=True), False, "true", "false"),
        (condition(language="zh"), True, "zh", "zh_CN"),
        (condition(language=["ZH_cn", "en"]), True, "ZH_cn, en", "zh_CN"),
        (condition(language="zh_TW"), False, "zh_TW", "zh_CN"),
        (condition(calendar="open"), True, "open", "open, summer"),
        (condition(calendar=["night", "summer"]), True, "night, summer", "open, summer"),
        (condition(calendar="night"), False, "night", "open, summer"),
        (condition(outside_calendar="night"), True, "night", "open, summer"),
        (condition(outside_calendar=["night", "open"]), False, "night, open", "open, summer"),
        (condition(choice="slower"), True, "slower", "slower (slow), person"),
        (condition(choice=["normal", "person"]), True, "normal, person", "slower (slow), person"),
        (condition(choice=["none", "normal"]), False, "none, normal", "slower (slow), person"),
        (condition(repeat={"calls": 3, "within": "1h"}), True, "call 3 or later within 1h", "call 3 within 1h"),
        (condition(repeat={"calls": 2, "within": "1m"}), True, "call 2 or later within 1m", "call 2 within 1m"),
        (condition(repeat={"calls": 4, "within": "23h"}), False, "call 4 or later within 23h", "call 3 within 23h"),
        (condition(repeat={"calls": 5, "within": "7d"}), False, "call 5 or later within 168h", "call 4 within 168h"),
        (queue(waiting_over=4), True, "people: waiting over 4", "people: 5 waiting, longest 90s, 2 free"),
        (queue(waiting_over=5), False, "people: waiting over 5", "people: 5 waiting, longest 90s, 2 free"),
        (queue(waiting_under=6, agents_free_over=1, longest_wait_under="2m"), True,
         "people: waiting under 6, longest wait under 2m, agents free over 1",
         "people: 5 waiting, longest 90s, 2 free"),
        (queue(longest_wait_over="90s"), False, "people: longest wait over 90s",
         "people: 5 waiting, longest 90s, 2 free"),
        (queue(agents_free_under=2), False, "people: agents free under 2", "people: 5 waiting, longest 90s, 2 free"),
        (condition(queue={"care": {"waiting_over": 0}}), False, "care: waiting over 0", "care: not known"),
        (condition(rollout="12.51%"), True, "below 12.51", "place 12.50"),
        (condition(rollout="12.5%"), False, "below 12.5", "place 12.50"),
    ],
)  # fmt: skip
def test_a_condition_accepts_what_it_asks_for_and_says_both_sides(
    one: Condition, accepts: bool, wanted: str, saw: str
) -> None:
    assert (one.accepts(FACTS), one.wanted, one.saw(FACTS)) == (accepts, wanted, saw)


@pytest.mark.parametrize(
    ("one", "saw"),
    [
        (condition(age_band=["senior"]), "unknown"),
        (condition(called="955*"), ""),
        (condition(caller=["+*"]), "anonymous"),
        (condition(language="en"), ""),
        (condition(calendar="open"), "not known"),
        (condition(outside_calendar="open"), "not known"),
        (condition(choice=["slower", "normal", "person", "none"]), "not known"),
        (condition(repeat={"calls": 2, "within": "7d"}), "not known"),
        (queue(waiting_under=100_000), "people: not known"),
        (queue(waiting_over=0), "people: not known"),
        (condition(rollout="100%"), "a call without a number"),
    ],
)
def test_nothing_holds_of_what_is_not_known(one: Condition, saw: str) -> None:
    assert not one.accepts(NOTHING_KNOWN)
    assert one.saw(NOTHING_KNOWN) == saw


def test_what_is_known_to_be_nothing_is_known() -> None:
    nothing = replace(FACTS, choice="", earlier_calls_s=(), calendars=frozenset(), age_band=None)
    assert condition(choice="none").accepts(nothing)
    assert condition(choice="none").saw(nothing) == "none"
    assert condition(outside_calendar="open").accepts(nothing)
    assert condition(calendar="open").saw(nothing) == "none open"
    assert condition(age_band="unknown").accepts(nothing)
    assert condition(repeat={"calls": 2, "within": "1m"}).saw(nothing) == "call 1 within 1m"
    assert not condition(repeat={"calls": 2, "within": "1m"}).accepts(nothing)


def test_a_number_that_is_merely_unusable_is_not_withheld() -> None:
    short = replace(FACTS, caller=NoNumber(NoNumberReason.SHORT, "10086"))
    assert condition(anonymous=False).accepts(short)
    assert not condition(caller="+*").accepts(short)
    assert condition(caller="+*").saw(short) == "short"


def test_slices_of_a_rollout_are_the_same_callers_in_every_rule() -> None:
    for place in (0.0, 9.99, 10.0, 19.99, 20.0, 99.99):
        facts = replace(FACTS, rollout=place)
        assert condition(rollout="10%").accepts(facts) == (place < 10)
        assert condition(rollout="20%").accepts(facts) == (place < 20)
        assert condition(rollout="100%").accepts(facts)


def test_the_last_moment_of_a_span_counts() -> None:
    twice = replace(FACTS, earlier_calls_s=(60.0,))
    assert condition(repeat={"calls": 2, "within": "1m"}).accepts(twice)
    assert not condition(repeat={"calls": 2, "within": "1m"}).accepts(replace(FACTS, earlier_calls_s=(60.001,)))


def test_each_condition_depends_on_the_one_fact_it_names() -> None:
    """The proof goes by it: what changes any other fact changes no condition."""
    every = conditions_of(
        WhenEntry.model_validate(
            {
                "age_band": "senior", "called": "955*", "caller": "+86*", "anonymous": False, "language": "zh",
                "calendar": "open", "outside_calendar": "night", "choice": "slower", "rollout": "20%",
                "repeat": {"calls": 2, "within": "1h"}, "queue": {"people": {"waiting_over": 1}},
            }
        ),
        lists={}, queues={"people": "agents"},
    )  # fmt: skip
    attributes = {"calendar": "calendars", "repeat": "earlier_calls_s", "queue agents": "queues"}
    for one in every:
        kept = attributes.get(one.fact, one.fact)
        assert one.accepts(replace(NOTHING_KNOWN, **{kept: getattr(FACTS, kept)})), one
        assert not one.accepts(replace(FACTS, **{kept: getattr(NOTHING_KNOWN, kept)})) or one.field == "anonymous", one


def test_two_targets_of_one_queue_ask_for_one_fact() -> None:
    entry = WhenEntry.model_validate({"queue": {"people": {"waiting_over": 1}, "others": {"waiting_under": 9}}})
    first, second = conditions_of(entry, lists={}, queues={"people": "agents", "others": "agents"})
    assert isinstance(first, QueueIs)
    assert first.fact == second.fact
    assert first.accepts(FACTS)
    assert second.accepts(FACTS)


def test_a_beginning_matches_itself_and_all_that_go_on() -> None:
    patterns = NumberPatterns.of(["95*", "1", "1234*"])
    assert [number for number in ("95", "955", "9", "1", "12", "1234", "12345", "") if patterns.match(number)] == [
        *("95", "955", "1", "1234", "12345"),
    ]


def test_facts_with_other_calendars_keep_everything_else() -> None:
    assert FACTS.with_calendars(frozenset({"winter"})) == replace(FACTS, calendars=frozenset({"winter"}))
