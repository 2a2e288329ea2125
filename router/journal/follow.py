"""The lines of a journal from a moment on, those that are still to be written included.

Where a journal goes on is found anew each time the file in hand is at its end, by what lies in the folder just then:
it may have been rotated by renaming, by copying and truncating, more than once, compressed meanwhile, or be gone. A
file is known again by its inode, and by how its first line begins where it is a copy or compressed: that names a call
and a millisecond. Nothing is waited for in here; whoever reads asks again a little later.

One file is `followed_file`'s; what the lines say is for others (`joining`).
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias

from router.errors import JournalError
from router.journal.followed_file import FileId, FollowedFile, GoneError, file_id, head_of
from router.journal.reader import cannot_be_read, journal_files, refuse_unseen
from router.journal.rotation import COMPRESSED

LOOK_BACK_BYTES: Final = 16 * 1024 * 1024
"""About 16,000 calls: the screenful before, and whoever has been waiting for some minutes."""

# Files are renamed in the very moment in which they are looked at; not for ever.
_TRIES: Final = 20

_Listed: TypeAlias = tuple[Path, os.stat_result]


class Following:
    """The lines of one journal, each once, in the order in which they were written.

    Args:
        path: The journal; it need not be there yet.
        since: Lines from then on are wanted. Some earlier ones come as well, for files and parts of files are passed
            over only as a whole. None: the last ones, at least `look_back_bytes` of them where there are so many.
        look_back_bytes: See there.
    """

    def __init__(self, path: Path, *, since: datetime | None = None, look_back_bytes: int = LOOK_BACK_BYTES) -> None:
        self._path = path
        self._since = since
        self._look_back_bytes = look_back_bytes
        self._source: FollowedFile | None = None
        # Where nothing was there to read, or no longer is: what has been written to since, in ns, is read from its
        # beginning. None before the first look.
        self._new_after_ns: int | None = None
        # A file that was read, and an empty journal, with nothing begun between the two.
        self._nothing_between: tuple[FileId, FileId] | None = None
        self._warnings: list[str] = []

    @property
    def is_there(self) -> bool:
        """Whether anything has been found to read yet."""
        return self._source is not None

    def read(self) -> list[bytes]:
        """The next whole lines, without their ends: about a MiB of them at most, none when there are none for now.

        Raises:
            JournalError: A file cannot be read.
        """
        try:
            if self._source is None:
                self._source = self._begin()
            while self._source is not None:
                if lines := self._source.more():
                    return lines
                if self._source.is_truncated:
                    self._after_truncation(self._source)
                    continue
                following = self._successor(self._source)
                if following is None:
                    return []
                # Whoever writes has turned to the next file, so nothing is added to this one any more.
                if lines := self._source.more():
                    following.close()
                    return lines
                cut_off = self._source.cut_off()
                self._source.close()
                self._source = following
                if cut_off:
                    return [cut_off]
        except OSError as error:
            raise cannot_be_read(Path(error.filename or self._path), error) from error
        return []

    def complaints(self) -> list[str]:
        """What is to be told of files that could not be read to their end; each is told once."""
        told, self._warnings[:] = list(self._warnings), []
        return told

    def close(self) -> None:
        """Close the file in hand."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def _begin(self) -> FollowedFile | None:
        """The file that holds the first line wanted, at that line or before it."""
        for _ in range(_TRIES):
            try:
                files = _listed(self._path)
                for file, there in files:
                    if not stat.S_ISREG(there.st_mode):
                        raise JournalError(f"{file}: is no file; name the journal itself")
                files = [each for each in files if each[1].st_size and self._is_new(*each)]
                while files:
                    source = self._oldest_wanted(files)
                    if source.has_begun:
                        return source
                    source.close()  # not even its first line is whole
                    files = [each for each in files if each[0] != source.path]
            except GoneError:
                continue
            refuse_unseen(self._path)
            if self._new_after_ns is None:
                self._new_after_ns = 0
            return None
        return None

    def _is_new(self, file: Path, there: os.stat_result) -> bool:
        return self._new_after_ns is None or file == self._path or there.st_mtime_ns > self._new_after_ns

    def _oldest_wanted(self, files: list[_Listed]) -> FollowedFile:
        if self._new_after_ns is not None:
            return self._open(*files[-1])
        if self._since is not None:
            since_ns = int(self._since.timestamp() * 1e9)
            wanted = [files[0], *(each for each in files[1:] if each[1].st_mtime_ns >= since_ns)]
            source = self._open(*wanted[-1])
            if source.blocks is None:
                source.seek_time(self._since)
            return source
        left = self._look_back_bytes
        found = files[0]
        for found in files:
            if _is_compressed(found[0]):
                break
            left -= found[1].st_size
            if left <= 0:
                break
        source = self._open(*found)
        if source.blocks is None and left < 0:
            source.seek_line(-left)
        return source

    def _open(self, path: Path, listed: os.stat_result) -> FollowedFile:
        return FollowedFile.opened(path, listed, self._warnings)

    def _after_truncation(self, source: FollowedFile) -> None:
        """Turn to the copy that was made before, where there is one; what had not been read is in there."""
        for _ in range(_TRIES):
            files = _listed(self._path)
            try:
                for file, there in files:
                    if there.st_size and file_id(there) != source.file_id:
                        copy = self._open(file, there)
                        if copy.head == source.head:
                            copy.go_on_after(source)
                            source.close()
                            self._source = copy
                            return
                        copy.close()
                newer = [each for each in files if each[1].st_mtime_ns > source.changed_ns and head_of(*each)]
                following = self._open(*newer[-1]) if newer else None
            except GoneError:
                continue
            source.close()
            self._source = following
            self._new_after_ns = source.changed_ns
            return

    def _successor(self, source: FollowedFile) -> FollowedFile | None:
        """The file that was begun after this one, opened; None while it is the last or the next has nothing in it."""
        journal: FileId | None = None
        with suppress(FileNotFoundError):
            there = self._path.stat()
            journal = file_id(there)
            if journal == source.file_id or (not there.st_size and self._nothing_between == (source.file_id, journal)):
                return None
        for _ in range(_TRIES):
            try:
                following = self._next_after(source)
                # In a quiet night, names are not to be read all the time only to find the new journal empty again.
                self._nothing_between = (source.file_id, journal) if journal and not following else None
                return self._open(*following) if following else None
            except GoneError:
                continue
        return None

    def _next_after(self, source: FollowedFile) -> _Listed | None:
        """The file with something in it that was begun next."""
        files = _listed(self._path)
        place = next((at for at, (_, there) in enumerate(files) if file_id(there) == source.file_id), None)
        if place is not None:
            # No more of them than needed: of a compressed file, even its first line takes some milliseconds.
            return next((each for each in reversed(files[:place]) if _has_begun(each)), None)
        newer: list[_Listed] = []
        for each in filter(_has_begun, files):
            if head_of(*each) == source.head:
                return newer[-1] if newer else None
            newer.append(each)
        # It is nowhere any more. What was written to since it was cannot be older.
        return next((each for each in reversed(newer) if each[1].st_mtime_ns > source.changed_ns), None)


def _listed(path: Path) -> list[_Listed]:
    """A journal's files that are there, newest first.

    A file that is renamed while names are read may be missed, or be there twice: they are read until they are the
    same twice.
    """
    before: list[tuple[Path, FileId]] = []
    found: list[_Listed] = []
    for _ in range(_TRIES):
        found = []
        for file in journal_files(path):
            with suppress(FileNotFoundError):
                found.append((file, file.stat()))
        now = [(file, file_id(there)) for file, there in found]
        if now == before:
            break
        before = now
    return found


def _has_begun(listed: _Listed) -> bool:
    return bool(listed[1].st_size and head_of(*listed))


def _is_compressed(path: Path) -> bool:
    return path.suffix in COMPRESSED
