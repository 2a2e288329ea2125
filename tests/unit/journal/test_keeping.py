from __future__ import annotations

import asyncio
import errno
import gzip
import os
import stat
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from router.journal import keeping
from router.journal.folder_lock import folder_locked
from router.journal.keeping import Keeping, compress, keep
from router.journal.settings import RotationSettings
from router.journal.writer import JournalWriter

from .samples import decision

DAY_S = 86_400
NOW_S = datetime(2026, 11, 26, tzinfo=UTC).timestamp()
DAILY = RotationSettings(every="day")
CONTENT = b'{"record":"decision"}\n' * 50_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def rotated(path: Path, days_ago: int, content: bytes = CONTENT, suffix: str = "") -> Path:
    at_s = NOW_S - days_ago * DAY_S
    moment = datetime.fromtimestamp(at_s, UTC)
    file = path.with_name(f"{path.name}.{moment:%Y%m%dT%H%M%SZ}{suffix}")
    file.write_bytes(content)
    file.chmod(0o640)
    os.utime(file, (at_s, at_s))
    return file


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def keep_now(path: Path, rotation: RotationSettings = DAILY) -> list[str]:
    """The log's events."""
    with capture_logs() as logs:
        keep(path, rotation, now_s=lambda: NOW_S)
    return [entry["event"] for entry in logs]


def test_all_but_the_newest_are_compressed_with_their_mode_and_time(path: Path) -> None:
    path.touch()
    files = [rotated(path, days) for days in (1, 2, 3)]
    before = files[2].stat()
    assert keep_now(path) == ["journal_file_compressed"] * 2
    assert names(path) == [
        "journal.jsonl",
        "journal.jsonl.20261123T000000Z.gz",
        "journal.jsonl.20261124T000000Z.gz",
        "journal.jsonl.20261125T000000Z",
    ]
    packed = files[2].with_name(files[2].name + ".gz")
    after = packed.stat()
    assert gzip.decompress(packed.read_bytes()) == CONTENT
    assert (after.st_mtime_ns, stat.S_IMODE(after.st_mode)) == (before.st_mtime_ns, 0o640)
    assert keep_now(path) == []


def test_nothing_is_compressed_if_the_settings_say_so_and_logrotates_files_are_logrotates(path: Path) -> None:
    for number in (1, 2):
        logrotates = path.with_name(f"journal.jsonl.{number}")
        logrotates.write_bytes(CONTENT)
        os.utime(logrotates, (NOW_S - 9 * DAY_S,) * 2)
    rotated(path, 1)
    rotated(path, 2)
    before = names(path)
    assert keep_now(path, RotationSettings(every="day", compress=False)) == []
    assert names(path) == before
    keep_now(path)
    assert [name for name in names(path) if name.endswith(".gz")] == ["journal.jsonl.20261124T000000Z.gz"]


def test_files_are_removed_when_their_last_record_is_too_old_and_never_the_journal(path: Path) -> None:
    path.write_bytes(b"old")
    os.utime(path, (0, 0))
    rotated(path, 1)
    rotated(path, 89, suffix=".gz")
    old = [rotated(path, 91), rotated(path, 92, suffix=".gz")]
    os.utime(old[1])  # a copy that was put back
    logrotates = path.with_name("journal.jsonl.7.gz")
    logrotates.write_bytes(b"")
    os.utime(logrotates, (NOW_S - 91 * DAY_S,) * 2)
    stranger = path.with_name("journal.jsonl.notes")
    stranger.touch()
    os.utime(stranger, (0, 0))
    assert keep_now(path, RotationSettings(every="day", keep_s=90 * DAY_S)) == ["journal_file_removed"] * 3
    assert names(path) == [
        "journal.jsonl",
        "journal.jsonl.20260829T000000Z.gz",
        "journal.jsonl.20261125T000000Z",
        "journal.jsonl.notes",
    ]


def test_what_a_killed_router_left_half_compressed_is_begun_anew(path: Path) -> None:
    newest = rotated(path, 1)
    newest.with_name(f"{newest.name}.part").write_bytes(b"half")
    whole = rotated(path, 2)
    whole.with_name(f"{whole.name}.gz.part").write_bytes(b"half")
    done = rotated(path, 3)  # killed between the two names
    done.with_name(f"{done.name}.gz").write_bytes(b"what was there before")
    path.with_name("journal.jsonl.notes.part").touch()  # somebody else's
    keep_now(path)
    assert [name for name in names(path) if not name.endswith(".gz")] == [newest.name, "journal.jsonl.notes.part"]
    for file in (whole, done):
        assert gzip.decompress(file.with_name(f"{file.name}.gz").read_bytes()) == CONTENT


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_disk_that_is_full_costs_nothing_and_it_is_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    rotated(path, 1)
    file = rotated(path, 2)
    before = names(path)

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if call == "write":
            patch.setattr(gzip.GzipFile, "write", full)
        elif call == "fsync":
            patch.setattr(os, "fsync", full)
        else:
            patch.setattr(Path, "replace", full)
        assert keep_now(path) == ["journal_file_not_compressed"]
    assert names(path) == before
    assert file.read_bytes() == CONTENT
    assert keep_now(path) == ["journal_file_compressed"]


