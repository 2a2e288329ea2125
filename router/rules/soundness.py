"""What is wrong with rules although every line of them can be read: seen by looking at all possible calls.

The looking is `proof`'s; here its findings become sentences, one for each cause.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from router.errors import Problem
from router.rules.calendars import Calendar, combinations
from router.rules.conditions import CalendarIs
from router.rules.document import Document
from router.rules.examples import ProofTooLargeError
from router.rules.hours import HoursError
from router.rules.proof import Unprotected, Unreachable, prove
from router.rules.rule import Rule
from router.rules.wording import listed


def check_soundness(
    document: Document,
    rules: Sequence[Rule],
    bands: Sequence[str],
    protected: Collection[str],
    calendars: Sequence[Calendar],
) -> list[Problem]:
    """Calendars that are never or always open, rules that take no call, protected callers who reach no person.

    Args:
        document: Where they stood.
        rules: All of them, in order.
        bands: The names of all age bands.
        protected: Those that must reach a person.
        calendars: All calendars.
    """
    wrong: list[Problem] = []
    always_open: set[str] = set()
    for calendar in calendars:
        hours = ("calendars", calendar.name, "hours")
        try:
            moments = combinations((calendar,))
        except HoursError as error:
            wrong.append(document.problem(hours, f"`hours` {error}"))
            continue
        if not any(moment.open for moment in moments):
            message = f"the calendar `{calendar.name}` is never open; check its hours, or remove it"
            wrong.append(document.problem(hours, message))
        elif all(moment.open for moment in moments):
            always_open.add(calendar.name)
    if wrong:  # a rule that asks for a calendar that is never open takes no call either, for this one reason
        return wrong
    try:
        unreachable, unprotected = prove(rules, bands, protected, calendars)
    except HoursError as error:
        return [document.problem(("calendars",), f"the `hours` of all calendars together {error}", at_key=True)]
    except ProofTooLargeError:
        message = (
            "these rules combine in too many ways to prove that every protected caller reaches a person; put "
            "the rules for protected age bands first, or use fewer different lists of numbers"
        )
        return [document.problem(("rules",), message, at_key=True)]
    told = _Told(document, rules, always_open)
    problems = [*told.unreachable(unreachable), *(told.unprotected(gap) for gap in unprotected)]
    for name in always_open - told.calendars:
        message = f"the calendar `{name}` is always open; a rule can do without it"
        problems.append(document.problem(("calendars", name, "hours"), message, warning=True))
    return problems


class _Told:
    """Findings about rules in words. `calendars` are those, always open, that were named as a cause."""

    def __init__(self, document: Document, rules: Sequence[Rule], always_open: Collection[str]) -> None:
        self.calendars: set[str] = set()
        self._document = document
        self._rules = rules
        self._always_open = always_open

    def unreachable(self, every: Sequence[Unreachable]) -> list[Problem]:
        """Rules that take no call. Where rules take all calls there are, none after them does: that is said once."""
        last = next((hidden for hidden in every if hidden.rule == len(self._rules) - 1), None)
        tail = [hidden for hidden in every if last is not None and hidden.hidden_by == last.hidden_by]
        tail = [hidden for hidden in tail if hidden.rule > max(hidden.hidden_by, default=-1)]
        echoes = {hidden.rule for hidden in tail[1:]}
        problems = []
        for hidden in every:
            if hidden.rule in echoes:
                continue
            if hidden.hidden_by:
                others = len(echoes) if tail and hidden is tail[0] else 0
                problems.append(self._hidden(hidden, others))
            else:
                problems.append(self._contradictory(hidden))
        return problems

    def _hidden(self, hidden: Unreachable, others: int) -> Problem:
        by = [self._rules[index] for index in hidden.hidden_by]
        names = listed(f'"{rule.name}"' for rule in by)
        who = f"rule {names} before it takes" if len(by) == 1 else f"the rules {names} together before it take"
        cause = self._because_always_open([*by, self._rules[hidden.rule]])
        if others:
            and_more = f"and {'another' if others == 1 else f'{others} others'} after it "
            message = f"this rule {and_more}can never be reached: {who} every call{cause}; move them up or remove them"
        else:
            message = f"this rule can never be reached: {who} every call it is for{cause}; move it up or remove it"
        return self._document.problem(("rules", hidden.rule, "name"), message)

    def _contradictory(self, hidden: Unreachable) -> Problem:
        rule = self._rules[hidden.rule]
        outside = {name for c in rule.conditions if isinstance(c, CalendarIs) and c.outside for name in c.calendars}
        fields = hidden.contradictory
        if "outside_calendar" in fields and (always := sorted(outside & set(self._always_open))):
            self.calendars |= set(always)
            why = f"the calendar `{always[0]}` is always open"
        elif fields == ("outside_calendar",):
            why = "one of these calendars is always open"
        elif fields == ("queue",):
            why = "the bounds on this queue exclude each other"
        else:
            why = f"{' and '.join(f'`{field}`' for field in fields)} exclude each other"
        return self._document.problem(
            ("rules", hidden.rule, "when", fields[-1]), f"this rule can never match: {why}", at_key=True
        )

    def _because_always_open(self, rules: Iterable[Rule]) -> str:
        asked = {name for rule in rules for c in rule.conditions if isinstance(c, CalendarIs) for name in c.calendars}
        always = sorted(asked & set(self._always_open))
        self.calendars |= set(always)
        return f", as the calendar `{always[0]}` is always open" if always else ""

    def unprotected(self, gap: Unprotected) -> Problem:
        """A rule that takes protected callers to no person."""
        rule = self._rules[gap.rule]
        example = f" (for example: {gap.example})" if gap.example else ""
        bands = f"age band{'s' if len(gap.bands) > 1 else ''} " + listed(f"`{band}`" for band in gap.bands)
        message = (
            f"callers of the protected {bands} do not reach a person here{example}: the rule "
            f'"{rule.name}" takes them to `{rule.target.name}`, which is not a queue; put a rule before it '
            "that sends them to one"
        )
        return self._document.problem(("rules", gap.rule, "then", "to"), message)
