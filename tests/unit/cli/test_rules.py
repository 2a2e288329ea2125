from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from router.cli import main
from router.reloading.history import RulesHistory
from tests.unit.reloading.rules import BROKEN, WITH_LIST, book_of, cases_for, named

NOW = datetime(2026, 11, 25, 15, 3, 1, tzinfo=UTC)
PROGRAM = Path(sys.executable).with_name("elder-router")


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A settings file; the rules have been `first`, `second` and `third`, which lies on disk."""
    file = tmp_path / "elder-router.yaml"
    file.write_text(
        "asterisk:\n  - {name: pbx1, secret_file: not-for-everyone}\n"
        "rules: etc/routing.yaml\njournal: {file: journal.jsonl, secret_file: state/callers.key}\n"
    )
    history = RulesHistory(tmp_path / "state" / "rules-history")
    for minute, name in enumerate(("first", "second", "third")):
        history.record(book_of(tmp_path / "etc", named(name)), NOW + timedelta(minutes=minute))
    return file


@pytest.fixture
def rules(settings: Path) -> Path:
    return settings.parent / "etc" / "routing.yaml"


def kept(settings: Path) -> dict[str, str]:
    """Name of the rule → version."""
    return {
        re.findall(r"name: (\w+)\n", entry.files[entry.rules_name].decode())[-1]: entry.version
        for entry in RulesHistory(settings.parent / "state" / "rules-history").entries()
    }


def run(settings: Path, *words: str) -> Result:
    return CliRunner(env={"TZ": "UTC"}).invoke(main, ["--config", str(settings), "rules", *words])


def at(minute: int) -> str:
    return f"{(NOW + timedelta(minutes=minute)).astimezone():%Y-%m-%d %H:%M:%S}"


def test_history_lists_newest_first_what_changed_and_which_lies_on_disk(settings: Path) -> None:
    done = run(settings, "history")
    versions, size = kept(settings), len(named("third"))
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "version       taken                first taken          changed  bytes",
        f"{versions['third']}  {at(2)}  {at(2)}  +1 -1      {size}  on disk",
        f"{versions['second']}  {at(1)}  {at(1)}  +1 -1      {size + 1}",
        f"{versions['first']}  {at(0)}  {at(0)}             {size}",
    ]


def test_history_as_json(settings: Path) -> None:
    listed = json.loads(run(settings, "history", "--json").stdout)
    assert listed[0] == {
        "version": kept(settings)["third"],
        "on_disk": True,
        "loaded": "2026-11-25T15:05:01+00:00",
        "first_loaded": "2026-11-25T15:05:01+00:00",
        "lines_added": 1,
        "lines_removed": 1,
        "bytes": len(named("third")),
        "files": ["routing.yaml"],
    }
    assert [(entry["on_disk"], entry["lines_added"]) for entry in listed] == [(True, 1), (False, 1), (False, None)]


def test_rules_on_disk_that_were_never_taken_are_told(settings: Path, rules: Path) -> None:
    rules.write_text(BROKEN)
    done = run(settings, "history")
    assert done.exit_code == 0
    assert "on disk" not in done.stdout
    assert done.stderr == f"{rules} is none of these: the router has not taken it\n"


def test_a_changed_list_counts_as_a_change_whatever_its_order(settings: Path, rules: Path) -> None:
    history = RulesHistory(settings.parent / "state" / "rules-history")
    for minute, numbers in enumerate(("+8613900000001\n+8613900000002\n", "+8613900000002\n+8613900000003\n")):
        rules.with_name("known.txt").write_text(numbers)
        history.record(book_of(rules.parent, WITH_LIST), NOW + timedelta(hours=1, minutes=minute))
    listed = run(settings, "history").stdout.splitlines()[1:3]
    assert [re.split("  +", line)[3] for line in listed] == ["+1 -1", "+6 -1"]


def test_an_empty_history_is_told_and_exits_1(settings: Path) -> None:
    done = run(settings, "history", "--history", str(settings.parent / "none"))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == f"{settings.parent / 'none'} holds no version yet; the router keeps each one that it takes\n"
    assert json.loads(run(settings, "history", "--json", "--history", "none").stdout) == []


def test_a_history_that_may_not_be_read_is_told(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_folder: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refused)
    done = run(settings, "history")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        f"{settings.parent / 'state' / 'rules-history'} cannot be read: Permission denied; "
        "do this as root, or as the router's user\n"
    )


def test_without_a_settings_file_the_history_must_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ELDER_ROUTER_CONFIG", raising=False)
    done = CliRunner().invoke(main, ["rules", "history"])
    assert done.exit_code == 2
    assert "where is the history? name the settings file with --config, or --history DIR" in done.output


def test_show_prints_the_file_as_it_was(settings: Path) -> None:
    done = run(settings, "show", kept(settings)["first"][:6])
    assert (done.exit_code, done.stdout) == (0, named("first"))


def test_a_version_that_is_not_kept_is_told_with_those_that_are(settings: Path) -> None:
    versions = kept(settings)
    for command in ("show", "compare", "rollback"):
        done = run(settings, command, "xyz")
        assert done.exit_code == 2
        assert done.stderr == (
            f"no version kept is called 'xyz'; there are {versions['third']}, {versions['second']}, "
            f"{versions['first']}\n"
        )


def test_compare_shows_what_changed_between_two_versions_and_exits_1(settings: Path) -> None:
    versions = kept(settings)
    done = run(settings, "compare", versions["first"], versions["second"])
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        f"--- routing.yaml ({versions['first']})",
        f"+++ routing.yaml ({versions['second']})",
        "@@ -3,6 +3,6 @@",
        " protected: []",
        " targets: {people: {queue: agents}}",
        " rules:",
        "-  - name: first",
        "+  - name: second",
        "     then: {to: people}",
        " fallback: {to: people}",
    ]


def test_nothing_of_a_version_reaches_the_terminal_as_a_command(settings: Path, rules: Path) -> None:
    rules.write_text(named("third") + "# \x1b[2J\x9b2J\tand so on\n", encoding="utf-8")
    done = run(settings, "compare", kept(settings)["third"])
    assert done.stdout.splitlines()[-1] == "+# \\u001b[2J\\u009b2J\tand so on"


@pytest.mark.parametrize(
    ("command", "option"), [("show", "--rules"), ("show", "--tests"), ("history", "--tests"), ("compare", "--tests")]
)
def test_no_option_is_taken_that_would_do_nothing(settings: Path, command: str, option: str) -> None:
    done = run(settings, command, "xyz", option, "x.yaml")
    assert done.exit_code == 2
    assert "No such option" in done.stderr
    assert option in done.stderr


def test_compare_with_what_lies_on_disk(settings: Path, rules: Path) -> None:
    versions = kept(settings)
    assert (
        run(settings, "compare", versions["third"]).stdout,
        run(settings, "compare", versions["third"]).exit_code,
    ) == (*("", 0),)
    rules.unlink()
    done = run(settings, "compare", versions["third"])
    assert done.exit_code == 1
    assert "-  - name: third" in done.stdout.splitlines()


def test_compare_shows_changed_lists(settings: Path, rules: Path) -> None:
    rules.with_name("known.txt").write_text("+8613900000001\n")
    book = book_of(rules.parent, WITH_LIST)
    RulesHistory(settings.parent / "state" / "rules-history").record(book, NOW + timedelta(hours=1))
    rules.with_name("known.txt").write_text("+8613900000002\n")
    assert run(settings, "compare", book.version).stdout.splitlines() == [
        f"--- known.txt ({book.version})",
        "+++ known.txt (on disk)",
        "@@ -1 +1 @@",
        "-+8613900000001",
        "++8613900000002",
    ]


def test_rollback_puts_the_version_before_back_and_says_so(settings: Path, rules: Path) -> None:
    version = kept(settings)["second"]
    done = run(settings, "rollback")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"version {version}, in force from {at(1)}",
        f"changed lines in {rules}: +1 -1",
        f"written: {rules}",
        "the running router takes it within about two seconds; its log says `rules loaded`",
    ]
    assert rules.read_text() == named("second")


def test_rollback_to_a_version_that_is_named(settings: Path, rules: Path) -> None:
    assert run(settings, "rollback", kept(settings)["first"][:8], "--yes").exit_code == 0
    assert rules.read_text() == named("first")


def test_from_rules_that_were_never_taken_rollback_goes_to_the_newest_and_keeps_them(
    settings: Path, rules: Path
) -> None:
    rules.write_text(BROKEN)
    done = run(settings, "rollback")
    assert rules.read_text() == named("third")
    (copy,) = rules.parent.glob("routing.yaml.rejected-*")
    assert copy.read_text() == BROKEN
    assert f"what lay there is kept as {copy}" in done.stdout.splitlines()


def test_rollback_to_what_lies_there_changes_nothing(settings: Path, rules: Path) -> None:
    version, before = kept(settings)["third"], rules.stat()
    done = run(settings, "rollback", version)
    assert (done.exit_code, done.stdout) == (*(0, f"version {version} lies at {rules} already; nothing was changed\n"),)
    assert rules.stat() == before


def test_from_the_oldest_version_there_is_no_way_back(settings: Path, rules: Path) -> None:
    rules.write_text(named("first"))
    done = run(settings, "rollback")
    assert done.exit_code == 2
    assert done.stderr == (
        f"no version before {kept(settings)['first']} is kept; name one of those that `history` lists\n"
    )


def test_a_version_that_this_program_cannot_use_is_not_put_back(settings: Path, rules: Path) -> None:
    # Another program took them.
    history = RulesHistory(settings.parent / "state" / "rules-history")
    book = book_of(rules.parent, named("newest"))
    object.__setattr__(book, "files", {"routing.yaml": BROKEN.encode()})
    history.record(book, NOW + timedelta(hours=1))
    done = run(settings, "rollback", book.version)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "there is no target `peple`; did you mean `people`?" in done.stderr
    assert done.stderr.splitlines()[-1] == f"version {book.version} cannot be used any more; nothing was changed"
    assert rules.read_text() == named("newest")


def add_to_the_newest(settings: Path, name: str) -> None:
    """As the router's user could: a file more in the newest version, and on its card."""
    entry = RulesHistory(settings.parent / "state" / "rules-history").entries()[0]
    (entry.folder / name).write_bytes(b"")
    card = json.loads((entry.folder / ".version.json").read_text())
    card["files"][name] = hashlib.sha256(b"").hexdigest()
    (entry.folder / ".version.json").write_text(json.dumps(card))


