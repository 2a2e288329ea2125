"""Pass 1: what ends it costs nothing but the block that it was at, and nothing is left that was not asked for."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from router.callers.feed import manifest, pool, runs, source, spool
from router.callers.feed.block import Records
from router.callers.feed.manifest import Progress, feed_identity, identity_text
from router.callers.feed.pool import BlockWorker, Done
from router.callers.feed.source import Source
from router.callers.feed.spool import Spool, SpoolProgress
from router.callers.pseudonym import CallerSecret
from router.callers.settings import FeedSettings
from router.errors import ConfigurationError
from tests.unit.callers.feed.feeds import (
    BANDS,
    PLAIN,
    SECRET,
    TODAY,
    persons,
    rejected,
    settings_with,
    spooled,
    written,
)

ROOT = Path(__file__).parents[4]
ROWS = b"".join(
    b"10086,1940-01-31\n" if index % 50 == 0 else b"139%08d,%d-01-31\n" % (index % 3000, 1930 + index % 90)
    for index in range(4000)
)
FEED = b"number,birth_date\n" + ROWS

# Reads a feed in blocks of a page, and says so after each; with as many processes as told.
READER = """
import sys
from datetime import date
from pathlib import Path
from router.callers.feed import source, spool
from tests.unit.callers.feed.feeds import spooled
if __name__ == "__main__":
    source.BLOCK_BYTES, source._LEAST_BLOCK_BYTES, spool._SMALL_BYTES = 4096, 1, 0
    class Told(list):
        def append(self, progress):
            print(progress.rows, flush=True)
    spooled(Path(sys.argv[1]), workers=int(sys.argv[2]), told=Told())
    print("done", flush=True)
