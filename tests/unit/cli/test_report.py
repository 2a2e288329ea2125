from __future__ import annotations

import csv
import gzip
import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from router.cli import main
from tests.unit.journal.calls import lines
from tests.unit.journal.counting.days import CARE, DAY, REST, at, call, condition, write

PROGRAM = Path(sys.executable).with_name("elder-router")
RULES = """\
timezone: Asia/Shanghai
age_bands: [{name: adult, from: 0}, {name: senior, from: 60}, {name: elder, from: 75}]
protected: [senior, elder]
speech: {standard: {rate: 1.0}}
targets:
  people: {queue: agents}
  senior-care: {queue: senior-care}
  assistant: {context: router-assistant}
rules:
  - {name: older callers, when: {age_band: [senior, elder]}, then: {to: senior-care}}
  - {name: everybody else, then: {to: assistant}}
fallback: {to: people}
"""
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
_BEFORE = call(90, "09:00:00", "elder", wait=3.0, queue="senior-care", **CARE)
_BEFORE[0]["time"] = at("09:00:00", "2026-11-24")
TWO_DAYS = [*_BEFORE, *DAY]


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "routing.yaml"
    file.write_text(RULES)
    return file


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return write(tmp_path / "journal.jsonl", TWO_DAYS)


def report(rules: Path, *words: str | Path, **options: Any) -> Result:  # noqa: ANN401
    where = ("--rules", rules, "--day", "2026-11-25") if "--since" not in words and "--day" not in words else (
        "--rules", rules)  # fmt: skip
    return CliRunner().invoke(main, ["report", *map(str, (*where, *words))], **options)


def as_json(rules: Path, *words: str | Path) -> dict[str, Any]:
    result = report(rules, *words, "--json")
    assert result.exit_code == 0, result.output
    plain: dict[str, Any] = json.loads(result.stdout)
    return plain


def test_the_one_question_is_answered_first(rules: Path, journal: Path) -> None:
    out = report(rules, "--journal", journal).output
    assert out.startswith(
        "Older callers (senior and elder): 50.0% answered by a person without the assistant; 42.9% within 15 s\n"
        "Wednesday, November 25, 2026, Asia/Shanghai; compared with Tuesday, November 24, 2026\n"
    )


def test_bands_that_were_not_always_protected_are_not_said_to_be_what_was_counted(rules: Path, journal: Path) -> None:
    rules.write_text(RULES.replace("protected: [senior, elder]", "protected: [elder]"))
    out = " ".join(report(rules, "--journal", journal).output.split())
    assert out.startswith("Older callers: 50.0% answered by a person without the assistant; 42.9% within 15 s ")
    assert "the rules protected other age bands when some of these calls were decided" in out


def test_the_terminal_has_every_section(rules: Path, journal: Path) -> None:
    out = re.sub(" {2,}", "  ", report(rules, "--journal", journal).output)
    assert "by a person, without the assistant  50.0%  100.0%  −50.0 pt within chance" in out
    assert "wait, longest  1:30 min  3.0 s  +87.0 s longer" in out
    assert "promised: 80% (service level, 20s)" in out
    assert "By age band  calls  person  ≤ 15 s  ≤ 20s  aband.  median  95th  longest\nadult  3  " in out
    assert "\nunknown  4  25.0%  33.3%  33.3%  33.3%  2.0  20.0  20.0\n" in out
    assert "\n09:00  3  100.0%  66.7%  100.0%  0.0%  15.0  15.0  15.0\n" in out
    assert "\nsenior-care  4  " in out
    assert "\nno rule asked  1  100.0%  100.0%" in out
    assert "the router had not been heard of for 3 s (heartbeat)  1  0\n" in out
    assert "the lookup failed  1  0\n" in out
    assert "What was wrong with our systems: nothing is recorded\n" in out
    assert "end not seen, as the router was away: 1; such calls are in no share\n" in out


