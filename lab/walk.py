"""The README's walk through changing the rules, walked: each command it shows is run, and what it printed put there.

    python -m lab walk            rewrite the README's blocks
    python -m lab walk --check    say whether they are as they would be written

In a folder of its own, with the shipped rules, a made-up journal of a day and a running router, whose Asterisk is
elsewhere. What differs from run to run, the times in the history, is written as one fixed time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import unified_diff
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from lab.centre import ELDER_ROUTER
from lab.places import PROJECT
from lab.processes import Child, LabError
from router.callers.number import PhoneNumber, masked
from router.calls.decisions import Handled, decision_record
from router.calls.events import Request
from router.journal.hashing import caller_key, rollout_place
from router.journal.records import DecisionRecord, Ending, OutcomeRecord
from router.rules.book import RuleBook, load_rules
from router.rules.model import Facts, QueueState

README: Final = PROJECT / "README.md"
HEADING: Final = "## Changing the rules"
CALLS: Final = 2000
# Where the README says things are; they are in the walk's folder, and in `log` below it.
CONFIG: Final = "/etc/elder-router"
LOG: Final = "/var/log/elder-router"
_PATIENCE_S = 20.0
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2})?")
_BLOCK = re.compile(r"(?m)^    \$ elder-router .*\n(?:    .*\n|\n(?=    ))*")
_FIXED_TIME = "2026-11-25 15:04:05"

WRONG: Final = """\
  - name: while agents are idle, everyone reaches one
    when: {queue: {people: {agent_free_over: 5}}}
    then: {to: peple}

"""
HASTY: Final = WRONG.replace("agent_free", "agents_free").replace("peple", "people")
RIGHT: Final = HASTY.replace("when: {queue", "when: {age_band: [minor, adult, unknown], queue")


@dataclass(frozen=True, slots=True)
class Step:
    """One command as the README shows it, and what is done to the files before it is run."""

    words: str
    before: Callable[[Path], None] = lambda _: None


def _edit(rule: str) -> Callable[[Path], None]:
    """Write new.yaml: the shipped rules with one more before all others."""

    def edit(folder: Path) -> None:
        shipped = (PROJECT / "config" / "routing.yaml").read_text(encoding="utf-8")
        (folder / "new.yaml").write_text(shipped.replace("rules:\n", f"rules:\n{rule}", 1), encoding="utf-8")

    return edit


def _save(folder: Path) -> None:
    shutil.copy(folder / "new.yaml", folder / "routing.yaml")


STEPS: Final = (
    Step("check new.yaml", _edit(WRONG)),
    Step("check new.yaml", _edit(HASTY)),
    Step(
        'explain --rules new.yaml --caller 13900000005 --called 95519 --band senior --at "2026-11-25 10:30" '
        "--queue people:agents_free=8"
    ),
    Step("test --rules new.yaml"),
    Step(f"diff new.yaml --journal {LOG}/journal.jsonl.1 --examples 1"),
    Step(f"diff new.yaml --journal {LOG}/journal.jsonl.1 --examples 1", _edit(RIGHT)),
    Step("rules history", _save),
    Step("rules rollback --yes"),
    Step("explain --call 1795482361.19"),
)


async def main() -> int:
    """Walk; 1 if the README is not as it should be and was not to be rewritten."""
    text = README.read_text(encoding="utf-8")
    written = replaced(text, await walk())
    if written == text:
        print("the README's walk is as it should be")
        return 0
    if "--check" in sys.argv:
        sys.stdout.writelines(unified_diff(text.splitlines(True), written.splitlines(True), "README.md", "as walked"))
        return 1
    README.write_text(written, encoding="utf-8")
    print("the README's walk is rewritten")
    return 0


async def walk() -> list[str]:
    """Run every step; what each printed on a terminal, with its command before it and its exit status behind it."""
    with tempfile.TemporaryDirectory(prefix="elder-walk-") as scratch:
        folder = Path(scratch)
        _lay_out(folder)
        router = await Child.start("elder-router", _command("run"), folder / "router.log", cwd=folder)
        try:
            await _taken(folder, times=1)
            shown = []
            for step in STEPS:
                step.before(folder)
                if step.words.startswith("rules history"):
                    await _taken(folder, times=2)
                shown.append(await _shown(folder, step.words))
            return shown
        finally:
            await router.stop()


def blocks(text: str) -> Iterator[re.Match[str]]:
    """The README's blocks that begin with a command, below the heading."""
    start = text.index(HEADING)
    return _BLOCK.finditer(text, start, text.index("\n## ", start + 1))


def replaced(text: str, shown: list[str]) -> str:
    """The README with its blocks, in their order, made of what was shown."""
    found = list(blocks(text))
    if len(found) != len(shown):
        raise LabError(f"the README shows {len(found)} commands below «{HEADING}», and {len(shown)} are walked")
    for block, printed in zip(reversed(found), reversed(shown), strict=True):
        text = text[: block.start()] + printed + text[block.end() :]
    return text


def _command(words: str) -> list[str]:
    return [ELDER_ROUTER, "--config", "elder-router.yaml", *shlex.split(words)]


