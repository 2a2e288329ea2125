"""What was spoken is kept within its bounds, whole, and never deleted under whoever is about to play it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import SpeechError
from router.speech.spoken import GRACE_S, MARK_EVERY_S, SpokenFiles, is_name

DAY_S = 86_400.0


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def name(n: int) -> str:
    return f"{n:064x}"


def files_in(folder: Path, clock: Clock, *, most_bytes: int = 1000, keep_s: float = DAY_S) -> SpokenFiles:
    return SpokenFiles(folder, ("ulaw", "alaw"), most_bytes=most_bytes, keep_s=keep_s, clock=clock)


def write(files: SpokenFiles, n: int, size: int = 100) -> None:
    files.write(name(n), {"ulaw": b"u" * (size // 2), "alaw": b"a" * (size // 2)})


def test_what_was_written_is_found_and_everybody_may_read_it(tmp_path: Path, clock: Clock) -> None:
    files = files_in(tmp_path / "spoken", clock)
    before = os.umask(0o077)
    try:
        write(files, 1)
    finally:
        os.umask(before)
    assert files.find(name(1))
    assert not files.find(name(2))
    assert files.stem(name(1)) == str(tmp_path / "spoken" / name(1))
    assert stat.S_IMODE((tmp_path / "spoken").stat().st_mode) == 0o755
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "spoken").iterdir()} == {0o644}
    assert sorted(file.suffix for file in (tmp_path / "spoken").iterdir()) == [".alaw", ".ulaw"]


def test_when_there_is_no_room_what_was_played_longest_ago_goes_first(tmp_path: Path, clock: Clock) -> None:
    files = files_in(tmp_path, clock, most_bytes=300)
    for n in (1, 2, 3):
        write(files, n)
        clock.now += 1
    assert files.find(name(1))
    clock.now += GRACE_S + 1
    write(files, 4)
    assert [files.find(name(n)) for n in (1, 2, 3, 4)] == [True, False, True, True]
    assert files.kept_bytes == 300
    assert len(list(tmp_path.iterdir())) == 6


def test_what_was_just_answered_is_not_deleted_for_room(tmp_path: Path, clock: Clock) -> None:
    files = files_in(tmp_path, clock, most_bytes=200)
    write(files, 1)
    write(files, 2)
    clock.now += GRACE_S + 1
    assert files.find(name(1))
    write(files, 3)  # instead of 2
    with pytest.raises(SpeechError, match="raise `most_mb`"):
        write(files, 4)
    assert files.find(name(1))
    assert files.find(name(3))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(2, 500), st.floats(0, 200)), max_size=40))
def test_never_more_is_kept_than_may_be(steps: list[tuple[int, int, float]]) -> None:
    import tempfile  # noqa: PLC0415 - one folder for each example

    clock = Clock()
    with tempfile.TemporaryDirectory() as directory:
        files = files_in(Path(directory), clock)
        for n, size, passes_s in steps:
            clock.now += passes_s
            try:
                write(files, n, size)
            except SpeechError:
                continue
            assert files.find(name(n))
        there = sum(file.stat().st_size for file in Path(directory).iterdir())
        assert there == files.kept_bytes <= 1000


def test_what_was_not_played_for_long_is_deleted(tmp_path: Path, clock: Clock) -> None:
    files = files_in(tmp_path, clock, most_bytes=100_000)
    for n in range(100):
        write(files, n)
    clock.now += DAY_S - 1
    assert files.find(name(1))
    clock.now += 2
    files.expire()
    assert files.find(name(1))
    assert not files.find(name(2))
    assert files.kept_bytes == 100
    assert len(list(tmp_path.iterdir())) == 2


def test_the_next_run_takes_up_what_it_finds_and_sweeps_what_is_of_no_use(tmp_path: Path, clock: Clock) -> None:
    files = files_in(tmp_path, clock)
    for n in (1, 2, 3, 4):
        write(files, n)
        for suffix in ("ulaw", "alaw"):
            os.utime(tmp_path / f"{name(n)}.{suffix}", (clock.now, clock.now))
    (tmp_path / f"{name(2)}.alaw").unlink()
    (tmp_path / f"{name(3)}.alaw").write_bytes(b"")
    for suffix in ("ulaw", "alaw"):
        os.utime(tmp_path / f"{name(4)}.{suffix}", (clock.now - 2 * DAY_S, clock.now - 2 * DAY_S))
    (tmp_path / f".{name(5)}.ulaw.elder-tmp").write_bytes(b"half")
    for file in tmp_path.iterdir():
        if not file.name.startswith(name(4)):
            os.utime(file, (clock.now - GRACE_S - 1, clock.now - GRACE_S - 1))
    (tmp_path / "README").write_text("somebody else's")
    (tmp_path / f"{name(6)}.ulaw").symlink_to("/etc/passwd")
    again = files_in(tmp_path, clock)
    again.adopt()
    assert [again.find(name(n)) for n in (1, 2, 3, 4)] == [True, False, False, False]
    assert again.kept_bytes == 100
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(
        [f"{name(1)}.alaw", f"{name(1)}.ulaw", "README", f"{name(6)}.ulaw"]
    )


def test_what_is_being_written_while_it_is_taken_up_is_left_alone(tmp_path: Path, clock: Clock) -> None:
    files = files_in(tmp_path, clock, most_bytes=200)
    for n in (1, 2):
        write(files, n)
        for suffix in ("ulaw", "alaw"):
            os.utime(tmp_path / f"{name(n)}.{suffix}", (clock.now - n * GRACE_S, clock.now - n * GRACE_S))
    for half in (f"{name(3)}.ulaw", f".{name(3)}.alaw.elder-tmp"):
        (tmp_path / half).write_bytes(b"x" * 50)
        os.utime(tmp_path / half, (clock.now, clock.now))
    again = files_in(tmp_path, clock, most_bytes=200)
    write(again, 4)
    again.adopt()
    assert (tmp_path / f"{name(3)}.ulaw").exists()
    assert (tmp_path / f".{name(3)}.alaw.elder-tmp").exists()
    assert [again.find(name(n)) for n in (1, 2, 4)] == [True, False, True], "the oldest goes first, whatever came first"
    assert again.kept_bytes == 200


def test_a_clock_that_is_put_back_does_not_keep_anything_for_ever(tmp_path: Path, clock: Clock) -> None:
    files = files_in(tmp_path, clock, most_bytes=200)
    write(files, 1)
    write(files, 2)
    clock.now -= DAY_S
    write(files, 3)
    assert [files.find(name(n)) for n in (1, 2, 3)] == [False, True, True]


def test_while_much_is_deleted_others_find_what_they_look_for(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_in(tmp_path, clock, most_bytes=10_000)
    for n in range(100):
        write(files, n)
    clock.now += GRACE_S + 1
    free: list[bool] = []
    again = files_in(tmp_path, clock, most_bytes=100)
    for file in tmp_path.iterdir():
        os.utime(file, (clock.now - GRACE_S - 1, clock.now - GRACE_S - 1))
    monkeypatch.setattr("router.speech.spoken.time.sleep", lambda _: free.append(not again._lock.locked()))
    again.adopt()
    assert again.kept_bytes == 100
    assert len(free) >= 4
    assert all(free)


def test_that_it_was_played_is_known_after_the_next_start(tmp_path: Path, clock: Clock) -> None:
    files = files_in(tmp_path, clock)
    write(files, 1)
    old = clock.now
    for file in tmp_path.iterdir():
        os.utime(file, (old, old))
    clock.now += MARK_EVERY_S
    assert files.find(name(1))
    assert all(file.stat().st_mtime != old for file in tmp_path.iterdir())


def test_what_somebody_else_has_deleted_is_not_answered(tmp_path: Path, clock: Clock) -> None:
    files = files_in(tmp_path, clock)
    write(files, 1)
    (tmp_path / f"{name(1)}.ulaw").unlink()
    assert not files.find(name(1))
    assert files.kept_bytes == 0
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_taken_away_is_made_again(tmp_path: Path, clock: Clock) -> None:
    files = files_in(tmp_path / "spoken", clock)
    files.adopt()
    write(files, 1)
    for file in (tmp_path / "spoken").iterdir():
        file.unlink()
    (tmp_path / "spoken").rmdir()
    assert not files.find(name(1))
    write(files, 1)
    assert files.find(name(1))


def test_a_link_that_somebody_has_laid_is_not_written_through(tmp_path: Path, clock: Clock) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    folder = tmp_path / "spoken"
    folder.mkdir()
    (folder / f".{name(1)}.ulaw.elder-tmp").symlink_to(precious)
    with pytest.raises(OSError, match="symbolic links"):
        write(files_in(folder, clock), 1)
    assert precious.read_text() == "mine"
    assert list(folder.iterdir()) == []
    write(files_in(folder, clock), 1)


def test_what_cannot_be_written_is_not_kept_and_leaves_nothing(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "spoken").write_text("a file where the folder should be")
    files = files_in(tmp_path / "spoken", clock)
    with pytest.raises(OSError, match="spoken"):
        write(files, 1)
    assert not files.find(name(1))
    assert files.kept_bytes == 0


@pytest.mark.parametrize("folder", ["/var/a,b", "/var/a&b", "/var/a b", "/var/${X}", "relative", "/var/a\nb"])
def test_a_folder_that_asterisk_could_not_be_told_of_is_refused(folder: str, clock: Clock) -> None:
    with pytest.raises(SpeechError, match="absolute path of letters"):
        files_in(Path(folder), clock)


def test_a_name_is_a_digest_and_nothing_else() -> None:
    assert is_name(name(7))
    for other in ("", "../" + name(7)[3:], name(7).upper().replace("7", "A"), name(7) + "0", name(7)[:-1] + "\n"):
        assert not is_name(other)