def test_bands_rules_and_targets_have_the_order_of_the_rules_and_unknown_comes_last(rules: Path, journal: Path) -> None:
    figures = as_json(rules, "--journal", journal)["figures"]
    assert [row["name"] for row in figures["by_band"]] == ["adult", "senior", "elder", None]
    assert [row["name"] for row in figures["by_rule"]] == ["older callers", "everybody else", None]
    assert [row["name"] for row in figures["by_target"]] == ["people", "senior-care", "assistant"]


def test_json_has_all_of_it_as_numbers(rules: Path, journal: Path) -> None:
    plain = as_json(rules, "--journal", journal)
    older = plain["figures"]["protected"]
    assert older["answered_within_15s"] == {"share": 3 / 7, "happened": 3, "of": 7}
    assert older["service_level"] == {"share": 4 / 7, "happened": 4, "of": 7}
    assert older["wait_median_s"] == 15.0
    assert plain["before"]["overall"]["calls"] == 1
    assert plain["span"] == {"from": "2026-11-25T00:00:00+08:00", "to": "2026-11-26T00:00:00+08:00"}
    assert plain["before_span"]["from"] == "2026-11-24T00:00:00+08:00"
    assert plain["changes"]["protected"]["wait_longest_s"] == {"by": "+87.0 s", "verdict": "longer"}
    assert plain["service_level"] == {"within_s": 20.0, "promised": 0.8}


def test_the_threshold_of_the_service_level_can_be_chosen(rules: Path, journal: Path) -> None:
    plain = as_json(rules, "--journal", journal, "--within", "100s")
    assert plain["figures"]["protected"]["service_level"]["happened"] == 5
    assert "≤ 100s" in report(rules, "--journal", journal, "--within", "100s").output
    assert "write 20s for seconds" in report(rules, "--journal", journal, "--within", "20").output


@pytest.mark.usefixtures("rules")
def test_the_settings_file_gives_the_threshold_the_promise_and_the_journal(tmp_path: Path) -> None:
    write(tmp_path / "elder.jsonl", DAY)
    (tmp_path / "settings.yaml").write_text(
        "asterisk: [{name: pbx1, host: 127.0.0.1, username: u, secret_env: S}]\nrules: routing.yaml\n"
        "journal: {file: elder.jsonl, secret_file: s.key}\nservice_level: {percent: 95, within: 15s}\n"
    )
    config = ["--config", str(tmp_path / "settings.yaml"), "report", "--day", "2026-11-25"]
    result = CliRunner().invoke(main, config)
    assert result.exit_code == 0, result.output
    assert "promised: 95% (service level, 15s)" in result.output


def test_a_day_can_be_named_and_any_span(rules: Path, journal: Path) -> None:
    assert as_json(rules, "--journal", journal, "--day", "2026-11-24")["figures"]["overall"]["calls"] == 1
    plain = as_json(rules, "--journal", journal, "--since", "2026-11-25 09:00", "--until", "2026-11-25 10:02")
    assert plain["figures"]["overall"]["calls"] == 5
    assert plain["before_span"] == {"from": "2026-11-25T07:58:00+08:00", "to": "2026-11-25T09:00:00+08:00"}
    days = as_json(rules, "--journal", journal, "--since", "2026-11-24", "--until", "2026-11-26")
    assert [(day["name"], day["calls"]) for day in days["figures"]["by_day"]] == [("2026-11-24", 1), ("2026-11-25", 17)]


