from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from router.callers.inspecting.findings import Level
from router.callers.inspecting.nightly import nightly_findings
from router.callers.settings import FeedSettings, RedisSettings, RegistrySettings


@pytest.fixture
def registry(tmp_path: Path) -> RegistrySettings:
    (tmp_path / "import").mkdir()
    feed = tmp_path / "callers.csv"
    feed.touch(0o640)
    return RegistrySettings(
        RedisSettings(), tmp_path / "secrets", work_folder=tmp_path / "import", feed=FeedSettings(file=feed)
    )


def told(registry: RegistrySettings) -> list[str]:
    findings = list(nightly_findings(registry))
    assert all(finding.level is Level.WARNING and finding.do for finding in findings)
    return [f"{finding.about}: {finding.says}" for finding in findings]


def test_where_all_is_well_nothing_is_said(registry: RegistrySettings, tmp_path: Path) -> None:
    assert told(registry) == []
    assert told(replace(registry, work_folder=tmp_path / "none", feed=FeedSettings())) == []


def test_a_work_folder_that_root_has_made_is_told_with_the_way_out(
    registry: RegistrySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, usual = registry.work_folder, Path.stat

    def stat(path: Path) -> os.stat_result:
        # Root's, in a folder of somebody else's.
        fields = list(usual(path))
        fields[4] = 0 if path == folder else 4321
        return os.stat_result(fields)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", stat)
        findings = list(nightly_findings(replace(registry, feed=FeedSettings())))
    assert [finding.says for finding in findings] == [f"{folder} is root's, and loads by the router's user fail"]
    assert findings[0].do == f"chown -R --reference={folder.parent} {folder}"


def test_a_feed_is_told_that_is_missing_or_open_or_closed(
    registry: RegistrySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = registry.feed.file
    assert feed is not None
    feed.chmod(0o644)
    assert told(registry) == [f"feed: {feed} holds numbers, and everybody on this machine may read it"]
    feed.chmod(0o640)
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["os"], "access", lambda *_: False)
        assert told(registry) == [f"feed: {feed} may not be read by this user"]
    feed.unlink()
    assert told(registry) == [f"feed: {feed}: No such file or directory; the nightly job fails"]
