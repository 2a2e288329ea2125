"""How the report on speech is shown: to people, and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table
from rich.text import Text

from router.cli.tracing import counted, show_table, shown_text
from router.journal.intervals import newcombe, wilson
from router.journal.speech_report import MEASURES, Group, SpeechReport, Stories
from router.journal.speech_trial import Difference, Side, Trial, Trials
from router.journal.stream import Read
from router.rules.book import RuleBook
from router.rules.wording import listed

_UNKNOWN = "unknown"
_ACROSS: Final = 3  # profiles beside each other, so that a terminal of 100 columns holds them
_TITLES_WIDE, _PROFILE_WIDE = 22, 26
_ALL_WIDE: Final = 80  # what a comparison takes; in less, its lines are broken
_NAMED_ROUTES: Final = 3
_STYLES: Final = {"more": "bold", "fewer": "bold", "too few to tell": "dim"}
_OF_ASSISTANT: Final = "* of those who met the assistant, where alone it can happen; the others are of all calls"


@dataclass(frozen=True, slots=True)
class Order:
    """The order of age bands, youngest first, and of profiles, fastest first; names that are in neither come last."""

    bands: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()

    @classmethod
    def of(cls, book: RuleBook | None) -> Order:
        """As the rules have it; by name without rules."""
        if book is None:
            return cls()
        profiles = sorted(book.speech.values(), key=lambda profile: -profile.rate)
        return cls(tuple(book.bands.names), tuple(profile.name for profile in profiles))

    def band(self, name: str) -> tuple[bool, int, str]:
        """What to sort a band by."""
        return (not name, _place(self.bands, name), name)

    def group(self, group: Group) -> tuple[object, ...]:
        """What to sort a group by."""
        return (*self.band(group.band), _place(self.profiles, group.profile), group)


@dataclass(frozen=True, slots=True)
class Shown:
    """All there is to show."""

    journals: tuple[Path, ...]
    zone: ZoneInfo
    order: Order
    report: SpeechReport
    trials: Trials
    read: Read

    def groups(self) -> list[tuple[Group, Stories]]:
        """Those that have any calls, in their order."""
        found = [(group, stories) for group, stories in self.report.groups.items() if stories.total()]
        return sorted(found, key=lambda pair: self.order.group(pair[0]))

    def differences(self, trial: Trial) -> list[Difference]:
        """In the order of the bands."""
        return sorted(self.trials.differences(trial), key=lambda one: self.order.band(one.band))


def print_report(console: Console, shown: Shown) -> None:
    """Everything for people. Texts from journals go into `Text`, so that brackets in them are no markup."""
    _print_head(console, shown)
    for _, of_band in groupby(shown.groups(), key=lambda pair: pair[0].band):
        groups = list(of_band)
        across = min(_ACROSS, max(1, (console.width - _TITLES_WIDE) // _PROFILE_WIDE))
        for first in range(0, len(groups), across):
            console.print()
            _print_groups(console, groups[first : first + across])
    console.print()
    console.print(Text(_OF_ASSISTANT, "dim"))
    for trial in shown.trials:
        console.print()
        _print_trial(console, shown, trial)
    if notes := list(_notes(shown)):
        console.print()
        console.print("To know:")
        told = Table.grid(padding=(0, 1))
        for note in notes:
            told.add_row("-", shown_text(note))
        show_table(console, told, indent=2)


def _print_head(console: Console, shown: Shown) -> None:
    found = shown.report
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("journals" if len(shown.journals) > 1 else "journal", shown_text(listed(map(str, shown.journals))))
    if found.first and found.last:
        first, last = found.first.astimezone(shown.zone), found.last.astimezone(shown.zone)
        grid.add_row("decided", f"{first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} {last:%Z}")
    grid.add_row("counted", f"{sum(stories.total() for _, stories in shown.groups()):,} calls")
    for count, what in _apart(shown):
        grid.add_row("not counted", f"{count:,} {what}")
    show_table(console, grid)


def _apart(shown: Shown) -> list[tuple[int, str]]:
    apart = shown.report.apart
    every = [
        (apart.no_outcome, "without an outcome: under way, or ended unrecorded"),
        (apart.unseen, "that ended while the router was away, unseen"),
        (apart.undecided, "that went to people without the rules being asked"),
        (apart.not_applied, "whose decision did not reach Asterisk, so that nobody was spoken to accordingly"),
        (apart.no_decision, "with an outcome and no decision in these journals"),
        (apart.elsewhen, "outside of the time asked for"),
        (shown.read.bad, "that may be in a line that could not be read"),
    ]
    return [(count, what) for count, what in every if count]


def _print_groups(console: Console, groups: Sequence[tuple[Group, Stories]]) -> None:
    """Groups of one age band beside each other, a line for each measure."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(shown_text(groups[0][0].band or _UNKNOWN), no_wrap=True)
    for group, _ in groups:
        title = f"{group.profile}{', by choice' if group.choice else ''}"
        table.add_column(shown_text(f"{title}: {group.rule}" if group.rule else title), justify="right", max_width=23)
    table.add_row("calls", *(f"{stories.total():,}" for _, stories in groups))
    table.add_row("met the assistant", *(f"{stories.total(assistant=True):,}" for _, stories in groups))
    for measure in MEASURES:
        title = measure.title + (" *" if measure.of_assistant else "")
        table.add_row(title, *(_share(*stories.share(measure)) for _, stories in groups))
    show_table(console, table)


