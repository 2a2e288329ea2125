from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

import router.journal.writer
from router.journal.reader import journal_files, journal_tail
from router.journal.records import OutcomeRecord
from router.journal.rotation import next_rotation, rotated_files, rotated_name
from router.journal.settings import RotationSettings
from router.journal.writer import JournalWriter

from .reading import records_in
from .samples import decision, outcome

SHANGHAI = ZoneInfo("Asia/Shanghai")
# 23:50 in Shanghai.
EVENING = datetime(2026, 11, 25, 15, 50, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 25, 16, 0, tzinfo=UTC)


class Day:
    """A time of day, and a monotonic clock that goes with it."""

    def __init__(self) -> None:
        self.at = EVENING

    def now(self) -> datetime:
        return self.at

    def clock(self) -> float:
        return self.at.timestamp()

    def goes_on(self, **span: float) -> None:
        self.at += timedelta(**span)


@pytest.fixture
def day() -> Day:
    return Day()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def writer_of(path: Path, day: Day, rotation: RotationSettings, zone: ZoneInfo = SHANGHAI) -> JournalWriter:
    return JournalWriter(path, rotation=rotation, zone=lambda: zone, now=day.now, clock=day.clock)


def write(writer: JournalWriter, day: Day, uniqueid: str) -> None:
    assert writer.write(decision(uniqueid).model_copy(update={"time": day.at}))


def names(path: Path) -> list[str]:
    return [file.name for file in journal_files(path)]


def calls(path: Path) -> list[list[str]]:
    """The uniqueids in each file, oldest file first."""
    return [
        [record.uniqueid for record in records_in(file) if isinstance(record, type(decision("")) | OutcomeRecord)]
        for file in reversed(journal_files(path))
    ]


def test_at_midnight_of_the_rules_zone_a_new_file_is_begun_and_no_record_is_lost(path: Path, day: Day) -> None:
    writer = writer_of(path, day, RotationSettings(every="day"))
    write(writer, day, "1")
    day.goes_on(minutes=9, seconds=59)
    write(writer, day, "2")
    day.goes_on(seconds=2)
    write(writer, day, "3")
    day.goes_on(hours=23)
    write(writer, day, "4")
    assert calls(path) == [["1", "2"], ["3", "4"]]
    assert names(path) == ["journal.jsonl", "journal.jsonl.20261125T160001Z"]
    assert writer.rotations == 1


def test_a_file_begun_yesterday_is_left_at_the_first_record_after_a_restart(path: Path, day: Day) -> None:
    writer = writer_of(path, day, RotationSettings(every="day"))
    write(writer, day, "1")
    writer.close()
    day.goes_on(days=2)
    os.utime(path)
    writer = writer_of(path, day, RotationSettings(every="day"))
    write(writer, day, "2")
    assert calls(path) == [["1"], ["2"]]


def test_a_file_begun_yesterday_is_left_without_any_call(path: Path, day: Day) -> None:
    writer = writer_of(path, day, RotationSettings(every="day"))
    assert not writer.rotate_if_due(), "nothing is in it"
    write(writer, day, "1")
    assert not writer.rotate_if_due()
    day.goes_on(minutes=11)
    assert writer.rotate_if_due()
    assert not writer.rotate_if_due()
    assert calls(path) == [["1"], []]
    day.goes_on(days=5)
    assert not writer.rotate_if_due(), "an empty file is no day's"


def test_whatever_the_first_line_is_the_file_is_left_one_day(path: Path, day: Day) -> None:
    path.write_bytes(b'{"record":"deci\n')
    os.utime(path, (EVENING.timestamp(),) * 2)
    writer = writer_of(path, day, RotationSettings(every="day"))
    assert not writer.rotate_if_due()
    day.goes_on(minutes=11)
    assert writer.rotate_if_due()


def test_by_size_as_often_as_it_is_reached_under_names_in_their_order(path: Path, day: Day) -> None:
    size = len(decision("1").model_dump_json()) + 1
    writer = writer_of(path, day, RotationSettings(size_bytes=2 * size))
    for number in range(26):
        write(writer, day, f"{number:02}")
    assert [call for file in calls(path) for call in file] == [f"{number:02}" for number in range(26)]
    assert {len(file) for file in calls(path)} == {2}
    assert names(path)[1] == "journal.jsonl.20261125T155000Z-11"
    assert names(path)[-2:] == ["journal.jsonl.20261125T155000Z-1", "journal.jsonl.20261125T155000Z"]


def test_another_zone_of_new_rules_counts_at_once(path: Path, day: Day) -> None:
    zones = [ZoneInfo("America/New_York")]
    writer = JournalWriter(
        path, rotation=RotationSettings(every="day"), zone=lambda: zones[0], now=day.now, clock=day.clock
    )
    write(writer, day, "1")
    day.goes_on(minutes=20)
    assert not writer.rotate_if_due()
    zones[0] = SHANGHAI
    assert writer.rotate_if_due()


