"""`elder-router callers get`, `export`, `forget`: what is held of one person, for whoever answers to them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import click

from router.callers.number import PhoneNumber, masked
from router.callers.past import choice_in_words
from router.callers.person import Forgotten, Held, Kind, forget, held
from router.cli.caller_records import CallerRecords, records_of_caller
from router.cli.options import JOURNAL, UNREAD_FILE, RegistryPlace, could_not_run, registry_options, secret_file_option
from router.cli.tracing import counted, json_text, printable, reading_bar
from router.errors import RouterError
from router.journal.erasing import Erasing
from router.journal.forgetting import ErasedJournals, erase_caller, files_of
from router.journal.hashing import caller_key, read_secret
from router.journal.reader import journal_files
from router.rules.durations import roughly_in_words

_DONE, _NOTHING_HELD, _MORE_TO_DO = 0, 1, 3


@click.command("get", short_help="Show a caller's age band and choice.")
@click.argument("number")
@registry_options
def get_caller(number: str, place: RegistryPlace) -> None:
    """Show the age band of NUMBER, where it is from and how old it is, and what its owner chose.

    NUMBER may be -, then it is read from standard input: so it is in no shell's history and no list of processes.

    Exits 0; 1 when the registry has no band of that number; 2 when it cannot be asked.
    """
    phone = place.number(number)
    try:
        found = place.run(lambda registry: held(registry, phone))
    except (RouterError, OSError) as error:
        raise could_not_run(error) from error
    click.echo(printable(f"{masked(phone)}: {_in_words(found)}"))
    if Kind.FORMER in found.keys.values():
        click.echo("an earlier version's entry is there too, in clear: see `callers remove-old`", err=True)
    raise SystemExit(_DONE if found.band else _NOTHING_HELD)


def _journal_options(which: str, without: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of a caller's calls in journals; says which journals, and what it is to leave them."""

    def with_journals(command: Callable[..., None]) -> Callable[..., None]:
        hidden = click.option("--journal-file", hidden=True, type=UNREAD_FILE, help="What the settings file says.")
        none = click.option("--no-journal", is_flag=True, help=without)
        named = click.option("--journal", "journals", metavar="FILE", multiple=True, type=JOURNAL, help=which)
        return named(none(hidden(command)))

    return with_journals


@click.command("export", short_help="Print all that is held of a caller.")
@click.argument("number")
@click.option("--full-number", is_flag=True, help="Write the number out, which is masked otherwise.")
@_journal_options(
    "Journals to look for the caller's calls in, in the order of their time; may be given again. [default: as the "
    "settings file says, and what was rotated away from there]",
    "Leave the journal out.",
)
@secret_file_option
@registry_options
def export_caller(
    number: str,
    *,
    full_number: bool,
    journals: tuple[Path, ...],
    no_journal: bool,
    journal_file: Path | None,
    secret_file: Path | None,
    place: RegistryPlace,
) -> None:
    """Print all that is held of NUMBER as JSON, for the person whose number it is.

    What the registry holds, and the journal's records of their calls, which are found by the journal's own key. The
    key of what stands in the registry is a keyed hash, which tells nothing of the number without the secret.

    NUMBER may be -, as for `get`.

    Exits 0; 1 when nothing is held of that number; 2 when that cannot be found out.
    """
    phone = place.number(number)
    files: tuple[Path, ...] = () if no_journal else journals
    if not files and not no_journal and journal_file:
        files = tuple(reversed(journal_files(journal_file)))
        if not files:
            why = f"there is no journal {journal_file} on this machine: what is printed says nothing of calls"
            click.echo(printable(why), err=True)
    try:
        found = place.run(lambda registry: held(registry, phone))
        records = _records(phone, files, secret_file)
    except (RouterError, OSError) as error:
        raise could_not_run(error) from error
    for complaint in records.complaints:
        click.echo(printable(complaint), err=True)
    click.echo(json_text(_as_plain(phone, found, records, full_number=full_number, files=files)))
    raise SystemExit(_DONE if found.keys or records.records else _NOTHING_HELD)


@click.command("forget", short_help="Remove all that is held of a caller.")
@click.argument("number")
@_journal_options(
    "Journals to take the caller out of, and what was rotated away from them; may be given again. [default: as "
    "the settings file says]",
    "Leave the journal as it is.",
)
@secret_file_option
@registry_options
def forget_caller(
    number: str,
    *,
    journals: tuple[Path, ...],
    no_journal: bool,
    journal_file: Path | None,
    secret_file: Path | None,
    place: RegistryPlace,
) -> None:
    """Remove all that is held of NUMBER, in the registry and in the journal. Then look again.

    From the registry go the band, the choice and the calls, under every secret. The next load brings the number back if
    the feed still has it, so have it taken out there too.

    In the journal, in what was rotated away from it and compressed too, the records of the number's calls stay and can
    no longer be told to be anybody's: masked number and keyed hash are taken out. The router may run meanwhile.
    Journals of other routers, and copies, are not reached. NUMBER may be -, as for `get`.

    Exits 0 when it is gone; 1 when nothing was held; 2 when it could not be done; 3 when there is more to do, which it
    says: callers are being loaded, another system holds the number too, a file could not be changed, or something came
    back meanwhile.
    """
    phone = place.number(number)
    named = () if no_journal else journals or ((journal_file,) if journal_file else ())
    there = files_of(named)
    _refuse_missing(journals)
    try:
        # Before anything is removed: whoever reads an error here has the number to hand, and both to do.
        key = caller_key(_journal_secret(secret_file), phone.e164) if there else ""
        done = place.run(lambda registry: forget(registry, phone))
    except (RouterError, OSError) as error:
        raise could_not_run(error) from error
    click.echo(f"{masked(phone)}: {_removed(done)}")
    click.echo(f"looked again: {', '.join(f'{kind} ({count:,})' for kind, count in done.looked_at.items())}")
    if not done.left:
        click.echo("nothing is left of it in the registry now; a feed that still has the number brings it back")
    for sentence in _more_to_do(phone, done):
        click.echo(printable(sentence), err=True)
    erased = ErasedJournals()
    if there:
        with reading_bar("looking through the journal") as update:
            update(total=sum(_size(file) for file in there))
            erased = erase_caller(named, Erasing(phone, key), on_read=lambda count: update(completed=count))
        click.echo(printable(_erased(erased)))
        for sentence in erased.left:
            click.echo(printable(sentence), err=True)
    elif named:
        click.echo(printable(f"the journal: there is no {named[0]} on this machine"))
    if not done.is_complete or erased.left:
        raise SystemExit(_MORE_TO_DO)
    raise SystemExit(_DONE if done.removed or erased.lines else _NOTHING_HELD)