async def _shown(folder: Path, words: str) -> str:
    command = _command(words.replace(LOG, str(folder / "log")))
    out, status = await asyncio.to_thread(on_a_terminal, command, folder)
    out = out.replace(f"{folder}/log/", f"{LOG}/").replace(f"{folder}/", f"{CONFIG}/")
    if words.startswith("rules"):
        out = _TIME.sub(_FIXED_TIME, out)
    lines = [f"$ elder-router {words}", *out.rstrip("\n").split("\n")]
    if status:
        lines += ["$ echo $?", str(status)]
    return "".join(f"    {line}".rstrip() + "\n" for line in lines)


def on_a_terminal(command: list[str], folder: Path, columns: int = 110) -> tuple[str, int]:
    """What a command prints on a terminal that can do nothing but print, and its exit status."""
    ours, its = pty.openpty()
    environment = os.environ | {"COLUMNS": str(columns), "LINES": "50", "TERM": "dumb"}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=its, stderr=its
    ) as process:
        os.close(its)
        read = b""
        with contextlib.suppress(OSError):  # the end of a terminal is an error on Linux
            while part := os.read(ours, 65536):
                read += part
        os.close(ours)
        return read.decode().replace("\r\n", "\n"), process.wait(timeout=_PATIENCE_S)


async def _taken(folder: Path, times: int) -> None:
    """Wait until so many versions are kept in the history."""
    deadline = asyncio.get_running_loop().time() + _PATIENCE_S
    while len(list((folder / "rules-history").glob("2*"))) < times:
        if asyncio.get_running_loop().time() > deadline:
            raise LabError(f"the rules were not taken:\n{(folder / 'router.log').read_text()[-2000:]}")
        await asyncio.sleep(0.05)


def _lay_out(folder: Path) -> None:
    for name in ("routing.yaml", "routing-tests.yaml"):
        shutil.copy(PROJECT / "config" / name, folder)
    secret = b"k" * 32
    (folder / "callers.key").write_bytes(secret)
    (folder / "callers.key").chmod(0o600)
    (folder / "ami.secret").write_text("none")
    (folder / "elder-router.yaml").write_text(
        "asterisk:\n  - {name: pbx1, port: 1, secret_file: ami.secret}\nrules: routing.yaml\n"
        "journal: {file: log/journal.jsonl, secret_file: callers.key}\n"
    )
    (folder / "log").mkdir()
    with (folder / "log" / "journal.jsonl.1").open("wb") as journal:
        journal.writelines(_day(load_rules(folder / "routing.yaml"), secret))


def _day(book: RuleBook, secret: bytes) -> Iterator[bytes]:
    """A made-up day of calls, decided by the shipped rules."""
    chance = random.Random(20261124)
    at = datetime(2026, 11, 24, 9, tzinfo=ZoneInfo(book.timezone))
    for number in range(CALLS):
        at += timedelta(seconds=chance.randint(5, 30))
        caller = PhoneNumber(f"+861390000{chance.randint(0, 9999):04d}")
        band = chance.choices(["elder", "senior", "adult", "minor", None], [7, 15, 57, 1, 20])[0]
        key = caller_key(secret, caller.e164)
        free = chance.choice([0, 0, 0, 1, 2, 4, 7, 9])
        waiting = chance.randint(1, 20) if free == 0 else 0
        queues = {"agents": QueueState(waiting, 8 * waiting, free), "senior-care": QueueState(0, 0, 2)}
        facts = Facts(caller, "95519", "zh", band, at, queues, None, "", rollout_place(key))
        uniqueid = f"{at.timestamp():.0f}.{number}"
        handled = Handled(caller, applied=True, age_band=band, facts=facts, decision=book.decide(facts))
        handled.band_source = "registry" if band else "unknown"
        request = Request(uniqueid, uniqueid, 1, "", caller.e164, False, "95519", "zh")
        record = decision_record(
            request, handled, node="pbx1", fallback="", book=book, caller_masked=masked(caller), caller_key=key,
            full_caller=None,
        )  # fmt: skip
        decided = record.model_copy(update={"time": at.astimezone(UTC)})
        yield decided.model_dump_json().encode() + b"\n"
        yield _ended(decided, random.Random(number)).model_dump_json().encode() + b"\n"


def _ended(decision: DecisionRecord, chance: random.Random) -> OutcomeRecord:
    """A made-up end of a call: a person answers who is sent to people, and others serve themselves."""
    people = bool(decision.queue)
    wait_s, talk_s = chance.uniform(1, 25), chance.uniform(40, 400)
    return OutcomeRecord(
        time=decision.time + timedelta(seconds=wait_s + talk_s),
        node=decision.node,
        uniqueid=decision.uniqueid,
        linkedid=decision.linkedid,
        ask=1,
        ended=Ending.ANSWERED if people else Ending.SELF_SERVED,
        answered_by=f"agent{chance.randint(1, 40)}" if people else "",
        queue=decision.queue,
        wait_s=wait_s if people else None,
        talk_s=talk_s if people else None,
        touched_assistant=not people,
        keys=() if people else ("1",),
        choice="",
        speech=decision.speech,
        hangup_cause=16,
        duration_s=wait_s + talk_s + 4,
    )
