from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import wave
from collections.abc import Sequence
from pathlib import Path

import pytest

from router.errors import SpeechError
from router.speech import making as making_module
from router.speech import manifest
from router.speech.build import BuildReport, build_prompts
from router.speech.catalogue import Catalogue, Prompt
from router.speech.engines import Voices
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
    return build_prompts(Catalogue(prompts), profiles, ["en"], sounds, more, formats=["wav"])


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
    build_prompts(Catalogue((HELLO,)), [STANDARD], ["en", "zh"], sounds, formats=["wav"])
    assert build(sounds, HELLO).removed == ()
    assert (sounds / "zh/elder/hello.wav").exists()


def test_somebody_elses_files_are_never_changed_or_removed(sounds: Path) -> None:
    own = put(sounds, "en_unhurried/digits/1.gsm", b"the operator's own")
    unrelated = put(sounds, "en_unhurried/elder/notes.txt", b"keep")
    report = build(sounds, HELLO)
    assert report.left_alone == ("en_unhurried/digits/1",)
    build(sounds, profiles=(STANDARD,))
    assert (own.read_bytes(), unrelated.read_bytes()) == (b"the operator's own", b"keep")
    assert files(sounds) >= {"en_unhurried/digits/1.gsm", "en_unhurried/elder/notes.txt", "en/digits/1.wav"}


def test_a_file_of_ours_that_somebody_replaced_is_theirs(sounds: Path) -> None:
    build(sounds, HELLO)
    theirs = put(sounds, "en_unhurried/digits/1.wav", voice_like_wav(1.0))
    assert build(sounds, HELLO).left_alone == ("en_unhurried/digits/1",)
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
    assert [failure.path for failure in report.failed] == ["en_unhurried/broken"]
    assert "sox failed" in report.failed[0].reason
    assert not (sounds / "en_unhurried/broken.wav").exists()
    assert len(report.made) == 5


def test_a_recording_that_goes_bad_keeps_its_earlier_slow_version(sounds: Path) -> None:
    build(sounds, HELLO)
    before = (sounds / "en_unhurried/digits/1.wav").read_bytes()
    put(sounds, "en/digits/1.wav", b"this is no sound")
    for _ in range(2):  # reported every time, until it is mended
        report = build(sounds, HELLO)
        assert [failure.path for failure in report.failed] == ["en_unhurried/digits/1"]
        assert report.removed == ()
    assert (sounds / "en_unhurried/digits/1.wav").read_bytes() == before


def test_sounds_only_in_formats_that_cannot_be_read_are_one_failure(sounds: Path) -> None:
    for name in ("x", "y", "z"):
        put(sounds, f"en/{name}.g729", b"x")
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

    monkeypatch.setattr(making_module, "replace_file", fills_up)
    with pytest.raises(SpeechError, match="No space left on device; make room on that disk"):
        build(sounds, HELLO, BYE)
    monkeypatch.undo()
    report = build(sounds, HELLO, BYE)
    assert report.left_alone == ()
    # What was written before the disk was full need not be made again, as far as it was noticed.
    assert len(report.made) + len(report.kept) == 7
    assert len(report.made) >= 5
    assert len(files(sounds)) == 3 + 7


