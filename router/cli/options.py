"""Options that several commands share, and what the settings file gives for those that are not given."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click

from router.callers.number import NoNumber, PhoneNumber, is_home_region, parse_caller
from router.callers.past import CHOICE_KEPT_S, CHOICES, NO_CHOICE, read_choice
from router.callers.registry import Registry, open_registry
from router.callers.settings import DEFAULT_URL
from router.cli.tracing import printable
from router.errors import ConfigurationError, HistoryError, Problem
from router.reloading.history import RulesHistory
from router.reloading.keeper import cases_file_of
from router.settings import read_settings
from router.speech.settings_file import SpeechEntry

_Answer = TypeVar("_Answer")
_LOOKUP_DEADLINE_S = 2.0
# What lies beyond is a slip of the pen, and near the ends of what Python counts, time zones cannot be reckoned with.
_FIRST_YEAR, _LAST_YEAR = 2000, 2100


class CouldNotRunError(click.ClickException):
    """A command, whichever it is, cannot do its work. Each problem is a line of its own, so that none has a prefix."""

    exit_code = 2

    def show(self, file: object = None) -> None:  # noqa: ARG002 - click's signature
        """Print them."""
        for line in self.message.split("\n"):
            click.echo(printable(line), err=True)


def moment_given(option: str, text: str, zone: ZoneInfo) -> datetime:
    """A moment from the command line; one without an offset is meant in `zone`.

    Raises:
        click.BadParameter: `text` is no time, or is none from 2000 to 2100.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter('write a time like "2026-11-23 09:00"', param_hint=option) from error
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise click.BadParameter(f"write a year from {_FIRST_YEAR} to {_LAST_YEAR}", param_hint=option)
    return moment.astimezone(zone) if moment.tzinfo else moment.replace(tzinfo=zone)


@dataclass(frozen=True, slots=True)
class RegistryPlace:
    """Where the registry is, and where numbers without a country code belong."""

    redis_url: str
    password_file: Path | None
    home_region: str

    def run(self, work: Callable[[Registry], Awaitable[_Answer]], *, choice_kept_s: float = CHOICE_KEPT_S) -> _Answer:
        """Do something with the registry and close it again. A person waits for the answer; a call would not.

        Raises:
            ConfigurationError: The file with the password cannot be read, or the address is wrong.
        """

        async def opened() -> _Answer:
            password = _password(self.password_file) if self.password_file else None
            async with open_registry(
                self.redis_url, password=password, deadline_s=_LOOKUP_DEADLINE_S, choice_kept_s=choice_kept_s
            ) as registry:
                return await work(registry)

        return asyncio.run(opened())

    def number(self, text: str) -> PhoneNumber:
        """A number from the command line."""
        caller = parse_caller(text, self.home_region)
        if isinstance(caller, NoNumber):
            raise click.BadParameter(f"this is no caller's number ({caller.reason})", param_hint="NUMBER")
        return caller


