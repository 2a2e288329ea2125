from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from router.callers.number import PhoneNumber, masked
from router.journal import forgetting
from router.journal.erasing import ERASED, Erasing
from router.journal.folder_lock import folder_locked
from router.journal.forgetting import ErasedJournals, erase_caller, files_of
from router.journal.hashing import caller_key
from router.journal.records import DecisionRecord, Record
from router.journal.settings import RotationSettings
from router.journal.writer import JournalWriter

from .reading import records_in
from .samples import decision, outcome

NUMBER = PhoneNumber("+8613900000001")
OTHER = PhoneNumber("+8613900000002")
SECRET = b"s" * 32
ERASING = Erasing(NUMBER, caller_key(SECRET, NUMBER.e164))
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
READERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def call_of(number: PhoneNumber, uniqueid: str) -> DecisionRecord:
    return decision(uniqueid).model_copy(
        update={"caller": masked(number), "caller_key": caller_key(SECRET, number.e164)}
    )


def lines(*records: Record) -> bytes:
    return b"".join(record.model_dump_json().encode() + b"\n" for record in records)


def day_of_calls(first: int) -> bytes:
    """Six calls, of which the second and the fifth are the caller's."""
    numbers = [OTHER, NUMBER, OTHER, OTHER, NUMBER, OTHER]
    return b"".join(
        lines(call_of(number, f"{first + index}.0"), outcome(f"{first + index}.0"))
        for index, number in enumerate(numbers)
    )


def erased_from(content: bytes) -> bytes:
    return b"".join(ERASING.line(line) for line in content.splitlines(keepends=True))


def forget(path: Path) -> ErasedJournals:
    return erase_caller([path], ERASING, lock_wait_s=5)


def test_the_caller_goes_out_of_all_files_and_every_other_byte_stays(path: Path) -> None:
    files = {
        path: "",
        path.with_name("journal.jsonl.20261125T160000Z"): "",
        path.with_name("journal.jsonl.20261124T160000Z.gz"): ".gz",
        path.with_name("journal.jsonl.1.bz2"): ".bz2",
        path.with_name("journal.jsonl.2.xz"): ".xz",
        path.with_name("journal.jsonl-20261101"): "",
    }
    before = {}
    for number, (file, suffix) in enumerate(files.items()):
        before[file] = day_of_calls(number * 10)
        file.write_bytes(PACKERS[suffix](before[file]))
    done = forget(path)
    assert (done.lines, done.changed, done.looked_in, done.left) == (12, set(files), 6, [])
    for file, suffix in files.items():
        assert READERS[suffix](file.read_bytes()) == erased_from(before[file])
    assert ERASED.encode() in path.read_bytes()
    assert sorted(file.name for file in path.parent.iterdir()) == sorted(file.name for file in files)


def test_rotated_files_keep_their_time_and_mode_and_those_without_the_caller_are_not_touched(path: Path) -> None:
    theirs = [path.with_name("journal.jsonl.1"), path.with_name("journal.jsonl.2.gz")]
    others = path.with_name("journal.jsonl.3.gz")
    for file, content in ((theirs[0], day_of_calls(0)), (theirs[1], gzip.compress(day_of_calls(10)))):
        file.write_bytes(content)
    others.write_bytes(gzip.compress(lines(call_of(OTHER, "1.0"))))
    for file in (*theirs, others):
        file.chmod(0o604)
        os.utime(file, (1_700_000_000, 1_700_000_000))
    inode = others.stat().st_ino
    assert forget(path).lines == 4
    for file in (*theirs, others):
        status = file.stat()
        assert (status.st_mtime, stat.S_IMODE(status.st_mode)) == (1_700_000_000, 0o604)
    assert others.stat().st_ino == inode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_who_does_it_as_root_leaves_compressed_files_to_the_routers_user(path: Path) -> None:
    file = path.with_name("journal.jsonl.1.gz")
    file.write_bytes(gzip.compress(day_of_calls(0)))
    os.chown(file, 1234, 2345)
    assert forget(path).lines == 2
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 2345)


def test_nothing_is_done_twice_and_nobody_there_is_nothing_done(path: Path) -> None:
    path.write_bytes(day_of_calls(0))
    assert forget(path).lines == 2
    again = forget(path)
    assert (again.lines, again.left, again.looked_in) == (0, [], 1)
    assert forget(path.with_name("none")).looked_in == 0