def test_a_version_with_a_list_that_its_rules_do_not_name_is_not_put_back(settings: Path, rules: Path) -> None:
    version = kept(settings)["third"]
    add_to_the_newest(settings, "others.txt")
    rules.write_text(BROKEN)
    done = run(settings, "rollback", "--yes")
    assert (done.exit_code, done.stdout) == (1, "")
    folder = settings.parent / "state" / "rules-history" / f"20261125T150501Z-{version}"
    assert done.stderr.splitlines() == [
        f"{folder / 'others.txt'}: error: the rules of this version do not name this list, so the router did not keep "
        "it; remove the version",
        f"version {version} cannot be used any more; nothing was changed",
    ]
    assert [path.name for path in rules.parent.iterdir()] == ["routing.yaml"]
    assert rules.read_text() == BROKEN


def test_what_another_program_reads_is_never_written(settings: Path, rules: Path) -> None:
    add_to_the_newest(settings, "extensions.conf")
    rules.write_text(BROKEN)
    assert run(settings, "rollback", "--yes").exit_code == 0
    assert rules.read_text() == named("second"), "the newest is passed over"
    assert not rules.with_name("extensions.conf").exists()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("command", ["compare", "rollback"])
def test_a_pipe_where_the_rules_should_be_is_told_of(settings: Path, rules: Path, command: str) -> None:
    rules.unlink()
    os.mkfifo(rules)
    done = run(settings, command, kept(settings)["first"])
    assert done.exit_code == 2
    assert done.stderr == (f"{rules}: this is no ordinary file but a pipe, a socket or a device; put a file there\n")