def test_a_folder_that_cannot_be_locked_is_told_of_and_left_alone(tmp_path: Path) -> None:
    assert keep_now(tmp_path / "none" / "journal.jsonl") == ["journal_files_not_kept"]


def test_a_file_that_is_still_written_to_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = rotated(path, 2)
    real = gzip.GzipFile.close

    def after_one_more(self: gzip.GzipFile) -> None:
        if not self.closed:
            with file.open("ab") as stream:
                stream.write(b"one more\n")
        real(self)

    monkeypatch.setattr(gzip.GzipFile, "close", after_one_more)
    with pytest.raises(OSError, match="it is being written to"):
        compress(file)
    assert file.read_bytes() == CONTENT + b"one more\n"
    assert names(path) == [file.name]


def test_who_has_the_lock_is_waited_for(path: Path) -> None:
    rotated(path, 1)
    file = rotated(path, 2)
    with folder_locked(path.parent):
        keeper = threading.Thread(target=keep, args=(path, DAILY))
        keeper.start()
        keeper.join(0.3)
        assert keeper.is_alive()
        assert file.exists()
    keeper.join(20)
    assert not file.exists()


def test_each_file_is_compressed_under_the_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for days in (1, 2, 3):
        rotated(path, days)
    tried = []

    def by_somebody_else(file: Path, _: object) -> None:
        with pytest.raises(TimeoutError), folder_locked(path.parent, wait_s=0):
            pass
        tried.append(file)

    monkeypatch.setattr(keeping, "compress", by_somebody_else)
    keep_now(path)
    assert len(tried) == 2


def test_a_lock_that_is_never_given_up_is_not_waited_for_without_end(path: Path) -> None:
    with (
        folder_locked(path.parent),
        pytest.raises(TimeoutError, match="somebody else is changing"),
        folder_locked(path.parent, wait_s=0.2),
    ):
        pass


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - that a file is there is no event
            await asyncio.sleep(0.01)


async def test_while_it_runs_files_are_rotated_without_calls_compressed_and_removed(path: Path) -> None:
    at = [datetime(2026, 11, 24, 23, 59, tzinfo=UTC)]
    rotation = RotationSettings(every="day", keep_s=3 * DAY_S)

    def now_s() -> float:
        return at[0].timestamp()

    writer = JournalWriter(path, rotation=rotation, now=lambda: at[0], clock=now_s)
    task = asyncio.create_task(Keeping(path, writer, rotation, look_every_s=0.01, now_s=now_s).run())
    for day in (25, 26):
        writer.write(decision("1.1").model_copy(update={"time": at[0]}))
        rotations = writer.rotations
        at[0] = datetime(2026, 11, day, 0, 0, 30, tzinfo=UTC)
        await until(lambda rotations=rotations: writer.rotations == rotations + 1)  # type: ignore[misc]
    packed = path.with_name("journal.jsonl.20261125T000030Z.gz")
    await until(packed.exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not [thread for thread in threading.enumerate() if thread.name == "journal-keeping"]
    writer.close()


async def test_a_router_that_stops_does_not_wait_for_a_file_to_be_compressed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotated(path, 1)
    file = rotated(path, 2)
    begun = threading.Event()
    real = gzip.GzipFile.write

    def slow(self: gzip.GzipFile, piece: bytes) -> int:
        begun.set()
        time.sleep(0.05)
        return real(self, piece)

    monkeypatch.setattr(gzip.GzipFile, "write", slow)
    monkeypatch.setattr(keeping, "_PIECE_BYTES", 1000)
    writer = JournalWriter(path)
    task = asyncio.create_task(Keeping(path, writer, DAILY).run())
    await until(begun.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert file.read_bytes() == CONTENT
    assert not [name for name in names(path) if name.endswith((".part", ".gz"))]
    writer.close()


async def test_without_rotation_there_is_nothing_to_do_for_ever(path: Path) -> None:
    writer = JournalWriter(path)
    task = asyncio.create_task(Keeping(path, writer, RotationSettings()).run())
    await asyncio.sleep(0)
    assert not [thread for thread in threading.enumerate() if thread.name == "journal-keeping"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    writer.close()


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="asks Linux for a thread's priority")
async def test_the_work_has_a_low_priority_and_calls_keep_theirs(path: Path) -> None:
    seen: list[int] = []

    def now_s() -> float:
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return NOW_S

    rotated(path, 1)
    writer = JournalWriter(path)
    rotation = RotationSettings(every="day", keep_s=90 * DAY_S)
    task = asyncio.create_task(Keeping(path, writer, rotation, now_s=now_s).run())
    await until(lambda: bool(seen))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen[0] == 10
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) < 10
    writer.close()
