"""What one part of a rules file means to another: names, order, and where a waiting call can end.

Works on the document's plain values and not on the checked model, so that a misspelt target is reported in
the same run as a misspelt key. Whatever does not have the expected shape is left to the schema's complaint.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final

from router.errors import Problem
from router.rules.document import Document, DocumentPath
from router.rules.pace import reached_by_callers
from router.rules.schema import STANDARD_SPEECH, UNKNOWN_BAND, RulesFile
from router.rules.values import LIST_NAME, NAME_PATTERN
from router.rules.wording import did_you_mean, listed, nearest

# Below this, synthetic and stretched speech become harder to understand, not easier.
SLOWEST_ADVISED_RATE: Final = 0.7
# Chinese input methods type these in a list; to YAML they are letters.
_FULL_WIDTH_COMMAS: Final = "，、"
_LIST_NAME: Final = re.compile(LIST_NAME)
_NAME: Final = re.compile(NAME_PATTERN)


def check_semantics(document: Document) -> list[Problem]:
    """Every cross-check that needs no complete model, in the file's order; the first one of each place."""
    file = _RulesDocument(document)
    checks = (
        *(file.bands, file.names, file.order, file.targets),
        *(file.languages, file.rates, file.calendars, file.queues),
    )
    by_place: dict[tuple[int, int], Problem] = {}
    for problem in chain.from_iterable(check() for check in checks):
        by_place.setdefault((problem.line, problem.column), problem)
    return sorted(by_place.values())


def check_unused(document: Document) -> list[Problem]:
    """Warnings about names that nothing uses. Of use once there are no errors: a misspelt use is none either."""
    return sorted(_RulesDocument(document).unused())


def list_names(document: Document) -> dict[str, DocumentPath]:
    """The files of callers' numbers that rules name, each with the first place that does."""
    found: dict[str, DocumentPath] = {}
    for index, rule in enumerate(_entries(_group(document.data).get("rules"))):
        for position, entry in enumerate(_every(_group(_group(rule).get("when")).get("caller"))):
            if isinstance(entry, str) and _LIST_NAME.fullmatch(entry):
                found.setdefault(entry, ("rules", index, "when", "caller", position))
    return found