def test_a_disk_that_fills_up_between_two_formats_leaves_nothing_that_is_taken_for_somebody_elses(
    sounds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = manifest.replace_file

    def fills_up(path: Path, content: bytes) -> None:
        if path.suffix == ".alaw":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        real(path, content)

    monkeypatch.setattr(making_module, "replace_file", fills_up)
    with pytest.raises(SpeechError, match="No space left on device"):
        build_prompts(Catalogue((HELLO,)), [UNHURRIED], ["en"], sounds)
    monkeypatch.undo()
    assert list(sounds.rglob("*.ulaw"))
    report = build_prompts(Catalogue((HELLO,)), [UNHURRIED], ["en"], sounds)
    assert (report.left_alone, len(report.made) + len(report.kept)) == ((), 10)


def test_a_directory_that_may_not_be_written_says_who_should_run_this(
    sounds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(path: Path, content: bytes) -> None:  # noqa: ARG001 - in place of replace_file
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(making_module, "replace_file", refuses)
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


def build_all(sounds: Path, *prompts: Prompt, formats: Sequence[str] = ("ulaw", "alaw"), **more: Path) -> BuildReport:
    return build_prompts(Catalogue(prompts), [STANDARD, UNHURRIED], None, sounds, more, formats=formats)


def test_every_sound_is_made_in_every_format_that_calls_are_played_from(sounds: Path) -> None:
    build_all(sounds, HELLO)
    for sound in ("en/elder/hello", "en_unhurried/elder/hello", "en_unhurried/digits/1"):
        ulaw, alaw = ((sounds / f"{sound}{suffix}").stat().st_size for suffix in (".ulaw", ".alaw"))
        assert ulaw == alaw > 1000
    assert (sounds / "en_unhurried/digits/1.ulaw").stat().st_size == pytest.approx(8000 * 0.5 / 0.85, abs=2)


def test_another_format_is_added_and_one_that_is_no_longer_wanted_is_removed(sounds: Path) -> None:
    before = files(sounds)
    build_all(sounds, HELLO, formats=["ulaw", "alaw"])
    report = build_all(sounds, HELLO, formats=["ulaw", "wav"])
    assert {path.rpartition(".")[2] for path in report.made} == {"wav"}
    assert {path.rpartition(".")[2] for path in report.removed} == {"alaw"}
    assert {path.rpartition(".")[2] for path in report.kept} == {"ulaw"}
    build_all(sounds, HELLO, formats=["sln16"])
    assert {Path(path).suffix for path in files(sounds) - before} == {".sln16"}
    assert (sounds / "en_unhurried/digits/1.sln16").stat().st_size == pytest.approx(2 * 16000 * 0.5 / 0.85, abs=4)


def test_wide_and_narrow_formats_are_equally_long(sounds: Path) -> None:
    build_all(sounds, HELLO, formats=["ulaw", "sln16"])
    for path in sounds.rglob("*.ulaw"):
        wide = path.with_suffix(".sln16").stat().st_size
        assert wide / 4 == pytest.approx(path.stat().st_size, abs=2)


def test_a_format_that_cannot_be_made_is_named_with_those_that_can(sounds: Path) -> None:
    with pytest.raises(SpeechError, match="'mp3' is not a sound format that can be made: choose among ulaw, alaw"):
        build_all(sounds, formats=["mp3"])


def test_a_recording_put_beside_ours_in_another_format_takes_its_place_in_all_formats(sounds: Path) -> None:
    build_all(sounds, HELLO)
    put(sounds, "en/elder/hello.wav", voice_like_wav(2.0))
    report = build_all(sounds, HELLO)
    assert report.removed == ("en/elder/hello.alaw", "en/elder/hello.ulaw")
    assert (sounds / "en_unhurried/elder/hello.ulaw").stat().st_size == pytest.approx(8000 * 2.0 / 0.85, abs=2)


def test_a_slow_recording_put_beside_ours_in_another_format_takes_its_place_in_all_formats(sounds: Path) -> None:
    build_all(sounds, HELLO)
    own = put(sounds, "en_unhurried/digits/1.gsm", b"the operator's own")
    report = build_all(sounds, HELLO)
    assert report.left_alone == ("en_unhurried/digits/1",)
    assert report.removed == ("en_unhurried/digits/1.alaw", "en_unhurried/digits/1.ulaw")
    assert list((sounds / "en_unhurried/digits").iterdir()) == [own]


def test_a_prompt_with_variables_is_spoken_in_calls_only(sounds: Path) -> None:
    place = Prompt("place", "waiting", {"en": ("You are number {position}.",)}, variables={"position": "number"})
    report = build_all(sounds, place)
    assert not [path for path in report.made if "elder" in path]
    assert report.failed == ()


def test_words_of_asterisks_own_are_spoken_for_a_language_without_recordings_of_them(sounds: Path) -> None:
    one = Prompt("one", "numbers", {"zh": ("一",), "en": ("One",)}, core_sound="digits/1")
    made = build_all(sounds, one).made
    assert {"zh/digits/1.ulaw", "zh_unhurried/digits/1.ulaw"} <= set(made)
    assert "en/digits/1.ulaw" not in made  # recorded


def test_a_studio_recording_is_converted_for_the_base_and_stretched_for_the_profiles(
    sounds: Path, tmp_path: Path
) -> None:
    studio = put(tmp_path, "studio/hello.wav", voice_like_wav(2.0))
    hello = Prompt("hello", "first", {"en": ("Hello.",)}, recording={"en": studio})
    build_all(sounds, hello)
    assert (sounds / "en/elder/hello.ulaw").stat().st_size == 8000 * 2
    assert (sounds / "en_unhurried/elder/hello.ulaw").stat().st_size == pytest.approx(8000 * 2.0 / 0.85, abs=2)
    studio.unlink()
    report = build_all(sounds, hello)
    assert [failure.path for failure in report.failed] == ["en/elder/hello", "en_unhurried/elder/hello"]
    assert "let this user read it" in report.failed[0].reason
    assert report.removed == ()
    os.mkfifo(studio)
    assert "is no ordinary file" in build_all(sounds, hello).failed[0].reason
    shouted = Prompt("hello", "first", {"en": ("Hello.",)}, recording={"en": studio.with_suffix(".mp3")})
    assert "is in no format that can be read here" in build_all(sounds, shouted).failed[0].reason


def test_every_language_installed_is_slowed_under_all_its_names(tmp_path: Path) -> None:
    for name in ("fr_CA_f_June", "es_MX_f_Allison"):
        put(tmp_path, f"{name}/digits/1.wav", voice_like_wav(0.5))
    put(tmp_path, "custom/1.wav", voice_like_wav(0.5))
    (tmp_path / "fr").symlink_to("fr_CA_f_June")
    (tmp_path / "fr_CA").symlink_to("fr_CA_f_June")
    report = build_all(tmp_path)
    slowed = tmp_path / "fr_CA_unhurried"
    assert "fr_unhurried/digits/1.ulaw" in report.made
    assert (slowed.readlink(), (slowed / "digits/1.ulaw").exists()) == (Path("fr_unhurried"), True)
    assert "es_MX_f_Allison_unhurried/digits/1.ulaw" in report.made
    assert not (tmp_path / "custom_unhurried").exists()
    again = build_all(tmp_path)
    assert (again.made, again.removed, again.kept) == ((), (), report.made)
    without = build_prompts(Catalogue(()), [STANDARD], None, tmp_path)
    assert not slowed.is_symlink()
    assert not [path for path in tmp_path.iterdir() if "unhurried" in path.name]
    assert len(without.removed) == len(report.made) + 2


def test_a_language_that_gets_another_name_and_loses_it_is_slowed_under_the_names_it_has(tmp_path: Path) -> None:
    put(tmp_path, "fr_CA_f_June/digits/1.wav", voice_like_wav(0.5))
    slowed = tmp_path / "fr_CA_f_June_unhurried"
    build_all(tmp_path)
    assert (slowed / "digits/1.ulaw").is_file()
    (tmp_path / "fr").symlink_to("fr_CA_f_June")
    build_all(tmp_path)
    assert slowed.readlink() == Path("fr_unhurried")
    (tmp_path / "fr").unlink()
    report = build_all(tmp_path)
    assert (report.failed, report.left_alone) == ((), ())
    assert not slowed.is_symlink()
    assert (slowed / "digits/1.ulaw").is_file()
    assert not (tmp_path / "fr_unhurried").exists()


def test_a_directory_of_somebody_elses_is_not_made_a_link(tmp_path: Path) -> None:
    put(tmp_path, "fr_CA_f_June/digits/1.wav", voice_like_wav(0.5))
    (tmp_path / "fr").symlink_to("fr_CA_f_June")
    own = put(tmp_path, "fr_CA_f_June_unhurried/digits/1.wav", b"the operator's own")
    assert build_all(tmp_path).left_alone == ("fr_CA_f_June_unhurried",)
    assert own.read_bytes() == b"the operator's own"


def test_a_regional_language_is_slowed_with_all_that_it_hears_from_its_parent(sounds: Path) -> None:
    put(sounds, "en_GB/digits/2.wav", voice_like_wav(0.5))
    made = build_all(sounds, HELLO).made
    assert {f"en_GB_unhurried/{name}.ulaw" for name in ("digits/1", "digits/2", "elder/hello")} <= set(made)
    assert not (sounds / "en_GB/elder").exists()  # found in en
    assert (sounds / "en_GB_unhurried/elder/hello.ulaw").read_bytes() == (
        sounds / "en_unhurried/elder/hello.ulaw"
    ).read_bytes()


def test_a_link_to_nowhere_is_told_and_what_was_made_for_that_language_stays(sounds: Path) -> None:
    put(sounds, "fr_there/digits/1.wav", voice_like_wav(0.5))
    (sounds / "fr").symlink_to("fr_there")
    build_all(sounds)
    (sounds / "fr").unlink()
    (sounds / "fr").symlink_to("/nowhere/asterisk-prompt-fr")
    report = build_all(sounds)
    (failure,) = report.failed
    assert failure.path == "fr"
    assert "is a link to /nowhere/asterisk-prompt-fr, which is not there" in failure.reason
    assert (sounds / "fr_unhurried/digits/1.ulaw").exists()


def test_a_language_without_a_voice_is_told_once_and_its_recordings_are_slowed(sounds: Path) -> None:
    put(sounds, "xx/digits/1.wav", voice_like_wav(0.5))
    text = {"xx": ("Hxy.",)}
    prompts = [Prompt("hello", "first", text), Prompt("bye", "last", text)]
    report = build_prompts(Catalogue(tuple(prompts)), [UNHURRIED], None, sounds, engine=Voices({}))
    assert [failure.path for failure in report.failed] == ["xx"]
    assert "there is no voice for xx" in report.failed[0].reason
    assert "xx_unhurried/digits/1.ulaw" in report.made


@pytest.mark.parametrize("prompts", [(HELLO,), ()], ids=["still wanted", "no longer wanted"])
def test_a_build_that_was_killed_is_repaired_by_the_next(
    sounds: Path, monkeypatch: pytest.MonkeyPatch, prompts: tuple[Prompt, ...]
) -> None:
    class Killed(BaseException):
        pass

    def dies(path: Path, content: bytes) -> None:
        if path.name == "hello.ulaw":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content[:10])
            path.with_name(".hello.ulaw.elder-tmp").write_bytes(content[:10])
            monkeypatch.setattr(making_module, "save_manifest", lambda *_: None)
            raise Killed
        manifest.replace_file(path, content)

    monkeypatch.setattr(making_module, "replace_file", dies)
    with pytest.raises(Killed):
        build_all(sounds, HELLO)
    monkeypatch.undo()
    report = build_all(sounds, *prompts)
    assert (report.left_alone, report.failed) == ((), ())
    assert not list(sounds.rglob("*.elder-tmp"))
    build_all(sounds, HELLO)
    assert (sounds / "en/elder/hello.ulaw").stat().st_size == (sounds / "en/elder/hello.alaw").stat().st_size > 1000


def test_slow_prompts_are_not_written_through_a_link_over_those_at_the_usual_speed(
    sounds: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    link = sounds / "en_unhurried"
    link.symlink_to("en")
    report = build(sounds, HELLO)
    assert [failure.path for failure in report.failed] == ["en"]
    assert "en_unhurried is a link to en, whose sounds would be written over: remove" in report.failed[0].reason
    assert not (sounds / "en/elder").exists()
    link.unlink()
    link.symlink_to(tmp_path_factory.mktemp("another-disk"))
    assert len(build(sounds, HELLO).made) == 5


def test_a_wider_format_remakes_the_narrow_ones_as_a_clean_build_makes_them(sounds: Path, tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    (clean / "en").mkdir(parents=True)
    (clean / "en/beep.wav").write_bytes((sounds / "en/beep.wav").read_bytes())
    build_prompts(Catalogue((HELLO,)), [UNHURRIED], ["en"], sounds, formats=["ulaw"])
    for root in (sounds, clean):
        build_prompts(Catalogue((HELLO,)), [UNHURRIED], ["en"], root, formats=["ulaw", "sln16"])
    for name in ("en/elder/hello.ulaw", "en_unhurried/elder/hello.ulaw", "en_unhurried/beep.ulaw"):
        assert (sounds / name).read_bytes() == (clean / name).read_bytes()


def test_a_link_made_by_a_build_that_was_killed_is_known_as_ours(sounds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def dies(path: Path, target: str) -> None:
        manifest.replace_link(path, target)
        monkeypatch.setattr(making_module, "save_manifest", lambda *_: None)
        raise Killed

    (sounds / "en_US").symlink_to("en")
    monkeypatch.setattr(making_module, "replace_link", dies)
    with pytest.raises(Killed):
        build_all(sounds)
    monkeypatch.undo()
    assert (sounds / "en_US_unhurried").is_symlink()
    assert build_all(sounds).left_alone == ()
    build_prompts(Catalogue(()), [], None, sounds)
    assert not (sounds / "en_US_unhurried").is_symlink()


def test_one_worker_makes_what_many_make(sounds: Path) -> None:
    contents = []
    for workers in (1, 4):
        build_prompts(Catalogue((HELLO,)), [UNHURRIED], ["en"], sounds, workers=workers)
        contents.append({path: path.read_bytes() for path in sounds.rglob("*.ulaw")})
        build_prompts(Catalogue(()), [], ["en"], sounds)
    assert contents[0] == contents[1] != {}


def test_the_real_sounds_of_other_languages_are_read_whatever_their_format(sounds: Path) -> None:
    put(sounds, "es/digits/1.gsm", through_sox(voice_like_wav(0.5), "-t", "gsm"))
    assert "es_unhurried/digits/1.ulaw" in build_all(sounds).made
    assert (sounds / "es_unhurried/digits/1.ulaw").stat().st_size == pytest.approx(8000 * 0.5 / 0.85, abs=200)


def test_g722_needs_ffmpeg_and_says_so(sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(sounds, "fr/digits/1.g722", bytes(4000))
    only_needed = tmp_path / "bin"
    only_needed.mkdir()
    for program in ("sox", "espeak-ng"):
        (only_needed / program).symlink_to(f"/usr/bin/{program}")
    monkeypatch.setenv("PATH", str(only_needed))
    (failure,) = build_all(sounds).failed
    assert "1 sounds, such as digits/1, are there only in formats that cannot be read here" in failure.reason
    assert "ffmpeg for g722" in failure.reason


def through_sox(wav: bytes, *output: str) -> bytes:
    return subprocess.run(
        ["sox", "-D", "-t", "wav", "-", *output, "-"], input=wav, capture_output=True, check=True
    ).stdout
