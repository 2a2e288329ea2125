from __future__ import annotations

from dataclasses import replace

import pytest

from router.rules.model import QueueTarget, RuleTrace, SpeechProfile
from router.rules.rule import _MOST_REMEMBERED, Rule
from router.rules.schema import WhenEntry
from router.rules.when import conditions_of
from tests.unit.rules.test_conditions import FACTS


def rule(**when: object) -> Rule:
    conditions = conditions_of(WhenEntry.model_validate(when), lists={}, queues={})
    return Rule("r", conditions, QueueTarget("people", "agents", None), 0, SpeechProfile("s", 1.0, 0.0, 5.0, 0.0), "")


@pytest.mark.parametrize("first", [{"called": "1*"}, {"language": "en"}, {"age_band": "senior"}])
def test_what_is_remembered_of_the_first_condition_is_asked_of_the_others_anew(first: dict[str, object]) -> None:
    facts = replace(FACTS, called="1", language="en", age_band="senior", rollout=0.0)
    asked = rule(**first, rollout="50%")
    for _ in range(2):
        assert asked.failure(facts) is None
        assert asked.failure(replace(facts, rollout=60.0)) == RuleTrace(
            "r", False, "rollout", "below 50", "place 60.00"
        )
        other = asked.failure(replace(facts, called="2", language="zh", age_band=None))
        assert other is not None
        assert other.failed == next(iter(first))


def test_rules_that_ask_alike_answer_in_their_own_name() -> None:
    for name in ("a", "b", "a"):
        failure = replace(rule(called="1"), name=name).failure(replace(FACTS, called="2"))
        assert failure == RuleTrace(name, False, "called", "1", "2")


def test_whoever_dials_numbers_at_random_does_not_fill_the_memory() -> None:
    asked = rule(called="1*")
    for number in range(3 * _MOST_REMEMBERED):
        called = str(number)
        failure = asked.failure(replace(FACTS, called=called))
        assert (failure is None) is called.startswith("1")
        assert failure is None or failure.saw == called
        assert len(asked._answers) <= _MOST_REMEMBERED
