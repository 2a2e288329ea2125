from __future__ import annotations

import os
from pathlib import Path

import pytest

from router.errors import SpeechError
from router.speech.recordings import find_recordings, require_directory


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def test_sounds_are_found_in_all_folders_and_other_files_are_not(tmp_path: Path) -> None:
    touch(tmp_path, "hello.wav", "digits/1.gsm", "digits/1.txt", "README", ".hidden.wav", "letters/a.ulaw")
    found = find_recordings(tmp_path)
    assert list(found.sources) == ["digits/1", "hello", "letters/a"]
    assert found.unreadable == ()


def test_one_source_is_chosen_where_a_sound_has_several_formats(tmp_path: Path) -> None:
    touch(tmp_path, "a.gsm", "a.wav", "a.g722", "b.gsm", "b.ulaw")
    found = find_recordings(tmp_path)
    assert {name: path.suffix for name, path in found.sources.items()} == {"a": ".wav", "b": ".ulaw"}


def test_a_sound_only_in_formats_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "a.g722", "a.g729", "b.wav", "b.g722")
    assert find_recordings(tmp_path).unreadable == ("a",)


def test_files_to_pass_over_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "a.gsm")
    found = find_recordings(tmp_path, without={tmp_path / "a.wav"})
    assert found.sources == {"a": tmp_path / "a.gsm"}


def test_what_is_no_ordinary_file_is_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "waiting.wav")
    (tmp_path / "lost.wav").symlink_to("nowhere")
    (tmp_path / "folder.wav").mkdir()
    assert find_recordings(tmp_path).sources == {}


def test_links_to_other_directories_are_not_followed(tmp_path: Path) -> None:
    touch(tmp_path, "en/a.wav")
    (tmp_path / "en" / "again").symlink_to(tmp_path / "en")
    assert list(find_recordings(tmp_path / "en").sources) == ["a"]


def test_a_missing_directory_has_no_recordings(tmp_path: Path) -> None:
    assert find_recordings(tmp_path / "nowhere").sources == {}


def test_a_link_to_nowhere_is_explained(tmp_path: Path) -> None:
    (tmp_path / "en").symlink_to("/etc/alternatives/no-such-prompts")
    with pytest.raises(SpeechError, match="is a link to /etc/alternatives/no-such-prompts, which is not there"):
        require_directory(tmp_path / "en", what="the directory")
    with pytest.raises(SpeechError, match="is not a directory"):
        require_directory(tmp_path / "zh", what="the directory")


def test_the_best_source_depends_on_what_is_readable(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "a.sln16", "b.g722", "b.wav")
    found = find_recordings(tmp_path, readable=[".sln16", ".g722", ".wav"])
    assert {name: path.suffix for name, path in found.sources.items()} == {"a": ".sln16", "b": ".g722"}