def test_each_span_has_its_own_days_those_without_calls_too(tmp_path: Path, rules: Path) -> None:
    days = {"2026-11-18": 1, "2026-11-20": 2, "2026-11-21": 3, "2026-11-23": 4, "2026-11-25": 5}
    records = [
        {**record, "time": at("10:00:00", day)}
        for day, calls in days.items()
        for number in range(calls)
        for record in call(int(day[-2:]) * 100 + number, "10:00:00")
    ]
    words = ("--journal", write(tmp_path / "j", records), "--since", "2026-11-22", "--until", "2026-11-26")
    plain = as_json(rules, *words)
    told = [[(day["name"], day["calls"]) for day in plain[span]["by_day"]] for span in ("figures", "before")]
    assert [dict(of) for of in told] == [
        {"2026-11-23": 4, "2026-11-25": 5},
        {"2026-11-18": 1, "2026-11-20": 2, "2026-11-21": 3},
    ]
    table = csv.DictReader(io.StringIO(report(rules, *words, "--csv", "-").stdout))
    rows = [(row["name"], row["period"]) for row in table if (row["section"], row["figure"]) == ("day", "calls")]
    assert rows == [
        *(("2026-11-23", "this"), ("2026-11-25", "this")),
        *(("2026-11-18", "before"), ("2026-11-20", "before"), ("2026-11-21", "before")),
    ]
    assert re.search(r"^2026-11-24 +0 +– +– ", report(rules, *words).output, re.M), "a day without calls is seen"


@pytest.mark.parametrize(
    ("first", "is_told"), [("00:10:00", False), ("15:00:00", True)], ids=["from the beginning", "from the afternoon"]
)
def test_a_journal_that_begins_within_what_is_compared_is_told(
    tmp_path: Path, rules: Path, first: str, is_told: bool
) -> None:
    records = [{**record, "time": at(first, "2026-11-24")} for record in call(90, first)]
    out = report(rules, "--journal", write(tmp_path / "j", [*records, *DAY])).output
    told = "the journal begins 2026-11-24 15:00: what was before is in no figure" if is_told else "the journal begins"
    assert (told in " ".join(out.split())) is is_told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--day", "someday"], 'write a day like "2026-11-25", or yesterday, or today'),
        (["--day", "today", "--since", "2026-11-25"], "--day is a whole day"),
        (["--since", "2026-11-26", "--until", "2026-11-25"], "the span ends before it begins"),
        (["--until", "2026-11-25"], "--until needs --since"),
        (["--since", "noon"], 'write a time like "2026-11-23 09:00"'),
    ],
)
def test_spans_that_are_none_are_refused(rules: Path, journal: Path, words: list[str], told: str) -> None:
    result = CliRunner().invoke(main, ["report", "--rules", str(rules), "--journal", str(journal), *words])
    assert result.exit_code == 2
    assert told in " ".join(result.output.split()).replace(" │ │ ", " ")


def test_a_day_without_calls_says_which_the_journal_has(rules: Path, journal: Path) -> None:
    result = report(rules, "--journal", journal, "--day", "2026-11-20")
    assert result.exit_code == 2
    assert (
        f"{journal}: no call was decided in Friday, November 20, 2026 (Asia/Shanghai); "
        "newer ones begin 2026-11-24 09:00, see --day"
    ) in result.output
    near = report(rules, "--journal", journal, "--day", "2026-11-26")
    assert "there are calls from 2026-11-24 09:00 to 2026-11-25 23:59, see --day" in near.output


def test_an_empty_journal_and_none_say_so(tmp_path: Path, rules: Path) -> None:
    result = report(rules, "--journal", write(tmp_path / "empty", []))
    assert (result.exit_code, "nor at any other time" in result.output) == (2, True)
    assert "where is the journal?" in report(rules).output
    assert "nowhere: cannot be read" in report(rules, "--journal", tmp_path / "nowhere").output


def test_several_journals_may_follow_one_option_as_a_shell_writes_them(tmp_path: Path, rules: Path) -> None:
    old = tmp_path / "journal.jsonl.1.gz"
    old.write_bytes(gzip.compress(b"".join(lines(DAY[:20]))))
    new = write(tmp_path / "journal.jsonl", DAY[20:])
    plain = as_json(rules, "--journal", old, new)
    assert plain["figures"]["overall"]["calls"] == 17
    assert plain["journals"] == [str(old), str(new)]
    assert as_json(rules, "--journal", old, "--journal", new)["figures"] == plain["figures"]