"""


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BLOCK_BYTES", 4096)
    monkeypatch.setattr(source, "_LEAST_BLOCK_BYTES", 1)
    monkeypatch.setattr(spool, "_SMALL_BYTES", 0)


def undisturbed(tmp_path: Path) -> tuple[dict[str, int], list[str], spool.FeedCounts]:
    folder = tmp_path / "undisturbed"
    folder.mkdir()
    path = written(folder, FEED)
    whole = spooled(path)
    return persons(whole), rejected(path), whole.counts


@contextmanager
def interrupted_after(monkeypatch: pytest.MonkeyPatch, blocks: int) -> Iterator[None]:
    """The reading of the block after so many fails."""
    read = BlockWorker.run_of
    left = blocks

    def run_of(worker: BlockWorker, data: bytes, first: int) -> Done:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return read(worker, data, first)

    with monkeypatch.context() as patch:
        patch.setattr(BlockWorker, "run_of", run_of)
        with pytest.raises(KeyboardInterrupt):
            yield


def test_what_was_read_before_an_interruption_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, FEED)
    for blocks in (5, 0, 7, 1):
        with interrupted_after(monkeypatch, blocks):
            spooled(path)
    told: list[SpoolProgress] = []
    resumed = spooled(path, told=told)
    assert (persons(resumed), rejected(path), resumed.counts) == undisturbed(tmp_path)
    assert 0 < told[0].rows == told[0].resumed_rows == resumed.resumed_rows < told[-1].rows == 4000
    assert told[0].done_bytes == 0, "of which rows to come could be reckoned only wrong"
    assert told[0].note == ""


def test_what_was_written_after_the_manifest_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, FEED)
    write, left = manifest.write_manifest, 4

    def stopped(folder: Path, of: Mapping[str, Any], state: Progress) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        write(folder, of, state)

    with monkeypatch.context() as patch:
        patch.setattr(spool, "write_manifest", stopped)
        with pytest.raises(KeyboardInterrupt):
            spooled(path)
    with interrupted_after(monkeypatch, 0):
        spooled(path)
    assert sorted(path.name for path in (tmp_path / "spool").glob("run-*")) == [f"run-{n:06d}" for n in range(4)]
    resumed = spooled(path)
    assert (persons(resumed), rejected(path), resumed.counts) == undisturbed(tmp_path)


def test_a_feed_that_was_read_to_its_end_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, FEED)
    first = spooled(path)
    (tmp_path / "rejects.csv").unlink()

    def never(*_: object) -> None:
        raise AssertionError("a block was read")

    monkeypatch.setattr(BlockWorker, "run_of", never)
    again = spooled(path)
    assert (persons(again), again.counts, again.identity) == (persons(first), first.counts, first.identity)
    assert again.resumed_rows == 4000
    assert len(rejected(path)) == 80


@pytest.mark.parametrize(
    ("differing", "why"),
    [
        ({"as_of": date(2025, 11, 24)}, "it was read by other settings"),
        ({"secret": CallerSecret(bytes(32))}, "it was read by other settings"),
        ({"home_region": "GB"}, "it was read by other settings"),
        ({"delta": True}, "it was read by other settings"),
        ({"feed": FeedSettings(age_band="band")}, "it was read by other settings"),
        ({"feed": FeedSettings(removed="gone")}, "it was read by other settings"),
        ({"feed": FeedSettings(bands=dict.fromkeys(("S", "E"), "elder"))}, "it was read by other settings"),
    ],
)
def test_what_was_read_by_other_settings_is_not_used_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, differing: dict[str, object], why: str
) -> None:
    path = written(tmp_path, FEED)
    with interrupted_after(monkeypatch, 3):
        spooled(path)
    told: list[SpoolProgress] = []
    changed = spooled(path, told=told, **differing)  # type: ignore[arg-type]
    assert told[0].note == f"what had been read is not used, as {why}"
    assert changed.resumed_rows == told[0].rows == 0
    assert changed.counts.read == 4000


def test_what_was_read_of_another_file_is_not_used_and_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, FEED)
    with interrupted_after(monkeypatch, 3):
        spooled(path)
    status = path.stat()
    path.write_bytes(FEED.replace(b"1940", b"1941"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # of the same size and time
    told: list[SpoolProgress] = []
    spooled(path, told=told)
    assert told[0].note == "what had been read is not used, as the file has changed"


@pytest.mark.parametrize("gone", ["run-000001", "rejects.csv", "a byte"])
def test_a_spool_of_which_a_part_is_gone_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    path = written(tmp_path, FEED)
    with interrupted_after(monkeypatch, 3):
        spooled(path)
    if gone == "a byte":
        os.truncate(tmp_path / "spool" / "run-000002", 10)
    else:
        (tmp_path / "spool" / gone).unlink()
    told: list[SpoolProgress] = []
    again = spooled(path, told=told)
    assert told[0].note == "what had been read is not used, as part of it is gone"
    assert (persons(again), rejected(path), again.counts) == undisturbed(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"of": {}, "progress": {"tally": {}}}', b"null"])
def test_a_manifest_that_cannot_be_read_is_as_none(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path, FEED)
    spooled(path)
    (tmp_path / "spool" / "spool.json").write_bytes(content)
    assert spooled(path).resumed_rows == 0


def test_all_is_for_its_owner_only_and_goes_with_the_spool(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        whole = spooled(written(tmp_path, FEED))
    finally:
        os.umask(umask)
    folder = tmp_path / "spool"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert (tmp_path / "rejects.csv").stat().st_mode & 0o777 == 0o600
    assert not any(b"139" in path.read_bytes() and path.name != "rejects.csv" for path in [folder / "spool.json"])
    whole.remove()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["callers.csv", "rejects.csv"]


def test_what_is_somebody_elses_in_the_folder_stays(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    spooled(written(tmp_path, FEED)).remove()
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_the_file_of_rejected_rows_replaces_another_at_once_and_only_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, FEED)
    (tmp_path / "rejects.csv").write_text("of yesterday")
    with interrupted_after(monkeypatch, 3):
        spooled(path)
    assert (tmp_path / "rejects.csv").read_text() == "of yesterday"
    spooled(path)
    assert (tmp_path / "rejects.csv").read_text().startswith("line,caller,reason\n2,,is a service number or lacks")


def test_formulas_are_none_in_the_file_of_rejected_rows(tmp_path: Path) -> None:
    path = written(tmp_path, b"number,birth_date\n+8613900000001,x\n=cmd()|1,1940-01-31\n")
    spooled(path)
    cells = [cell for line in rejected(path) for cell in line.split(",")]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    assert "'+86139****0001" in cells


def test_two_processes_do_not_read_into_one_folder(tmp_path: Path) -> None:
    path = written(tmp_path, FEED)
    messages: list[str] = []

    def in_between(_: SpoolProgress) -> None:
        if not messages:
            with pytest.raises(ConfigurationError) as raised:
                spooled(path)
            messages.append(str(raised.value))

    spool.spool_feed(
        path,
        feed=PLAIN,
        bands=BANDS,
        home_region="CN",
        as_of=TODAY,
        secret=SECRET,
        folder=tmp_path / "spool",
        rejects=None,
        delta=False,
        workers=0,
        progress=in_between,
    )
    assert "another process is reading a feed into this folder" in messages[0]


def test_a_file_that_is_changed_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, FEED)

    class Told(list[SpoolProgress]):
        def append(self, progress: SpoolProgress) -> None:
            if 0 < progress.rows < 2000:
                path.write_bytes(FEED + b"13900000001,1940-01-31\n")

    with pytest.raises(ConfigurationError, match="was changed while it was read; run this again when it is whole"):
        spooled(path, told=Told())
    assert spooled(path).counts.read == 4001


def test_a_file_that_takes_the_name_just_before_it_is_opened_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, FEED)
    opened = source.open_source

    def replaced_before(path: Path, feed: FeedSettings, *, delta: bool) -> Source:
        written(tmp_path, FEED + b"13900000001,1940-01-31\n", "other.csv").replace(path)
        return opened(path, feed, delta=delta)

    with monkeypatch.context() as patch:
        patch.setattr(spool, "open_source", replaced_before)
        with pytest.raises(ConfigurationError, match="was changed while it was read"):
            spooled(path)


def test_the_identity_is_the_files_and_then_that_of_all_it_was_read_by(tmp_path: Path) -> None:
    path = written(tmp_path, FEED)
    first = spooled(path).identity
    assert first.partition(".")[0] == identity_text(feed_identity(path))
    others = [
        spooled(path, home_region="DE"),
        spooled(path, as_of=date(2025, 11, 24)),
        spooled(path, delta=True),
        spooled(path, feed=settings_with(old="elder")),
        spooled(path, secret=CallerSecret(bytes(32))),
    ]
    identities = {first, *(other.identity for other in others)}
    assert len(identities) == 6
    assert len({identity.partition(".")[0] for identity in identities}) == 1


@pytest.mark.parametrize("name", [".spool.json.unfinished", "rejects.csv"])
def test_no_link_in_the_folder_is_written_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = written(tmp_path, FEED)
    content = b"somebody else's" * 1000
    victim = written(tmp_path, content, "victim")
    with interrupted_after(monkeypatch, 3):
        spooled(path)

    class Told(list[SpoolProgress]):
        def append(self, _: SpoolProgress) -> None:
            link = tmp_path / "spool" / name
            if not link.is_symlink():
                link.unlink(missing_ok=True)
                link.symlink_to(victim)

    (tmp_path / "spool" / name).unlink(missing_ok=True)
    (tmp_path / "spool" / name).symlink_to(victim)
    with suppress(ConfigurationError):
        spooled(path, told=Told())
    assert victim.read_bytes() == content


def test_a_folder_that_is_a_link_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir(mode=0o755)
    (tmp_path / "spool").symlink_to(tmp_path / "other")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        spooled(written(tmp_path, FEED))
    assert stat.S_IMODE((tmp_path / "other").stat().st_mode) == 0o755


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errno.ENOSPC, "the disk is full; what is read of a feed needs 11 bytes a row"),
        (errno.EACCES, "cannot be written: Permission denied"),
    ],
)
def test_a_disk_that_is_full_is_told_and_what_was_read_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, message: str
) -> None:
    path = written(tmp_path, FEED)
    write, left = runs.write_run, 4

    def full(folder: Path, records: Records) -> str:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(error, os.strerror(error))
        return write(folder, records)

    with monkeypatch.context() as patch:
        patch.setattr(pool, "write_run", full)
        with pytest.raises(ConfigurationError, match=message):
            spooled(path)
    resumed = spooled(path)
    assert resumed.resumed_rows > 0
    assert persons(resumed) == undisturbed(tmp_path)[0]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")
    with pytest.raises(ConfigurationError, match="cannot be written: File exists"):
        spooled(written(tmp_path, FEED))


@pytest.mark.parametrize("workers", [1, 3])
def test_processes_read_the_same_as_one(tmp_path: Path, workers: int) -> None:
    path = written(tmp_path, FEED)
    whole = spooled(path, workers=workers)
    assert (persons(whole), rejected(path), whole.counts) == undisturbed(tmp_path)
    assert not list((tmp_path / "spool").glob(".*"))


def test_a_process_that_is_killed_is_told_and_what_was_read_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, FEED)
    started: list[int] = []
    stop = pool._Pool.stop

    def kill_one(progress: SpoolProgress) -> None:
        if progress.rows > 500 and not started:
            started.extend(_children(os.getpid()))
            os.kill(started[0], signal.SIGKILL)

    class Told(list[SpoolProgress]):
        append = staticmethod(kill_one)

    stopped: list[bool] = []

    def stop_and_tell(of: pool._Pool) -> None:
        stop(of)
        stopped.append(True)

    monkeypatch.setattr(pool._Pool, "stop", stop_and_tell)
    with pytest.raises(ConfigurationError, match="a process that read the feed was killed, perhaps for want of memory"):
        spooled(path, workers=2, told=Told())
    assert stopped == [True]
    assert not set(started) & set(_children(os.getpid()))
    resumed = spooled(path)
    assert resumed.resumed_rows > 0
    assert (persons(resumed), rejected(path), resumed.counts) == undisturbed(tmp_path)


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_at_any_point_and_finished_it_is_the_same_as_undisturbed(tmp_path: Path, workers: int) -> None:
    path = written(tmp_path, FEED)
    rows = 0
    for blocks in (1, 0, 4, 9, 2):
        rows = max(rows, _killed_after(path, workers, blocks))
    assert rows > 0
    resumed: Spool = spooled(path)
    assert resumed.resumed_rows >= rows
    assert (persons(resumed), rejected(path), resumed.counts) == undisturbed(tmp_path)
    assert not list((tmp_path / "spool").glob("*.unfinished"))
    assert not list((tmp_path / "spool").glob(".*.unfinished"))


def _killed_after(path: Path, workers: int, blocks: int) -> int:
    """Read in a process of its own, which is killed when it has told of so many blocks; how many rows it told of."""
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(path), str(workers)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with reader:
        assert reader.stdout is not None
        rows = 0
        for _, line in zip(range(blocks + 1), reader.stdout, strict=False):
            assert line != "done\n"
            rows = int(line)
        children = _children(reader.pid)
        reader.kill()
    _until(lambda: not any(_is_alive(child) for child in children))
    return rows


def _children(pid: int) -> list[int]:
    """The processes that read for another; the one that only counts what spawned ones share is none of them."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and b"spawn_main" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return sorted(found)


def _is_alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _until(holds: Callable[[], bool], within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
