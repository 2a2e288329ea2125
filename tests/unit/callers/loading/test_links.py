"""The work folder may be another user's than root, who imports: what lies there is not written through."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.callers.loading.checkpoint import FULL, Replaced, read_checkpoint, write_checkpoint
from router.callers.loading.lock import work_folder
from router.errors import ConfigurationError


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.write_bytes(b"somebody else's")
    return path


def test_a_checkpoint_is_written_beside_a_link_not_through_it(tmp_path: Path, victim: Path) -> None:
    (tmp_path / f".{FULL}.unfinished").symlink_to(victim)
    written = Replaced(generation=1, buckets=64)
    write_checkpoint(tmp_path, FULL, written)
    assert read_checkpoint(tmp_path, FULL, Replaced) == written
    assert victim.read_bytes() == b"somebody else's"


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path, victim: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "lock").symlink_to(victim)
    with pytest.raises(ConfigurationError, match="cannot be used as the work folder"), work_folder(folder):
        pass
    assert victim.read_bytes() == b"somebody else's"