def test_standard_input_is_a_journal(rules: Path) -> None:
    result = report(rules, "--journal", "-", "--json", input=b"".join(lines(DAY)))
    assert json.loads(result.stdout)["figures"]["overall"]["calls"] == 17


def test_report_speech_is_still_a_command(journal: Path) -> None:
    result = CliRunner().invoke(main, ["report", "speech", "--rules", "nowhere.yaml", "--journal", str(journal)])
    assert result.exit_code == 0, result.output
    assert "counted" in result.output


def test_bad_lines_are_told(tmp_path: Path, rules: Path) -> None:
    file = write(tmp_path / "j", DAY)
    file.write_bytes(file.read_bytes() + b"rubbish \x1b[31m\n")
    out = report(rules, "--journal", file).output
    assert "1 line is no record and does not count:\n" in out
    assert f"{file}:34: is no JSON" in out


def test_without_rules_hours_are_in_utc_and_that_is_said(tmp_path: Path, journal: Path) -> None:
    out = report(tmp_path / "nowhere.yaml", "--journal", journal).output
    assert "the rules are not to be had, so that hours are in UTC" in out
    assert out.startswith("Older callers: ")


# --- CSV


def table(rules: Path, *words: str | Path) -> list[dict[str, str]]:
    result = report(rules, *words, "--csv", "-")
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(io.StringIO(result.stdout)))


def test_csv_is_one_tidy_table(rules: Path, journal: Path) -> None:
    rows = table(rules, "--journal", journal)
    found = {(row["period"], row["section"], row["name"], row["figure"]): (row["value"], row["unit"]) for row in rows}
    assert len(found) == len(rows), "each figure once"
    assert found["this", "overall", "", "calls"] == ("17", "calls")
    assert found["this", "protected", "", "answered_within_15s"] == ("0.428571", "of 1")
    assert found["this", "band", "elder", "wait_longest_s"] == ("90.0", "s")
    assert found["this", "fallback", "heartbeat", "calls"] == ("1", "calls")
    assert found["before", "overall", "", "calls"] == ("1", "calls")
    assert found["this", "band", "adult", "abandon_rate"][0] == "0.0"
    assert found["before", "protected", "", "wait_95th_s"] == ("3.0", "s")


@pytest.mark.parametrize(
    ("begins", "stands"),
    [
        *((char, f"'{char}") for char in "=+-@"),
        ("\t", "\\u0009"),
        ("\r", "\\u000d"),
        ("\x1b[2J\x9b", "\\u001b[2J\\u009b"),
    ],
)
def test_no_name_is_a_formula_in_a_spreadsheet_or_obeyed_by_a_terminal(
    tmp_path: Path, rules: Path, begins: str, stands: str
) -> None:
    name = f'{begins}HYPERLINK("http://x","y"),\n"'
    journal = write(tmp_path / "j", call(1, "09:00:00", wait=1.0, rule=name, queue=name, target=name))
    text = CliRunner().invoke(
        main,
        [
            "report",
            "--rules",
            str(rules),
            "--day",
            "2026-11-25",
            "--journal",
            str(journal),
            "--csv",
            str(tmp_path / "t"),
        ],
    )
    assert text.exit_code == 0, text.output
    with (tmp_path / "t").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["name"] for row in rows if row["section"] in {"rule", "queue", "target"}} == {
        f'{stands}HYPERLINK("http://x","y"),\\u000a"'
    }
    assert not any(cell.startswith(("=", "+", "@")) or not cell.isprintable() for row in rows for cell in row.values())