def _share(happened: int, calls: int) -> str:
    if not calls:
        return "–"
    interval = wilson(happened, calls)
    return f"{happened / calls:.1%} ({interval.low * 100:.1f}–{interval.high * 100:.1f})"


def _print_trial(console: Console, shown: Shown, trial: Trial) -> None:
    if trial.other:
        console.print(Text.assemble("Callers of ", _quoted(trial.rule), " (A) against those of ", _quoted(trial.other),
                                    " (B), each by their first call:"))  # fmt: skip
    else:
        console.print(Text.assemble("Callers within the roll-out of ", _quoted(trial.rule), " (A) against those whom "
                                    "it alone left out (B), each by their first call:"))  # fmt: skip
    grid = Table.grid(padding=(0, 2))
    for name, side in (("A", trial.within), ("B", trial.without)):
        grid.add_row(name, shown_text(f"spoken to: {_mix(side.profiles)}; sent to: {_mix(side.routes)}"))
    show_table(console, grid, indent=2)
    differences = shown.differences(trial)
    for band, of_band in groupby(differences, key=lambda one: one.band):
        console.print()
        _print_differences(console, band, list(of_band))
    if not differences:
        console.print(Text("  too few to tell: no age band has callers on both sides", "dim"))


def _quoted(rule: str) -> Text:
    return shown_text(f'"{rule}"', "bold")


def _mix(counts: Counter[str]) -> str:
    total = counts.total()
    named = [f"{name} {count / total:.0%}" for name, count in counts.most_common(_NAMED_ROUTES)]
    return ", ".join(named) + (", …" if len(counts) > _NAMED_ROUTES else "") if named else "nobody"


