"""Callers told in a journal, which has them as keyed hashes only: whom rules name, or whom somebody asks for."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from router.ami.messages import for_log
from router.callers.number import NoNumber, parse_caller
from router.errors import ConfigurationError, Problem, RouterError
from router.journal.hashing import caller_key, read_secret
from router.rules.book import RuleBook
from router.rules.conditions import CallerIs
from router.rules.recorded import Recogniser


def recogniser_for(book: RuleBook, named: str, secret_file: Path | None) -> Recogniser:
    """Tells callers whom the rules name; needs the journal's key only if they name any.

    Args:
        book: The rules.
        named: The rules in words, as problems with them begin: their file, say.
        secret_file: The key, if it is known where it is.

    Raises:
        ConfigurationError: The rules name callers, and the key is not to be had.
    """
    naming = next((rule for rule in book.rules if any(isinstance(c, CallerIs) for c in rule.conditions)), None)
    if naming is None:
        return Recogniser(lambda _: "")
    why = f'names callers (in the rule "{naming.name}"), whom the journal has as keyed hashes only'
    if secret_file is None:
        problem = f"{why}; name the file with the key by --secret-file, or the settings file by --config"
        raise ConfigurationError([Problem(named, 0, 0, problem)])
    try:
        secret = read_secret(secret_file)
    except ConfigurationError as error:
        hint = Problem(named, 0, 0, f"{why}; the key is needed to tell them")
        raise ConfigurationError([*error.problems, hint]) from error
    return Recogniser(partial(caller_key, secret))


def key_of(number: str, home_region: str, secret_file: Path | None) -> str:
    """The key that a journal has for a number, which may be written in any way that a caller's may.

    Raises:
        RouterError: It is no number, or the journal's key is not to be had; says what to do.
    """
    caller = parse_caller(number, home_region)
    if isinstance(caller, NoNumber):
        raise RouterError(f"{for_log(number)} is no telephone number; write it like +8613900000001")
    if secret_file is None:
        raise RouterError(
            "the journal has callers as keyed hashes only; name the file with the key by --secret-file, or the "
            "settings file by --config"
        )
    return caller_key(read_secret(secret_file), caller.e164)
