from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from router.errors import ConfigurationError, HistoryError, Problem
from router.reloading import keeper as keeper_module
from router.reloading.history import HistoryEntry, RulesHistory
from router.reloading.keeper import RulesKeeper, cases_file_of
from router.rules.book import RuleBook, load_rules

from .rules import BROKEN, CASES, RULES, WITH_LIST, book_of, named

Log = list[MutableMapping[str, Any]]
REFUSED = "rules on disk refused, the old ones stay"
PROBLEM = "there is no target `peple`; did you mean `people`? defined are people"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """The folder where the rules lie."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "routing.yaml").write_text(RULES)
    return tmp_path / "etc"


def keeper_of(etc: Path, **options: Any) -> RulesKeeper:  # noqa: ANN401
    return RulesKeeper(etc / "routing.yaml", RulesHistory(etc.parent / "history"), **options)


def put(file: Path, text: str) -> None:
    """As configuration management does it: a new file, renamed."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.rename(file)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - what the keeper does it tells nobody
            await asyncio.sleep(0.001)


def said(logs: Log, event: str) -> Log:
    return [entry for entry in logs if entry["event"] == event]


@asynccontextmanager
async def watching(etc: Path, **options: Any) -> AsyncIterator[RulesKeeper]:  # noqa: ANN401
    keeper = keeper_of(etc, poll_s=0.005, **options)
    task = asyncio.create_task(keeper.run())
    try:
        yield keeper
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


async def test_right_rules_are_in_force_after_a_reload_and_kept_in_the_history(etc: Path) -> None:
    keeper = keeper_of(etc)
    before, began = keeper.book, datetime.now(UTC)
    put(etc / "routing.yaml", named("new"))
    with capture_logs() as logs:
        status = await keeper.reload()
    assert keeper.book.rules[0].name == "new"
    assert (status.version, status.succeeded, status.problems) == (keeper.book.version, True, ())
    assert began <= status.loaded_at == status.attempted_at
    assert (status.loaded, status.refused, status.unchanged) == (1, 0, 0)
    assert logs == [
        {"event": "rules loaded", "rules": keeper.book.version, "before": before.version, "log_level": "info"}
    ]
    assert [entry.version for entry in keeper.history.entries()] == [keeper.book.version, before.version]


async def test_wrong_rules_leave_the_old_ones_in_force_and_all_that_is_wrong_is_said(etc: Path) -> None:
    keeper = keeper_of(etc)
    before = keeper.book
    put(etc / "routing.yaml", BROKEN.replace("0}", "1}"))
    with capture_logs() as logs:
        status = await keeper.reload()
    assert keeper.book is before
    assert (status.version, status.succeeded) == (before.version, False)
    assert (status.refused_since, len(status.problems), status.refused) == (status.attempted_at, 2, 1)
    (entry,) = logs
    assert (entry["event"], entry["log_level"], entry["rules"], entry["count"]) == (REFUSED, "error", before.version, 2)
    assert [problem.rpartition("error: ")[2] for problem in entry["problems"]][1] == PROBLEM
    assert [entry.version for entry in keeper.history.entries()] == [before.version]


async def test_refused_again_they_are_refused_since_the_first_time(etc: Path) -> None:
    keeper = keeper_of(etc)
    put(etc / "routing.yaml", BROKEN)
    first = await keeper.reload()
    second = await keeper.reload()
    assert second.refused_since == first.refused_since == first.attempted_at < second.attempted_at
    assert second.refused == 2


@pytest.mark.parametrize(
    ("text", "event"),
    [(RULES, "rules on disk are those in force again"), (named("new"), "rules loaded")],
    ids=["put back", "mended"],
)
async def test_once_mended_or_put_back_that_is_said_and_all_is_well(etc: Path, text: str, event: str) -> None:
    keeper = keeper_of(etc)
    put(etc / "routing.yaml", BROKEN)
    await keeper.reload()
    put(etc / "routing.yaml", text)
    with capture_logs() as logs:
        status = await keeper.reload()
    assert [entry["event"] for entry in logs] == [event]
    assert (status.succeeded, status.refused_since, status.problems, status.refused) == (True, None, (), 1)