def _password(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        why = f"the password of Redis cannot be read: {error.strerror}"
        if isinstance(error, PermissionError):
            why += "; do this as root, or as the router's user"
    except UnicodeDecodeError:
        why = "this is not a text file in UTF-8; save it as plain text, encoding UTF-8"
    raise ConfigurationError([Problem(str(file), 0, 0, why)])


def _region(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not is_home_region(value):
        raise click.BadParameter("give a two-letter code in capitals, such as CN or GB")
    return value


# Click would refuse what the user may not read before it is known whether that is needed, and in its own words.
UNREAD_FILE = click.Path(path_type=Path, dir_okay=False, readable=False)
UNREAD_FOLDER = click.Path(path_type=Path, file_okay=False, readable=False)


class ChoiceText(click.ParamType[str]):
    """What a caller can choose and have remembered, alone or as it is stored; `none` becomes ""."""

    name = "choice"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See click."""
        if value == NO_CHOICE:
            return ""
        if not value or read_choice(value) is None:
            shown = printable(value[:40])
            self.fail(
                f"{shown!r} is not one of {', '.join([*CHOICES, NO_CHOICE])}, nor of the form slower:slow+person",
                param,
                ctx,
            )
        return value


def rules_option_for(what: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The option that says which rules are in force; `what` is its help."""
    return click.option(
        "--rules",
        "rules_path",
        type=UNREAD_FILE,
        default=Path("config/routing.yaml"),
        envvar="ELDER_RULES",
        show_default=True,
        help=what,
    )


rules_option = rules_option_for("The routing rules.")


secret_file_option = click.option(
    "--secret-file",
    type=UNREAD_FILE,
    help="The key of the journal's hashes, for rules that name callers. [default: as the settings file says]",
)


tests_option = click.option(
    "--tests",
    "tests_file",
    type=UNREAD_FILE,
    metavar="FILE",
    help="The cases that rules must pass. [default: as the settings file says, else routing-tests.yaml beside the "
    "rules, else beside those in force]",
)


def history_option(of: str = "") -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The option that says where versions of the rules are kept; `of` says what it is for, if not for all."""
    return click.option(
        "--history",
        "history_folder",
        type=UNREAD_FOLDER,
        metavar="DIR",
        help=f"{of}{'w' if of else 'W'}here versions of the rules are kept. [default: as the settings file says]",
    )


def cases_for(context: click.Context, rules_file: Path, named: Path | None) -> Path | None:
    """The cases that rules must pass: those named, else those beside them, else those of the rules in force.

    So a copy that is tried out elsewhere must pass what it has to pass once it is in force.
    """
    in_force = (context.default_map or {}).get("rules_path")
    beside = cases_file_of(rules_file, named)
    return cases_file_of(Path(in_force), None) if beside is None and in_force else beside


def history_in(folder: Path) -> RulesHistory:
    """The versions kept in a folder.

    Raises:
        HistoryError: It may not be read, and must not look like an empty one.
    """
    try:
        os.scandir(folder).close()
    except FileNotFoundError:
        pass
    except OSError as error:
        why = f"{folder} cannot be read: {error.strerror}; do this as root, or as the router's user"
        raise HistoryError(why) from error
    return RulesHistory(folder)


def registry_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where the registry is, gathered into one argument `place`."""

    @click.option(
        "--redis",
        "redis_url",
        metavar="URL",
        envvar="ELDER_REDIS_URL",
        default="redis://127.0.0.1:6379/0",
        show_default=True,
        help="Where the registry is.",
    )
    @click.option(
        "--redis-password-file",
        "password_file",
        type=UNREAD_FILE,
        envvar="ELDER_REDIS_PASSWORD_FILE",
        help="A file whose content is the password of Redis.",
    )
    @click.option(
        "--home-region",
        envvar="ELDER_HOME_REGION",
        default="CN",
        show_default=True,
        callback=_region,
        help="The region of numbers that come without a country code.",
    )
    @wraps(command)
    def with_place(
        *args: object, redis_url: str, password_file: Path | None, home_region: str, **others: object
    ) -> None:
        command(*args, place=RegistryPlace(redis_url, password_file, home_region), **others)

    return with_place


def defaults_from(settings_file: Path) -> dict[str, Any]:
    """What click is to take for options that neither the command line nor the environment gives.

    Raises:
        ConfigurationError: The settings file is wrong.
    """
    settings, _ = read_settings(settings_file)
    base = settings_file.resolve().parent
    rules = {"rules_path": str(base / settings.rules), "files": [str(base / settings.rules)]}
    place = {"redis_url": settings.callers.redis or DEFAULT_URL, "home_region": settings.callers.home_region}
    if settings.callers.password_file:
        place["password_file"] = str(base / settings.callers.password_file)
    every = rules | place
    history = {"history_folder": str(base / settings.rules_history_folder)}
    tests = {"tests_file": str(base / settings.rules_tests)} if settings.rules_tests else {}
    speech = settings.speech or SpeechEntry()
    spoken = {"prompts_path": str(base / speech.prompts)}
    sounds = {"sounds_dir": str(base / speech.sounds)} if speech.sounds else {}
    past = {
        "journal_file": str(base / settings.journal.file),
        "secret_file": str(base / settings.journal.secret_file),
    }
    return {
        "check": rules | tests,
        "explain": every | past | history,
        "diff": rules | past | history,
        "report": {"speech": rules | {"journal_file": past["journal_file"]}},
        "test": rules | {"files": list(tests.values())},
        "callers": dict.fromkeys(("import", "get", "set", "forget"), every)
        | {"choose": every | {"kept_s": settings.callers.choice_kept}},
        "prompts": {
            "build": rules | spoken | sounds,
            "list": spoken,
            "check": spoken,
            "play": rules | spoken,
        },
        "rules": dict.fromkeys(("history", "show", "compare", "rollback"), rules | history | tests),
        "promote": {"socket_path": str(base / settings.control.socket)} if settings.control else {},
    }
