from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from router.errors import SpeechError
from router.speech.manifest import (
    MANIFEST_NAME,
    Made,
    digest,
    load_manifest,
    remove_unfinished,
    replace_file,
    replace_link,
    save_manifest,
)


def write(root: Path, name: str, content: bytes) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_what_was_saved_is_read_again(tmp_path: Path) -> None:
    write(tmp_path, "en/elder/a.wav", b"sound")
    made = {"en/elder/a.wav": Made(language="en", key="k", sha256=digest(b"sound"))}
    save_manifest(tmp_path, made)
    assert load_manifest(tmp_path) == made


def test_a_directory_without_a_manifest_holds_nothing_of_ours(tmp_path: Path) -> None:
    write(tmp_path, "en/elder/a.wav", b"sound")
    assert load_manifest(tmp_path) == {}


def test_a_file_that_was_replaced_or_removed_is_no_longer_ours(tmp_path: Path) -> None:
    save_manifest(
        tmp_path,
        {name: Made(language="en", key="k", sha256=digest(b"sound")) for name in ("en/a.wav", "en/gone.wav")},
    )
    write(tmp_path, "en/a.wav", b"somebody's own recording")
    os.mkfifo(tmp_path / "en/gone.wav")
    assert load_manifest(tmp_path) == {}


def test_a_file_that_was_about_to_be_written_is_ours_whatever_is_in_it(tmp_path: Path) -> None:
    save_manifest(tmp_path, {"en/a.wav": Made(language="en", key="")})
    write(tmp_path, "en/a.wav", b"half a sou")
    assert "en/a.wav" in load_manifest(tmp_path)


def test_a_file_emptied_by_a_power_cut_is_ours_and_must_be_made_again(tmp_path: Path) -> None:
    save_manifest(tmp_path, {"en/a.wav": Made(language="en", key="k", sha256=digest(b"sound"))})
    write(tmp_path, "en/a.wav", b"")
    assert load_manifest(tmp_path)["en/a.wav"].sha256 == ""


@pytest.mark.parametrize("name", ["../etc/passwd", "/etc/passwd", "en/../../x", ""])
def test_a_manifest_that_leads_out_of_the_directory_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path, MANIFEST_NAME, b'{"version":1,"files":{"%s":{"language":"en","key":"k"}}}' % name.encode())
    with pytest.raises(SpeechError, match="is damaged"):
        load_manifest(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version":2,"files":{}}', b"\xff"])
def test_a_damaged_manifest_is_refused_with_advice(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, MANIFEST_NAME, content)
    with pytest.raises(SpeechError, match="restore it from a backup"):
        load_manifest(tmp_path)


def test_a_written_file_can_be_read_by_asterisk_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        replace_file(tmp_path / "en_slow" / "elder" / "a.wav", b"sound")
    finally:
        os.umask(before)
    assert (tmp_path / "en_slow" / "elder" / "a.wav").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "en_slow").stat().st_mode & 0o777 == 0o755


def test_a_file_being_played_is_not_changed_under_the_reader(tmp_path: Path) -> None:
    path = write(tmp_path, "a.wav", b"old")
    with path.open("rb") as playing:
        replace_file(path, b"new sound")
        assert playing.read() == b"old"
    assert path.read_bytes() == b"new sound"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "a.wav", b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, b"new")
    assert [found.name for found in tmp_path.iterdir()] == ["a.wav"]
    assert path.read_bytes() == b"old"


def test_a_link_is_ours_for_as_long_as_it_leads_where_it_led(tmp_path: Path) -> None:
    replace_link(tmp_path / "en_US_slow", "en_slow")
    save_manifest(tmp_path, {"en_US_slow": Made(language="en_US", key="", link="en_slow")})
    assert list(load_manifest(tmp_path)) == ["en_US_slow"]  # though there is no en_slow
    replace_link(tmp_path / "en_US_slow", "elsewhere")
    assert load_manifest(tmp_path) == {}


def test_what_a_killed_build_left_half_written_is_removed_and_nothing_else(tmp_path: Path) -> None:
    half = write(tmp_path, "en/elder/.a.ulaw.elder-tmp", b"half")
    others = write(tmp_path, "en/elder/.b.ulaw.elder-tmp", b"somebody's"), write(tmp_path, "en/elder/a.ulaw", b"old")
    save_manifest(tmp_path, {"en/elder/a.ulaw": Made(language="en", key="")})
    remove_unfinished(tmp_path)
    assert not half.exists()
    assert all(path.exists() for path in others)
