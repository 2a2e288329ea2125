from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from lab.terminal import Terminal, on_terminal
from router.journal.records import Ending
from tests.unit.cli.tailed import RULES, condition, decided, ended, write

PROGRAM = Path(sys.executable).with_name("elder-router")
pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    (tmp_path / "routing.yaml").write_text(RULES)
    return tmp_path / "journal.jsonl"


@contextmanager
def tail(
    journal: Path,
    *words: str,
    columns: int = 110,
    lines: int = 20,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Terminal]:
    rules = journal.with_name("routing.yaml")
    command = [str(PROGRAM), "tail", "--journal", str(journal), "--rules", str(rules), *words]
    with on_terminal(command, columns=columns, lines=lines, environment=environment) as terminal:
        yield terminal


def calls(shown: list[str]) -> list[str]:
    """The lines of calls: what began when, and what is said of its end."""
    found = (re.match(r"(\d\d:\d\d:\d\d) .*?(under way|answered|abandoned|self-served)", line) for line in shown)
    return [f"{match[1]} {match[2]}" for match in found if match]


def test_a_calls_line_changes_in_its_place_when_its_outcome_is_known(journal: Path) -> None:
    write(journal, decided(1), decided(2), decided(3))
    with tail(journal) as terminal:
        terminal.until(lambda shown: len(calls(shown)) == 3)
        write(journal, ended(2))
        shown = terminal.until(lambda shown: any("answered" in line for line in shown))
        assert calls(shown) == ["09:00:01 under way", "09:00:02 answered", "09:00:03 under way"]
        assert shown[0] == "2025-11-26", "a day that is not today's stands above its calls"


def test_titles_and_status_stand_below_and_are_gone_at_the_end(journal: Path) -> None:
    write(journal, decided(1))
    with tail(journal, "--band", "elder") as terminal:
        *_, titles, status = terminal.until(lambda shown: any("under way" in line for line in shown[-1:]))
        assert re.sub(" +", " ", titles) == "time caller band rule to ms outcome"
        assert re.fullmatch(
            r" \d\d:\d\d:\d\d CST  journal.jsonl  1 under way  band elder  \* protected  Ctrl-C ends", status
        )
        terminal.type(b"\x03")
        assert terminal.end() == 130
        assert [line[:8] for line in terminal.seen()] == ["2025-11-", "09:00:01"]
        assert terminal.echoes()


def test_many_calls_scroll_into_the_terminals_history_and_none_is_missing(journal: Path) -> None:
    write(journal, decided(0))
    with tail(journal, lines=10) as terminal:
        terminal.until(lambda shown: len(calls(shown)) == 1)
        for number in range(1, 60):
            write(journal, decided(number))
            if number % 7 == 0:
                terminal.until(partial(_begins, f"09:00:{number:02}"))
        terminal.until(lambda shown: any(line.startswith("09:00:59") for line in shown))
        every = [line[:8] for line in terminal.above() + terminal.seen() if re.match(r"09:00", line)]
        assert every == [f"09:00:{number:02}" for number in range(60)]
        assert len(terminal.seen()) == 10


def _begins(word: str, shown: list[str]) -> bool:
    return any(line.startswith(word) for line in shown)


def test_a_call_that_has_scrolled_away_has_a_line_of_its_own_when_it_ends(journal: Path) -> None:
    write(journal, *(decided(number) for number in range(5)))
    with tail(journal, lines=10) as terminal:
        terminal.until(lambda shown: len(calls(shown)) == 5)
        write(journal, *(decided(number) for number in range(5, 30)))
        terminal.until(partial(_begins, "09:00:29"))
        write(journal, ended(2), ended(29))
        shown = terminal.until(lambda shown: sum("answered" in line for line in shown) == 2)
        assert calls(shown)[-2:] == ["09:00:29 answered", "09:00:02 answered"]


def test_what_begins_to_be_wrong_is_a_line_in_red_and_what_is_over_in_green(journal: Path) -> None:
    write(journal, decided(1, fallback="deadline", applied=False), condition(2), condition(3, state="ended", why=""))
    with tail(journal) as terminal:
        terminal.until(lambda shown: any("over: asterisk not linked" in line for line in shown))
        assert terminal.style_of("! began: asterisk not linked (pbx1): the connection was lost") == ("red", True)
        assert terminal.style_of("over: asterisk") == ("green", True)
        assert terminal.style_of("! fallback: deadline") == ("red", True)


def test_what_was_wrong_on_another_day_stands_below_that_day(journal: Path) -> None:
    write(journal, condition(1), condition(2, state="ended"))
    with tail(journal) as terminal:
        shown = terminal.until(lambda shown: any("over:" in line for line in shown))
        assert shown[0] == "2025-11-26"
        assert shown[1].startswith("09:00:01  ! began:")
        assert shown[2].startswith("09:00:02  over:")


def test_what_there_is_no_room_for_is_cut_with_a_sign_of_it(journal: Path) -> None:
    write(journal, condition(1, why="长" * 60))
    with tail(journal, columns=80) as terminal:
        shown = terminal.until(lambda shown: any("began:" in line for line in shown))
        assert shown[1].endswith("长…")


def test_protected_bands_stand_out_by_colour_and_by_a_sign(journal: Path) -> None:
    write(journal, decided(1), decided(2, "senior"), decided(3, "adult"), ended(1, Ending.ABANDONED), ended(2))
    with tail(journal) as terminal:
        terminal.until(lambda shown: any("adult" in line for line in shown))
        assert terminal.style_of("elder*") == ("magenta", True)
        assert terminal.style_of("senior*") == ("cyan", True)
        assert terminal.style_of("adult") == ("default", False)
        assert terminal.style_of("abandoned") == ("red", True)
        assert terminal.style_of("answered") == ("green", False)


