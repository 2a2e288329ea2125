from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from router.cli.work_folder import check_not_the_feed, left_to_its_owner
from router.errors import ConfigurationError

MODULE = "router.cli.work_folder"
OWNER = (4321, 1234)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is given away, by name: as root does, in a folder of somebody else's."""
    names: list[str] = []

    def fchown(descriptor: int, user: int, group: int) -> None:
        assert (user, group) == OWNER
        names.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    monkeypatch.setattr(sys.modules[MODULE], "_ROOT", os.geteuid())
    monkeypatch.setattr(sys.modules[MODULE], "_owner", lambda _: OWNER)
    monkeypatch.setattr(os, "fchown", fchown)
    return names


def test_what_root_leaves_in_the_work_folder_is_its_owners(tmp_path: Path, given: list[str]) -> None:
    folder = tmp_path / "work"

    def stopped() -> None:
        (folder / "full").mkdir(parents=True)
        (folder / "lock").touch()
        (folder / "full" / "run-000000").touch()
        raise KeyError

    with pytest.raises(KeyError), left_to_its_owner(folder):
        stopped()
    assert sorted(given) == ["full", "lock", "run-000000", "work"]


def test_nothing_is_given_away_that_only_lies_in_the_work_folder_by_a_link(tmp_path: Path, given: list[str]) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "work"
    outside.mkdir()
    folder.mkdir()
    (outside / "linked softly").touch()
    (outside / "linked hard").touch()
    (folder / "soft").symlink_to(outside / "linked softly")
    (folder / "hard").hardlink_to(outside / "linked hard")
    (folder / "folder").symlink_to(outside)
    os.mkfifo(folder / "fifo")
    with left_to_its_owner(folder):
        pass
    assert given == ["work"]
    given.clear()
    with left_to_its_owner(folder / "folder"):
        pass
    assert given == []


@pytest.mark.parametrize("root", [True, False])
def test_the_owner_is_the_folders_or_that_of_the_folder_around_it(
    tmp_path: Path, root: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: -1 if root else -2)
    monkeypatch.setattr(sys.modules[MODULE], "_ROOT", -1)
    monkeypatch.setattr(sys.modules[MODULE], "_give", lambda _, *owner: given.append(owner))
    around = tmp_path.stat()
    with left_to_its_owner(tmp_path / "work"):
        (tmp_path / "work").mkdir()
    assert given == ([(around.st_uid, around.st_gid)] if root else [])


def test_where_all_is_roots_nothing_is_given_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[MODULE], "_ROOT", os.geteuid())
    monkeypatch.setattr(sys.modules[MODULE], "_give", lambda *_: pytest.fail("given away"))
    with left_to_its_owner(tmp_path / "work"):
        (tmp_path / "work").mkdir()


def test_the_feed_is_not_written_over_by_whatever_name(tmp_path: Path) -> None:
    feed, link, pipe = tmp_path / "feed.csv", tmp_path / "link.csv", tmp_path / "pipe"
    feed.touch()
    link.symlink_to(feed)
    os.mkfifo(pipe)
    for written in (feed, link, tmp_path / "." / "feed.csv"):
        with pytest.raises(ConfigurationError, match=r"--rejects .*: this is the feed itself; name another file"):
            check_not_the_feed("--rejects", written, feed)
    for written in (pipe, Path(os.devnull)):
        with pytest.raises(ConfigurationError, match="no ordinary file"):
            check_not_the_feed("--rejects", written, feed)
    (tmp_path / "old.csv").touch()
    check_not_the_feed("--rejects", tmp_path / "old.csv", feed)
    check_not_the_feed("--rejects", tmp_path / "new.csv", feed)
    check_not_the_feed("--rejects", tmp_path / "old.csv", tmp_path / "gone.csv")