async def test_asked_for_without_a_change_it_says_so(etc: Path) -> None:
    keeper = keeper_of(etc)
    before = keeper.book
    with capture_logs() as logs:
        status = await keeper.reload()
    assert [entry["event"] for entry in logs] == ["rules on disk are those in force"]
    assert (status.unchanged, status.loaded) == (1, 0)
    assert keeper.book is before


def vanish(file: Path) -> None:
    file.unlink()


def become_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def become_noise(file: Path) -> None:
    file.write_bytes(b"\xff\x00\xfe")


def grow(file: Path) -> None:
    file.write_text("#" * 300_000)


@pytest.mark.parametrize("spoil", [vanish, become_a_folder, become_noise, grow])
async def test_whatever_becomes_of_the_file_the_old_rules_stay(etc: Path, spoil: Callable[[Path], None]) -> None:
    keeper = keeper_of(etc)
    before = keeper.book
    spoil(etc / "routing.yaml")
    status = await keeper.reload()
    assert keeper.book is before
    assert not status.succeeded


async def test_an_error_in_the_router_itself_leaves_the_old_rules_in_force(
    etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = keeper_of(etc)

    def breaks(_file: Path) -> RuleBook:
        raise RuntimeError("not thought of")

    monkeypatch.setattr(keeper_module, "load_rules", breaks)
    with capture_logs() as logs:
        status = await keeper.reload()
    assert str(status.problems[0]) == (
        f"{etc / 'routing.yaml'}: error: these rules could not be checked for an error in the router; "
        "its log says where"
    )
    assert said(logs, "rules not checked")[0]["exc_info"]


async def test_while_new_rules_are_checked_the_old_ones_decide(etc: Path) -> None:
    may_end = threading.Event()
    checking = threading.Event()

    def slow(_book: RuleBook, _file: Path) -> list[Problem]:
        checking.set()
        assert may_end.wait(5)
        return []

    keeper = keeper_of(etc, check_cases=slow)
    before = keeper.book
    put(etc / "routing.yaml", named("new"))
    (etc / "routing-tests.yaml").write_text("cases: []\n")
    reload = asyncio.create_task(keeper.reload())
    await until(checking.is_set)
    assert keeper.book is before
    may_end.set()
    await reload
    assert keeper.book.rules[0].name == "new"


async def test_who_asks_while_it_is_read_is_served_by_one_more_reading(
    etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = keeper_of(etc)
    reading, may_end = threading.Event(), threading.Event()
    readings = 0

    def counted(file: Path) -> RuleBook:
        nonlocal readings
        readings += 1
        book = load_rules(file)
        reading.set()
        assert may_end.wait(5)
        return book

    monkeypatch.setattr(keeper_module, "load_rules", counted)
    first = asyncio.create_task(keeper.reload())
    await until(reading.is_set)
    put(etc / "routing.yaml", named("new"))
    others = [asyncio.create_task(keeper.reload()) for _ in range(20)]
    await asyncio.sleep(0)
    may_end.set()
    await asyncio.gather(first, *others)
    assert readings == 2
    assert keeper.book.rules[0].name == "new"


async def test_a_call_keeps_the_book_that_it_was_given(etc: Path) -> None:
    keeper = keeper_of(etc)
    book = keeper.book
    put(etc / "routing.yaml", named("new"))
    await keeper.reload()
    assert book.rules[0].name == "the usual"
    assert keeper.book is not book


@pytest.mark.parametrize("write", [put, Path.write_text], ids=["renamed", "written in place"])
async def test_a_change_of_the_file_is_seen(etc: Path, write: Callable[[Path, str], None]) -> None:
    async with watching(etc) as keeper:
        write(etc / "routing.yaml", named("new"))
        await until(lambda: keeper.book.rules[0].name == "new")
        write(etc / "routing.yaml", BROKEN)
        await until(lambda: not keeper.status.succeeded)
        write(etc / "routing.yaml", named("new"))
        await until(lambda: keeper.status.succeeded)
        (etc / "routing.yaml").unlink()
        await until(lambda: not keeper.status.succeeded)
        write(etc / "routing.yaml", RULES)
        await until(lambda: keeper.book.rules[0].name == "the usual")


async def test_a_change_of_a_list_that_the_rules_name_is_seen(etc: Path) -> None:
    (etc / "known.txt").write_text("+8613900000001\n")
    (etc / "routing.yaml").write_text(WITH_LIST)
    async with watching(etc) as keeper:
        before = keeper.book
        put(etc / "known.txt", "+8613900000002\n")
        await until(lambda: keeper.book.version != before.version)
        (etc / "known.txt").unlink()
        await until(lambda: not keeper.status.succeeded)


async def test_rules_that_came_before_their_list_are_taken_when_it_comes(etc: Path) -> None:
    async with watching(etc) as keeper:
        put(etc / "routing.yaml", WITH_LIST)
        await until(lambda: not keeper.status.succeeded)
        # The rules in force do not name it, and those that are refused cannot be asked.
        put(etc / "known.txt", "+8613900000001\n")
        await until(lambda: keeper.status.loaded == 1)
        put(etc / "known.txt", "+8613900000002\n")
        await until(lambda: keeper.status.loaded == 2)


async def test_lists_that_the_rules_do_not_name_are_not_watched(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, look = 0, keeper_module._stamps

    def counted(paths: list[Path]) -> dict[Path, tuple[int, ...]]:
        nonlocal looks
        looks += 1
        return look(paths)

    monkeypatch.setattr(keeper_module, "_stamps", counted)
    async with watching(etc) as keeper:
        put(etc / "other.txt", "+8613900000002\n")
        seen = looks
        await until(lambda: looks >= seen + 5)
        assert keeper.status.unchanged == 0


async def test_cases_that_come_change_or_go_are_seen(etc: Path) -> None:
    def check(_book: RuleBook, file: Path) -> list[Problem]:
        return [] if file.read_text() == "right" else [Problem(str(file), 1, 1, "wrong")]

    async with watching(etc, check_cases=check) as keeper:
        cases = etc / "routing-tests.yaml"
        put(cases, "wrong")
        await until(lambda: not keeper.status.succeeded)
        put(cases, "right")
        await until(lambda: keeper.status.succeeded)
        put(cases, "wrong")
        await until(lambda: not keeper.status.succeeded)
        cases.unlink()
        await until(lambda: keeper.status.succeeded)


async def test_permission_given_later_is_seen(etc: Path) -> None:
    async with watching(etc) as keeper:
        seen = len(keeper.history.entries())
        state = (etc / "routing.yaml").stat()
        (etc / "routing.yaml").chmod(0o600)
        await until(lambda: keeper.status.unchanged == 1)
        assert (etc / "routing.yaml").stat().st_mtime_ns == state.st_mtime_ns
        assert len(keeper.history.entries()) == seen


async def test_a_file_that_still_changes_is_not_read(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def stamped(paths: list[Path]) -> dict[Path, tuple[int, ...]]:
        """Another state at every look, until the tenth."""
        nonlocal looks
        looks += 1
        return dict.fromkeys(paths, (min(looks, 10),))

    monkeypatch.setattr(keeper_module, "_stamps", stamped)
    async with watching(etc) as keeper:
        await until(lambda: keeper.status.unchanged == 1)
        assert looks >= 11


async def test_as_long_as_they_are_refused_that_is_said_again_and_again(etc: Path) -> None:
    with capture_logs() as logs:
        async with watching(etc, complain_every_s=0.01) as keeper:
            put(etc / "routing.yaml", BROKEN)
            await until(lambda: len(said(logs, REFUSED)) >= 4)
            put(etc / "routing.yaml", RULES)
            await until(lambda: keeper.status.succeeded)
            complaints = len(said(logs, REFUSED))
            await asyncio.sleep(0.05)  # five complaints' time, in which none may come
            assert len(said(logs, REFUSED)) == complaints
    again = said(logs, REFUSED)[1]
    assert (again["log_level"], again["rules"], again["count"]) == ("error", keeper.book.version, 1)
    assert again["first"].endswith(PROBLEM)
    assert datetime.fromisoformat(again["since"]).tzinfo is not None


def test_the_first_complaint_again_comes_after_a_minute_and_a_look_every_second() -> None:
    assert (keeper_module.COMPLAIN_EVERY_S, keeper_module.POLL_S) == (60.0, 1.0)


def failing(_book: RuleBook, file: Path) -> list[Problem]:
    return [Problem(str(file), 7, 3, "older callers reach `assistant` here, not `people`")]


async def test_rules_that_fail_a_case_are_refused(etc: Path) -> None:
    keeper = keeper_of(etc, check_cases=failing)
    before = keeper.book
    (etc / "routing-tests.yaml").write_text("cases")
    put(etc / "routing.yaml", named("new"))
    status = await keeper.reload()
    assert keeper.book is before
    assert str(status.problems[0]).endswith(
        "routing-tests.yaml:7:3: error: older callers reach `assistant` here, not `people`"
    )


async def test_a_warning_about_a_case_keeps_no_rules_out(etc: Path) -> None:
    def warn(_book: RuleBook, file: Path) -> list[Problem]:
        return [Problem(str(file), 7, 3, "this case says the same as another", "warning")]

    (etc / "mine.yaml").write_text("cases")
    keeper = keeper_of(etc, check_cases=warn, cases_file=etc / "mine.yaml")
    put(etc / "routing.yaml", named("new"))
    assert (await keeper.reload()).succeeded


async def test_cases_that_the_settings_name_must_be_there(etc: Path) -> None:
    keeper_of(etc)
    keeper = keeper_of(etc, cases_file=etc / "mine.yaml")
    assert [str(problem) for problem in keeper.status.problems] == [
        f"{etc / 'mine.yaml'}: error: there is no such file; write the cases into it, or take `rules_tests` out of "
        "the settings"
    ]
    async with watching(etc, cases_file=etc / "mine.yaml") as keeper:
        put(etc / "mine.yaml", CASES)
        await until(lambda: keeper.status.succeeded)


async def test_the_shipped_kind_of_cases_is_tried(etc: Path) -> None:
    (etc / "routing-tests.yaml").write_text(CASES)
    keeper = keeper_of(etc)
    put(etc / "routing.yaml", named("new"))
    status = await keeper.reload()
    assert keeper.book.rules[0].name == "the usual"
    assert str(status.problems[0]) == (
        f"{etc / 'routing-tests.yaml'}:4:20: error: the rules have no rule `the usual`; they have new"
    )


async def test_the_cases_that_rules_passed_are_kept_with_them(etc: Path) -> None:
    keeper = keeper_of(etc)
    assert keeper.history.entries()[0].cases is None
    put(etc / "routing-tests.yaml", CASES)
    await keeper.reload()
    (entry,) = keeper.history.entries()
    assert entry.cases == CASES.encode()
    assert entry.loaded == keeper.status.loaded_at


async def test_cases_that_cannot_be_read_keep_rules_out(etc: Path) -> None:
    def unreadable(_book: RuleBook, file: Path) -> list[Problem]:
        raise ConfigurationError([Problem(str(file), 0, 0, "the file is empty")])

    keeper = keeper_of(etc, check_cases=unreadable)
    (etc / "routing-tests.yaml").write_text("")
    assert [problem.message for problem in (await keeper.reload()).problems] == ["the file is empty"]


def test_the_cases_are_those_that_are_named_or_lie_beside_the_rules(etc: Path) -> None:
    rules = etc / "routing.yaml"
    assert cases_file_of(rules, None) is None
    (etc / "routing-tests.yaml").symlink_to("nowhere")
    assert cases_file_of(rules, None) == etc / "routing-tests.yaml", "a link to nowhere is meant to be one"
    assert cases_file_of(rules, etc / "none.yaml") == etc / "none.yaml"


def test_at_the_start_wrong_rules_give_way_to_the_newest_good_ones(etc: Path) -> None:
    keeper_of(etc)
    put(etc / "routing.yaml", BROKEN)
    with capture_logs() as logs:
        keeper = keeper_of(etc)
    assert keeper.book.rules[0].name == "the usual"
    assert (keeper.status.version, keeper.status.succeeded) == (keeper.book.version, False)
    assert keeper.status.refused_since == keeper.status.loaded_at
    (entry,) = logs
    assert (entry["event"], entry["log_level"]) == (
        *("rules on disk cannot be used, started with the newest good ones", "error"),
    )
    assert entry["rules"] == keeper.book.version
    assert entry["problems"][0].endswith(PROBLEM)


async def test_started_so_it_keeps_saying_it_and_takes_the_mended_file(etc: Path) -> None:
    keeper_of(etc)
    (etc / "routing.yaml").unlink()
    with capture_logs() as logs:
        async with watching(etc, complain_every_s=0.01) as keeper:
            await until(lambda: bool(said(logs, REFUSED)))
            put(etc / "routing.yaml", named("new"))
            await until(lambda: keeper.book.rules[0].name == "new")
    assert said(logs, REFUSED)[0]["first"] == (f"{etc / 'routing.yaml'}: error: there is no such file; check the path")


def test_at_the_start_a_kept_version_that_cannot_be_used_any_more_is_passed_over(
    etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = keeper_of(etc).history
    newer = book_of(etc, named("newer"))
    history.record(newer, datetime.now(UTC))
    put(etc / "routing.yaml", BROKEN)

    load = HistoryEntry.load

    def stricter(entry: HistoryEntry) -> RuleBook:
        if entry.version == newer.version:
            raise ConfigurationError([Problem(str(entry.folder), 0, 0, "no longer")])
        return load(entry)

    monkeypatch.setattr(HistoryEntry, "load", stricter)
    with capture_logs() as logs:
        keeper = keeper_of(etc)
    assert keeper.book.rules[0].name == "the usual"
    assert logs[0] == {
        "event": "a kept version of the rules cannot be used any more",
        "version": newer.version,
        "log_level": "warning",
    }


def test_at_the_start_without_a_history_wrong_rules_are_an_error(etc: Path) -> None:
    put(etc / "routing.yaml", BROKEN)
    with pytest.raises(ConfigurationError) as caught:
        keeper_of(etc)
    assert caught.value.problems[0].message == PROBLEM


async def test_a_history_that_cannot_be_written_keeps_no_rules_out(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise HistoryError("/var/lib/elder-router/rules-history: No space left on device")

    monkeypatch.setattr(RulesHistory, "record", full)
    with capture_logs() as logs:
        keeper = keeper_of(etc)
        put(etc / "routing.yaml", named("new"))
        assert (await keeper.reload()).succeeded
    assert keeper.book.rules[0].name == "new"
    assert [entry["reason"] for entry in said(logs, "rules not kept in the history")] == [
        "/var/lib/elder-router/rules-history: No space left on device"
    ] * 2


async def test_a_history_that_is_a_file_keeps_no_rules_out(etc: Path) -> None:
    (etc.parent / "history").write_text("")
    with capture_logs() as logs:
        keeper_of(etc)
    assert said(logs, "rules not kept in the history")[0]["reason"].endswith("history: File exists")


async def test_cancelled_while_reading_it_ends(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with watching(etc) as keeper:
        reading = threading.Event()

        def signals(_file: Path) -> RuleBook:
            reading.set()
            return keeper.book

        monkeypatch.setattr(keeper_module, "load_rules", signals)
        os.utime(etc / "routing.yaml")
        await until(reading.is_set)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("name", ["routing.yaml", "routing-tests.yaml", "known.txt"])
async def test_a_pipe_among_the_files_is_refused_and_not_waited_for(etc: Path, name: str) -> None:
    (etc / "known.txt").write_text("+8613900000001\n")
    (etc / "routing.yaml").write_text(WITH_LIST)
    keeper = keeper_of(etc)
    (etc / name).unlink(missing_ok=True)
    os.mkfifo(etc / name)
    status = await keeper.reload()
    (problem,) = status.problems
    assert "this is no ordinary file but a pipe, a socket or a device; put a file there" in problem.message


def test_a_card_with_an_impossible_date_does_not_keep_the_router_from_starting(etc: Path) -> None:
    keeper_of(etc)
    (card,) = (etc.parent / "history").glob("*/.version.json")
    card.write_text(re.sub(r'("loaded": ?")[^"]*', r"\g<1>9999-12-31T23:59:59.999999Z", card.read_text()))
    put(etc / "routing.yaml", named("new"))
    with capture_logs() as logs:
        keeper = keeper_of(etc)
    assert logs == []
    assert [entry.version for entry in keeper.history.entries()] == [keeper.book.version]