def with_cases(settings: Path) -> Path:
    """Later rules that came with cases, which earlier ones fail; both lie on disk."""
    etc = settings.parent / "etc"
    history = RulesHistory(settings.parent / "state" / "rules-history")
    for hour, name in enumerate(("tried", "newest"), start=1):
        history.record(book_of(etc, named(name)), NOW + timedelta(hours=hour), cases_for(name).encode())
        (etc / "routing-tests.yaml").write_text(cases_for(name))
    return etc / "routing-tests.yaml"


def test_rollback_puts_the_cases_back_too_when_later_ones_would_keep_the_rules_out(settings: Path, rules: Path) -> None:
    cases = with_cases(settings)
    done = run(settings, "rollback")
    assert (done.exit_code, done.stderr) == (0, "")
    assert f"it fails cases in {cases}: those that it passed are put back with it" in done.stdout.splitlines()
    assert (rules.read_text(), cases.read_text()) == (named("tried"), cases_for("tried"))
    assert [path.name for path in rules.parent.iterdir() if "rejected" in path.name] == []


def test_rollback_leaves_cases_alone_that_the_version_passes(settings: Path, rules: Path) -> None:
    cases = with_cases(settings)
    both = cases_for("tried").replace("rule: tried", "to: people")
    cases.write_text(both)
    assert run(settings, "rollback").exit_code == 0
    assert (rules.read_text(), cases.read_text()) == (named("tried"), both)


