"""What was spoken during calls, kept as files that Asterisk plays: each under the digest of all that made it.

    <folder>/0f3a…c1.ulaw    one answer, in each of the wanted formats
    <folder>/0f3a…c1.alaw

Nothing that a caller or a dialplan chose is in a name. A file may hold what is nobody else's business, a balance for
one: it is deleted once it was not played for as long as the settings say, or earlier when there is no room. It is
readable for every user of the machine, because Asterisk runs as a user of its own; to keep others out, close the
folder above to them.

Files are written to a temporary name first and renamed, so that Asterisk meets a whole one or none. Only files with
such names are ever deleted.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from router.errors import SpeechError
from router.speech.manifest import replace_file

NAME_CHARACTERS: Final = 64
"""A whole SHA-256 in hexadecimal. It need not be so long but for a fault of Asterisk, 22.10.1 among them: it plays a
URL only if that is longer than the path under which it keeps what it has fetched."""

GRACE_S: Final = 60.0
"""What was answered so lately is not deleted: Asterisk may be about to open it, or a remote one to fetch it."""

MARK_EVERY_S: Final = 3600.0
"""How often the file itself is told that it was played, for the next start of the router."""

_AT_A_TIME: Final = 20
_BREATH_S: Final = 0.001
"""Between so many deletions: a lock that is taken again at once would not be had by the event loop for long."""

_OURS: Final = re.compile(r"([0-9a-f]{64})\.([A-Za-z0-9]{1,8})")
_HALF_WRITTEN: Final = re.compile(r"\.[0-9a-f]{64}\.[A-Za-z0-9]{1,8}\.elder-tmp")
# Playback takes `&` for the start of another file and a comma for the end of its first argument; AMI takes lines.
_PLAIN: Final = re.compile(r"/[A-Za-z0-9._/+@=-]*")


@dataclass(slots=True)
class _Kept:
    size: int
    played_at: float
    marked_at: float


class SpokenFiles:
    """The folder of what was spoken. Threads may use it side by side.

    Args:
        folder: An absolute path; made when something is first written.
        suffixes: Of the formats in which each answer is kept, without dots.
        most_bytes: How much is kept in all.
        keep_s: How long after it was last played.
        clock: Epoch seconds, as files have them.

    Raises:
        SpeechError: Asterisk could not be told of a file in such a folder.
    """

    def __init__(
        self,
        folder: Path,
        suffixes: Sequence[str],
        *,
        most_bytes: int,
        keep_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not _PLAIN.fullmatch(str(folder)):
            raise SpeechError(
                f"what is spoken during calls cannot be kept in {str(folder)!r}: write an absolute path of letters, "
                "digits and . _ / + @ = - only, as Asterisk takes others for its own signs"
            )
        self.folder = folder
        self.suffixes = tuple(suffixes)
        self._most_bytes = most_bytes
        self._keep_s = keep_s
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        """The one played longest ago first."""
        self._bytes = 0

    @property
    def kept_bytes(self) -> int:
        """How much is kept now."""
        return self._bytes

    def stem(self, name: str) -> str:
        """The path of an answer without its suffix, as Asterisk's Playback takes it."""
        return f"{self.folder}/{name}"

    def adopt(self) -> None:
        """Take up what an earlier run has left, and delete what is of no use any more.

        Raises:
            OSError: the folder cannot be read; one that does not exist is empty.
        """
        now = self._clock()
        sizes: dict[str, dict[str, os.stat_result]] = {}
        try:
            found = list(os.scandir(self.folder))
        except FileNotFoundError:
            return
        for entry in found:
            ours = _OURS.fullmatch(entry.name)
            if not ours and not _HALF_WRITTEN.fullmatch(entry.name):
                continue
            with suppress(OSError):  # it was renamed or deleted meanwhile
                if ours and entry.is_file(follow_symlinks=False):
                    sizes.setdefault(ours[1], {})[ours[2]] = entry.stat(follow_symlinks=False)
                elif not ours and now - entry.stat(follow_symlinks=False).st_mtime > GRACE_S:
                    Path(entry.path).unlink()
        newest_first = sorted(sizes.items(), key=lambda one: -max(file.st_mtime for file in one[1].values()))
        for name, files in newest_first:
            self._adopt(name, files, now)
        while self._delete_some_for_room():
            time.sleep(_BREATH_S)
        self.expire()

    def _adopt(self, name: str, files: Mapping[str, os.stat_result], now: float) -> None:
        """One answer, in a step of its own: the event loop waits for the lock that is held here."""
        played_at = min(now, max(file.st_mtime for file in files.values()))
        whole = set(files) == set(self.suffixes) and all(file.st_size for file in files.values())
        with self._lock:
            if name in self._kept:  # written meanwhile
                return
            if whole:
                self._note(name, sum(file.st_size for file in files.values()), played_at)
                self._kept.move_to_end(name, last=False)
            elif now - played_at > GRACE_S:  # else it may be being written
                for suffix in files:
                    with suppress(OSError):
                        self._path(name, suffix).unlink(missing_ok=True)

    def find(self, name: str) -> bool:
        """Whether an answer is there to be played; it is kept for a minute at least, if it is."""
        with self._lock:
            kept = self._kept.get(name)
            if kept is None:
                return False
            if not all(self._path(name, suffix).exists() for suffix in self.suffixes):
                self._delete(name)  # somebody else has deleted it
                return False
            kept.played_at = self._clock()
            self._kept.move_to_end(name)
            if kept.played_at - kept.marked_at >= MARK_EVERY_S:
                kept.marked_at = kept.played_at
                with suppress(OSError):  # at worst it is deleted earlier after the next start
                    for suffix in self.suffixes:
                        os.utime(self._path(name, suffix))
            return True

    def write(self, name: str, contents: Mapping[str, bytes]) -> None:
        """Keep an answer.

        Args:
            name: See `name_of`.
            contents: By suffix, one for each of `suffixes`.

        Raises:
            SpeechError: there is no room for it.
            OSError: it cannot be written; nothing of it is left.
        """
        size = sum(map(len, contents.values()))
        with self._lock:
            if not self._make_room(size):
                raise SpeechError(
                    f"{self.folder} has no room for more: all of it was played within the last {GRACE_S:g} s; "
                    "raise `most_mb`"
                )
        try:
            for suffix, content in contents.items():
                replace_file(self._path(name, suffix), content)
        except OSError:
            for suffix in contents:
                with suppress(OSError):
                    self._path(name, suffix).unlink(missing_ok=True)
            raise
        with self._lock:
            self._note(name, size, self._clock())

    def expire(self) -> None:
        """Delete what was not played for too long; a few at a time, as nobody finds anything meanwhile."""
        while self._expire_some(self._clock() - max(self._keep_s, GRACE_S)):
            time.sleep(_BREATH_S)

    def _expire_some(self, oldest: float) -> bool:
        with self._lock:
            expired = [name for name in islice(self._kept, _AT_A_TIME) if self._kept[name].played_at < oldest]
            for name in expired:
                self._delete(name)
            return bool(expired)

    def _path(self, name: str, suffix: str) -> Path:
        return self.folder / f"{name}.{suffix}"

    def _note(self, name: str, size: int, played_at: float) -> None:
        if (before := self._kept.pop(name, None)) is not None:
            self._bytes -= before.size
        self._kept[name] = _Kept(size, played_at, played_at)
        self._bytes += size

    def _delete_some_for_room(self) -> bool:
        with self._lock:
            for _ in range(_AT_A_TIME):
                if self._bytes <= self._most_bytes or not self._may_delete_oldest():
                    return False
                self._delete(next(iter(self._kept)))
            return True

    def _make_room(self, size: int) -> bool:
        """Delete what was played longest ago until `size` fits; False if it does not."""
        while self._bytes + size > self._most_bytes and self._may_delete_oldest():
            self._delete(next(iter(self._kept)))
        return self._bytes + size <= self._most_bytes

    def _may_delete_oldest(self) -> bool:
        """Whether there is one that nobody can be about to play; a clock may have been put back."""
        oldest = next(iter(self._kept.values()), None)
        return oldest is not None and not 0.0 <= self._clock() - oldest.played_at < GRACE_S

    def _delete(self, name: str) -> None:
        self._bytes -= self._kept.pop(name).size
        for suffix in self.suffixes:
            with suppress(OSError):  # whoever has taken the folder away has deleted it
                self._path(name, suffix).unlink(missing_ok=True)


def is_name(text: str) -> bool:
    """Whether `text` may be the name of an answer."""
    return len(text) == NAME_CHARACTERS and set(text) <= set("0123456789abcdef")