def test_a_rotation_that_fails_costs_no_record_is_told_once_and_tried_again(
    path: Path, day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = writer_of(path, day, RotationSettings(every="hour"))
    write(writer, day, "1")
    day.goes_on(hours=1)

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(os, "rename", refused)
        for number in range(2, 5):
            write(writer, day, str(number))
            day.goes_on(seconds=2)
    assert [entry["event"] for entry in logs] == ["journal_not_rotated"]
    write(writer, day, "5")
    assert calls(path) == [["1", "2", "3", "4"], ["5"]]


def test_where_no_new_file_can_be_opened_the_old_one_gets_its_name_back(
    path: Path, day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = writer_of(path, day, RotationSettings(every="hour"))
    write(writer, day, "1")
    day.goes_on(hours=1)

    open_file = os.open

    def full(file: Path, *args: int) -> int:
        if file == path:
            raise OSError(28, "No space left on device")
        return open_file(file, *args)

    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(os, "open", full)
        write(writer, day, "2")
    assert [entry["event"] for entry in logs] == ["journal_not_rotated"]
    assert names(path) == ["journal.jsonl"]
    assert calls(path) == [["1", "2"]]


def test_where_the_journal_cannot_be_renamed_no_empty_file_stays(
    path: Path, day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = writer_of(path, day, RotationSettings(every="hour"))
    write(writer, day, "1")
    day.goes_on(hours=1)

    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patch, capture_logs():
        patch.setattr(os, "rename", refused)
        write(writer, day, "2")
    assert names(path) == ["journal.jsonl"]
    assert calls(path) == [["1", "2"]]


def test_of_two_routers_on_one_journal_by_mistake_none_replaces_what_the_other_rotated(
    path: Path, day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = writer_of(path, day, RotationSettings(every="hour"))
    write(writer, day, "1")
    day.goes_on(hours=1)
    theirs = path.with_name("journal.jsonl.20261125T165000Z")

    def just_then(*_: object) -> Path:
        theirs.write_text("their day")
        return theirs

    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(router.journal.writer, "rotated_name", just_then)
        write(writer, day, "2")
    assert [entry["event"] for entry in logs] == ["journal_not_rotated"]
    assert theirs.read_text() == "their day"
    day.goes_on(seconds=1)
    write(writer, day, "3")
    assert len(names(path)) == 3


def test_names_stay_in_the_order_of_writing_when_the_clock_is_set_back(path: Path, day: Day) -> None:
    writer = writer_of(path, day, RotationSettings(size_bytes=1))
    for uniqueid in "1234":
        write(writer, day, uniqueid)
        day.goes_on(hours=-1)
    assert calls(path) == [["1"], ["2"], ["3"], ["4"]]
    assert names(path)[1:] == [f"journal.jsonl.20261125T145000Z{again}" for again in ("-2", "-1", "")]


def test_a_clock_that_was_far_ahead_keeps_no_file_from_being_left_afterwards(path: Path, day: Day) -> None:
    writer = writer_of(path, day, RotationSettings(every="day"))
    write(writer, day, "1")
    day.goes_on(days=4000)
    write(writer, day, "2")  # into a new file, which would be left in eleven years
    day.goes_on(days=-4000)
    write(writer, day, "3")
    day.goes_on(days=1)
    write(writer, day, "4")
    assert calls(path) == [["1"], ["2", "3"], ["4"]]


def test_a_file_that_vanished_is_not_rotated_but_begun_anew(path: Path, day: Day) -> None:
    writer = writer_of(path, day, RotationSettings(every="hour"))
    write(writer, day, "1")
    path.unlink()
    day.goes_on(hours=1)
    write(writer, day, "2")
    assert calls(path) == [["2"]]


def test_what_somebody_else_has_just_begun_is_not_rotated_away_from_them(path: Path, day: Day) -> None:
    writer = writer_of(path, day, RotationSettings(every="hour"))
    write(writer, day, "1")
    path.rename(path.with_name("journal.jsonl.1"))
    path.touch()
    day.goes_on(hours=1)
    assert not writer.rotate_if_due()
    write(writer, day, "2")
    assert names(path) == ["journal.jsonl", "journal.jsonl.1"]
    assert calls(path) == [["1"], ["2"]]


def test_a_symbolic_link_is_not_rotated_since_the_file_behind_it_would_be_forgotten(path: Path, day: Day) -> None:
    elsewhere = path.with_name("elsewhere")
    elsewhere.touch()
    path.symlink_to(elsewhere)
    writer = writer_of(path, day, RotationSettings(every="hour"))
    write(writer, day, "1")
    day.goes_on(hours=2)
    with capture_logs() as logs:
        write(writer, day, "2")
    assert "name the file that it leads to" in logs[0]["why"]
    assert path.is_symlink()


def test_a_name_that_is_taken_also_by_a_compressed_file_is_not_used_again(path: Path) -> None:
    first = rotated_name(path, MIDNIGHT)
    assert first.name == "journal.jsonl.20261125T160000Z"
    first.with_name(f"{first.name}.gz").touch()
    path.with_name("journal.jsonl.20269999T999999Z").touch()  # no moment, and no journal
    assert rotated_name(path, MIDNIGHT).name == "journal.jsonl.20261125T160000Z-1"


@pytest.mark.parametrize(
    ("every", "begun", "due"),
    [
        ("hour", "2026-11-25T15:59:59+00:00", "2026-11-25T16:00:00+00:00"),
        ("hour", "2026-11-25T16:00:00+00:00", "2026-11-25T17:00:00+00:00"),
        ("day", "2026-11-25T16:00:00+00:00", "2026-11-26T16:00:00+00:00"),
        ("week", "2026-11-25T16:00:00+00:00", "2026-11-29T16:00:00+00:00"),  # Thursday in Shanghai → Monday
        ("week", "2026-11-29T16:00:00+00:00", "2026-12-06T16:00:00+00:00"),
    ],
)
def test_hours_days_and_weeks_end_by_the_clocks_of_the_zone(every: str, begun: str, due: str) -> None:
    assert every in ("hour", "day", "week")
    found = next_rotation(every, datetime.fromisoformat(begun), SHANGHAI)  # type: ignore[arg-type]
    assert found == datetime.fromisoformat(due)


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - UTC is given
    st.sampled_from(["hour", "day", "week"]),
    st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "Africa/Cairo", "America/Havana", "Australia/Lord_Howe", "UTC"]),
)
def test_the_next_rotation_is_always_ahead_and_never_far(begun: datetime, every: str, zone: str) -> None:
    longest = {"hour": 1, "day": 25, "week": 7 * 24 + 1}[every]
    due = next_rotation(every, begun, ZoneInfo(zone))  # type: ignore[arg-type]
    assert timedelta() < due - begun <= timedelta(hours=longest)


def touched(path: Path, name: str, at: datetime) -> None:
    file = path.with_name(name)
    file.touch()
    os.utime(file, (at.timestamp(),) * 2)


def test_a_centre_that_went_over_from_logrotate_has_its_files_in_their_order(path: Path) -> None:
    touched(path, "journal.jsonl", MIDNIGHT)
    touched(path, "journal.jsonl.20261125T160000Z.gz", MIDNIGHT)
    touched(path, "journal.jsonl.20261124T160000Z", MIDNIGHT)  # a copy that was put back
    touched(path, "journal.jsonl.1", MIDNIGHT - timedelta(days=2))
    touched(path, "journal.jsonl.2.gz", MIDNIGHT - timedelta(days=1))  # touched, and older than .1 all the same
    touched(path, "journal.jsonl-20261121.gz", MIDNIGHT)
    for stranger in (
        "journal.jsonl.bak",
        "journal.jsonl.20269999T160000Z",
        "journal.jsonl.1.gz.part",
        "journal.jsonl-x",
    ):
        touched(path, stranger, MIDNIGHT)
    assert names(path) == [
        "journal.jsonl",
        "journal.jsonl.20261125T160000Z.gz",
        "journal.jsonl.20261124T160000Z",
        "journal.jsonl.1",
        "journal.jsonl.2.gz",
        "journal.jsonl-20261121.gz",
    ]


def test_a_centre_that_went_back_to_logrotate_has_too(path: Path) -> None:
    touched(path, "journal.jsonl.20261120T160000Z.gz", MIDNIGHT - timedelta(days=5))
    touched(path, "journal.jsonl.1", MIDNIGHT)
    touched(path, "journal.jsonl.2.gz", MIDNIGHT - timedelta(days=1))
    assert names(path) == ["journal.jsonl.1", "journal.jsonl.2.gz", "journal.jsonl.20261120T160000Z.gz"]


def test_a_file_that_is_being_compressed_counts_once(path: Path) -> None:
    for name in ("journal.jsonl.1", "journal.jsonl.1.gz", "journal.jsonl.20261125T160000Z"):
        touched(path, name, MIDNIGHT)
    touched(path, "journal.jsonl.20261125T160000Z.gz", MIDNIGHT)
    assert names(path) == ["journal.jsonl.20261125T160000Z", "journal.jsonl.1"]
    assert len(rotated_files(path)) == 4


def test_calls_under_way_over_several_rotations_are_found_at_a_start(path: Path, day: Day) -> None:
    size = len(decision("1").model_dump_json())
    writer = writer_of(path, day, RotationSettings(size_bytes=size))
    for number in range(4):
        write(writer, day, str(number))
    writer.write(outcome("1"))
    assert len(journal_files(path)) == 5
    assert sorted(uniqueid for _, uniqueid in journal_tail(path).open) == ["0", "2", "3"]
