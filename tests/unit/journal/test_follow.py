from __future__ import annotations

import bz2
import gzip
import itertools
import lzma
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import JournalError
from router.journal.follow import Following
from router.journal.followed_file import head_of
from router.journal.reader import MAX_LINE_BYTES, journal_files
from router.journal.settings import RotationSettings
from router.journal.writer import JournalWriter
from tests.unit.journal.samples import decision

NEVER = datetime(2000, 1, 1, tzinfo=UTC)


class Journal:
    """A journal as somebody writes it, who may hold an old file open for a while after it was renamed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written: list[bytes] = []
        self._numbers = itertools.count(1)
        self._half = b""
        self._stream = path.open("ab", buffering=0)

    def line(self) -> bytes:
        number = next(self._numbers)
        line = b'{"record":"decision","uniqueid":"%06d","caller":"+8613900000001"}' % number
        self.written.append(line)
        return line

    def write(self, lines: int) -> None:
        for _ in range(lines):
            line = self._half or self.line()
            self._stream.write(line[len(line) // 2 :] + b"\n" if self._half else line + b"\n")
            self._half = b""

    def write_half(self) -> None:
        if not self._half:
            self._half = self.line()
            self._stream.write(self._half[: len(self._half) // 2])

    def whole(self) -> None:
        if self._half:
            self.write(1)

    def shift(self) -> None:
        """As logrotate does before it renames: what there is counts one more."""
        names = [(number, kind) for number in range(30, 0, -1) for kind in ("", ".gz")]
        for number, kind in names:
            file = self.path.with_name(f"{self.path.name}.{number}{kind}")
            if file.exists():
                file.rename(self.path.with_name(f"{self.path.name}.{number + 1}{kind}"))

    def rename(self, *, create: bool) -> None:
        """Nobody rotates twice within the second in which the router notices."""
        if not self.path.exists() or not self._is_current():
            self.reopen()
        self.shift()
        self.path.rename(self.path.with_name(f"{self.path.name}.1"))
        if create:
            self.path.touch()

    def reopen(self) -> None:
        self.whole()
        self._stream.close()
        self._stream = self.path.open("ab", buffering=0)

    def restart(self) -> None:
        self.rename(create=False)
        self.reopen()

    def copy_and_truncate(self) -> None:
        self.whole()
        if self.path.exists() and self._is_current():
            self.shift()
            shutil.copyfile(self.path, self.path.with_name(f"{self.path.name}.1"))
            os.truncate(self.path, 0)

    def compress(self) -> None:
        """All but the newest one, as with delaycompress, and what nobody writes to any more."""
        for number in range(30, 1, -1):
            file = self.path.with_name(f"{self.path.name}.{number}")
            if file.exists() and file.stat().st_size:
                status = file.stat()
                packed = file.with_name(f"{file.name}.gz")
                packed.write_bytes(gzip.compress(file.read_bytes()))
                os.utime(packed, ns=(status.st_atime_ns, status.st_mtime_ns))
                file.unlink()

    def close(self) -> None:
        self._stream.close()

    def _is_current(self) -> bool:
        return self.path.stat().st_ino == os.fstat(self._stream.fileno()).st_ino


def all_of(following: Following) -> list[bytes]:
    found: list[bytes] = []
    while lines := following.read():
        found += lines
    return found


STEPS: dict[str, Callable[[Journal], None]] = {
    "write": lambda journal: journal.write(1),
    "write many": lambda journal: journal.write(20),
    "half a line": lambda journal: journal.write_half(),
    "rename": lambda journal: journal.rename(create=False),
    "rename and create": lambda journal: journal.rename(create=True),
    "reopen": lambda journal: journal.reopen(),
    "restart": lambda journal: journal.restart(),
    "copy and truncate": lambda journal: journal.copy_and_truncate(),
    "compress": lambda journal: journal.compress(),
}


@given(st.lists(st.sampled_from([*STEPS, "read", "read"]), max_size=40))
def test_each_line_comes_once_and_in_order_whatever_happens_to_the_files(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    journal = Journal(tmp_path_factory.mktemp("j") / "journal.jsonl")
    following = Following(journal.path, since=NEVER)
    found: list[bytes] = []
    for step in steps:
        if step == "read":
            found += all_of(following)
        else:
            STEPS[step](journal)
    journal.whole()
    found += all_of(following)
    journal.reopen()
    journal.write(1)  # who writes turns to the new file sooner or later
    found += all_of(following)
    journal.close()
    following.close()
    assert found == journal.written


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


Follow = Callable[..., Following]


@pytest.fixture
def follow() -> Iterator[Follow]:
    """Makes what follows a journal, and closes it when the test is over."""
    made: list[Following] = []

    def make(path: Path, **words: Any) -> Following:  # noqa: ANN401 - as `Following` takes them
        made.append(Following(path, **words))
        return made[-1]

    yield make
    for following in made:
        following.close()


def numbered(first: int, last: int) -> list[bytes]:
    return [b'{"uniqueid":"%06d"}' % number for number in range(first, last + 1)]


def put(file: Path, lines: list[bytes]) -> None:
    with file.open("ab") as stream:
        stream.writelines(line + b"\n" for line in lines)


def test_a_journal_that_is_not_there_yet_is_read_from_its_beginning(follow: Follow, path: Path) -> None:
    following = follow(path)
    assert following.read() == []
    assert not following.is_there
    put(path, numbered(1, 3))
    assert all_of(following) == numbered(1, 3)
    assert following.is_there


def test_a_folder_that_is_not_there_yet_is_waited_for(follow: Follow, tmp_path: Path) -> None:
    following = follow(tmp_path / "later" / "journal.jsonl")
    assert following.read() == []
    (tmp_path / "later").mkdir()
    put(tmp_path / "later" / "journal.jsonl", numbered(1, 1))
    assert all_of(following) == numbered(1, 1)


def test_a_journal_that_is_deleted_and_begun_anew_is_followed(follow: Follow, path: Path) -> None:
    put(path, numbered(1, 2))
    following = follow(path)
    assert all_of(following) == numbered(1, 2)
    path.unlink()
    assert following.read() == []
    put(path, numbered(3, 4))
    assert all_of(following) == numbered(3, 4)


def test_what_was_added_before_a_journal_was_deleted_is_read(follow: Follow, path: Path) -> None:
    put(path, numbered(1, 2))
    following = follow(path)
    assert all_of(following) == numbered(1, 2)
    put(path, numbered(3, 3))
    path.unlink()
    put(path, numbered(4, 4))
    assert all_of(following) == numbered(3, 4)


def test_old_files_are_not_read_again_when_the_journal_is_emptied_by_hand(follow: Follow, path: Path) -> None:
    put(path.with_name("journal.jsonl.1"), numbered(1, 2))
    put(path, numbered(3, 4))
    following = follow(path, since=NEVER)
    assert all_of(following) == numbered(1, 4)
    os.truncate(path, 0)
    assert following.read() == []
    put(path, numbered(5, 5))
    assert all_of(following) == numbered(5, 5)


def test_a_journal_emptied_and_filled_beyond_what_was_read_is_told_by_its_first_line(
    follow: Follow, path: Path
) -> None:
    put(path, numbered(1, 2))
    following = follow(path)
    assert all_of(following) == numbered(1, 2)
    os.truncate(path, 0)
    put(path, numbered(3, 9))
    assert all_of(following) == numbered(3, 9)


@pytest.mark.parametrize("times", [1, 2])
def test_what_was_not_read_before_a_truncation_is_found_in_the_copy(follow: Follow, path: Path, times: int) -> None:
    put(path, numbered(1, 2))
    following = follow(path)
    assert all_of(following) == numbered(1, 2)
    put(path, numbered(3, 4))
    shutil.copy(path, path.with_name("journal.jsonl.1"))
    os.truncate(path, 0)
    put(path, numbered(5, 6))
    if times == 2:
        path.with_name("journal.jsonl.2").write_bytes(path.with_name("journal.jsonl.1").read_bytes())
        path.with_name("journal.jsonl.1").unlink()
        shutil.copy(path, path.with_name("journal.jsonl.1"))
        os.truncate(path, 0)
        put(path, numbered(7, 8))
    assert all_of(following) == numbered(3, 4 + 2 * times)


def test_the_copy_may_be_compressed_already(follow: Follow, path: Path) -> None:
    put(path, numbered(1, 200))
    following = follow(path)
    assert all_of(following) == numbered(1, 200)
    put(path, numbered(201, 204))
    path.with_name("journal.jsonl.1.gz").write_bytes(gzip.compress(path.read_bytes()))
    os.truncate(path, 0)
    put(path, numbered(205, 205))
    assert all_of(following) == numbered(201, 205)


def test_two_rotations_between_two_looks_lose_nothing(follow: Follow, path: Path) -> None:
    put(path, numbered(1, 2))
    following = follow(path)
    assert all_of(following) == numbered(1, 2)
    for first in (3, 6, 9):
        put(path, numbered(first, first))
        path.rename(path.with_name(f"journal.jsonl.20261126T00000{first}Z"))
        put(path, numbered(first + 1, first + 2))
    assert all_of(following) == numbered(3, 11)


def test_the_file_in_hand_may_be_compressed_meanwhile(follow: Follow, path: Path) -> None:
    put(path, numbered(1, 2))
    following = follow(path)
    assert all_of(following) == numbered(1, 2)
    put(path, numbered(3, 3))
    path.with_name("journal.jsonl.20261126T000000Z.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    put(path, numbered(4, 4))
    assert all_of(following) == numbered(3, 4)


def test_a_rotation_while_the_files_are_listed_loses_nothing(
    follow: Follow, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(path, numbered(1, 2))
    following = follow(path)
    assert all_of(following) == numbered(1, 2)
    path.rename(path.with_name("journal.jsonl.1"))
    put(path, numbered(3, 4))
    listed = journal_files(path)
    looks = iter(range(100))

    def rotated_after_the_look(_: Path) -> list[Path]:
        if next(looks) > 1:
            return journal_files(path)
        if (path.parent / "journal.jsonl.2").exists():
            return listed
        path.with_name("journal.jsonl.1").rename(path.with_name("journal.jsonl.2"))
        path.rename(path.with_name("journal.jsonl.1"))
        put(path, numbered(5, 6))
        return listed

    monkeypatch.setattr("router.journal.follow.journal_files", rotated_after_the_look)
    assert all_of(following) == numbered(3, 6)


def test_what_a_full_disk_cut_off_and_took_back_is_not_seen(follow: Follow, path: Path) -> None:
    put(path, numbered(1, 1))
    following = follow(path)
    with path.open("ab", buffering=0) as stream:
        stream.write(b'{"uniqueid":"abc')
        assert all_of(following) == numbered(1, 1)
        os.truncate(path, len(numbered(1, 1)[0]) + 1)
        assert following.read() == []
        stream.write(numbered(2, 2)[0] + b"\n")
    assert all_of(following) == numbered(2, 2)


def test_what_a_crash_cut_off_is_given_as_it_is_once_the_next_file_is_written(follow: Follow, path: Path) -> None:
    path.write_bytes(numbered(1, 1)[0] + b'\n{"uniq')
    following = follow(path)
    assert all_of(following) == numbered(1, 1)
    path.rename(path.with_name("journal.jsonl.1"))
    put(path, numbered(2, 2))
    assert all_of(following) == [b'{"uniq', *numbered(2, 2)]


def test_a_line_longer_than_any_record_comes_as_its_beginning(follow: Follow, path: Path) -> None:
    put(path, [*numbered(1, 1), b"x" * (3 * MAX_LINE_BYTES + 5), *numbered(2, 2)])
    first, long, last = all_of(follow(path))
    assert (first, last) == (numbered(1, 1)[0], numbered(2, 2)[0])
    assert len(long) == MAX_LINE_BYTES + 1


def test_a_long_line_is_not_held_in_memory_while_its_end_is_missing(follow: Follow, path: Path) -> None:
    following = follow(path)
    put(path, numbered(1, 1))
    assert all_of(following) == numbered(1, 1)
    for _ in range(5):
        with path.open("ab") as stream:
            stream.write(b"x" * MAX_LINE_BYTES)
        assert following.read() == []
    put(path, [b"", *numbered(2, 2)])
    assert [len(line) for line in all_of(following)] == [MAX_LINE_BYTES + 1, len(numbered(2, 2)[0])]


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_compressed_files_are_read_from_the_moment_asked_for(
    follow: Follow, path: Path, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    for number, first in ((2, 1), (1, 3)):
        plain = b"".join(line + b"\n" for line in numbered(first, first + 1))
        path.with_name(f"journal.jsonl.{number}.{suffix}").write_bytes(pack(plain))
    os.utime(path.with_name(f"journal.jsonl.2.{suffix}"), (946_684_800, 946_684_900))  # the year 2000
    put(path, numbered(5, 6))
    since = datetime.now(UTC) - timedelta(hours=1)
    assert all_of(follow(path, since=since)) == numbered(3, 6), "the other was last written to before"
    assert all_of(follow(path, since=NEVER)) == numbered(1, 6)


def test_a_damaged_compressed_file_is_told_of_and_the_next_is_read(follow: Follow, path: Path) -> None:
    packed = gzip.compress(b"".join(line + b"\n" for line in numbered(1, 50_000)))
    path.with_name("journal.jsonl.1.gz").write_bytes(packed[: len(packed) // 2])
    put(path, numbered(50_001, 50_001))
    following = follow(path, since=NEVER)
    found = all_of(following)
    assert found[:2] == numbered(1, 2)
    assert found[-1:] == numbered(50_001, 50_001)
    (complaint,) = following.complaints()
    assert complaint.startswith(f"{path}.1.gz: its compressed data end too soon")
    assert following.complaints() == []


def test_without_a_moment_the_last_lines_are_read_and_those_of_the_file_before(follow: Follow, path: Path) -> None:
    put(path.with_name("journal.jsonl.1"), numbered(1, 1000))
    put(path, numbered(1001, 1010))
    line_bytes = len(numbered(1, 1)[0]) + 1
    found = all_of(follow(path, look_back_bytes=15 * line_bytes))
    assert found == numbered(996, 1010)
    assert all_of(follow(path, look_back_bytes=5 * line_bytes)) == numbered(1006, 1010)


def test_a_large_journal_is_read_from_a_little_before_the_moment_asked_for(follow: Follow, path: Path) -> None:
    began = datetime(2026, 11, 26, tzinfo=UTC)
    times = [began + timedelta(seconds=number) for number in range(40_000)]
    put(path, [b'{"time":"%s.000Z","x":"%s"}' % (f"{at:%Y-%m-%dT%H:%M:%S}".encode(), b"x" * 100) for at in times])
    wanted = times[30_000]
    found = all_of(follow(path, since=wanted))
    first = datetime.fromisoformat(found[0][9:33].decode())
    assert wanted - timedelta(hours=3) < first < wanted - timedelta(seconds=59)
    assert found[-1][9:33] == b"2026-11-26T11:06:39.000Z"


def test_a_journal_that_may_not_be_read_is_told_of_with_what_to_do(
    follow: Follow, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(path, numbered(1, 1))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(JournalError, match=r"cannot be read: Permission denied; do this as root, or as the router's"):
        follow(path).read()


def test_what_is_no_file_is_refused(follow: Follow, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "folder"):
        (tmp_path / "folder").mkdir(exist_ok=True)
        put(tmp_path / "folder" / "x", numbered(1, 1))
        with pytest.raises(JournalError, match="is no file; name the journal itself"):
            follow(tmp_path / name).read()


def test_what_the_router_rotates_by_size_is_followed_through_all_its_files(follow: Follow, path: Path) -> None:
    writer = JournalWriter(path, rotation=RotationSettings(size_bytes=5_000, compress=False))
    following = follow(path)
    found: list[bytes] = []
    for number in range(200):
        writer.write(decision(f"{number}.0"))
        if number % 23 == 0:  # several rotations between two looks
            found += all_of(following)
    found += all_of(following)
    writer.close()
    assert len(list(path.parent.iterdir())) > 20
    assert [line.partition(b'"uniqueid":"')[2].partition(b".")[0] for line in found] == [b"%d" % n for n in range(200)]


def test_what_is_written_to_the_old_file_until_the_new_one_is_begun_is_read_first(
    follow: Follow, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(path, numbered(1, 2))
    following = follow(path)
    assert all_of(following) == numbered(1, 2)
    old = path.with_name("journal.jsonl.1")
    path.rename(old)

    def written_meanwhile(_: Path) -> list[Path]:
        if not path.exists():
            put(old, numbered(3, 3))
            put(path, numbered(4, 4))
        return journal_files(path)

    monkeypatch.setattr("router.journal.follow.journal_files", written_meanwhile)
    assert all_of(following) == numbered(3, 4)


def test_a_file_missed_because_it_was_renamed_while_names_were_read_is_found(
    follow: Follow, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(path, numbered(1, 2))
    following = follow(path)
    assert all_of(following) == numbered(1, 2)
    path.rename(path.with_name("journal.jsonl.2"))
    put(path.with_name("journal.jsonl.1"), numbered(3, 3))
    put(path, numbered(4, 4))
    looks = iter((True,))

    def missed_at_first(_: Path) -> list[Path]:
        files = journal_files(path)
        return [files[0], files[2]] if next(looks, False) else files

    monkeypatch.setattr("router.journal.follow.journal_files", missed_at_first)
    assert all_of(following) == numbered(3, 4)


def test_in_a_quiet_night_names_are_not_read_again_and_again(
    follow: Follow, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(path, numbered(1, 2))
    following = follow(path)
    assert all_of(following) == numbered(1, 2)
    path.rename(path.with_name("journal.jsonl.20261126T000000Z"))
    path.touch()
    looks = []

    def counted(journal: Path) -> list[Path]:
        looks.append(journal)
        return journal_files(journal)

    monkeypatch.setattr("router.journal.follow.journal_files", counted)
    for _ in range(10):
        assert not following.read()
    assert len(looks) == 2
    # What the router writes is found, and what it has rotated away since, too.
    put(path, numbered(3, 3))
    path.rename(path.with_name("journal.jsonl.20261126T000001Z"))
    path.touch()
    assert all_of(following) == numbered(3, 3)


def test_of_many_files_each_is_opened_a_few_times_only(
    follow: Follow, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hour in range(20):
        put(path.with_name(f"journal.jsonl.20261126T{hour:02}0000Z"), numbered(hour, hour))
    put(path, numbered(20, 20))
    opened = []

    def counted(file: Path, there: os.stat_result) -> bytes:
        opened.append(file)
        return head_of(file, there)

    monkeypatch.setattr("router.journal.follow.head_of", counted)
    assert all_of(follow(path, since=NEVER)) == numbered(0, 20)
    assert len(opened) <= 2 * 21


def test_a_journal_that_may_not_be_looked_at_is_not_waited_for(follow: Follow, path: Path) -> None:
    put(path, numbered(1, 1))
    with pytest.raises(JournalError, match=r"journal\.jsonl/below: cannot be read: Not a directory"):
        follow(path / "below").read()
