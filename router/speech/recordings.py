"""The recorded sounds of a language: Asterisk's own set, and what the operator put beside it.

Asterisk names a sound without its suffix and plays whichever format there is; so one source is chosen for
each name.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from router.errors import SpeechError
from router.speech.sound import SOX_INPUT

# Formats of Asterisk's that sox does not read, or not everywhere.
_OTHER_FORMATS: Final = frozenset(
    {".g722", ".g723", ".g723sf", ".g726-16", ".g726-24", ".g726-32", ".g726-40", ".g729", ".g719"}
    | {".siren7", ".siren14", ".ilbc", ".vox", ".ogg", ".opus", ".mp3"}
)
SOUND_SUFFIXES: Final = frozenset(SOX_INPUT) | _OTHER_FORMATS


@dataclass(frozen=True, slots=True)
class Recordings:
    """The sounds found below one directory.

    Attributes:
        sources: The best readable file of each sound, by name: its path below the directory, without suffix.
        unreadable: Names of sounds that are there only in formats that cannot be read.
    """

    sources: dict[str, Path]
    unreadable: tuple[str, ...]


def find_recordings(
    directory: Path, *, readable: Sequence[str] = tuple(SOX_INPUT), without: AbstractSet[Path] = frozenset()
) -> Recordings:
    """Look for sounds below a directory, not following links to other directories.

    Args:
        directory: `sounds/en`, or wherever a language's recordings are. May itself be a link.
        readable: The suffixes that can be read, the best source first.
        without: Files to pass over.

    Returns:
        What was found; nothing where there is no such directory.

    Raises:
        SpeechError: the directory, or one below it, cannot be read.
    """
    preference = {suffix: rank for rank, suffix in enumerate(readable)}
    sources: dict[str, Path] = {}
    others: set[str] = set()
    for folder, _, names in os.walk(directory, onerror=_cannot_read):
        for name in names:
            path = Path(folder, name)
            if path.suffix not in SOUND_SUFFIXES or name.startswith(".") or path in without:
                continue
            if not path.is_file():  # a pipe would keep whoever reads it waiting
                continue
            sound = path.relative_to(directory).with_suffix("").as_posix()
            if path.suffix not in preference:
                others.add(sound)
            elif sound not in sources or preference[path.suffix] < preference[sources[sound].suffix]:
                sources[sound] = path
    return Recordings(dict(sorted(sources.items())), tuple(sorted(others - sources.keys())))


def require_directory(directory: Path, *, what: str) -> None:
    """Refuse a directory that is not there, or that is a link to nowhere.

    Raises:
        SpeechError: see above.
    """
    if directory.is_dir():
        return
    if directory.is_symlink():
        raise SpeechError(
            f"{what} {directory} is a link to {directory.readlink()}, which is not there; name the directory "
            "itself (links made inside a chroot or a container lead nowhere outside of it)"
        )
    raise SpeechError(f"{what} {directory} is not a directory: give the one that holds the sounds")


def _cannot_read(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise SpeechError(f"{error.filename} cannot be read: {error.strerror}; let this user read it") from error
