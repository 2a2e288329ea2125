from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from router.errors import ConfigurationError
from router.journal.hashing import caller_key, load_or_create_secret

SECRET = bytes(range(32))


def test_a_key_is_the_same_for_the_same_number_and_secret_only() -> None:
    key = caller_key(SECRET, "+8613900000001")
    assert key == "d2baf2a2b344e50d"
    assert caller_key(SECRET, "+8613900000001") == key
    assert caller_key(SECRET, "+8613900000002") != key
    assert caller_key(bytes(32), "+8613900000001") != key


def test_a_missing_secret_is_made_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "caller-key.secret"
    before = os.umask(0)
    try:
        secret = load_or_create_secret(path)
    finally:
        os.umask(before)
    assert len(secret) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create_secret(path) == secret
    assert [entry.name for entry in tmp_path.iterdir()] == ["caller-key.secret"]


def test_of_two_that_make_it_at_once_both_use_the_first_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "caller-key.secret"
    winner = load_or_create_secret(path)
    answers = iter([False])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "exists", lambda _self: next(answers))  # looked before the other was done
        assert load_or_create_secret(path) == winner
    assert [entry.name for entry in tmp_path.iterdir()] == ["caller-key.secret"]


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o666])
def test_a_secret_that_everybody_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "caller-key.secret"
    path.write_bytes(SECRET)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_or_create_secret(path)


def test_a_short_secret_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "caller-key.secret"
    path.write_bytes(SECRET[:31])
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="shorter than 32 bytes"):
        load_or_create_secret(path)


def test_a_secret_that_cannot_be_made_is_an_error_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file or directory"):
        load_or_create_secret(tmp_path / "missing" / "caller-key.secret")
    with pytest.raises(ConfigurationError, match="Is a directory"):
        load_or_create_secret(tmp_path)
