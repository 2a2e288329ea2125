"""The languages installed in a directory of sounds, under all the names that a channel may know them by.

    sounds/en_US_f_Allison/digits/1.wav
    sounds/en     -> /etc/alternatives/asterisk-prompt-en     -> sounds/en_US_f_Allison
    sounds/en_US  -> /etc/alternatives/asterisk-prompt-en-us  -> sounds/en_US_f_Allison

is how Debian lays them out: one language, `en`, with two more names. What is built for `en_unhurried` is found under
`en_US_unhurried` only if that is there too, since Asterisk strips names from their end alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from router.speech.profile import is_language
from router.speech.recordings import SOUND_SUFFIXES

# What every language of Asterisk's core sounds has, and music, voice mail greetings and the like have not.
_TELLING: Final = "digits"
# How Debian's links to core sounds end.
_DEBIAN: Final = re.compile(r"asterisk-prompt-[a-z-]+")


@dataclass(frozen=True, slots=True)
class Installed:
    """What was found.

    Attributes:
        languages: One name for each directory: the shortest, which is the one that channels have.
        aliases: Its other names, and which of `languages` each is.
        lost: Links to core sounds that lead nowhere.
    """

    languages: tuple[str, ...]
    aliases: Mapping[str, str]
    lost: tuple[str, ...]


def find_languages(root: Path, *, profiles: Collection[str], made: Collection[str]) -> Installed:
    """Look for languages.

    Args:
        root: The directory of sounds.
        profiles: Names of speech profiles: `en_slow` is no language beside `en` where `slow` is one.
        made: Names of directories that were made for a profile, perhaps one that there is no longer.
    """
    named = sorted((path for path in root.iterdir() if is_language(path.name)), key=lambda path: path.name)
    lost = [path.name for path in named if path.is_symlink() and not path.exists() and _is_debians(path)]
    names = {path.name for path in named}
    by_place: dict[Path, list[str]] = {}
    for path in named:
        base, _, suffix = path.name.rpartition("_")
        is_ours = path.name in made or (base in names and suffix in profiles)
        if not is_ours and _has_sounds(path / _TELLING):
            by_place.setdefault(path.resolve(), []).append(path.name)
    languages: list[str] = []
    aliases: dict[str, str] = {}
    for same in by_place.values():
        main, *others = sorted(same, key=lambda name: (len(name), name))
        languages.append(main)
        aliases |= dict.fromkeys(others, main)
    return Installed(tuple(sorted(languages)), aliases, tuple(lost))


def _is_debians(link: Path) -> bool:
    return _DEBIAN.fullmatch(link.readlink().name) is not None


def _has_sounds(directory: Path) -> bool:
    return directory.is_dir() and any(path.suffix in SOUND_SUFFIXES for path in directory.iterdir())
