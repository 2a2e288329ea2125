"""A call of the past: which one the options mean, and its story out of the journal, on the screen or as JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
from click.core import ParameterSource
from rich.console import Console
from rich.table import Table

from router.callers.number import masked
from router.cli.asking_again import RulesOfThen, again_as_plain
from router.cli.call_search import Found, look_for
from router.cli.options import (
    JOURNAL,
    WHERE_IS_THE_JOURNAL,
    CouldNotRunError,
    could_not_run,
    history_option,
    journals_option,
    moment_given,
)
from router.cli.recognising import key_of
from router.cli.story import Story, print_story, zone_of
from router.cli.story_words import ending_in_words
from router.cli.supposing import Supposed
from router.cli.tracing import json_text, printable, show_table, shown_text
from router.errors import RouterError
from router.journal.minute import Minute
from router.journal.reader import journal_files
from router.journal.seeking import MOST_CALLS, CallFound, Sought
from router.journal.stream import STDIN
from router.rules.durations import in_words, parse_duration_s

_FOUND, _NOT_FOUND_OR_DIFFERENT = 0, 1
_MOST_WITHIN_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class PastCall:
    """A call, or a caller's calls near a moment, and where to look for them; `journals` are named oldest first.

    `named` is what is sought in words, and `hint` what to do where it is not found.
    """

    sought: Sought
    named: str
    hint: str
    journals: tuple[Path, ...]
    rules: RulesOfThen

    def show(self, console: Console, *, as_json: bool) -> int:
        """Print the story of the call, and of others shortly that may be meant; returns the exit status.

        Raises:
            CouldNotRunError: The call is not found, and not every journal could be read.
        """
        found = look_for(self.sought, self.journals)
        if not found.calls:
            return self._not_found(found)
        for line in found.complaints:
            click.echo(printable(line), err=True)
        told = found.calls[:1] if self.sought.at is not None else found.calls
        otherwise = self.rules.zone()
        stories = []
        for call, minutes, end in zip(told, found.minutes, found.ends, strict=False):
            again = self.rules.again(call.decisions)
            stories.append(Story(call, minutes, again, zone_of(again, otherwise), end))
        if as_json:
            click.echo(json_text(_as_plain(stories[0], found.calls[1:])))
        else:
            if self.sought.at is not None and len(found.calls) > 1:
                self._list(console, found, stories[0].zone)
            for story in stories:
                print_story(console, story)
        differs = any(again.differing for story in stories for again in story.again)
        return _NOT_FOUND_OR_DIFFERENT if differs else _FOUND

    def _not_found(self, found: Found) -> int:
        where = ", ".join("standard input" if path == STDIN else str(path) for path in self.journals)
        what = f"no decision about {self.named} is in {where}"
        if not found.is_all:
            raise CouldNotRunError("\n".join([*found.complaints, f"{what}, as far as that could be read"]))
        for line in (*found.complaints, what, *filter(None, [self.hint])):
            click.echo(printable(line), err=True)
        return _NOT_FOUND_OR_DIFFERENT

    def _list(self, console: Console, found: Found, zone: ZoneInfo | None) -> None:
        """All that may be meant, in the order of their time."""
        # Who has more than are kept, a company's switchboard perhaps, is not told a number that is none.
        how_many = f"{MOST_CALLS} calls or more" if len(found.calls) >= MOST_CALLS else f"{len(found.calls)} calls"
        console.print(shown_text(f"{how_many} are near that time; the nearest is told:"))
        table = Table(box=None, pad_edge=False, show_header=False)
        for call in sorted(found.calls, key=_moment):
            record = call.decisions[0][1]
            ended = ending_in_words(call.outcomes[0])[0] if call.outcomes else "no outcome"
            mark = ">" if call is found.calls[0] else ""
            at = f"{_moment(call).astimezone(zone):%Y-%m-%d %H:%M:%S}"
            table.add_row(*map(shown_text, (mark, at, call.uniqueid, record.target, ended)))
        show_table(console, table)
        console.print(shown_text("for another one of them: explain --call UNIQUEID", "dim"))
        console.print()


def _moment(call: CallFound) -> datetime:
    return call.moment or datetime.now(UTC)


def _as_plain(story: Story, others: tuple[CallFound, ...]) -> dict[str, object]:
    told = zip(story.call.decisions, story.again, story.minutes, strict=True)
    return {
        "kind": "past",
        "decisions": [
            {"record": fields, "again": again_as_plain(again), "around": _minute_as_plain(minute)}
            for (fields, _), again, minute in told
        ],
        **_rest_as_plain(story.call),
        "around_end": _minute_as_plain(story.end) if story.end is not None else None,
        "others": [
            {"decisions": [{"record": fields} for fields, _ in call.decisions], **_rest_as_plain(call)}
            for call in others
        ],
    }


def _rest_as_plain(call: CallFound) -> dict[str, object]:
    return {
        "outcomes": [outcome.model_dump(mode="json") for outcome in call.outcomes],
        "promotions": [promotion.model_dump(mode="json") for promotion in call.promotions],
    }


def _minute_as_plain(minute: Minute) -> dict[str, Any]:
    def plain(value: object) -> object:
        match value:
            case datetime():
                return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            case dict():
                return {name: plain(each) for name, each in value.items()}
            case list() | tuple():
                return [plain(each) for each in value]
            case _:
                return value

    return {"is_well": minute.is_well} | {name: plain(value) for name, value in asdict(minute).items()}


def past_call_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name a call of the past, gathered into one argument `past`; None without one.

    With `--caller` and `--at` alone, a time that lies in the past and a journal, a call of the past is meant; else a
    supposed one.
    """

    @click.argument("more_journals", metavar="", nargs=-1, type=JOURNAL)
    @click.option("--call", "uniqueid", metavar="UNIQUEID", help="A call of the past, by Asterisk's name for it.")
    @click.option(
        "--within",
        metavar="TIME",
        default="15m",
        show_default=True,
        help="With --caller and --at alone: how far from that time the call may have been.",
    )
    @journals_option(
        "Of a call of the past: journals, in the order of their time",
        "as the settings file says, and what was rotated away from there",
    )
    @history_option("Of a call of the past: ")
    @wraps(command)
    def with_past(
        *,
        uniqueid: str | None,
        within: str,
        journals: tuple[Path, ...],
        more_journals: tuple[Path, ...],
        journal_file: Path | None,
        history_folder: Path | None,
        **others: Any,  # noqa: ANN401 - the command's own
    ) -> None:
        if more_journals and not journals:
            raise click.UsageError(f"what is {printable(str(more_journals[0]))}? journals are named with --journal")
        every = (*journals, *more_journals)
        if not every and journal_file:
            every = tuple(reversed(journal_files(journal_file))) or (journal_file,)
        every = tuple(dict.fromkeys(every))
        supposed: Supposed = others["supposed"]
        rules = RulesOfThen(others["rules_path"], history_folder, supposed.secret_file)
        context = click.get_current_context()
        if uniqueid is not None:
            past: PastCall | None = _by_name(context, uniqueid, every, rules)
        else:
            past = _by_caller(context, supposed, within, every, rules)
        command(past=past, **others)

    return with_past