def _print_differences(console: Console, band: str, differences: Sequence[Difference]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    holds_all = console.width >= _ALL_WIDE
    table.add_column(shown_text(band or _UNKNOWN), no_wrap=holds_all)
    for title in ("A", "B", "A less B, points"):
        table.add_column(title, justify="right", no_wrap=holds_all)
    table.add_column("A:")
    of_all = next(one for one in differences if not one.measure.of_assistant)
    of_assistant = next(one for one in differences if one.measure.of_assistant)
    table.add_row("callers", f"{of_all.within[1]:,}", f"{of_all.without[1]:,}")
    table.add_row("met the assistant", f"{of_assistant.within[1]:,}", f"{of_assistant.without[1]:,}")
    for one in differences:
        title = one.measure.title + (" *" if one.measure.of_assistant else "")
        shares = (f"{happened / calls:.1%}" if calls else "–" for happened, calls in (one.within, one.without))
        low, high = (f"{_signed(end)}" for end in (one.interval.low, one.interval.high))
        points = f"{_signed(one.points)} ({low} to {high})" if one.is_told else "–"
        table.add_row(title, *shares, points, Text(_verdict(one), _STYLES.get(one.verdict, "")))
    show_table(console, table)


def _verdict(one: Difference) -> str:
    if one.verdict == "alike":
        return f"alike within {max(-one.interval.low, one.interval.high) * 100:.1f}"
    return one.verdict


def _signed(share: float) -> str:
    """In points, with a sign of its own width; never a negative nothing."""
    text = f"{share * 100:+.1f}"
    return "0.0" if text in {"+0.0", "-0.0"} else text.replace("-", "−")


def _notes(shown: Shown) -> Iterator[str]:
    """What the reader must know to trust the numbers."""
    report, trials = shown.report, list(shown.trials)
    if report.apart.asked_again:
        yield (
            f"{counted(report.apart.asked_again, 'more decision')} came of calls that were transferred back: a call "
            "counts once, as it was decided first"
        )
    if any(group.choice for group in report.groups):
        yield (
            "callers “by choice” had asked for that speed in an earlier call; they are unlike others, and in no "
            "comparison"
        )
    if not trials:
        yield (
            "which profile callers were given is no chance here, so that differences between profiles may be "
            "differences between callers. Give a rule a `rollout` to have them compared: docs/speech.md"
        )
        return
    if not any(trial.other for trial in trials):
        yield (
            "the columns by profile hold all calls, whatever gave them their profile; only the comparison is of "
            "callers whom chance alone tells apart"
        )
    made = sum(len(shown.trials.differences(trial)) for trial in trials)
    if made:
        yield (
            f"{made} comparisons are made: at 95 % one in twenty differs by chance. “perhaps” marks those that do not "
            f"hold when that is allowed for (Bonferroni), “too few to tell” what could still be more than 5 points"
        )
    for trial in trials:
        yield from _notes_on(trial)
    if sum(not trial.other for trial in trials) > 1:
        yield (
            "several rules have a roll-out, and the place of a caller is the same in all of them: whoever a smaller "
            "one takes would be within a larger one, too. Compare one at a time"
        )
    if shown.trials.no_longer_counted:
        yield (
            f"after the first {shown.trials.callers:,} callers, {shown.trials.no_longer_counted:,} calls were not "
            "compared, to save memory"
        )


def _notes_on(trial: Trial) -> Iterator[str]:
    """What may make a comparison misleading."""
    within, without = trial.within, trial.without
    if trial.other:
        yield (
            f'who comes under "{trial.rule}" or "{trial.other}" is no chance: the callers themselves may differ. A '
            "roll-out compares like with like"
        )
    if len(trial.rollouts) > 1 and not trial.other:
        yield (
            f'"{trial.rule}": its roll-out was changed ({listed(sorted(trial.rollouts)[:_NAMED_ROUTES])}), so that the '
            "groups called at different times, too; what differs may come of that. Compare since the last change"
        )
    if by_choice := within.by_choice + without.by_choice:
        yield (
            f'"{trial.rule}": {counted(by_choice, "caller")} {"was" if by_choice == 1 else "were"} spoken to by their '
            "own earlier choice and left out; begin with --since when the trial began"
        )
    if within.profiles.keys() == without.profiles.keys() and len(within.profiles) == 1:
        yield (
            f'"{trial.rule}": both groups were spoken to in {next(iter(within.profiles))}, so that this compares '
            "something else than speech"
        )
    if within.routes and without.routes and within.routes.keys().isdisjoint(without.routes):
        yield (
            f'"{trial.rule}": the groups were also sent to different places, or with another head start; what '
            "differs may come of that and not of how they were spoken to"
        )
    for band in within.stories.keys() & without.stories.keys():
        one, other = within.stories[band], without.stories[band]
        met = newcombe(one.total(assistant=True), one.total(), other.total(assistant=True), other.total())
        if not met.holds_zero:
            yield (
                f'"{trial.rule}": not as many {band or _UNKNOWN} callers of one group met the assistant as of the '
                "other, so that the rows marked * compare unlike callers"
            )


def _place(names: Collection[str], name: str) -> int:
    return list(names).index(name) if name in names else len(names)


def as_plain(shown: Shown) -> dict[str, object]:
    """Everything for JSON. Shares, differences and intervals are from 0 to 1, or -1 to 1."""
    report = shown.report
    return {
        "journals": [str(file) for file in shown.journals],
        "first": report.first.isoformat() if report.first else None,
        "last": report.last.isoformat() if report.last else None,
        "not_counted": {**asdict(report.apart), "bad_lines": shown.read.bad},
        "groups": [_group_as_plain(group, stories) for group, stories in shown.groups()],
        "comparisons": [
            {
                "rule": trial.rule,
                "against": trial.other or None,
                "within": _side_as_plain(trial.within),
                "without": _side_as_plain(trial.without),
                "differences": [_difference_as_plain(one) for one in shown.differences(trial)],
            }
            for trial in shown.trials
        ],
        "notes": list(_notes(shown)),
        "complaints": shown.read.complaints(),
    }


def _group_as_plain(group: Group, stories: Stories) -> dict[str, object]:
    return {
        "age_band": group.band or None,
        "speech": group.profile,
        "by_choice": group.choice,
        **({"rule": group.rule} if group.rule else {}),
        "calls": stories.total(),
        "met_assistant": stories.total(assistant=True),
        "measures": {
            measure.name: _share_as_plain(*stories.share(measure), of_assistant=measure.of_assistant)
            for measure in MEASURES
        },
    }


def _share_as_plain(happened: int, calls: int, *, of_assistant: bool) -> dict[str, object]:
    interval = wilson(happened, calls)
    return {
        "happened": happened,
        "of": calls,
        "of_assistant": of_assistant,
        "share": happened / calls if calls else None,
        "low": interval.low,
        "high": interval.high,
    }


def _side_as_plain(side: Side) -> dict[str, object]:
    return {
        "callers": sum(stories.total() for stories in side.stories.values()),
        "speech": dict(side.profiles.most_common()),
        "sent_to": dict(_first(side.routes)),
        "by_choice_left_out": side.by_choice,
    }


def _first(counts: Counter[str]) -> Iterable[tuple[str, int]]:
    return counts.most_common(100)


def _difference_as_plain(one: Difference) -> dict[str, object]:
    return {
        "age_band": one.band or None,
        "measure": one.measure.name,
        "of_assistant": one.measure.of_assistant,
        "within": {"happened": one.within[0], "of": one.within[1]},
        "without": {"happened": one.without[0], "of": one.without[1]},
        "difference": one.points if one.is_told else None,
        "low": one.interval.low,
        "high": one.interval.high,
        "verdict": one.verdict,
    }
