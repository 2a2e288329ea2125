"""Options that several commands share, and what the settings file gives for those that are not given."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click

from router.callers.number import NoNumber, PhoneNumber, is_home_region, parse_caller
from router.callers.past import CHOICES, NO_CHOICE, read_choice
from router.callers.registry import Registry, open_registry
from router.callers.secret_ring import load_or_create_ring, load_ring
from router.callers.settings import DEFAULT_URL, RedisSettings, RegistrySettings
from router.cli.tracing import printable
from router.errors import ConfigurationError, HistoryError, Problem, RouterError
from router.reloading.history import RulesHistory
from router.reloading.keeper import cases_file_of
from router.settings import load_registry, read_settings
from router.settings_callers import DEFAULT_SECRET_FILE
from router.speech.settings_file import SpeechEntry

_CALLERS_COMMANDS = ("import", "update", "due", "get", "set", "choose", "forget", "export", "remove-old")

_Answer = TypeVar("_Answer")
_LOOKUP_DEADLINE_S = 2.0
_STANDARD_INPUT = "-"
_LONGEST_LINE = 1000  # much longer than a number in any spelling
# What lies beyond is a slip of the pen, and near the ends of what Python counts, time zones cannot be reckoned with.
_FIRST_YEAR, _LAST_YEAR = 2000, 2100
_TIME_OF_DAY = re.compile(r"[0-9]{2}:[0-9]{2}(?::[0-9]{2})?")


class CouldNotRunError(click.ClickException):
    """A command, whichever it is, cannot do its work. Each problem is a line of its own, so that none has a prefix."""

    exit_code = 2

    def show(self, file: object = None) -> None:  # noqa: ARG002 - click's signature
        """Print them."""
        for line in self.message.split("\n"):
            click.echo(printable(line), err=True)


def could_not_run(error: Exception) -> CouldNotRunError:
    """What ends a command that met an error, in words."""
    return CouldNotRunError(str(error) if isinstance(error, RouterError) else f"{type(error).__name__}: {error}")


JOURNAL = click.Path(path_type=Path, readable=False)
WHERE_IS_THE_JOURNAL = "where is the journal? name it with --journal, or the settings file with --config"


def journals_option(which: str, otherwise: str) -> Callable[[Callable[..., _Answer]], Callable[..., _Answer]]:
    """Give a command `--journal FILE...` as `journals`, and what the settings file says instead as `journal_file`.

    Args:
        which: Which journals, and in which order.
        otherwise: Which are read where none is named.
    """

    def with_journals(command: Callable[..., _Answer]) -> Callable[..., _Answer]:
        told = f"{which}; - is standard input. Plain or compressed (gzip, bzip2, xz). [default: {otherwise}]"
        hidden = click.option("--journal-file", hidden=True, type=JOURNAL, help="What the settings file says.")
        named = click.option("--journal", "journals", metavar="FILE...", multiple=True, type=JOURNAL, help=told)
        return named(hidden(command))

    return with_journals


def moment_given(option: str, text: str, zone: ZoneInfo) -> datetime:
    """A moment from the command line; one without an offset is meant in `zone`, a time of day alone today.

    Raises:
        click.BadParameter: `text` is no time, or is none from 2000 to 2100.
    """
    if _TIME_OF_DAY.fullmatch(text):
        text = f"{datetime.now(zone):%Y-%m-%d} {text}"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        what = 'write a time like "2026-11-23 09:00", or 09:00 for today'
        raise click.BadParameter(what, param_hint=option) from error
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise click.BadParameter(f"write a year from {_FIRST_YEAR} to {_LAST_YEAR}", param_hint=option)
    return moment.astimezone(zone) if moment.tzinfo else moment.replace(tzinfo=zone)


@dataclass(frozen=True, slots=True)
class RegistryPlace:
    """Where the registry is, from the settings file and from options that are stronger.

    Attributes:
        settings_file: None where there is none.
        redis_url: Instead of the servers that the settings file names.
        password_file: Instead of the password there.
        secret_file: Instead of the file there.
        home_region: Where numbers without a country code belong.
    """

    settings_file: Path | None
    redis_url: str | None
    password_file: Path | None
    secret_file: Path | None
    home_region: str

    def settings(self) -> RegistrySettings:
        """All that the registry is told.

        Raises:
            ConfigurationError: The settings file, or a secret it names, is wrong or cannot be read.
        """
        if self.settings_file is not None:
            settings = load_registry(self.settings_file)
        else:
            settings = RegistrySettings(RedisSettings(), Path(DEFAULT_SECRET_FILE))
        redis = settings.redis
        if self.redis_url is not None:
            redis = replace(redis, url=self.redis_url, cluster=(), sentinels=())
        if self.password_file is not None:
            redis = replace(redis, password=_password(self.password_file))
        return replace(
            settings,
            redis=redis,
            home_region=self.home_region,
            secret_file=self.secret_file or settings.secret_file,
        )

    def run(self, work: Callable[[Registry], Awaitable[_Answer]], *, may_create: bool = False) -> _Answer:
        """Do something with the registry and close it again. A person waits for the answer; a call would not.

        Args:
            work: What to do.
            may_create: Whether the file of the secrets is made if it is missing, for what stores something.

        Raises:
            ConfigurationError: The settings or a secret cannot be read, or an address is wrong.
            RegistryError: Something is to be stored, and callers in force are hashed with a secret that is not here.
        """

        async def opened() -> _Answer:
            settings = replace(self.settings(), deadline_s=_LOOKUP_DEADLINE_S)
            read = load_or_create_ring if may_create else load_ring
            async with open_registry(settings, read(settings.secret_file), connect_s=_LOOKUP_DEADLINE_S) as registry:
                if may_create:
                    await registry.in_force()  # what is stored under a secret that no router has is lost
                return await work(registry)

        return asyncio.run(opened())

    def number(self, text: str) -> PhoneNumber:
        """A number from the command line, or, for `-`, a line of standard input.

        There it stands neither in the list of processes nor in the history of the shell.
        """
        if text == _STANDARD_INPUT:
            if sys.stdin.isatty():
                click.echo("number: ", nl=False, err=True)
            text = sys.stdin.readline(_LONGEST_LINE).strip()
        caller = parse_caller(text, self.home_region)
        if isinstance(caller, NoNumber):
            what = f"this is no caller's number ({caller.reason}); write it whole, with +, country and area code"
            raise click.BadParameter(what, param_hint="NUMBER")
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


def region_given(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """A region from the command line; refuses what is none."""
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
        help="Where the registry is. Arguments are seen by everybody on the machine, so no password in it. "
        f"[default: as the settings file says, else {DEFAULT_URL}]",
    )
    @click.option(
        "--redis-password-file",
        "password_file",
        type=UNREAD_FILE,
        envvar="ELDER_REDIS_PASSWORD_FILE",
        help="A file whose content is the password of Redis. [default: as the settings file says, else none]",
    )
    @click.option(
        "--secrets",
        "ring_file",
        type=UNREAD_FILE,
        envvar="ELDER_REGISTRY_SECRETS",
        help="The file of the secrets that callers are hashed with. [default: as the settings file says, else "
        f"{DEFAULT_SECRET_FILE} in this folder]",
    )
    @click.option(
        "--home-region",
        envvar="ELDER_HOME_REGION",
        default="CN",
        show_default=True,
        callback=region_given,
        help="The region of numbers that come without a country code.",
    )
    @wraps(command)
    def with_place(
        *args: object,
        redis_url: str | None,
        password_file: Path | None,
        ring_file: Path | None,
        home_region: str,
        **others: object,
    ) -> None:
        place = RegistryPlace(_settings_file(), redis_url, password_file, ring_file, home_region)
        command(*args, place=place, **others)

    return with_place


def _settings_file() -> Path | None:
    """The settings file, if there is one, which the main command has read then."""
    root = click.get_current_context().find_root()
    return root.obj if root.default_map is not None and isinstance(root.obj, Path) else None


def defaults_from(settings_file: Path) -> dict[str, Any]:
    """What click is to take for options that neither the command line nor the environment gives.

    Raises:
        ConfigurationError: The settings file is wrong.
    """
    settings, _ = read_settings(settings_file)
    base = settings_file.resolve().parent
    rules = {"rules_path": str(base / settings.rules), "files": [str(base / settings.rules)]}
    every = rules | {"home_region": settings.callers.home_region}
    history = {"history_folder": str(base / settings.rules_history_folder)}
    tests = {"tests_file": str(base / settings.rules_tests)} if settings.rules_tests else {}
    speech = settings.speech or SpeechEntry()
    spoken = {"prompts_path": str(base / speech.prompts)}
    sounds = {"sounds_dir": str(base / speech.sounds)} if speech.sounds else {}
    past = {
        "journal_file": str(base / settings.journal.file),
        "secret_file": str(base / settings.journal.secret_file),
    }
    journal = {"journal_file": past["journal_file"]}
    service_level = {"within_s": settings.service_level.within, "percent": settings.service_level.percent}
    return {
        "check": rules | tests,
        "explain": every | past | history,
        "diff": rules | past | history,
        "tail": every | past,
        "report": rules | journal | service_level | {"speech": rules | journal},
        "journal": {"verify": journal},
        "test": rules | {"files": list(tests.values())},
        "callers": dict.fromkeys(_CALLERS_COMMANDS, every | past)
        | {"secret": dict.fromkeys(("show", "add", "retire"), every)},
        "prompts": {
            "build": rules | spoken | sounds,
            "list": spoken,
            "check": spoken,
            "play": rules | spoken,
        },
        "rules": dict.fromkeys(("history", "show", "compare", "rollback"), rules | history | tests),
        "promote": {"socket_path": str(base / settings.control.socket)} if settings.control else {},
    }
