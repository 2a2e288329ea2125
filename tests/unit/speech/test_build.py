from __future__ import annotations

import errno
import fcntl
import os
import wave
from pathlib import Path

import pytest

from router.errors import SpeechError
from router.speech import build as build_module
from router.speech import manifest
from router.speech.build import BuildReport, build_prompts
from router.speech.catalogue import Catalogue, Prompt
from router.speech.manifest import MANIFEST_NAME
from router.speech.profile import SpokenProfile
from tests.unit.speech.voice_like import voice_like_wav

STANDARD = SpokenProfile("standard")
UNHURRIED = SpokenProfile("unhurried", rate=0.85, sentence_pause_s=0.4, gain_db=3.0)
SLOW = SpokenProfile("slow", rate=0.7)
HELLO = Prompt("hello", "first", {"en": ("Hello.",), "zh": ("您好。",)})
BYE = Prompt("bye", "last", {"en": ("Goodbye.",)})


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Sounds as a PBX has them: recordings of its own in three folders."""
    put(tmp_path, "en/beep.wav", voice_like_wav(0.3))
    put(tmp_path, "en/digits/1.wav", voice_like_wav(0.5))
    put(tmp_path, "en/letters/a.wav", voice_like_wav(0.4))
    return tmp_path


def put(root: Path, name: str, content: bytes) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def build(
    sounds: Path, *prompts: Prompt, profiles: tuple[SpokenProfile, ...] = (STANDARD, UNHURRIED), **more: Path
) -> BuildReport:
    return build_prompts(Catalogue(prompts), profiles, ["en"], sounds, more)


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()} - {MANIFEST_NAME}


def duration_s(path: Path) -> float:
    with wave.open(str(path)) as wav:
        return float(wav.getnframes() / wav.getframerate())


def test_prompts_are_spoken_and_recordings_stretched_into_each_profile(sounds: Path) -> None:
    before = files(sounds)
    report = build(sounds, HELLO, BYE, profiles=(STANDARD, UNHURRIED, SLOW))
    slowed = {"beep.wav", "digits/1.wav", "letters/a.wav", "elder/hello.wav", "elder/bye.wav"}
    expected = {"en/elder/hello.wav", "en/elder/bye.wav"}
    expected |= {f"en_{profile}/{name}" for profile in ("unhurried", "slow") for name in slowed}
    assert files(sounds) - before == set(report.made) == expected
    assert [*report.failed, *report.kept, *report.removed, *report.left_alone] == []
    for profile in (UNHURRIED, SLOW):
        slowed_s = duration_s(sounds / f"en_{profile.name}/digits/1.wav")
        assert slowed_s == pytest.approx(0.5 / profile.rate, abs=0.001)


def test_building_again_makes_nothing_and_touches_nothing(sounds: Path) -> None:
    made = build(sounds, HELLO, BYE).made
    before = {path: path.stat().st_mtime_ns for path in sounds.rglob("*")}
    again = build(sounds, HELLO, BYE)
    assert (again.made, again.kept) == ((), made)
    assert {path: path.stat().st_mtime_ns for path in sounds.rglob("*")} == before


def test_a_changed_text_remakes_that_prompt_alone(sounds: Path) -> None:
    build(sounds, HELLO, BYE)
    changed = Prompt("hello", "first", {"en": ("Good morning.",)})
    report = build(sounds, changed, BYE)
    assert report.made == ("en/elder/hello.wav", "en_unhurried/elder/hello.wav")


def test_a_changed_recording_remakes_its_slow_version_alone(sounds: Path) -> None:
    build(sounds, HELLO)
    put(sounds, "en/digits/1.wav", voice_like_wav(0.8))
    assert build(sounds, HELLO).made == ("en_unhurried/digits/1.wav",)
    assert duration_s(sounds / "en_unhurried/digits/1.wav") == pytest.approx(0.8 / 0.85, abs=0.001)


@pytest.mark.parametrize(
    ("changed", "remade"),
    [
        (SpokenProfile("unhurried", 0.8, 0.4, 3.0), 4),
        (SpokenProfile("unhurried", 0.85, 0.4, 2.0), 4),
        (SpokenProfile("unhurried", 0.85, 0.5, 3.0), 1),  # recordings have no pauses of ours
    ],
)
def test_a_changed_profile_remakes_what_it_changes(sounds: Path, changed: SpokenProfile, remade: int) -> None:
    build(sounds, HELLO)
    report = build(sounds, HELLO, profiles=(STANDARD, changed))
    assert len(report.made) == remade
    assert all(path.startswith("en_unhurried/") for path in report.made)


def test_a_removed_prompt_is_removed_in_every_profile(sounds: Path) -> None:
    build(sounds, HELLO, BYE)
    assert build(sounds, HELLO).removed == ("en/elder/bye.wav", "en_unhurried/elder/bye.wav")
    assert not (sounds / "en/elder/bye.wav").exists()


def test_a_removed_profile_goes_with_its_directories_and_others_stay(sounds: Path) -> None:
    build(sounds, HELLO, profiles=(STANDARD, UNHURRIED, SLOW))
    report = build(sounds, HELLO, profiles=(STANDARD, UNHURRIED))
    assert len(report.removed) == 4
    assert not (sounds / "en_slow").exists()
    assert (sounds / "en_unhurried/digits/1.wav").exists()


def test_a_language_that_is_not_built_now_keeps_its_prompts(sounds: Path) -> None:
    build_prompts(Catalogue((HELLO,)), [STANDARD], ["en", "zh"], sounds)
    assert build(sounds, HELLO).removed == ()
    assert (sounds / "zh/elder/hello.wav").exists()


def test_somebody_elses_files_are_never_changed_or_removed(sounds: Path) -> None:
    own = put(sounds, "en_unhurried/digits/1.gsm", b"the operator's own")
    unrelated = put(sounds, "en_unhurried/elder/notes.txt", b"keep")
    report = build(sounds, HELLO)
    assert report.left_alone == ("en_unhurried/digits/1.wav",)
    build(sounds, profiles=(STANDARD,))
    assert (own.read_bytes(), unrelated.read_bytes()) == (b"the operator's own", b"keep")
    assert files(sounds) >= {"en_unhurried/digits/1.gsm", "en_unhurried/elder/notes.txt", "en/digits/1.wav"}


def test_a_file_of_ours_that_somebody_replaced_is_theirs(sounds: Path) -> None:
    build(sounds, HELLO)
    theirs = put(sounds, "en_unhurried/digits/1.wav", voice_like_wav(1.0))
    assert build(sounds, HELLO).left_alone == ("en_unhurried/digits/1.wav",)
    assert build(sounds, HELLO, profiles=(STANDARD,)).removed != ()
    assert theirs.exists()


def test_a_recording_of_a_prompt_wins_and_is_slowed(sounds: Path) -> None:
    build(sounds, HELLO)
    recording = voice_like_wav(2.0)
    put(sounds, "en/elder/hello.wav", recording)
    assert build(sounds, HELLO).made == ("en_unhurried/elder/hello.wav",)
    assert (sounds / "en/elder/hello.wav").read_bytes() == recording
    assert duration_s(sounds / "en_unhurried/elder/hello.wav") == pytest.approx(2.0 / 0.85, abs=0.001)


def test_one_bad_recording_is_reported_and_the_others_are_made(sounds: Path) -> None:
    put(sounds, "en/broken.wav", b"this is no sound")
    report = build(sounds, HELLO)
    assert [failure.path for failure in report.failed] == ["en_unhurried/broken.wav"]
    assert "sox failed" in report.failed[0].reason
    assert not (sounds / "en_unhurried/broken.wav").exists()
    assert len(report.made) == 5


def test_a_recording_that_goes_bad_keeps_its_earlier_slow_version(sounds: Path) -> None:
    build(sounds, HELLO)
    before = (sounds / "en_unhurried/digits/1.wav").read_bytes()
    put(sounds, "en/digits/1.wav", b"this is no sound")
    for _ in range(2):  # reported every time, until it is mended
        report = build(sounds, HELLO)
        assert [failure.path for failure in report.failed] == ["en_unhurried/digits/1.wav"]
        assert report.removed == ()
    assert (sounds / "en_unhurried/digits/1.wav").read_bytes() == before


def test_sounds_only_in_formats_that_cannot_be_read_are_one_failure(sounds: Path) -> None:
    for name in ("x", "y", "z"):
        put(sounds, f"en/{name}.g722", b"x")
    (failure,) = build(sounds, HELLO).failed
    assert failure.reason.startswith("3 sounds, such as x, are there only in formats")


def test_recordings_elsewhere_are_slowed_too_and_our_own_prompts_are_not_taken_for_recordings(tmp_path: Path) -> None:
    core = tmp_path / "share" / "en_US_f_Allison"
    put(core, "digits/1.wav", voice_like_wav(0.5))
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    (sounds / "en").symlink_to(core)  # as Debian lays them out
    first = build(sounds, HELLO, en=core)
    assert "en_unhurried/digits/1.wav" in first.made
    again = build(sounds, HELLO, en=core)
    assert (again.made, again.kept, again.removed) == ((), first.made, ())


def test_a_file_lost_or_emptied_is_made_again(sounds: Path) -> None:
    build(sounds, HELLO, BYE)
    (sounds / "en/elder/bye.wav").unlink()
    put(sounds, "en/elder/hello.wav", b"")
    assert build(sounds, HELLO, BYE).made == ("en/elder/bye.wav", "en/elder/hello.wav")


def test_a_full_disk_stops_the_build_with_advice_and_the_next_build_recovers(
    sounds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = manifest.replace_file
    writes = iter(range(100))

    def fills_up(path: Path, content: bytes) -> None:
        if next(writes) >= 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        real(path, content)

    monkeypatch.setattr(build_module, "replace_file", fills_up)
    with pytest.raises(SpeechError, match="No space left on device; make room on that disk"):
        build(sounds, HELLO, BYE)
    monkeypatch.undo()
    report = build(sounds, HELLO, BYE)
    assert report.left_alone == ()
    assert len(report.made) == 7


def test_a_directory_that_may_not_be_written_says_who_should_run_this(
    sounds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(path: Path, content: bytes) -> None:  # noqa: ARG001 - in place of replace_file
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(build_module, "replace_file", refuses)
    with pytest.raises(SpeechError, match="Permission denied; run this as the user that owns"):
        build(sounds, HELLO)


@pytest.mark.parametrize("program", ["sox", "espeak-ng"])
def test_a_missing_program_is_named_before_anything_is_written(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    only_others = tmp_path / "bin"
    only_others.mkdir()
    for other in {"sox", "espeak-ng"} - {program}:
        (only_others / other).symlink_to(f"/usr/bin/{other}")
    monkeypatch.setenv("PATH", str(only_others))
    before = files(sounds)
    with pytest.raises(SpeechError, match=f"{program}, which .* is not installed: install the package {program}"):
        build(sounds, HELLO)
    assert files(sounds) == before


def test_a_missing_directory_of_sounds_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpeechError, match=r"the directory of sounds .* is not a directory"):
        build(tmp_path / "nowhere", HELLO)


def test_a_second_build_at_the_same_time_is_refused(sounds: Path) -> None:
    other = os.open(sounds, os.O_RDONLY)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SpeechError, match="another build is at work"):
            build(sounds, HELLO)
    finally:
        os.close(other)


def test_progress_ends_at_all_files(sounds: Path) -> None:
    seen: list[tuple[int, int]] = []
    build_prompts(
        Catalogue((HELLO,)), [UNHURRIED], ["en"], sounds, on_progress=lambda done, total: seen.append((done, total))
    )
    assert seen[0] == (0, 5)
    assert seen[-1] == (5, 5)
