"""A caller forgotten in a journal's files: the one being written, those rotated away, compressed ones.

Plain files are changed in place, a line at a time, each staying as long as it was (`erasing`), while the router goes on
appending. Compressed ones are written anew beside themselves and take their own name, with the same mode, owner and
times. Meanwhile nobody compresses or removes files (`folder_lock`). Then everything is looked through again, until
nothing is found: the router may have rotated meanwhile, and the caller may have called.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, cast

from router.journal.erasing import Erasing
from router.journal.folder_lock import LOCK_WAIT_S, folder_locked
from router.journal.keeping import new_part, put_in_place, remove_halves
from router.journal.rotation import PART, half_done, rotated_files

_CHUNK_BYTES: Final = 4 * 1024 * 1024
# What has no line end for so long is no journal; it is looked through in pieces.
_LONGEST_REST_BYTES: Final = 16 * 1024 * 1024
# Somebody who calls all the time, or a router that rotates every second: it is said, and can be done again.
MOST_ROUNDS: Final = 6
_GZIP, _BZIP2, _XZ, _ZSTD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"


@dataclass(slots=True)
class ErasedJournals:
    """What came of forgetting a caller in journals.

    Attributes:
        lines: How many lines were changed.
        changed: The files that they are in.
        looked_in: How many files were looked through, at least twice where something was found.
        left: What could not be reached, a sentence each, with what to do.
    """

    lines: int = 0
    changed: set[Path] = field(default_factory=set)
    looked_in: int = 0
    left: list[str] = field(default_factory=list)


def files_of(journals: Sequence[Path]) -> list[Path]:
    """All files of some journals, with all that was rotated away from them, each once, by where it really is.

    Newest first, and of a file that stands twice, plain and compressed, both: neither may keep what is to go.
    """
    found = [file for path in journals for file in (path, *(each.path for each in rotated_files(path)))]
    real = dict.fromkeys(Path(os.path.realpath(file)) for file in found)
    return [file for file in real if os.path.lexists(file)]


def erase_caller(
    journals: Sequence[Path],
    erasing: Erasing,
    *,
    on_read: Callable[[int], object] = lambda _: None,
    lock_wait_s: float = LOCK_WAIT_S,
) -> ErasedJournals:
    """Take a caller out of journals and all that was rotated away from them.

    What cannot be done is told in the answer, and nothing is raised: the other files are done all the same.

    Args:
        journals: The journals, as they are named without rotation.
        erasing: Whom.
        on_read: Told how many bytes of files have been looked through.
        lock_wait_s: How long to wait for a router that is compressing.
    """
    done = ErasedJournals()
    living = {Path(os.path.realpath(path)) for path in journals}
    clean: dict[Path, tuple[int, ...]] = {}
    halves: list[str] = []
    problems: dict[Path, str] = {}
    read = 0
    for _ in range(MOST_ROUNDS):
        is_over = True
        halves = [problem for path in journals for problem in _remove_halves(path, lock_wait_s)]
        for file in files_of(journals):
            try:
                with folder_locked(file.parent, wait_s=lock_wait_s):
                    before = _identity(file)
                    if clean.get(file) == before:
                        continue
                    problems.pop(file, None)
                    problem, lines = _erase(file, erasing, is_living=file in living)
            except FileNotFoundError:
                is_over = False  # compressed or rotated meanwhile: it is there under another name
                continue
            except TimeoutError as error:
                done.left.append(f"{file.parent}: {error.strerror}")  # who waited once need not for each file
                return done
            except (OSError, zlib.error, lzma.LZMAError) as error:
                problems[file] = _in_words(file, error)
                continue
            read += before[2]
            on_read(read)
            if problem:
                problems[file] = problem
            if lines:
                done.lines += lines
                done.changed.add(file)
                is_over = False  # looked through again, with all that came meanwhile
            else:
                clean[file] = before
        if is_over:
            break
    else:
        done.left.append("records of this caller keep coming, or files keep changing: forget the number again")
    there = files_of(journals)
    done.looked_in = sum(file in clean for file in there)
    done.left += [*halves, *(problems[file] for file in there if file in problems)]
    return done


def _remove_halves(path: Path, lock_wait_s: float) -> list[str]:
    """Remove copies that were being made of the files when somebody was killed; what could not be, in words.

    A router that is away clears up at its next start only.
    """
    if not half_done(path):
        return []
    try:
        with folder_locked(path.parent, wait_s=lock_wait_s):
            remove_halves(path)
    except TimeoutError:
        return []  # somebody is making them, and keeps their files from being changed too, which is told
    except OSError as error:
        return [_in_words(Path(error.filename or path.parent), error)]
    return []


def _identity(file: Path) -> tuple[int, int, int, int]:
    status = file.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _erase(file: Path, erasing: Erasing, *, is_living: bool) -> tuple[str, int]:
    """What is left of a caller in a file, in words, and how many lines were changed.

    Raises:
        OSError, zlib.error, lzma.LZMAError: It cannot be read or changed.
    """
    with file.open("rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            return f"{file}: is no file", 0
        head = stream.read(6)
        stream.seek(0)
        if head.startswith(_ZSTD):
            return (
                f"{file}: is compressed with zstd, which is not changed here: unpack it (zstd -d --rm), then again",
                0,
            )
        if not head.startswith((_GZIP, _BZIP2, _XZ)):
            return _erase_in_place(file, stream, erasing, is_living=is_living)
        try:
            if not any(erasing.is_in(block) for block in _blocks(_unpacking(stream, head))):
                return "", 0
        except EOFError:
            why = "its compressed data end too soon, as while it is being written"
            return f"{file}: {why}: forget the number again when that is over, or remove it", 0
        stream.seek(0)
        return "", _rewrite(file, stream, head, erasing)


def _erase_in_place(file: Path, stream: BinaryIO, erasing: Erasing, *, is_living: bool) -> tuple[str, int]:
    """Change lines where they are. What may still be being written, the unfinished end of a journal, is left alone."""
    lines, offset, unfinished = 0, 0, 0
    before = os.fstat(stream.fileno())
    changing = -1
    try:
        for block in _blocks(stream.read):
            if erasing.is_in(block):
                at = offset
                for line in _lines(block):
                    if erasing.is_in(line) and (without := erasing.line(line)) != line:
                        if is_living and not line.endswith(b"\n"):
                            unfinished += 1
                        else:
                            if changing < 0:
                                # Not for appending: then the kernel would put everything at the end.
                                changing = os.open(file, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
                                _refuse_another(changing, stream, file)
                            _change(changing, at, line, without)
                            lines += 1
                    at += len(line)
            offset += len(block)
        if changing >= 0:
            os.fsync(changing)
            if not is_living:
                os.utime(changing, ns=(before.st_atime_ns, before.st_mtime_ns))
    finally:
        if changing >= 0:
            os.close(changing)
    return (f"{file}: a record is just being written: forget the number again" if unfinished else ""), lines


def _refuse_another(descriptor: int, stream: BinaryIO, file: Path) -> None:
    if not os.path.sameopenfile(descriptor, stream.fileno()):
        raise FileNotFoundError(f"{file} is another file now")


def _change(descriptor: int, at: int, line: bytes, without: bytes) -> None:
    # Somebody may have cut the file to nothing (copytruncate): writing behind its end would leave a hole.
    if os.pread(descriptor, len(line), at) != line:
        raise FileNotFoundError("the file changes")
    view = memoryview(without)
    while view:
        taken = os.pwrite(descriptor, view, at)
        view, at = view[taken:], at + taken


def _rewrite(file: Path, stream: BinaryIO, head: bytes, erasing: Erasing) -> int:
    """Write a compressed file anew without the caller, and put it in its place. Returns the lines changed."""
    lines = 0
    part = file.with_name(file.name + PART)
    try:
        with new_part(part, stream) as target:
            with closing(_packing(target, head, int(os.fstat(stream.fileno()).st_mtime))) as packing:
                for block in _blocks(_unpacking(stream, head)):
                    if not erasing.is_in(block):
                        packing.write(block)
                        continue
                    for line in _lines(block):
                        without = erasing.line(line)
                        lines += without != line
                        packing.write(without)
            if lines:
                put_in_place(target, part, file, file)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()
    return lines


def _lines(block: bytes) -> Iterator[bytes]:
    """With their line ends; LF alone ends a line."""
    begin = 0
    while (end := block.find(b"\n", begin)) >= 0:
        yield block[begin : end + 1]
        begin = end + 1
    if begin < len(block):
        yield block[begin:]


def _blocks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Whole lines, some megabytes at a time; what follows the last line end comes last."""
    rest = b""
    while chunk := read(_CHUNK_BYTES):
        whole, end, after = chunk.rpartition(b"\n")
        if end:
            yield rest + whole + end
            rest = after
        else:
            rest += chunk
        if len(rest) > _LONGEST_REST_BYTES:
            yield rest
            rest = b""
    if rest:
        yield rest


def _unpacking(stream: BinaryIO, head: bytes) -> Callable[[int], bytes]:
    # `read1`, which gives what there is before it finds that the data end too soon.
    if head.startswith(_GZIP):
        return gzip.GzipFile(fileobj=stream).read1
    return bz2.BZ2File(stream).read1 if head.startswith(_BZIP2) else lzma.LZMAFile(stream).read1


def _packing(target: BinaryIO, head: bytes, mtime_s: int) -> BinaryIO:
    if head.startswith(_GZIP):
        return cast("BinaryIO", gzip.GzipFile("", "wb", 6, target, mtime=mtime_s))
    return cast("BinaryIO", bz2.BZ2File(target, "wb") if head.startswith(_BZIP2) else lzma.LZMAFile(target, "wb"))


def _in_words(file: Path, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return f"{file}: cannot be changed: {error.strerror}; do this as root, or as the router's user"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{file}: cannot be changed: {error.strerror}"
    return f"{file}: its compressed data are damaged ({error}): remove it, or put a good copy in its place"