def _group(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _entries(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_defined(data: dict[str, Any], section: str) -> bool:
    """Whether a section is a group, or may be left out and is, and is not just misspelt."""
    others = [key for key in data if key not in RulesFile.model_fields]
    is_misspelt = any(nearest(key, RulesFile.model_fields) == section for key in others)
    is_required = RulesFile.model_fields[section].is_required()
    return isinstance(data.get(section, None if is_required else {}), dict) and not is_misspelt


def _every(value: object) -> list[Any]:
    """One or many, as conditions have them."""
    return value if isinstance(value, list) else [value]


class _RulesDocument:
    """A rules document read leniently: what has the wrong shape counts as absent."""

    def __init__(self, document: Document) -> None:
        self._document = document
        data = _group(document.data)
        self._bands = [_group(entry) for entry in _entries(data.get("age_bands"))]
        names = [band.get("name") for band in self._bands]
        self._band_names = list(dict.fromkeys(name for name in names if isinstance(name, str)))
        self._protected = _entries(data.get("protected"))
        self._speech = _group(data.get("speech"))
        targets = _group(data.get("targets"))
        self._targets = {name: _group(entry) for name, entry in targets.items()}
        self._groups = {name for name, entry in targets.items() if isinstance(entry, dict)}
        self._rules = [_group(entry) for entry in _entries(data.get("rules"))]
        self._calendars = _group(data.get("calendars"))
        self._fallback = _group(data.get("fallback"))
        # Where definitions are wrong themselves, a name that has none is their echo.
        refused = {(problem.line, problem.column) for problem in document.problems}
        band_places = [document.position(("age_bands", index, "name")) for index in range(len(names))]
        self._all_defined = {
            "age band": len(self._band_names) == len(names) > 0
            and all(_NAME.fullmatch(name) for name in self._band_names)
            and refused.isdisjoint(band_places),
            **{
                what: _is_defined(data, section)
                and all(_NAME.fullmatch(name) for name in _group(data.get(section)))
                and refused.isdisjoint(document.key_position((section, name)) for name in _group(data.get(section)))
                for what, section in (("target", "targets"), ("calendar", "calendars"), ("speech profile", "speech"))
            },
        }

    def _at(self, path: DocumentPath, message: str, *, at_key: bool = False, warning: bool = False) -> Problem:
        return self._document.problem(path, message, at_key=at_key, warning=warning)

    def _unknown(self, path: DocumentPath, what: str, name: object, names: Iterable[str]) -> Iterator[Problem]:
        known = list(names)
        if isinstance(name, str) and name not in known and self._all_defined[what]:
            near = did_you_mean(name, known)
            if what == "target" and (target := self._target_of_queue(name)):
                near = f"the target of that queue is `{target}`; "
            if comma := next((c for c in name if c in _FULL_WIDTH_COMMAS), ""):
                near = f"the {comma} is full-width: type the ASCII , instead; "
            defined = f"defined are {listed(known)}" if known else "none is defined"
            yield self._at(path, f"there is no {what} `{name[:40]}`; {near}{defined}")

    def _target_of_queue(self, queue: str) -> str:
        """The target that is Asterisk's queue of that name."""
        return next((name for name, target in self._targets.items() if target.get("queue") == queue), "")

    def bands(self) -> Iterator[Problem]:
        """Bands begin at 0, rise, and have names of their own."""
        previous: int | None = None
        seen: set[str] = set()
        for index, band in enumerate(self._bands):
            path = ("age_bands", index)
            name, start = band.get("name"), band.get("from")
            if isinstance(start, int) and not isinstance(start, bool):
                if index == 0 and start != 0:
                    yield self._at((*path, "from"), f"the first age band must begin at 0; found {start}")
                if previous is not None and start <= previous:
                    message = f"age bands must rise: {start} is not above {previous}, where the band before begins"
                    yield self._at((*path, "from"), message)
                previous = start
            if isinstance(name, str):
                if name == UNKNOWN_BAND:
                    message = f"`{UNKNOWN_BAND}` is the name for callers whose band is not known; choose another"
                    yield self._at((*path, "name"), message)
                if name in seen:
                    message = f"a second age band is called `{name}`; give each its own name"
                    yield self._at((*path, "name"), message)
                seen.add(name)
        for index, name in enumerate(self._protected):
            yield from self._unknown(("protected", index), "age band", name, self._band_names)

    def names(self) -> Iterator[Problem]:
        """Every name that is used is defined, and no two rules share one."""
        seen: dict[str, int] = {}
        for index, rule in enumerate(self._rules):
            path = ("rules", index)
            name = rule.get("name")
            if isinstance(name, str):
                if name in seen:
                    line, _ = self._document.position(("rules", seen[name], "name"))
                    message = (
                        f'a second rule is called "{name[:80]}" (first in line {line}); '
                        "give each its own name, the log tells them by it"
                    )
                    yield self._at((*path, "name"), message)
                seen.setdefault(name, index)
            for position, band in enumerate(_every(_group(rule.get("when")).get("age_band"))):
                where = (*path, "when", "age_band", position)
                yield from self._unknown(where, "age band", band, [*self._band_names, UNKNOWN_BAND])
            for key in ("calendar", "outside_calendar"):
                for position, calendar in enumerate(_every(_group(rule.get("when")).get(key))):
                    yield from self._unknown((*path, "when", key, position), "calendar", calendar, self._calendars)
            then = _group(rule.get("then"))
            yield from self._unknown((*path, "then", "to"), "target", then.get("to"), self._targets)
            profiles = [*self._speech, *([] if STANDARD_SPEECH in self._speech else [STANDARD_SPEECH])]
            yield from self._unknown((*path, "then", "speech"), "speech profile", then.get("speech"), profiles)

    def order(self) -> Iterator[Problem]:
        """The last rule, and only the last, takes every call."""
        for index, rule in enumerate(self._rules):
            is_last = index == len(self._rules) - 1
            path = ("rules", index)
            if rule.get("when") == {} and not is_last:
                yield self._at((*path, "when"), "`when` is empty; name a condition, or remove the line")
            if is_last and "when" in rule:
                message = (
                    "the last rule must have no `when`, so that every call has an answer; add one, like "
                    "{name: everyone else, then: {to: …}}"
                )
                yield self._at((*path, "when"), message, at_key=True)
            if not is_last and rule and "when" not in rule and rule.keys() <= {"name", "then"}:
                message = (
                    "this rule has no `when` and takes every call, so that no rule after it is reached; move it last"
                )
                yield self._at(path, message)

    def targets(self) -> Iterator[Problem]:
        """A target is a queue or a context, and who falls back or overflows meets other people, in one step."""
        for name, target in self._targets.items():
            path = ("targets", name)
            is_misspelt = not target.keys() <= {"queue", "overflow", "context"}
            if name in self._groups and not is_misspelt and ("queue" in target) == ("context" in target):
                has = "both `queue` and `context`; keep one" if "queue" in target else "neither `queue` nor `context`"
                yield self._at(path, f"the target `{name}` has {has}", at_key=True)
            if "overflow" in target and "context" in target:
                message = "only a queue can overflow; remove `overflow`"
                yield self._at((*path, "overflow"), message, at_key=True)
            elif "overflow" in target:
                yield from self._overflow((*path, "overflow", "to"), target["overflow"], name)
        for index, rule in enumerate(self._rules):
            then = _group(rule.get("then"))
            to = then.get("to")
            if "overflow" in then and isinstance(to, str):
                place = ("rules", index, "then", "overflow")
                if "context" in self._targets.get(to, {}):
                    message = f"only a queue can overflow, and `{to}` is none; remove `overflow`"
                    yield self._at(place, message, at_key=True)
                else:
                    yield from self._overflow((*place, "to"), then["overflow"], to)
        to = self._fallback.get("to")
        yield from self._unknown(("fallback", "to"), "target", to, self._targets)
        yield from self._needs_queue(("fallback", "to"), to, "the fallback")

    def _overflow(self, path: DocumentPath, overflow: object, name: str) -> Iterator[Problem]:
        to = _group(overflow).get("to")
        yield from self._unknown(path, "target", to, self._targets)
        yield from self._needs_queue(path, to, "an overflow")
        yield from self._one_step(path, name, to)

    def _needs_queue(self, path: DocumentPath, to: object, what: str) -> Iterator[Problem]:
        target = self._targets.get(to, {}) if isinstance(to, str) else {}
        if "context" in target and "queue" not in target:
            yield self._at(path, f"{what} must lead to people, and `{to}` is not a queue{self._known_queues()}")

    def _one_step(self, path: DocumentPath, name: str, to: object) -> Iterator[Problem]:
        """The dialplan follows an overflow once, and only another queue is a change."""
        target = self._targets.get(to, {}) if isinstance(to, str) else {}
        queue = self._targets.get(name, {}).get("queue")
        if name == to:
            yield self._at(path, f"`{to}` cannot overflow to itself; name another target")
        elif "overflow" in target and not self._is_told_there(path, name, target):
            yield self._at(path, f"calls overflow once, and `{to}` has an `overflow` of its own; remove one of the two")
        elif queue is not None and target.get("queue") == queue:
            yield self._at(path, f"`{to}` is the same queue; name a target with another")

    def _is_told_there(self, path: DocumentPath, name: str, to: dict[str, Any]) -> bool:
        """Whether two targets overflow to each other and this is the second."""
        back = ("targets", name, "overflow", "to") == path and _group(to["overflow"]).get("to") == name
        return back and list(self._targets.values()).index(to) < list(self._targets).index(name)

    def languages(self) -> Iterator[Problem]:
        """A language is named without its speech profile, which the router adds."""
        for index, rule in enumerate(self._rules):
            language = _group(rule.get("then")).get("language")
            base, _, profile = language.rpartition("_") if isinstance(language, str) else ("", "", "")
            if base and profile in {*self._speech, STANDARD_SPEECH}:
                message = (
                    f"`{profile}` is a speech profile and no part of the language; write {base}, and speech: {profile}"
                )
                yield self._at(("rules", index, "then", "language"), message)

    def calendars(self) -> Iterator[Problem]:
        """Hours for public holidays need to know whose holidays."""
        for name, calendar in self._calendars.items():
            entry = _group(calendar)
            if "holiday_hours" in entry and entry.keys() <= {"hours", "holiday_hours"}:
                message = "`holiday_hours` needs to know whose public holidays; add `holidays`, like holidays: CN"
                yield self._at(("calendars", name, "holiday_hours"), message, at_key=True)

    def queues(self) -> Iterator[Problem]:
        """Whose state a rule asks for is a queue, and it asks something of it."""
        for index, rule in enumerate(self._rules):
            asked = _group(_group(rule.get("when")).get("queue"))
            for name, bounds in asked.items():
                if not isinstance(bounds, dict):
                    continue
                path = ("rules", index, "when", "queue", name)
                for problem in self._unknown(path, "target", name, self._targets):
                    yield self._at(path, problem.message, at_key=True)
                yield from self._is_queue(path, name)
                if bounds == {}:
                    message = f"`{name}` has no bound; write one, like {name}: {{waiting_over: 10}}"
                    yield self._at(path, message, at_key=True)

    def _is_queue(self, path: DocumentPath, name: str) -> Iterator[Problem]:
        target = self._targets.get(name, {})
        if "context" in target and "queue" not in target:
            message = f"nobody waits in `{name}`, which is not a queue{self._known_queues()}"
            yield self._at(path, message, at_key=True)

    def _known_queues(self) -> str:
        queues = [name for name, target in self._targets.items() if "queue" in target]
        return f"; the queues are {listed(queues)}" if queues else ""

    def rates(self) -> Iterator[Problem]:
        """A rate that is allowed and does more harm than good."""
        for name, profile in self._speech.items():
            rate = _group(profile).get("rate")
            if isinstance(rate, int | float) and not isinstance(rate, bool) and rate < SLOWEST_ADVISED_RATE:
                message = f"a rate of {rate} is hard to understand; {SLOWEST_ADVISED_RATE} is the slowest advised"
                yield self._at(("speech", name, "rate"), message, warning=True)

    def _rates(self) -> dict[str, float]:
        rates = {STANDARD_SPEECH: 1.0}
        for name, profile in self._speech.items():
            rate = _group(profile).get("rate")
            if isinstance(rate, int | float):
                rates[name] = rate
        return rates

    def unused(self) -> Iterator[Problem]:
        """Targets that no rule names, and profiles that neither a rule nor a caller's key leads to."""
        used = [_group(rule.get("then")).get("to") for rule in self._rules]
        used += [_group(target.get("overflow")).get("to") for target in self._targets.values()]
        used += [_group(_group(rule.get("then")).get("overflow")).get("to") for rule in self._rules]
        used.append(self._fallback.get("to"))
        for name in self._targets:
            if name not in used:
                message = f"the target `{name}` is not used; remove it, or name it in a rule"
                yield self._at(("targets", name), message, at_key=True, warning=True)
        spoken = [_group(rule.get("then")).get("speech") for rule in self._rules]
        reached = reached_by_callers([name for name in spoken if isinstance(name, str)], self._rates())
        for name in self._speech:
            if name not in spoken and name not in reached:
                message = f"the speech profile `{name}` is not used; remove it, or name it in a rule"
                yield self._at(("speech", name), message, at_key=True, warning=True)
        asked: list[object] = []
        for rule in self._rules:
            for key in ("calendar", "outside_calendar"):
                asked += _every(_group(rule.get("when")).get(key))
        for name in self._calendars:
            if name not in asked:
                message = f"the calendar `{name}` is not used; remove it, or name it in a rule"
                yield self._at(("calendars", name), message, at_key=True, warning=True)
