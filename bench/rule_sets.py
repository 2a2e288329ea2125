"""Made-up rules of any number, for two engines alike, and made-up calls for them. The same at each run.

Shaped like a large centre's: lines with rules of their own, some of them by age band, language, calendar or roll-out,
callers from one region, lists of known callers; last what holds for everybody. No rule is hidden by those before it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice

from bench.population import SEED, SHARES
from router.callers.number import NoNumber, NoNumberReason, PhoneNumber
from router.rules.model import Facts

HEAD = """\
timezone: Asia/Shanghai
age_bands:
  - {name: minor,  from: 0}
  - {name: adult,  from: 18}
  - {name: senior, from: 60}
  - {name: elder,  from: 75}
protected: [senior, elder]
speech:
  standard:  {rate: 1.0}
  unhurried: {rate: 0.85, sentence_pause: 400ms, digit_timeout: 8s, gain_db: 3}
targets:
  people:      {queue: agents}
  senior-care: {queue: senior-care, overflow: {after: 60s, to: people}}
  assistant:   {context: router-assistant}
calendars:
  office: {hours: "Mo-Fr 09:00-18:00", holidays: CN}
rules:
"""
TAIL = "fallback: {to: people}\n"
LISTED = ("age_band", "called", "caller", "language", "calendar", "outside_calendar")
OLDER = ("senior", "elder")
OLDER_FIRST = {"to": "senior-care", "head_start": "5m", "speech": "unhurried", "agent_label": "60+"}
PEOPLE = {"to": "people"}
LANGUAGES = {"zh_CN": 85, "en": 5, "en_GB": 4, "yue": 4, "ja_JP": 2}
"""The language of a call's channel, and its share of the calls in percent."""
WITHHELD_SHARE = 0.05
OPEN_AT = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
"""A Monday, two in the afternoon where the rules are at home."""
CLOSED_AT = datetime(2026, 3, 2, 13, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """One rule as both engines are told it; a condition that is empty or None is not there."""

    name: str
    then: dict[str, str]
    age_band: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    anonymous: bool | None = None
    caller: tuple[str, ...] = ()
    language: tuple[str, ...] = ()
    calendar: tuple[str, ...] = ()
    outside_calendar: tuple[str, ...] = ()
    rollout_percent: int | None = None

    def yaml(self) -> str:
        """The rule in a rules file."""
        when: dict[str, object] = {fact: list(wanted) for fact in LISTED if (wanted := getattr(self, fact))}
        if self.anonymous is not None:
            when["anonymous"] = self.anonymous
        if self.rollout_percent is not None:
            when["rollout"] = f"{self.rollout_percent}%"
        lines = [f"  - name: {self.name}"]
        if when:
            lines.append(f"    when: {json.dumps(when)}")
        return "\n".join([*lines, f"    then: {json.dumps(self.then)}\n"])

    def expression(self) -> str:
        """The rule in rule-engine's language, the conditions in the order in which the router tries them.

        Lists and beginnings are regular expressions, the fastest where most rules do not match: there `in` takes four
        times as long, `starts_with` seven. Age bands are compared one by one: they match often, and what a regular
        expression keeps of a match costs as much as three that do not match.
        """
        asked = []
        if self.age_band:
            asked.append("(" + " or ".join(f'age_band == "{band}"' for band in self.age_band) + ")")
        if self.called:
            asked.append(_is_one_of("called", [_number(pattern) for pattern in self.called]))
        if self.anonymous is not None:
            asked.append("anonymous" if self.anonymous else "not anonymous")
        if self.caller:
            asked.append(_is_one_of("caller", [_number(pattern) for pattern in self.caller]))
        if self.language:
            asked.append(_is_one_of("language", [f"{language.lower()}(?:_|$)" for language in self.language]))
        if self.calendar:
            asked.append("office")
        if self.outside_calendar:
            asked.append("not office")
        if self.rollout_percent is not None:
            asked.append(f"rollout < {self.rollout_percent}")
        return " and ".join(asked) or "true"


class Thing:
    """What a rule-engine expression looks at: the facts of one call, worked out beforehand."""

    __slots__ = ("age_band", "anonymous", "called", "caller", "language", "office", "rollout")

    def __init__(self, facts: Facts) -> None:
        self.age_band = facts.age_band or "unknown"
        self.called = facts.called
        self.caller = facts.caller.e164 if isinstance(facts.caller, PhoneNumber) else ""
        self.anonymous = isinstance(facts.caller, NoNumber) and facts.caller.reason is NoNumberReason.WITHHELD
        self.language = facts.language.lower()
        self.office = facts.at == OPEN_AT
        # Its numbers are decimal; 100 is below no share, as a call without a number is not.
        self.rollout = Decimal(100 if facts.rollout is None else facts.rollout)


def rules_of(number: int) -> list[RuleSpec]:
    """So many rules, the last without a condition."""
    return [*islice(_particular_rules(), number - 4), *_general_rules()]


def rules_text(rules: Sequence[RuleSpec]) -> str:
    """A whole rules file."""
    return HEAD + "".join(rule.yaml() for rule in rules) + TAIL


class Calls:
    """Draws calls; every one made has the same `seed`'s luck."""

    def __init__(self, seed: int = SEED) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - a benchmark's calls guard no secret

    def fitting(self, rule: RuleSpec) -> Facts:
        """A call that `rule` would take, were it the first; what the rule does not ask for is drawn."""
        fitted = self.unlisted()
        if rule.caller:
            fitted = replace(fitted, caller=PhoneNumber(self._number(rule.caller, 14)))
        elif rule.anonymous:
            fitted = replace(fitted, caller=NoNumber(NoNumberReason.WITHHELD, ""), rollout=None)
        if rule.called:
            fitted = replace(fitted, called=self._number(rule.called, 10))
        if rule.language:
            languages = [language for language in LANGUAGES if language.partition("_")[0] in rule.language]
            fitted = replace(fitted, language=self._chance.choice(languages))
        if rule.age_band:
            fitted = replace(fitted, age_band=self._chance.choice(rule.age_band))
        if rule.calendar or rule.outside_calendar:
            fitted = replace(fitted, at=OPEN_AT if rule.calendar else CLOSED_AT)
        if rule.rollout_percent is not None:
            number = PhoneNumber(f"+861390000{self._chance.randrange(10_000):04d}")
            fitted = replace(fitted, caller=number, rollout=self._chance.uniform(0, rule.rollout_percent))
        return fitted

    def fitting_any(self, rules: Sequence[RuleSpec]) -> Facts:
        """A call that fits one of the rules, any as likely as the other; a rule before it may take it."""
        return self.fitting(self._chance.choice(rules))

    def unlisted(self) -> Facts:
        """A call whose numbers no rule names."""
        withheld = self._chance.random() < WITHHELD_SHARE
        number = PhoneNumber(f"+861390000{self._chance.randrange(10_000):04d}")
        return Facts(
            caller=NoNumber(NoNumberReason.WITHHELD, "") if withheld else number,
            called="95519",
            language=self._chance.choices(list(LANGUAGES), list(LANGUAGES.values()))[0],
            age_band=self._chance.choices(list(SHARES), list(SHARES.values()))[0],
            at=self._chance.choice((OPEN_AT, CLOSED_AT)),
            rollout=None if withheld else self._chance.uniform(0, 100),
        )

    def _number(self, patterns: Sequence[str], digits: int) -> str:
        pattern = self._chance.choice(patterns)
        if not pattern.endswith("*"):
            return pattern
        beginning = pattern.removesuffix("*")
        rest = digits - len(beginning)
        return f"{beginning}{self._chance.randrange(10**rest):0{rest}d}"


def _particular_rules() -> Iterator[RuleSpec]:
    chance = random.Random(SEED)  # noqa: S311 - a benchmark's rules guard no secret
    lines = map(str, range(96000, 98000))
    service_lines = iter(range(400100, 400999))
    regions = iter(chance.sample(range(310, 1000), 600))
    known = iter(range(10_000))
    yield RuleSpec("line 95518", PEOPLE, called=("95518",))
    while True:
        match chance.choice(["one line"] * 5 + ["lines", "service", "region", "region by age", "known"]):
            case "one line":
                yield from _rules_of_line(next(lines), chance)
            case "lines":
                several = tuple(islice(lines, chance.randint(2, 6)))
                yield RuleSpec(f"lines {several[0]} to {several[-1]}", PEOPLE, called=several)
            case "service":
                service = next(service_lines)
                yield RuleSpec(f"service lines {service}", PEOPLE, called=(f"{service}*",))
            case "region":
                region = next(regions)
                yield RuleSpec(f"callers from {region}", PEOPLE, caller=(f"+86{region}*",))
            case "region by age":
                region = next(regions)
                yield RuleSpec(f"older callers from {region}", OLDER_FIRST, age_band=OLDER, caller=(f"+86{region}*",))
            case _:
                numbers = [f"+861390001{number:04d}" for number in islice(known, chance.randint(3, 8))]
                yield RuleSpec(f"known callers from {numbers[0][-4:]}", PEOPLE, caller=tuple(numbers))


def _rules_of_line(line: str, chance: random.Random) -> list[RuleSpec]:
    called = (line,)
    others = RuleSpec(f"other callers of line {line}", PEOPLE, called=called)
    match chance.choice(["all", "age", "language", "hours", "roll-out"]):
        case "age":
            return [
                RuleSpec(f"older callers of line {line}", OLDER_FIRST, age_band=OLDER, called=called),
                RuleSpec(f"withheld numbers on line {line}", PEOPLE, called=called, anonymous=True),
                others,
            ]
        case "language":
            return [RuleSpec(f"English on line {line}", PEOPLE, called=called, language=("en",)), others]
        case "hours":
            return [
                RuleSpec(f"line {line} by day", PEOPLE, called=called, calendar=("office",)),
                RuleSpec(f"line {line} by night", PEOPLE, called=called, outside_calendar=("office",)),
            ]
        case "roll-out":
            percent = chance.choice((10, 20, 50))
            return [
                RuleSpec(f"{percent} in 100 of line {line}", PEOPLE, called=called, rollout_percent=percent),
                others,
            ]
        case _:
            return [RuleSpec(f"line {line}", PEOPLE, called=called)]


def _general_rules() -> list[RuleSpec]:
    oldest_first = {**OLDER_FIRST, "head_start": "8m", "agent_label": "75+"}
    return [
        RuleSpec("callers of 75 and over", oldest_first, age_band=("elder",)),
        RuleSpec("callers of 60 and over", OLDER_FIRST, age_band=("senior",)),
        RuleSpec("callers who withhold their number", PEOPLE, anonymous=True),
        RuleSpec("everyone else", {"to": "assistant"}),
    ]


def _is_one_of(fact: str, patterns: Sequence[str]) -> str:
    """Whether a fact is, or begins with, one of these regular expressions, which are matched from the start."""
    if len(patterns) == 1 and patterns[0].endswith("$") and patterns[0][:-1].isalnum():
        return f'{fact} == "{patterns[0][:-1]}"'
    either = patterns[0] if len(patterns) == 1 else f"(?:{'|'.join(patterns)})"
    return f'{fact} =~ "{either}"'


def _number(pattern: str) -> str:
    """A number or its beginning as a regular expression."""
    escaped = pattern.removesuffix("*").replace("+", "[+]")
    return escaped if pattern.endswith("*") else f"{escaped}$"
