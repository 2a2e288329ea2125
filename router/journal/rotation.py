"""The files of a journal: what they are called, in which order they were written, when a new one is due.

A router that rotates by itself calls what was the journal `journal.jsonl.20261126T000000Z`, by the moment of its
rotation in UTC; `-1` and so on follow where that is taken. logrotate calls it `journal.jsonl.1`, or with `dateext`
`journal.jsonl-20261126`. All of them are read, since a centre may go from one to the other. Renaming is the writer's,
compressing and removing `keeping`'s.
"""

from __future__ import annotations

import glob
import heapq
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

COMPRESSED: Final = (".gz", ".bz2", ".xz", ".zst")
# What is being written beside a file and then takes its place; no reader takes it for a journal.
PART: Final = ".part"
_MOMENT: Final = "%Y%m%dT%H%M%SZ"
_SUFFIX: Final = r"(?P<compressed>\.(?:gz|bz2|xz|zst))?"
_OWN: Final = re.compile(rf"\.(?P<moment>[0-9]{{8}}T[0-9]{{6}}Z)(?:-(?P<again>[0-9]{{1,6}}))?{_SUFFIX}")
_NUMBERED: Final = re.compile(rf"\.(?P<number>[0-9]{{1,4}}){_SUFFIX}")
_DATED: Final = re.compile(rf"-(?P<moment>[0-9]{{8}})(?:[-T]?(?P<clock>[0-9]{{2,6}}))?{_SUFFIX}")


@dataclass(frozen=True, slots=True)
class RotatedFile:
    """A file that was rotated away from a journal.

    Attributes:
        path: Where it is.
        moment_s: When it was rotated away, in epoch seconds, as near as its name or its last change tells.
        again: Of several of the same second, how-manieth, from 0.
        is_own: Whether the router itself rotated it.
        compression: `.gz` and so on; empty for none.
    """

    path: Path
    moment_s: float
    again: int
    is_own: bool
    compression: str

    @property
    def plain_name(self) -> str:
        """Its name without what compression appended."""
        return self.path.name.removesuffix(self.compression)


def rotated_files(path: Path) -> list[RotatedFile]:
    """All that was rotated away from a journal, newest first, files that stand twice (plain, compressed) twice.

    What may not be looked at is not there. The plain one of two comes first.
    """
    named, numbered = [], []
    for rest in _behind(path):
        file = path.with_name(path.name + rest)
        if found := _OWN.fullmatch(rest):
            moment_s = _epoch_s(found["moment"], _MOMENT)
            again = int(found["again"] or 0)
        elif found := _DATED.fullmatch(rest):
            moment_s, again = _epoch_s(found["moment"], "%Y%m%d"), int(found["clock"] or 0)
        elif found := _NUMBERED.fullmatch(rest):
            numbered.append((int(found["number"]), file, found["compressed"] or ""))
            continue
        else:
            continue
        if moment_s is not None:
            is_own = rest.startswith(".")
            named.append(RotatedFile(file, moment_s, again, is_own, found["compressed"] or ""))
    named.sort(key=lambda each: (-each.moment_s, -each.again, each.compression))
    # Merged and not sorted: the order of numbers holds whatever their times are.
    return list(heapq.merge(named, _by_number(numbered), key=lambda each: -each.moment_s))


def half_done(path: Path) -> list[Path]:
    """What was being written to take the place of a journal's file, and was left behind."""
    parts = path.parent.glob(f"{glob.escape(path.name)}[.-]*{PART}")
    names = {part: part.name[len(path.name) :].removesuffix(PART) for part in parts}
    return [part for part, rest in names.items() if any(kind.fullmatch(rest) for kind in (_OWN, _NUMBERED, _DATED))]


def rotated_name(path: Path, moment: datetime) -> Path:
    """A free name for what is rotated away now, behind all that the router gave before, compressed files counted.

    Where the clock was set back, that is the moment of the file before once more: names stay in the order of writing.

    Raises:
        OSError: The folder cannot be read.
    """
    # Not `rotated_files`, which takes its time where there are thousands: calls wait for this.
    rests = [name[len(path.name) :] for name in os.listdir(path.parent) if name.startswith(f"{path.name}.")]  # noqa: PTH208
    taken = [(found["moment"], int(found["again"] or 0)) for rest in rests if (found := _OWN.fullmatch(rest))]
    given = (each for each in sorted(taken, reverse=True) if _epoch_s(each[0], _MOMENT) is not None)
    now = moment.astimezone(UTC).strftime(_MOMENT)
    last, again = next(given, ("", 0))
    return path.with_name(f"{path.name}.{now}" if now > last else f"{path.name}.{last}-{again + 1}")


def next_rotation(every: Literal["hour", "day", "week"], begun: datetime, zone: tzinfo) -> datetime:
    """When a file that was begun at `begun` has had its hour, day or week, by the clocks of `zone`."""
    local = begun.astimezone(zone)
    if every == "hour":
        # In elapsed time, so that the hour that clocks go through twice is two.
        into = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        return begun.astimezone(UTC) - into + timedelta(hours=1)
    days = 1 if every == "day" else 7 - local.weekday()
    midnight = datetime.combine(local.date() + timedelta(days=days), datetime.min.time(), tzinfo=zone)
    return midnight.astimezone(UTC)


def _behind(path: Path) -> list[str]:
    """What stands behind the journal's name in the names of its folder; nothing where that may not be read."""
    # There may be thousands, and who follows a journal asks often: a glob takes several times as long.
    try:
        names = os.listdir(path.parent)  # noqa: PTH208
    except OSError:
        return []
    return [name[len(path.name) :] for name in names if name.startswith((f"{path.name}.", f"{path.name}-"))]


@lru_cache(maxsize=10_000)
def _epoch_s(text: str, pattern: str) -> float | None:
    try:
        return datetime.strptime(text, pattern).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None  # 20269999: a name that somebody else gave


def _by_number(numbered: Iterable[tuple[int, Path, str]]) -> Iterator[RotatedFile]:
    """logrotate's, whose numbers tell their order and nothing else: when they were last written is when they went."""
    for _, path, compression in sorted(numbered, key=lambda each: (each[0], each[2])):
        try:
            moment_s = path.stat().st_mtime
        except OSError:
            moment_s = 0.0
        yield RotatedFile(path, moment_s, 0, is_own=False, compression=compression)


def each_once(files: Iterable[RotatedFile]) -> Iterator[RotatedFile]:
    """Without what stands compressed beside the plain file: it is half done, or the plain one is about to go."""
    seen: set[str] = set()
    for each in files:
        name = each.plain_name
        if name not in seen:
            seen.add(name)
            yield each