def test_files_are_written_whole_and_say_so(tmp_path: Path, rules: Path, journal: Path) -> None:
    target = tmp_path / "day.csv"
    target.write_text("of yesterday")
    result = report(rules, "--journal", journal, "--csv", target)
    assert result.stdout.endswith(f"wrote {target}\n")
    assert result.stderr == "", "cron mails what stands there"
    assert f"wrote {target}" in report(rules, "--journal", journal, "--csv", target, "--json").stderr
    assert target.read_bytes().startswith(b"\xef\xbb\xbfperiod,section,name"), "so that Excel knows it to be UTF-8"
    assert result.stdout.startswith("Older callers"), "and the report is shown"
    assert not list(tmp_path.glob(".day.csv*"))


def test_no_journal_is_ever_written_over(tmp_path: Path, rules: Path, journal: Path) -> None:
    (tmp_path / "link").symlink_to(journal)
    other, packed = write(tmp_path / "other", DAY), tmp_path / "old.gz"
    packed.write_bytes(gzip.compress(other.read_bytes()))
    for target in (journal, tmp_path / "link", other, packed):
        before = target.read_bytes()
        result = report(rules, "--journal", journal, "--html", target)
        assert (result.exit_code, "is never written over" in result.output) == (2, True)
        assert target.read_bytes() == before


def test_a_pipe_is_written_to_and_a_link_stays_one(tmp_path: Path, rules: Path, journal: Path) -> None:
    pipe, latest, day = tmp_path / "pipe", tmp_path / "latest.html", tmp_path / "day.html"
    os.mkfifo(pipe)
    latest.symlink_to(day)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_bytes)
        result = report(rules, "--journal", journal, "--csv", pipe, "--html", latest)
        assert result.exit_code == 0, result.output
        assert read.result(timeout=60).startswith(b"\xef\xbb\xbfperiod,")
    assert pipe.is_fifo(), "nothing was put in its place, which would have been the end of a device as well"
    assert latest.is_symlink()
    assert day.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(("target", "told"), [("", "this is a folder"), ("no/where.csv", "there is no folder")])
def test_where_nothing_can_be_written_is_said_before_counting(
    tmp_path: Path, rules: Path, journal: Path, target: str, told: str
) -> None:
    result = report(rules, "--journal", journal, "--csv", tmp_path / target)
    assert (result.exit_code, told in result.output) == (2, True)


# --- the terminal


def on_terminal(rules: Path, journal: Path, columns: int) -> list[str]:
    words = [str(word) for word in (PROGRAM, "report", "--rules", rules, "--journal", journal, "--day", "2026-11-25")]
    here, there = pty.openpty()
    env = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "1"}
    subprocess.run(words, stdout=there, stderr=subprocess.DEVNULL, env=env, check=True)
    os.close(there)
    read = b""
    try:
        while chunk := os.read(here, 65536):
            read += chunk
    except OSError:  # at its end, as Linux has it
        pass
    finally:
        os.close(here)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", read.decode()).splitlines()


@pytest.mark.parametrize("columns", [80, 120, 140])
def test_it_fits_the_terminal_and_tables_keep_their_lines(rules: Path, journal: Path, columns: int) -> None:
    shown = on_terminal(rules, journal, columns)
    assert max(map(len, shown)) <= columns
    person = "by a person, without the assistant" if columns >= 114 else "person, no assistant"
    assert sum(line.startswith(person) for line in shown) == 1
    assert any(line.split()[:2] == ["10:00", "7"] for line in shown)
    assert not any("…" in line for line in shown), "nothing is cut off"
    assert any("before" in line for line in shown[:6]) == (columns >= 136), "both days beside each other, if they fit"


def test_a_terminal_obeys_nothing_of_a_journal(tmp_path: Path, rules: Path) -> None:
    evil = "\x1b[2J\x07[red]"
    records = [
        *call(1, "09:00:00", wait=1.0, rule=evil, queue=evil, target=evil, fallback=evil, age_band=evil),
        condition("09:00:00", "began", what=evil, why=evil),
    ]
    result = report(rules, "--journal", write(tmp_path / "j", records))
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    assert "\x07" not in result.output
    assert result.output.count("[red]") >= 6, "brackets are no markup"


