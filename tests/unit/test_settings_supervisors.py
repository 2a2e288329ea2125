"""What the settings say of supervisors' things: the journal's rotation, the service level, the wallboard."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.journal.settings import NOT_ROTATED, RotationSettings, ServiceLevel
from router.web.settings import WallboardSettings
from tests.unit.test_settings import GOOD, ROOT, SECRET, loaded, said

TOKEN = "made up and long enough"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ami.secret").write_text(SECRET)
    (tmp_path / "board.token").write_text(f"{TOKEN}\n")
    (tmp_path / "short.token").write_text("too short")
    return tmp_path


def board(folder: Path, text: str) -> WallboardSettings:
    settings = loaded(folder, f"{GOOD}wallboard: {{{text}}}\n").wallboard
    assert settings is not None
    return settings


def test_nothing_is_rotated_or_shown_unless_the_file_says_so(folder: Path) -> None:
    settings = loaded(folder)
    assert (settings.journal_rotation, settings.wallboard) == (NOT_ROTATED, None)
    assert settings.service_level == ServiceLevel(80.0, 20.0)


def test_the_shipped_file_rotates_each_day_and_keeps_90(folder: Path) -> None:
    shipped = (ROOT / "config" / "elder-router.yaml").read_text()
    assert loaded(folder, shipped).journal_rotation == RotationSettings(
        "day", 2_000_000_000, compress=True, keep_s=90 * 86_400.0
    )


@pytest.mark.parametrize(
    ("rotate", "expected"),
    [
        ("every: hour", RotationSettings("hour")),
        ("size: 500MB, compress: false", RotationSettings(size_bytes=500_000_000, compress=False)),
        ("every: week, size: 1GB, keep: 1d", RotationSettings("week", 1_000_000_000, keep_s=86_400.0)),
    ],
)
def test_rotation_is_by_time_or_size_or_both(folder: Path, rotate: str, expected: RotationSettings) -> None:
    assert loaded(folder, f"{GOOD}  rotate: {{{rotate}}}\n").journal_rotation == expected


@pytest.mark.parametrize(
    ("rotate", "message"),
    [
        ("{}", "10:11: error: add when: `every: day`, or `size: 1GB`, or both"),
        ("{keep: 90d}", "10:11: error: add when: `every: day`, or `size: 1GB`, or both"),
        ("{every: day, keep: 1h}", "10:30: error: write a day or more, like 90d"),
        ("{every: month}", '10:19: error: `every` must be one of hour, day, week; found "month"'),
        (
            "{size: 1000}",
            "10:18: error: `size`: '1000' is no size; write a whole number and its unit, like 500MB or 1GB",
        ),
        (
            "{size: 1.5GB}",
            "10:18: error: `size`: '1.5GB' is no size; write a whole number and its unit, like 500MB or 1GB",
        ),
    ],
)
def test_a_rotation_that_cannot_be_is_told(folder: Path, rotate: str, message: str) -> None:
    assert said(folder, f"{GOOD}  rotate: {rotate}\n") == f"elder-router.yaml:{message}"


def test_the_service_level_is_the_centres_own(folder: Path) -> None:
    text = "service_level: {percent: 92.5, within: 15s}\n"
    assert loaded(folder, GOOD + text).service_level == ServiceLevel(92.5, 15.0)


@pytest.mark.parametrize("percent", ["0", "101", "-1"])
def test_a_service_level_of_more_than_all_or_of_nobody_is_refused(folder: Path, percent: str) -> None:
    assert "a share from 0 to 100" in said(folder, f"{GOOD}service_level: {{percent: {percent}}}\n")


def test_the_wallboard_is_for_this_machine_unless_told_otherwise(folder: Path) -> None:
    usual = board(folder, "")
    assert (usual.address, usual.port, usual.token, usual.hosts) == ("127.0.0.1", 9107, None, frozenset())
    assert (usual.line, usual.column) == (10, 12)


@pytest.mark.parametrize("address", ['"::1"', "127.0.0.2"])
def test_this_machine_has_more_than_one_address(folder: Path, address: str) -> None:
    assert board(folder, f"address: {address}").token is None


def test_whoever_comes_from_elsewhere_needs_a_token(folder: Path) -> None:
    seen = board(folder, "address: 0.0.0.0, token_file: board.token, hosts: [Board.Example]")
    assert (seen.address, seen.token, seen.hosts) == ("0.0.0.0", TOKEN, frozenset({"board.example"}))  # noqa: S104 - meant
    assert TOKEN not in repr(seen)
    assert said(folder, f"{GOOD}wallboard: {{address: 192.0.2.7}}\n") == (
        "elder-router.yaml:10:22: error: whoever reaches this address would see the wallboard: add `token_file: FILE`, "
        "or keep to 127.0.0.1 with a reverse proxy before it that asks who they are"
    )


def test_a_token_may_come_from_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOARD_TOKEN", TOKEN)
    assert board(folder, "token_env: BOARD_TOKEN").token == TOKEN


def test_a_token_that_can_be_guessed_is_refused(folder: Path) -> None:
    assert said(folder, f"{GOOD}wallboard: {{token_file: short.token}}\n") == (
        "elder-router.yaml:10:25: error: the token is shorter than 16 characters and can be guessed; "
        "make one with `openssl rand -hex 24`"
    )


def test_a_token_that_is_not_there_is_told_once(folder: Path) -> None:
    assert said(folder, f"{GOOD}wallboard: {{token_file: no.token}}\n").count("error") == 1


@pytest.mark.parametrize(
    "host", ["https://wall.example.org", "wall.example.org:9107", "*.example.org", "wall.", "a b", "墙"]
)
def test_a_host_that_no_browser_asks_for_is_refused(folder: Path, host: str) -> None:
    assert said(folder, f'{GOOD}wallboard: {{hosts: [fine.example, "{host}"]}}\n') == (
        f"elder-router.yaml:10:35: error: `{host}` is no name that browsers ask for; write it without https://, port, "
        "path and *, like wall.example.org (of another script: its form that begins with xn--)"
    )


def test_names_of_hosts_are_compared_in_lower_case(folder: Path) -> None:
    seen = board(folder, 'hosts: [Wall.Example.ORG, wall, xn--9yi, "10.0.0.7"]')
    assert seen.hosts == {"wall.example.org", "wall", "xn--9yi", "10.0.0.7"}