_ONLY_PAST = frozenset({"within", "journals", "more_journals", "history_folder", "journal_file"})
_EITHER = frozenset({"rules_path", "secret_file", "as_json"})
_CALLER_THEN = frozenset({"caller", "at", "home_region"})


def _by_name(context: click.Context, uniqueid: str, journals: tuple[Path, ...], rules: RulesOfThen) -> PastCall:
    """The call of a uniqueid."""
    allowed = (_ONLY_PAST - {"within"}) | _EITHER | {"uniqueid"}
    if given := _given(context, lambda name: name not in allowed):
        what = "what that call was like is in the journal"
        raise click.UsageError(f"{given} cannot be given with --call: {what}; leave out the one or the other")
    if not uniqueid:
        raise click.BadParameter("give the call's uniqueid, as the journal has it", param_hint="--call")
    return PastCall(Sought(uniqueid=uniqueid), f"the call {uniqueid}", "", _needed(journals), rules)


def _by_caller(
    context: click.Context, supposed: Supposed, within: str, journals: tuple[Path, ...], rules: RulesOfThen
) -> PastCall | None:
    """A caller's calls near a time; None where a supposed call is meant."""
    about_past = _given(context, (_ONLY_PAST - {"journal_file"}).__contains__)  # that one is the settings'
    described = _given(context, lambda name: name not in _ONLY_PAST | _EITHER | _CALLER_THEN)
    if not supposed.caller or supposed.at is None:
        if about_past:
            name = "name the call with --call UNIQUEID, or with --caller NUMBER and --at TIME"
            raise click.UsageError(f"{about_past} is about a call of the past; {name}")
        return None
    if about_past and described:
        what = "and that describes a supposed one; leave out the one or the other"
        raise click.UsageError(f"{about_past} is about a call of the past, {described} is given too, {what}")
    if described or not (journals or about_past):
        return None
    zone = rules.zone()
    at = moment_given("--at", supposed.at, zone or ZoneInfo("UTC"))
    if at > datetime.now(UTC):
        if about_past:
            raise click.BadParameter(f"that lies in the future, and {about_past} is about the past", param_hint="--at")
        return None
    if zone is None:
        click.echo("the rules cannot be read: --at is taken for UTC", err=True)
    if STDIN in journals and supposed.caller == str(STDIN):
        raise click.UsageError("both the number and the journal are - : give only one of them on standard input")
    _needed(journals)
    within_s = _within_s(within)
    number = supposed.place.number(supposed.caller)
    try:
        key = key_of(number.e164, supposed.place.home_region, rules.secret_file)
    except RouterError as error:
        raise could_not_run(error) from error
    return PastCall(
        Sought(caller_key=key, at=at, within=timedelta(seconds=within_s)),
        f"a call of {masked(number)} within {in_words(within_s)} of {at:%A %Y-%m-%d %H:%M %Z}",
        "look further with --within 2h; or, to ask where a supposed call of that time would go, give its --band too",
        journals,
        rules,
    )


def _within_s(text: str) -> float:
    try:
        within_s = parse_duration_s(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--within") from error
    if not 0 < within_s <= _MOST_WITHIN_S:
        raise click.BadParameter("write a time of up to 7d, like 15m or 2h", param_hint="--within")
    return within_s


def _needed(journals: tuple[Path, ...]) -> tuple[Path, ...]:
    if not journals:
        raise click.UsageError(WHERE_IS_THE_JOURNAL)
    return journals


def _given(context: click.Context, wanted: Callable[[str], bool]) -> str:
    """The first of the command's options that the command line has, of those wanted; "" if there is none."""
    for parameter in context.command.params:
        name = parameter.name or ""
        if wanted(name) and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            return parameter.opts[0]
    return ""
