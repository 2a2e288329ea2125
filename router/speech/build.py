"""Building the prompts of every language and speech profile into Asterisk's directory of sounds.

`plan` says which files there should be. A build makes only what changed, and removes only what it made
itself; what somebody else put in a profile's directory it leaves alone, and says so. It is safe while calls
are played: files are replaced in one step, and what Asterisk has open it plays to its end.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from router.errors import SpeechError
from router.speech.catalogue import Catalogue
from router.speech.engines import Engine, open_voices
from router.speech.formats import DEFAULT_FORMATS, formats_named, highest_rate_hz
from router.speech.installed import Installed, find_languages
from router.speech.making import BuildReport, Making
from router.speech.manifest import load_manifest, remove_unfinished
from router.speech.plan import Planner
from router.speech.profile import SpokenProfile
from router.speech.recordings import require_directory
from router.speech.sound import Sox

__all__ = ["BuildReport", "build_prompts"]


def build_prompts(
    catalogue: Catalogue,
    profiles: Sequence[SpokenProfile],
    languages: Sequence[str] | None,
    sounds_dir: Path,
    core_dirs: Mapping[str, Path] | None = None,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    engine: Engine | None = None,
    formats: Sequence[str] = DEFAULT_FORMATS,
    workers: int | None = None,
) -> BuildReport:
    """Make the directory of sounds what the catalogue and the profiles say, changing only what differs.

    Args:
        catalogue: The prompts.
        profiles: Every speech profile; those that change nothing need no files of their own.
        languages: The base languages to build; what was made for others stays. None for all: those of the
            catalogue, of `core_dirs`, and every one installed in the directory of sounds.
        sounds_dir: Asterisk's `sounds` directory.
        core_dirs: By language, where recordings are besides `<sounds>/<language>`, which is always looked at.
        on_progress: Called with how many sounds are done, and of how many, as they are.
        engine: Who speaks; espeak-ng unless given.
        formats: Which files to make of each sound; names of `formats.FORMATS`.
        workers: How many sounds are made at once; one a processor unless given.

    Returns:
        What was done. One sound that cannot be made does not keep others from being made.

    Raises:
        SpeechError: nothing (more) can be built: a program or a directory is missing, the disk is full,
            another build is at work.
    """
    wanted = formats_named(formats)
    require_directory(sounds_dir, what="the directory of sounds")
    root = sounds_dir.resolve()
    cores = dict(core_dirs or {})
    for language, directory in cores.items():
        require_directory(directory, what=f"the directory of {language} recordings")
    sox, engine = Sox(), engine or open_voices()
    with _explained(root), _alone(root):
        remove_unfinished(root)
        ours = load_manifest(root)
        planner = Planner(catalogue, profiles, root, cores, ours, sox, engine, highest_rate_hz(wanted))
        if languages is None:
            made_for = {
                path.partition("/")[0] for path, made in ours.items() if path.partition("/")[0] != made.language
            }
            installed = find_languages(root, profiles={profile.name for profile in profiles}, made=made_for)
            named = list(dict.fromkeys([*catalogue.languages, *cores]))
            _add_languages(planner, root, installed, named, {directory.resolve() for directory in cores.values()})
            chosen = {made.language for made in ours.values()}
        else:
            for language in dict.fromkeys(languages):
                planner.add(language)
            chosen = set(languages)
        making = Making(root, ours, wanted, sox, on_progress or _ignore_progress, workers or os.cpu_count() or 1)
        return making.carry_out(planner.plan, chosen)


def _add_languages(
    planner: Planner, root: Path, installed: Installed, named: Sequence[str], cores: Collection[Path]
) -> None:
    """Plan all languages: those that are named, and the installed ones that are not another name of one of these."""
    found = [name for name in installed.languages if (root / name).resolve() not in cores]
    for language in dict.fromkeys([*named, *found, *installed.lost]):
        planner.add(language)
    for alias, language in installed.aliases.items():
        if language in found and alias not in named:
            planner.add_alias(alias, language)


def _ignore_progress(_done: int, _total: int) -> None:
    pass


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Keep a second build out for as long as this one runs."""
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise SpeechError(f"another build is at work in {root}: wait until it has ended") from error
    finally:
        os.close(directory)


@contextmanager
def _explained(root: Path) -> Iterator[None]:
    """Say what to do about a directory that cannot be read or written."""
    try:
        yield
    except OSError as error:
        match error.errno:
            case errno.ENOSPC | errno.EDQUOT:
                advice = "make room on that disk"
            case errno.EROFS:
                advice = "that disk is mounted read-only; give a directory that can be written to"
            case _:
                advice = "run this as the user that owns the directory of sounds, or as root"
        raise SpeechError(
            f"{error.filename or root}: {error.strerror}; {advice}, and build again (prompts that were there before "
            "can be played as ever)"
        ) from error