# --- the page


class _Elements(HTMLParser):
    """What a page consists of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page_of(tmp_path: Path, rules: Path, records: Iterable[dict[str, Any]], *words: str) -> str:
    target = tmp_path / "page.html"
    result = report(rules, "--journal", write(tmp_path / "of page", records), "--html", target, *words)
    assert result.exit_code == 0, result.output
    return target.read_text()


def test_the_page_needs_nothing_from_outside_and_runs_nothing(tmp_path: Path, rules: Path) -> None:
    page = page_of(tmp_path, rules, TWO_DAYS)
    elements = _Elements(page)
    tags = {tag for tag, _ in elements.tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    for _, attributes in elements.tags:
        assert not any(name.startswith("on") or name in {"src", "href", "style", "xlink:href"} for name in attributes)
    assert "url(" not in page
    assert "@import" not in page
    policy = next(attributes for _, attributes in elements.tags if attributes.get("http-equiv"))
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"


def test_nothing_of_a_journal_becomes_part_of_the_page(tmp_path: Path, rules: Path) -> None:
    clean, evil = (
        page_of(tmp_path, rules, [
            *call(1, "09:00:00", wait=1.0, rule=text, queue=text, target=text, fallback=text, age_band=text),
            condition("09:00:00", "began", what=text, why=text, node=text),
        ])
        for text in ("harmless", HOSTILE)
    )  # fmt: skip
    shape = [tag for tag, _ in _Elements(evil).tags]
    assert shape == [tag for tag, _ in _Elements(clean).tags]
    assert HOSTILE in _Elements(evil).texts


def test_the_page_has_the_figures_of_the_journal(tmp_path: Path, rules: Path) -> None:
    texts = _Elements(page_of(tmp_path, rules, TWO_DAYS)).texts
    where = texts.index("answered within 15 s", texts.index("Older callers – All callers"))
    assert [text for text in texts[where:] if text.strip()][1:2] == ["42.9%"]
    titles = [text for text in texts if re.match(r"\d\d:00 ", text)]
    assert "10:00 older callers: 7" in titles
    assert "09:00 older callers: 66.7%" in titles


def test_every_chart_and_table_says_what_it_is(tmp_path: Path, rules: Path) -> None:
    page = page_of(tmp_path, rules, TWO_DAYS)
    tags = _Elements(page).tags
    ids = {attributes["id"] for _, attributes in tags if "id" in attributes}
    charts = [attributes for tag, attributes in tags if tag == "svg"]
    assert len(charts) == 4
    for chart in charts:
        assert chart["role"] == "img"
        assert {*(chart["aria-labelledby"] or "").split()} <= ids
    assert page.count("<table") == page.count("<caption") == 8
    assert all("scope" in attributes for tag, attributes in tags if tag == "th")
    assert "Most calls came from 10:00 (7)." in page


def test_the_page_speaks_chinese(tmp_path: Path, rules: Path) -> None:
    page = page_of(tmp_path, rules, TWO_DAYS, "--language", "zh")
    assert '<html lang="zh-CN">' in page
    assert "老年来电（senior和elder）：50.0% 未经语音助手、由人工接听；42.9% 在 15 秒内接听" in page.replace(
        "）: ", "）："
    )
    assert "2026年11月25日" in page
    assert "不在登记库中" in page


@pytest.mark.parametrize("records", [DAY, call(1, "09:00:00", end=None), call(1, "09:00:00", "adult", **REST)])
def test_a_page_is_made_of_any_day(tmp_path: Path, rules: Path, records: list[dict[str, Any]]) -> None:
    page = page_of(tmp_path, rules, records)
    assert "NaN" not in page
    assert "None" not in page
    assert "–" in page