def test_lines_of_the_routers_that_are_written_meanwhile_are_all_there(path: Path) -> None:
    """The file is appended to, and rotated, while the caller is taken out of it."""
    size = len(lines(call_of(OTHER, "1000.0")))
    writer = JournalWriter(path, rotation=RotationSettings(size_bytes=200 * size))
    for number in range(150):
        writer.write(call_of(NUMBER if number % 3 == 0 else OTHER, f"{number}.0"))
    over = threading.Event()

    def write_on() -> None:
        number = 150
        while not over.is_set() and number < 20_000:
            writer.write(call_of(OTHER, f"{number}.0"))
            number += 1

    writing = threading.Thread(target=write_on)
    writing.start()
    done = forget(path)
    over.set()
    writing.join()
    assert (done.lines, done.left) == (50, [])
    records = [record for file in reversed(files_of([path])) for record in records_in(file)]
    decisions = [record for record in records if isinstance(record, DecisionRecord)]
    assert len(decisions) == len(records) == writer.written
    assert [record.seq for record in decisions] == list(range(1, writer.written + 1))
    assert [record.uniqueid for record in decisions if record.caller == ERASED] == [
        f"{number}.0" for number in range(0, 150, 3)
    ]


def test_what_is_rotated_while_it_is_looked_through_is_found_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(day_of_calls(0))
    real = forgetting._erase

    def after_rotation(file: Path, erasing: Erasing, *, is_living: bool) -> tuple[str, int]:
        if file == path and not path.with_name("journal.jsonl.1").exists():
            path.rename(path.with_name("journal.jsonl.1"))
            path.write_bytes(day_of_calls(10))
        return real(file, erasing, is_living=is_living)

    monkeypatch.setattr(forgetting, "_erase", after_rotation)
    done = forget(path)
    assert (done.lines, done.left) == (4, [])
    assert path.with_name("journal.jsonl.1").read_bytes() == erased_from(day_of_calls(0))


