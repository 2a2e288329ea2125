from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from router.errors import ConfigurationError, HistoryError
from router.reloading.history import RulesHistory
from router.rules.book import RuleBook

from .rules import RULES, WITH_LIST, book_of, named

NOW = datetime(2026, 11, 25, 15, 3, 1, 250_000, tzinfo=UTC)
LATER = datetime(2026, 11, 26, 9, 0, 0, tzinfo=UTC)


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """The folder where the rules lie."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "known.txt").write_text("+8613900000001\n")
    return tmp_path / "etc"


@pytest.fixture
def history(tmp_path: Path) -> RulesHistory:
    return RulesHistory(tmp_path / "rules-history")


def recorded(history: RulesHistory, etc: Path, *texts: str) -> list[RuleBook]:
    """Rules taken one after the other, a minute apart."""
    books = [book_of(etc, text) for text in texts]
    for minute, book in enumerate(books):
        history.record(book, NOW + timedelta(minutes=minute))
    return books


def versions(history: RulesHistory) -> list[str]:
    return [entry.version for entry in history.entries()]


def test_what_was_loaded_is_kept_byte_by_byte_in_a_folder_named_by_time_and_version(
    history: RulesHistory, etc: Path
) -> None:
    (book,) = recorded(history, etc, WITH_LIST.replace("\n", "\r\n"))
    folder = history.directory / f"20261125T150301Z-{book.version}"
    assert (folder / "routing.yaml").read_bytes() == WITH_LIST.replace("\n", "\r\n").encode()
    assert (folder / "known.txt").read_text() == "+8613900000001\n"
    (entry,) = history.entries()
    assert (entry.version, entry.rules_name, entry.lists) == (
        *(book.version, "routing.yaml"),
        {"known.txt": b"+8613900000001\n"},
    )
    assert (entry.first_loaded, entry.loaded) == (NOW, NOW)
    assert entry.size_bytes == len(WITH_LIST) + WITH_LIST.count("\n") + 15


def test_others_may_not_read_what_is_kept_whatever_the_umask(history: RulesHistory, etc: Path) -> None:
    umask = os.umask(0o077)
    try:
        recorded(history, etc, RULES)
    finally:
        os.umask(umask)
    (folder,) = history.directory.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o640}


def test_the_last_ten_versions_are_kept_newest_first(history: RulesHistory, etc: Path) -> None:
    books = recorded(history, etc, *(named(f"rule {n}") for n in range(13)))
    assert versions(history) == [book.version for book in reversed(books[3:])]
    assert len(list(history.directory.iterdir())) == 10


def test_the_newest_version_once_more_changes_nothing(history: RulesHistory, etc: Path) -> None:
    (book,) = recorded(history, etc, RULES)
    history.record(book, LATER)
    (entry,) = history.entries()
    assert entry.loaded == NOW


def test_a_version_that_comes_again_is_the_newest_and_remembers_when_it_came_first(
    history: RulesHistory, etc: Path
) -> None:
    first, second = recorded(history, etc, named("first"), named("second"))
    history.record(first, LATER)
    assert versions(history) == [first.version, second.version]
    newest = history.entries()[0]
    assert (newest.first_loaded, newest.loaded) == (NOW, LATER)
    assert len(list(history.directory.iterdir())) == 2


def test_versions_taken_within_a_second_and_after_the_clock_was_set_back_stay_in_order(
    history: RulesHistory, etc: Path
) -> None:
    first, second, third = (book_of(etc, named(name)) for name in ("first", "second", "third"))
    for book, now in ((first, NOW), (second, NOW), (first, NOW), (third, NOW - timedelta(hours=1))):
        history.record(book, now)
    assert versions(history) == [third.version, first.version, second.version]


def spoil_content(folder: Path) -> None:
    (folder / "routing.yaml").write_text(RULES + "\n")


def lose_a_file(folder: Path) -> None:
    (folder / "routing.yaml").unlink()


def lose_the_card(folder: Path) -> None:
    (folder / ".version.json").unlink()


def cut_the_card(folder: Path) -> None:
    card = folder / ".version.json"
    card.write_bytes(card.read_bytes()[:20])


def name_a_file_elsewhere(folder: Path) -> None:
    card = folder / ".version.json"
    text = json.loads(card.read_text())
    (folder.parent / "outside").write_bytes((folder / "routing.yaml").read_bytes())
    text["files"] = {"../outside": text["files"]["routing.yaml"]}
    card.write_text(json.dumps(text))


def change_the_card(folder: Path, **changes: object) -> None:
    card = folder / ".version.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | changes))


def add_a_file_of_another_program(folder: Path) -> None:
    (folder / "extensions.conf").write_bytes(b"")
    rules = hashlib.sha256((folder / "routing.yaml").read_bytes()).hexdigest()
    change_the_card(folder, files={"routing.yaml": rules, "extensions.conf": hashlib.sha256(b"").hexdigest()})


def call_the_rules_cases(folder: Path) -> None:
    (folder / "routing.yaml").rename(folder / ".cases.yaml")
    change_the_card(folder, files={".cases.yaml": hashlib.sha256((folder / ".cases.yaml").read_bytes()).hexdigest()})


def date_it_at_the_end_of_time(folder: Path) -> None:
    change_the_card(folder, loaded="9999-12-31T23:59:59.999999Z")


def date_it_at_the_end_of_time_somewhere_else(folder: Path) -> None:
    change_the_card(folder, loaded="9999-12-31T23:59:59.999999-14:00")


def date_it_at_the_beginning_of_time(folder: Path) -> None:
    change_the_card(folder, first_loaded="0001-01-01T00:00:00+14:00")


def put_a_link(folder: Path) -> None:
    (folder.parent / "outside").write_bytes((folder / "routing.yaml").read_bytes())
    (folder / "routing.yaml").unlink()
    (folder / "routing.yaml").symlink_to("../outside")


def put_a_pipe(folder: Path) -> None:
    (folder / "routing.yaml").unlink()
    os.mkfifo(folder / "routing.yaml")


def rename_it(folder: Path) -> None:
    folder.rename(folder.with_name("20261125T150401Z-000000000000"))


@pytest.mark.parametrize(
    "spoil",
    [
        *(spoil_content, lose_a_file, lose_the_card, cut_the_card),
        *(name_a_file_elsewhere, put_a_link, put_a_pipe, rename_it),
        *(add_a_file_of_another_program, call_the_rules_cases, date_it_at_the_beginning_of_time),
        *(date_it_at_the_end_of_time, date_it_at_the_end_of_time_somewhere_else),
    ],
)
@pytest.mark.timeout(5)
def test_what_is_not_whole_is_passed_over_and_does_not_keep_others_from_being_kept(
    history: RulesHistory, etc: Path, spoil: Callable[[Path], None]
) -> None:
    good, bad = recorded(history, etc, named("good"), named("bad"))
    spoil(history.entries()[0].folder)
    assert versions(history) == [good.version]
    newer = book_of(etc, named("newer"))
    history.record(newer, LATER)
    assert versions(history) == [newer.version, good.version]
    history.record(bad, LATER)
    assert versions(history)[0] == bad.version


@pytest.mark.parametrize(
    ("now", "dated"),
    [(datetime(1970, 1, 1, 0, 3, tzinfo=UTC), "1970-01-01"), (datetime(2100, 1, 1, tzinfo=UTC), "2100-01-01")],
)
def test_with_a_clock_that_is_wrong_by_decades_nothing_is_kept(
    history: RulesHistory, etc: Path, now: datetime, dated: str
) -> None:
    with pytest.raises(HistoryError) as caught:
        history.record(book_of(etc, RULES), now)
    assert str(caught.value) == (
        f"{history.directory}: a version would be dated {dated}; set the clock right, and remove the folders here "
        "whose names begin with a date to come"
    )
    assert not history.directory.exists()


def test_with_a_clock_that_starts_in_1970_versions_are_kept_behind_those_there_are(
    history: RulesHistory, etc: Path
) -> None:
    recorded(history, etc, named("first"))
    newer = book_of(etc, named("newer"))
    history.record(newer, datetime(1970, 1, 1, tzinfo=UTC))
    newest = history.entries()[0]
    assert (newest.version, newest.first_loaded, newest.loaded) == (
        *(newer.version, NOW + timedelta(microseconds=1), NOW + timedelta(microseconds=1)),
    )


def test_after_the_last_moment_that_is_believed_nothing_is_kept_either(history: RulesHistory, etc: Path) -> None:
    last = datetime(2099, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    first, second = (book_of(etc, named(name)) for name in ("first", "second"))
    history.record(first, last)
    with pytest.raises(HistoryError, match="would be dated 2100-01-01"):
        history.record(second, NOW)
    assert versions(history) == [first.version]


def test_a_version_is_loaded_from_what_was_read_whatever_lies_there_by_now(history: RulesHistory, etc: Path) -> None:
    (book,) = recorded(history, etc, WITH_LIST)
    (entry,) = history.entries()
    spoil_content(entry.folder)
    assert entry.load().files == book.files


def test_a_version_with_a_list_that_its_rules_do_not_name_is_not_loaded(history: RulesHistory, etc: Path) -> None:
    recorded(history, etc, WITH_LIST)
    (entry,) = history.entries()
    with pytest.raises(ConfigurationError) as caught:
        replace(entry, files={**entry.files, "others.txt": b""}).load()
    assert str(caught.value) == (
        f"{entry.folder / 'others.txt'}: error: the rules of this version do not name this list, so the router did "
        "not keep it; remove the version"
    )


def test_a_version_without_a_list_that_its_rules_name_is_not_loaded(history: RulesHistory, etc: Path) -> None:
    recorded(history, etc, WITH_LIST)
    (entry,) = history.entries()
    with pytest.raises(ConfigurationError) as caught:
        replace(entry, files={"routing.yaml": entry.files["routing.yaml"]}).load()
    assert str(caught.value) == (
        f"{entry.folder / 'routing.yaml'}:7:20: error: the list known.txt, beside this file, cannot be used: it is not "
        "kept with this version"
    )


def test_what_was_not_made_here_is_left_alone_and_what_a_crash_left_behind_is_removed(
    history: RulesHistory, etc: Path
) -> None:
    (history.directory / "notes").mkdir(parents=True)
    (history.directory / "README").write_text("mine")
    (history.directory / ".unfinished-1234").mkdir()
    (book,) = recorded(history, etc, RULES)
    assert sorted(path.name for path in history.directory.iterdir()) == [
        *(f"20261125T150301Z-{book.version}", "README", "notes")
    ]


def test_a_full_disk_is_told_and_leaves_what_was_kept(
    history: RulesHistory, etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = recorded(history, etc, named("first"))

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    second = book_of(etc, named("second"))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HistoryError) as caught:
        history.record(second, LATER)
    monkeypatch.undo()
    assert str(caught.value) == f"{history.directory}: No space left on device"
    assert versions(history) == [first.version]
    assert len(list(history.directory.iterdir())) == 1


def test_a_version_is_found_by_its_first_digits(history: RulesHistory, etc: Path) -> None:
    books = recorded(history, etc, *(named(f"rule {n}") for n in range(3)))
    assert history.find(books[1].version[:6].upper()).version == books[1].version
    with pytest.raises(HistoryError) as caught:
        history.find("xyz")
    there = ", ".join(book.version for book in reversed(books))
    assert str(caught.value) == f"no version kept is called 'xyz'; there are {there}"


def test_digits_that_fit_several_versions_are_refused(history: RulesHistory, etc: Path) -> None:
    texts = (named(f"rule {n}") for n in range(17))
    by_digit: dict[str, list[RuleBook]] = {}
    for text in texts:
        book = book_of(etc, text)
        by_digit.setdefault(book.version[0], []).append(book)
    digit, (one, other) = next((digit, books[:2]) for digit, books in by_digit.items() if len(books) > 1)
    history.record(one, NOW)
    history.record(other, LATER)
    with pytest.raises(HistoryError) as caught:
        history.find(digit)
    assert str(caught.value) == (
        f"several versions begin with {digit}: {other.version}, {one.version}; write more of it"
    )


def test_an_empty_history_says_so(history: RulesHistory) -> None:
    assert history.entries() == []
    with pytest.raises(HistoryError) as caught:
        history.find("3f2a")
    assert str(caught.value) == f"{history.directory} holds no version yet; the router keeps each one that it takes"


def test_a_restored_version_lies_there_with_its_lists_and_is_the_same_version(history: RulesHistory, etc: Path) -> None:
    first, _ = recorded(history, etc, WITH_LIST, named("second"))
    (etc / "known.txt").write_text("+8613900000002\n")
    rules = etc / "routing.yaml"
    restored = history.restore(history.find(first.version[:4]), rules, LATER)
    assert restored.written == (etc / "known.txt", rules), "the rules last"
    assert rules.read_text() == WITH_LIST
    assert (etc / "known.txt").read_text() == "+8613900000001\n"
    assert history.lying_at(rules) == history.find(first.version)
    assert book_of(etc, WITH_LIST).version == first.version


def test_the_cases_that_a_version_passed_come_back_with_it_when_asked_for(history: RulesHistory, etc: Path) -> None:
    first, second = (book_of(etc, named(name)) for name in ("first", "second"))
    history.record(first, NOW, b"cases of the first")
    history.record(second, LATER, b"cases of the second")
    cases, rules = etc / "cases.yaml", etc / "routing.yaml"
    cases.write_bytes(b"cases that nobody passed")
    assert history.restore(history.find(first.version), rules, LATER).written == (rules,)
    restored = history.restore(history.find(first.version), rules, LATER, cases_file=cases)
    assert restored.written == (cases,)
    assert cases.read_bytes() == b"cases of the first"
    assert [copy.read_bytes() for copy in restored.kept] == [b"cases that nobody passed"]


def test_other_cases_for_the_same_version_are_kept_and_it_is_not_taken_anew(history: RulesHistory, etc: Path) -> None:
    (book,) = recorded(history, etc, RULES)
    history.record(book, LATER, b"cases")
    (entry,) = history.entries()
    assert (entry.cases, entry.loaded, entry.files) == (b"cases", NOW, {"routing.yaml": RULES.encode()})
    entry.cases_file.write_bytes(b"spoilt")
    assert history.entries() == []


def test_what_lay_there_is_kept_unless_the_history_holds_it(history: RulesHistory, etc: Path) -> None:
    first, second = recorded(history, etc, named("first"), named("second"))
    rules = etc / "routing.yaml"
    assert history.restore(history.find(first.version), rules, LATER).kept == (), "the second is in the history"
    rules.write_text("half a fi")
    restored = history.restore(history.find(second.version), rules, LATER)
    assert restored.kept == (etc / "routing.yaml.rejected-20261126T090000Z",)
    assert restored.kept[0].read_text() == "half a fi"
    assert rules.read_text() == named("second")


def test_the_owner_and_mode_of_the_file_stay_and_nothing_else_is_left(history: RulesHistory, etc: Path) -> None:
    first, _ = recorded(history, etc, named("first"), named("second"))
    rules = etc / "routing.yaml"
    rules.chmod(0o664)
    if os.getuid() == 0:
        os.chown(rules, 4321, 1234)
    before = rules.stat()
    history.restore(history.find(first.version), rules, LATER)
    after = rules.stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    assert after.st_ino != before.st_ino, "whoever reads the old file reads it to its end"
    assert sorted(path.name for path in etc.iterdir()) == ["known.txt", "routing.yaml"]


def test_a_list_that_is_gone_comes_back_as_readable_as_the_rules(history: RulesHistory, etc: Path) -> None:
    (first,) = recorded(history, etc, WITH_LIST)
    (etc / "known.txt").unlink()
    (etc / "routing.yaml").chmod(0o640)
    history.restore(history.find(first.version), etc / "routing.yaml", LATER)
    assert stat.S_IMODE((etc / "known.txt").stat().st_mode) == 0o640


def test_rules_that_are_gone_come_back_readable(history: RulesHistory, etc: Path) -> None:
    (first,) = recorded(history, etc, RULES)
    (etc / "routing.yaml").unlink()
    history.restore(history.find(first.version), etc / "routing.yaml", LATER)
    assert (etc / "routing.yaml").read_text() == RULES
    assert stat.S_IMODE((etc / "routing.yaml").stat().st_mode) == 0o644


def test_a_link_stays_a_link(history: RulesHistory, etc: Path, tmp_path: Path) -> None:
    first, _ = recorded(history, etc, named("first"), named("second"))
    rules = etc / "routing.yaml"
    elsewhere = rules.rename(tmp_path / "shared.yaml")
    rules.symlink_to(elsewhere)
    history.restore(history.find(first.version), rules, LATER)
    assert rules.is_symlink()
    assert elsewhere.read_text() == named("first")


def test_a_version_is_restored_under_the_name_that_the_rules_have_now(history: RulesHistory, etc: Path) -> None:
    first, _ = recorded(history, etc, named("first"), named("second"))
    rules = (etc / "routing.yaml").rename(etc / "rules.yaml")
    assert history.restore(history.find(first.version), rules, LATER).kept == ()
    assert rules.read_text() == named("first")
    assert not (etc / "routing.yaml").exists()


@pytest.mark.timeout(5)
def test_a_pipe_where_the_rules_should_be_is_not_waited_for(history: RulesHistory, etc: Path) -> None:
    (book,) = recorded(history, etc, RULES)
    rules = etc / "routing.yaml"
    rules.unlink()
    os.mkfifo(rules)
    with pytest.raises(HistoryError) as caught:
        history.restore(history.find(book.version), rules, LATER)
    assert str(caught.value) == (
        f"{rules} cannot be written: this is no ordinary file but a pipe, a socket or a device; put a file there"
    )
    assert [path.name for path in etc.iterdir() if path.name != "known.txt"] == ["routing.yaml"]


def test_when_it_cannot_be_written_nothing_has_changed(
    history: RulesHistory, etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = recorded(history, etc, WITH_LIST, named("second"))
    (etc / "known.txt").write_text("+8613900000002\n")
    calls = 0

    def refused(_descriptor: int, _mode: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 2:  # the list's copy and the list are ready
            raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refused)
    with pytest.raises(HistoryError) as caught:
        history.restore(history.find(first.version), etc / "routing.yaml", LATER)
    assert str(caught.value) == (
        f"{etc / 'routing.yaml'} cannot be written: Operation not permitted; "
        "do this as root, or as the user who owns it"
    )
    assert (etc / "known.txt").read_text() == "+8613900000002\n"
    assert sorted(path.name for path in etc.iterdir()) == ["known.txt", "routing.yaml"]
