"""`elder-router report speech`: whether speaking more slowly helps.

What is counted is in `router.journal.speech_report`, what is compared in `speech_trial`; this reads the journals, and
`reporting` shows what comes out.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from router.cli.options import WHERE_IS_THE_JOURNAL, CouldNotRunError, journals_option, moment_given, rules_option_for
from router.cli.reporting import Order, Shown, as_plain, print_report
from router.cli.reports.given import all_of, rules_in_force
from router.cli.tracing import console_for_answers, json_text, printable, reading_bar
from router.errors import JournalError
from router.journal.speech_report import SpeechReport
from router.journal.speech_trial import Trials
from router.journal.stream import Read, RecordStream
from router.rules.wording import listed

# A decision whose trace names a rule that its roll-out alone kept from matching, the only part of traces asked for.
_LEFT_OUT = b'"failed":"rollout"'


@click.command("speech")
@click.argument("more_journals", metavar="", nargs=-1, type=click.Path(path_type=Path, readable=False))
@journals_option(
    "Journals, in the order of their time",
    "the one that the settings file says, after all that was rotated away from it",
)
@click.option("--by", "by", type=click.Choice(["rule"]), help="Count the calls of each rule by themselves, too.")
@click.option("--since", metavar="TIME", help='Leave out calls before: "2026-11-23 09:00", in the rules\' zone.')
@click.option("--until", metavar="TIME", help="Leave out calls from then on.")
@click.option(
    "--compare",
    "compared",
    metavar="RULE RULE",
    nargs=2,
    help="Compare the callers of two rules. [default: those within each rule's roll-out with those left out by it]",
)
@rules_option_for("The rules in force: for the time zone, and the order of age bands and profiles. Not needed.")
@click.option("--json", "as_json", is_flag=True, help="Print what comes out as JSON.")
def speech(
    more_journals: tuple[Path, ...],
    *,
    journals: tuple[Path, ...],
    by: str | None,
    since: str | None,
    until: str | None,
    compared: tuple[str, str] | None,
    rules_path: Path,
    as_json: bool,
    journal_file: Path | None,
) -> None:
    """Show whether slower speech helps: what callers did, by age band and speech profile.

    Of each age band and profile: how many asked to hear a prompt again, for slower or normal speed, fell silent,
    pressed wrong keys, asked for a person, were served by the assistant, hung up unserved or reached a person, with
    95 % intervals. Callers spoken to by their own earlier choice stand by themselves.

    Where a rule has a roll-out percentage, callers within it are compared with those of the same age band whom it left
    out: chance alone tells them apart, so that a difference is what the rule did.

    Exits 0, or 2 when a journal cannot be read or nothing in it counts.
    """
    files = (*journals, *more_journals) or all_of(journal_file)
    if not files:
        raise click.UsageError(WHERE_IS_THE_JOURNAL)
    if compared and compared[0] == compared[1]:
        raise click.BadParameter("name two different rules", param_hint="--compare")
    book = rules_in_force(rules_path)
    zone = ZoneInfo(book.timezone if book else "UTC")
    trials = Trials(compared or ())
    found = SpeechReport(
        by_rule=by == "rule",
        since=moment_given("--since", since, zone) if since is not None else None,
        until=moment_given("--until", until, zone) if until is not None else None,
        on_decided=trials.decided,
    )
    try:
        read = _gather(found, files)
    except JournalError as error:
        raise CouldNotRunError(str(error)) from error
    for complaint in read.complaints():
        click.echo(printable(complaint), err=True)
    if not any(stories.total() for stories in found.groups.values()):
        raise CouldNotRunError(_nothing(files, found))
    _check_names(compared or (), trials)
    shown = Shown(files, zone, Order.of(book), found, trials, read)
    if as_json:
        click.echo(json_text(as_plain(shown)))
    else:
        print_report(console_for_answers(), shown)


def _gather(found: SpeechReport, files: Sequence[Path]) -> Read:
    """Count everything in the journals, with a bar of what has been read on a terminal.

    Raises:
        JournalError: A journal cannot be read.
    """
    with reading_bar("reading calls") as update:
        stream = RecordStream(
            files,
            stdin=sys.stdin.buffer,
            kinds=("decision", "outcome"),
            trace_if=_LEFT_OUT,
            on_read=lambda done: update(completed=done),
        )
        update(total=stream.bytes_total)
        for fields in stream:
            if wrong := found.take(fields):
                stream.refuse(wrong)
    found.close()
    return stream.read


def _check_names(compared: Sequence[str], trials: Trials) -> None:
    """A rule that decided nothing is most likely misspelt."""
    for name in compared:
        if name not in trials.rules:
            near = get_close_matches(name, trials.rules, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"rules that did: {listed(sorted(trials.rules)[:10])}"
            raise CouldNotRunError(f'--compare: no call here was decided by a rule "{name}"; {hint}')


def _nothing(files: Sequence[Path], found: SpeechReport) -> str:
    """Why there is nothing to show."""
    where, apart = ", ".join(map(str, files)), found.apart
    if apart.no_outcome:
        if apart.no_outcome == 1:
            return f"{where}: 1 call was decided and has no outcome; is it under way still?"
        return f"{where}: {apart.no_outcome:,} calls were decided and none has an outcome; are they under way still?"
    if apart.elsewhen:
        return f"{where}: no call lies in the time asked for, and {apart.elsewhen:,} lie outside; see --since"
    if apart.no_decision:
        return f"{where}: there are outcomes and no decisions before them; name the journals in the order of their time"
    return f"{where}: no call in there was decided and ended; there is nothing to count"