def test_a_file_that_is_compressed_meanwhile_is_found_under_its_new_name(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = path.with_name("journal.jsonl.1")
    file.write_bytes(day_of_calls(0))
    real = forgetting._identity

    def gone(looked_at: Path) -> tuple[int, int, int, int]:
        if looked_at == file:
            file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
            file.unlink()
        return real(looked_at)

    monkeypatch.setattr(forgetting, "_identity", gone)
    done = forget(path)
    assert (done.lines, done.left) == (2, [])


def test_who_calls_all_the_time_must_be_forgotten_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(day_of_calls(0))
    real = forgetting._identity

    def another_call(file: Path) -> tuple[int, int, int, int]:
        with path.open("ab") as stream:
            stream.write(lines(call_of(NUMBER, "9.0")))
        return real(file)

    monkeypatch.setattr(forgetting, "_identity", another_call)
    (left,) = forget(path).left
    assert "forget the number again" in left


def test_a_journal_that_is_cut_to_nothing_meanwhile_gets_no_hole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(day_of_calls(0))
    real = os.open

    def after_copytruncate(file: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_RDWR:
            os.truncate(path, 0)
        return real(file, flags, mode)

    monkeypatch.setattr(os, "open", after_copytruncate)
    done = forget(path)
    assert (done.lines, path.read_bytes()) == (0, b"")


def test_the_unfinished_line_of_a_journal_being_written_is_left_and_told_of(path: Path) -> None:
    half = lines(call_of(NUMBER, "9.0"))[:-10]
    path.write_bytes(day_of_calls(0) + half)
    done = forget(path)
    assert done.lines == 2
    assert path.read_bytes().endswith(half)
    assert done.left == [f"{path}: a record is just being written: forget the number again"]
    rotated = path.with_name("journal.jsonl.1")
    path.rename(rotated)
    done = forget(path)
    assert (done.lines, done.left) == (1, [])
    assert rotated.stat().st_size == len(day_of_calls(0) + half)


def test_what_cannot_be_reached_is_told_with_what_to_do_and_the_rest_is_done(path: Path) -> None:
    path.write_bytes(day_of_calls(0))
    path.with_name("journal.jsonl.1.zst").write_bytes(b"\x28\xb5\x2f\xfd....")
    path.with_name("journal.jsonl.2.gz").write_bytes(gzip.compress(day_of_calls(0))[:-200])
    damaged = bytearray(gzip.compress(os.urandom(100_000)))
    damaged[50_000] ^= 0xFF
    path.with_name("journal.jsonl.3.gz").write_bytes(damaged)
    done = forget(path)
    assert done.lines == 2
    assert [problem.partition(": ")[2].partition(" ")[0] for problem in done.left] == ["is", "its", "its"]
    assert "zstd -d" in done.left[0]
    assert "end too soon" in done.left[1]
    assert "damaged" in done.left[2]


def test_a_full_disk_leaves_a_compressed_file_as_it_is_and_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = path.with_name("journal.jsonl.1.gz")
    before = gzip.compress(day_of_calls(0))
    file.write_bytes(before)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    done = forget(path)
    assert done.left == [f"{file}: cannot be changed: No space left on device"]
    assert file.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [file.name]


def test_a_router_that_never_stops_compressing_is_told_of(path: Path) -> None:
    path.write_bytes(day_of_calls(0))
    with folder_locked(path.parent):
        done = erase_caller([path], ERASING, lock_wait_s=0.1)
    assert "somebody else is changing rotated journals there" in done.left[0]
    assert path.read_bytes() == day_of_calls(0)


def test_what_a_killed_router_was_just_compressing_holds_nothing_of_the_caller_either(path: Path) -> None:
    file = path.with_name("journal.jsonl.20261125T160000Z")
    file.write_bytes(day_of_calls(0))
    file.with_name(f"{file.name}.gz.part").write_bytes(gzip.compress(day_of_calls(0))[:-20])
    notes = path.with_name("journal.jsonl.notes.part")
    notes.touch()
    assert forget(path).left == []
    assert sorted(path.parent.iterdir()) == [file, notes]


def test_what_a_router_is_just_compressing_is_waited_for(path: Path) -> None:
    file = path.with_name("journal.jsonl.20261125T160000Z")
    file.write_bytes(day_of_calls(0))
    part = file.with_name(f"{file.name}.gz.part")
    part.touch()
    with folder_locked(path.parent):
        done = erase_caller([path], ERASING, lock_wait_s=0.1)
    assert "somebody else is changing rotated journals there" in done.left[0]
    assert part.exists()


def test_half_a_file_that_cannot_be_removed_is_told_of(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(day_of_calls(0))
    part = path.with_name("journal.jsonl.20261125T160000Z.gz.part")
    part.touch()

    def refused(file: Path, **_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))

    monkeypatch.setattr(Path, "unlink", refused)
    done = forget(path)
    assert done.lines == 2
    assert done.left == [f"{part}: cannot be changed: Permission denied; do this as root, or as the router's user"]


def test_a_plain_file_and_what_was_made_of_it_are_both_done(path: Path) -> None:
    file = path.with_name("journal.jsonl.1")
    file.write_bytes(day_of_calls(0))
    file.with_name("journal.jsonl.1.gz").write_bytes(gzip.compress(day_of_calls(0)))
    assert forget(path).lines == 4


def test_a_journal_behind_a_symbolic_link_stays_behind_it(path: Path, tmp_path: Path) -> None:
    real = tmp_path / "disk2.gz"
    real.write_bytes(gzip.compress(day_of_calls(0)))
    path.with_name("journal.jsonl.1.gz").symlink_to(real)
    assert forget(path).lines == 2
    assert path.with_name("journal.jsonl.1.gz").is_symlink()
    assert gzip.decompress(real.read_bytes()) == erased_from(day_of_calls(0))


def test_lines_that_lie_over_the_pieces_that_are_read_are_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = path.with_name("journal.jsonl.1.gz")
    for size in (1, 7, 1000, 1537, 4096):
        monkeypatch.setattr(forgetting, "_CHUNK_BYTES", size)
        path.write_bytes(day_of_calls(0))
        packed.write_bytes(gzip.compress(day_of_calls(10)))
        assert forget(path).lines == 4
        assert path.read_bytes() == erased_from(day_of_calls(0))
        assert gzip.decompress(packed.read_bytes()) == erased_from(day_of_calls(10))