def test_without_colours_the_signs_are_the_same(journal: Path) -> None:
    write(journal, decided(1, fallback="deadline", applied=False), condition(2))
    with tail(journal, environment={"NO_COLOR": "1"}) as terminal:
        terminal.until(lambda shown: any("began" in line for line in shown))
        for word in ("elder*", "! fallback", "! began"):
            assert terminal.style_of(word)[0] == "default"


def test_a_terminal_that_can_only_print_gets_lines_as_a_pipe_does(journal: Path) -> None:
    write(journal, decided(1), ended(1))
    with tail(journal, environment={"TERM": "dumb"}, columns=200) as terminal:
        (line,) = terminal.until(lambda shown: any("answered" in line for line in shown))
        assert line.startswith("2025-11-26 09:00:01  +86139****0001  elder*")


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (30, "09:00:01 elder*   answered a…"),
        (60, "09:00:01 +86139****0001 elder*   answered after 12 s by PJ…"),
        (80, "09:00:01 +86139****0001 elder*   senior-care answered after 12 s by PJSIP/1001"),
        (
            106,
            "09:00:01  +86139****0001  elder*    seniors reach a pers…  senior-care     1.8  answered after 12 s by P…",
        ),
    ],
)
def test_a_narrow_terminal_keeps_what_matters_most(journal: Path, columns: int, line: str) -> None:
    write(journal, decided(1), ended(1))
    with tail(journal, columns=columns) as terminal:
        shown = terminal.until(lambda shown: any("answered" in line for line in shown))
        assert shown[1] == line


def test_what_went_wrong_is_said_where_there_is_no_room_for_rules(journal: Path) -> None:
    write(journal, decided(1, fallback="deadline", applied=False), ended(1))
    with tail(journal, columns=80) as terminal:
        shown = terminal.until(lambda shown: any("answered" in line for line in shown))
        assert "senior-care ! fallback: deadline; answered af…" in shown[1]


def test_wide_characters_take_two_cells(journal: Path) -> None:
    write(journal, decided(1, rule="老年人接通人工坐席优先处理规则", target="长者专席", queue="q"), ended(1, queue="q"))
    write(journal, decided(2), ended(2))
    with tail(journal, columns=120) as terminal:
        shown = terminal.until(lambda shown: sum("answered" in line for line in shown) == 2)
        # A wide character is one here, and fills two cells there.
        wide, narrow = shown[1], shown[2]
        assert "老年人接通" in wide
        assert "…" in wide
        assert _cells(wide.partition("answered")[0]) == _cells(narrow.partition("answered")[0])


def _cells(text: str) -> int:
    return sum(2 if ord(character) > 0x2E7F else 1 for character in text)


def test_a_resized_terminal_is_drawn_anew_at_its_new_width(journal: Path) -> None:
    write(journal, *(decided(number) for number in range(5)), ended(1))
    with tail(journal, columns=110) as terminal:
        terminal.until(lambda shown: any("seniors reach a" in line for line in shown))
        terminal.resize(80, 12)
        shown = terminal.until(lambda shown: not any("seniors reach" in line for line in shown) and len(shown) == 8)
        assert len(calls(shown)) == 5
        write(journal, ended(3))
        shown = terminal.until(lambda shown: sum("answered" in line for line in shown) == 2)
        assert calls(shown) == [
            "09:00:00 under way", "09:00:01 answered", "09:00:02 under way", "09:00:03 answered", "09:00:04 under way",
        ]  # fmt: skip


def test_keys_do_not_move_what_is_drawn(journal: Path) -> None:
    write(journal, decided(1), decided(2))
    with tail(journal) as terminal:
        terminal.until(lambda shown: len(calls(shown)) == 2)
        assert not terminal.echoes()
        terminal.type(b"\n\n\nabc")
        write(journal, ended(1))
        shown = terminal.until(lambda shown: any("answered" in line for line in shown))
        assert calls(shown) == ["09:00:01 answered", "09:00:02 under way"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_terminal_is_left_as_it_was(journal: Path, number: signal.Signals, status: int) -> None:
    write(journal, decided(1))
    with tail(journal) as terminal:
        terminal.until(lambda shown: len(calls(shown)) == 1)
        terminal.process.send_signal(number)
        assert terminal.end() == status
        assert terminal.echoes()
        assert len(terminal.seen()) == 2


def test_after_being_stopped_it_goes_on_below(journal: Path) -> None:
    write(journal, decided(1))
    with tail(journal) as terminal:
        terminal.until(lambda shown: len(calls(shown)) == 1)
        terminal.process.send_signal(signal.SIGSTOP)
        write(journal, ended(1))
        terminal.process.send_signal(signal.SIGCONT)
        shown = terminal.until(lambda shown: any("answered" in line for line in shown))
        assert calls(shown)[-1] == "09:00:01 answered"
        assert not terminal.echoes()


def test_a_journal_that_is_not_there_is_waited_for_and_said_so(journal: Path) -> None:
    with tail(journal, columns=200) as terminal:
        terminal.until(lambda shown: any(f"waiting for {journal}" in line for line in shown))
        write(journal, decided(1))
        shown = terminal.until(lambda shown: len(calls(shown)) == 1)
        assert "waiting" not in shown[-1]


def test_hostile_text_does_not_move_the_cursor(journal: Path) -> None:
    hostile = "\x1b[2J\x1b[H\r\n\x9b31mred"
    write(journal, decided(1, rule=hostile), ended(1, answered_by=hostile), condition(2, why=hostile))
    write(journal, decided(3))
    with tail(journal, columns=200) as terminal:
        shown = terminal.until(lambda shown: len(calls(shown)) == 2)
        assert len(shown) == 6
        assert "\\u001b[2J\\u001b[H" in shown[1]