def test_a_version_that_would_be_kept_out_by_cases_is_not_put_back(settings: Path, rules: Path) -> None:
    cases = with_cases(settings)
    version = kept(settings)["first"]
    done = run(settings, "rollback", version)
    assert done.exit_code == 1
    assert done.stderr.splitlines()[0] == f"{cases}:4:20: error: the rules have no rule `newest`; they have first"
    assert done.stderr.splitlines()[-1] == (
        f"version {version} fails these cases, so the router would not take it; mend or move {cases} first; "
        "nothing was changed"
    )
    assert rules.read_text() == named("newest")


def test_the_cases_may_lie_elsewhere(settings: Path, rules: Path) -> None:
    cases = with_cases(settings).rename(settings.parent / "cases.yaml")
    settings.write_text(settings.read_text() + "rules_tests: cases.yaml\n")
    assert run(settings, "rollback").exit_code == 0
    assert (rules.read_text(), cases.read_text()) == (named("tried"), cases_for("tried"))


def test_a_folder_that_may_not_be_written_is_told(settings: Path, rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("router.reloading.restoring.os.fchmod", refused)
    done = run(settings, "rollback")
    assert done.exit_code == 2
    assert done.stderr == (
        f"{rules} cannot be written: Permission denied; do this as root, or as the user who owns it\n"
    )
    assert rules.read_text() == named("third")


def asked(settings: Path, answer: bytes) -> subprocess.CompletedProcess[bytes]:
    """`rules rollback` on a terminal where somebody answers."""
    terminal, ours = pty.openpty()
    try:
        os.write(terminal, answer)
        return subprocess.run(
            [PROGRAM, "--config", settings, "rules", "rollback"],
            stdin=ours,
            capture_output=True,
            timeout=20,
            check=False,
        )
    finally:
        os.close(terminal)
        os.close(ours)


@pytest.mark.parametrize(("answer", "code", "then"), [(b"y\n", 0, "second"), (b"n\n", 1, "third")])
def test_on_a_terminal_rollback_asks_first(settings: Path, rules: Path, answer: bytes, code: int, then: str) -> None:
    done = asked(settings, answer)
    assert done.stdout.decode().partition("Put it back? [y/N]")[0].splitlines() == [
        f"version {kept(settings)['second']}, in force from {at(1)}",
        f"changed lines in {rules}: +1 -1",
        f"to be written: {rules}",
    ]
    assert done.returncode == code
    assert rules.read_text() == named(then)


def test_on_a_terminal_rollback_names_every_file_that_it_would_write(settings: Path, rules: Path) -> None:
    cases = with_cases(settings)
    for number in (2, 3):
        rules.with_name("known.txt").write_text(f"+861390000000{number}\n")
        book = book_of(rules.parent, WITH_LIST)
        RulesHistory(settings.parent / "state" / "rules-history").record(
            book, NOW + timedelta(hours=8 + number), cases_for("the usual").encode()
        )
    cases.write_text(cases_for("another"))
    done = asked(settings, b"n\n")
    assert [line for line in done.stdout.decode().splitlines() if line.startswith("to be written: ")] == [
        f"to be written: {rules.with_name('known.txt')}",
        f"to be written: {cases}",
    ], "the rules are right already"
    assert cases.read_text() == cases_for("another")


def test_on_a_terminal_history_is_a_table(settings: Path) -> None:
    terminal, ours = pty.openpty()
    try:
        subprocess.run(
            [PROGRAM, "--config", settings, "rules", "history"],
            stdout=ours,
            env={"COLUMNS": "100", "TERM": "xterm"},
            timeout=20,
            check=True,
        )
        shown = os.read(terminal, 10_000).decode()
    finally:
        os.close(terminal)
        os.close(ours)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert plain[0].split() == ["version", "taken", "first", "taken", "changed", "bytes"]
    assert plain[1].startswith(kept(settings)["third"])
    assert plain[1].rstrip().endswith("on disk")
    assert "\x1b[1m" in shown, "what lies on disk is in bold"


def test_a_different_folder_can_be_set(settings: Path) -> None:
    (settings.parent / "state" / "rules-history").rename(settings.parent / "kept")
    settings.write_text(settings.read_text() + "rules_history: kept\n")
    assert run(settings, "history").exit_code == 0
