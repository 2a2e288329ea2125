"""`elder-router report`: the figures of a day or any span, for supervisors. `speech`: whether speaking slowly helps.

What is counted is in `router.journal.counting`, how it is shown in `router.cli.reports`.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
from rich.console import Console

from router.cli.options import WHERE_IS_THE_JOURNAL, CouldNotRunError, journals_option, rules_option_for
from router.cli.report_speech import speech
from router.cli.reports.given import all_of, rules_in_force
from router.cli.reports.page import as_page
from router.cli.reports.plain import as_csv, as_plain
from router.cli.reports.published import publish, refuse_journals
from router.cli.reports.shown import Shown
from router.cli.reports.spans import Asked, asked
from router.cli.reports.terminal import print_report
from router.cli.reports.words import LANGUAGES, words_in
from router.cli.tracing import console_for_answers, json_text, printable
from router.errors import JournalError
from router.journal.counting.count import Counted, count_spans
from router.journal.settings import USUAL_SERVICE_LEVEL
from router.rules.durations import parse_duration_s
from router.rules.wording import listed

_STDOUT = Path("-")


class _Seconds(click.ParamType[float]):
    """A duration, `20s`; the settings file gives seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See click."""
        if isinstance(value, float):
            return value
        try:
            seconds = parse_duration_s(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return seconds


class _ReportGroup(click.Group):
    """Takes several files after one `--journal`, as a shell makes of `*`; a group's words are else its commands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click."""
        words: list[str] = []
        is_file = False
        for nth, word in enumerate(args):
            if word in self.commands and not (nth and args[nth - 1] == "--journal"):
                return super().parse_args(ctx, words + args[nth:])
            if word.startswith("-") and word != "-":
                is_file = word == "--journal"
            elif is_file and words[-1] != "--journal":
                words.append("--journal")
            words.append(word)
        return super().parse_args(ctx, words)


@click.group("report", cls=_ReportGroup, invoke_without_command=True)
@click.option(
    "--day",
    metavar="DAY",
    help='A day, "2026-11-25", yesterday, or today, in the rules\' zone. [default: yesterday]',
)
@click.option("--since", metavar="TIME", help='Any span instead: from "2026-11-23 09:00" on, in the rules\' zone.')
@click.option("--until", metavar="TIME", help="Until then. [default: now]")
@journals_option(
    "Journals in any order",
    "the one that the settings file says, and all that was rotated away from it",
)
@click.option(
    "--within",
    "within_s",
    type=_Seconds(),
    metavar="DURATION",
    default=USUAL_SERVICE_LEVEL.within_s,
    help="The threshold of the service level. [default: as the settings file says, else 20s]",
)
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), metavar="FILE", help="Write a table; - prints it.")
@click.option("--html", "html_file", type=click.Path(path_type=Path), metavar="FILE", help="Write one page, to print.")
@click.option(
    "--language", type=click.Choice(LANGUAGES), default="en", show_default=True, help="The language of the page."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@rules_option_for("The rules in force: for the time zone, and which age bands are protected.")
@click.option("--percent", hidden=True, type=float, default=USUAL_SERVICE_LEVEL.percent, help="What is promised.")
@click.pass_context
def report(context: click.Context, /, **given: Any) -> None:  # noqa: ANN401 - the options of `_report`
    """Show whether older callers are answered by people, quickly: the figures of a day or any span.

    Calls, those of protected age bands answered by a person without the assistant, answered within 15 s, service level,
    waits, abandoned calls, fallback and unknown callers, by age band, hour, queue, rule and target, compared with the
    span before. What each figure is stands in docs/figures.md.

    Exits 0, or 2 when a journal cannot be read or has no call of that span.
    """
    if context.invoked_subcommand is None:
        _report(**given)


report.add_command(speech)


def _report(
    *,
    day: str | None,
    since: str | None,
    until: str | None,
    journals: tuple[Path, ...],
    within_s: float,
    csv_file: Path | None,
    html_file: Path | None,
    language: str,
    as_json: bool,
    rules_path: Path,
    percent: float,
    journal_file: Path | None,
) -> None:
    files = journals or all_of(journal_file)
    read = journals or journal_file
    if not files or not read:
        raise click.UsageError(
            f"{journal_file}: there is no journal; name it with --journal" if journal_file else WHERE_IS_THE_JOURNAL
        )
    for target in (csv_file, html_file):
        if target and target != _STDOUT:
            refuse_journals(target, files)
    if as_json and _STDOUT in {csv_file, html_file}:
        raise click.UsageError("--json and a table both go to standard output; give the table a file")
    book = rules_in_force(rules_path)
    zone = ZoneInfo(book.timezone if book else "UTC")
    now = datetime.now(UTC)
    spans = asked(day, since, until, zone, now)
    try:
        with Console(stderr=True).status("counting calls"):
            counted = count_spans(
                read,
                [spans.span, spans.before],
                zone,
                book.protected if book else (),
                within_s,
                stdin=sys.stdin.buffer,
            )
    except JournalError as error:
        raise CouldNotRunError(str(error)) from error
    shown = Shown(counted.journals, zone, spans, counted, book, percent, now)
    if not counted.figures[0].overall.calls:
        for complaint in counted.read.complaints():
            click.echo(printable(complaint), err=True)
        raise CouldNotRunError(_nothing(shown, spans, counted))
    _put(shown, csv_file, html_file, language, as_json=as_json)


def _put(shown: Shown, csv_file: Path | None, html_file: Path | None, language: str, *, as_json: bool) -> None:
    """Write what is to be written, and print what is to be printed."""
    texts = []
    if csv_file:
        texts.append((csv_file, as_csv(shown), "utf-8-sig"))  # without its mark, Excel takes Chinese for something else
    if html_file:
        texts.append((html_file, as_page(shown, words_in(language)), "utf-8"))
    for target, text, encoding in texts:
        if target == _STDOUT:
            click.echo(text, nl=False)
        else:
            publish(text, target, encoding=encoding)
    is_report = not as_json and _STDOUT not in {csv_file, html_file}
    if as_json:
        click.echo(json_text(as_plain(shown)))
    elif is_report:
        print_report(console_for_answers(), shown, words_in("en"))
    for target, _, _ in texts:
        if target != _STDOUT:
            # Below a report; standard error is for what went wrong, which cron mails.
            click.echo(printable(f"wrote {target}"), err=not is_report)


def _nothing(shown: Shown, spans: Asked, counted: Counted) -> str:
    """Why there is nothing to show."""
    where = listed(map(str, shown.journals))
    what = f"no call was decided in {words_in('en').span(spans)} ({shown.zone.key})"
    if counted.first and counted.last:
        first, last = (moment.astimezone(shown.zone) for moment in (counted.first, counted.last))
        return f"{where}: {what}; there are calls from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}, see --day"
    others = [
        f"{words} {moment.astimezone(shown.zone):%Y-%m-%d %H:%M}"
        for words, moment in (("older journals end", counted.ended_before), ("newer ones begin", counted.begins_after))
        if moment
    ]
    if others:
        return f"{where}: {what}; {' and '.join(others)}, see --day"
    return f"{where}: {what}, nor at any other time"