def _refuse_missing(journals: Sequence[Path]) -> None:
    """A journal that somebody names is there, or the name is wrong."""
    for file in journals:
        if not files_of((file,)):
            raise click.BadParameter(f"there is no {printable(str(file))}", param_hint="--journal")


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _erased(erased: ErasedJournals) -> str:
    """What was done in journals, and what it does not reach."""
    files = counted(erased.looked_in, "file")
    if erased.lines:
        what = f"taken out of {counted(erased.lines, 'record')} in {counted(len(erased.changed), 'file')} of {files}"
        again = "" if erased.left else "; looked again, and nothing is left"
    else:
        what, again = f"nothing of it in {files}", ""
    return f"the journal: {what}{again}; other routers' journals, and copies, are not reached: do the same there"


def _in_words(found: Held) -> str:
    """`senior (set by hand; the feed says adult, 9h old), chose slower (slow) until 2027-05-24`."""
    age = ""
    if found.generation is not None:
        age = f"{roughly_in_words(time.time() - found.generation.fresh_at)} old"
    fed = found.fed
    shared = ", shared by callers of several bands" if fed and fed.shared else ""
    if found.set_band is not None:
        says = f"the feed says {fed.band}{shared}" if fed else "the feed does not know it" if age else ""
        band = f"{found.set_band} ({'; '.join(part for part in ('set by hand', says) if part)})"
    elif fed is not None:
        band = f"{fed.band} (from {'the feed, ' + age if age else 'another system'}{shared})"
    else:
        band = f"not in the registry{f', which is {age}' if age else ''}"
    until = f" until {_day(time.time() + found.choice_left_s)}" if found.choice_left_s is not None else ""
    return f"{band}, chose {choice_in_words(found.choice)}{until}" if found.choice else band


def _removed(done: Forgotten) -> str:
    if not done.removed:
        return "nothing was held"
    return "removed " + ", ".join(kind.value for kind in Kind if kind in done.removed)


def _more_to_do(phone: PhoneNumber, done: Forgotten) -> list[str]:
    said = []
    if done.left:
        what = ", ".join(kind.value for kind in Kind if kind in done.left)
        said.append(f"still there, or there again: {what}; forget the number again")
    if done.importing:
        said.append("callers are being loaded: forget the number again when that is over")
    if done.elsewhere:
        where = _without_number(done.elsewhere, phone)
        said.append(f"another system holds the number under {where}: have it removed there")
    return said


def _without_number(key: str, phone: PhoneNumber) -> str:
    """A key of Redis's for people's eyes: another system's and an earlier version's have the number in clear."""
    shown = masked(phone)
    return key.replace(phone.e164, shown).replace(phone.e164.removeprefix("+"), shown.removeprefix("+"))


def _records(phone: PhoneNumber, files: tuple[Path, ...], secret_file: Path | None) -> CallerRecords:
    if not files:
        return CallerRecords()
    return records_of_caller(caller_key(_journal_secret(secret_file), phone.e164), files)


def _journal_secret(secret_file: Path | None) -> bytes:
    """The secret that the journal's keys are made with.

    Raises:
        ConfigurationError: It cannot be read.
    """
    if secret_file is None:
        raise click.UsageError(
            "the journal knows callers by its own key: name that with --secret-file, or the settings file with "
            "--config, or leave the journal out with --no-journal"
        )
    return read_secret(secret_file)


def _as_plain(
    phone: PhoneNumber, found: Held, records: CallerRecords, *, full_number: bool, files: tuple[Path, ...]
) -> dict[str, object]:
    generation = found.generation
    return {
        "number": phone.e164 if full_number else masked(phone),
        "age_band": found.band,
        "set_by_hand": found.set_band,
        "feed": {"age_band": found.fed.band, "shared_by_several_bands": found.fed.shared} if found.fed else None,
        "registry": {
            "as_of": generation.as_of,
            "loaded_at": _moment(generation.loaded_at),
            "updated_at": _moment(generation.fresh_at),
        }
        if generation
        else None,
        "choice": found.choice or None,
        "choice_kept_until": _moment(time.time() + found.choice_left_s) if found.choice_left_s is not None else None,
        "last_calls": [{"call": call.call, "at": _moment(call.at)} for call in found.calls],
        "stored_under": [
            {"key": key if full_number else _without_number(key, phone), "what": kind.value}
            for key, kind in found.keys.items()
        ],
        "journal": {"files": [str(file) for file in files], "records": list(records.records)} if files else None,
    }


def _moment(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s).astimezone().isoformat(timespec="seconds")


def _day(epoch_s: float) -> str:
    return _moment(epoch_s)[:10]
