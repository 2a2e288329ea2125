"""`make demo`: real calls through a real call centre, and where each of them went.

What the router's journal says is not taken on trust: who entered which queue and who answered is compared with
Asterisk's own queue log.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lab.centre import Centre, Record
from lab.phones import Call, Key, Placed, place
from lab.places import PROJECT
from lab.processes import LabError
from lab.queue_log import QueueLog, read_queue_log

PEOPLE, ASSISTANT = "senior-care", "assistant"
PATIENCE_S = 55.0

# A caller of the assistant stays for its greeting and the beginning of the menu; one who waits for a person
# stays until the agent hangs up.
ASSISTANT_HOLD_MS = 6_000
PERSON_HOLD_MS = 45_000


@dataclass(frozen=True, slots=True)
class Expected:
    """One call of the demo and what the shipped rules and callers must make of it."""

    who: str
    caller: str
    band: str
    target: str
    keys: tuple[Key, ...] = ()
    speech: str = ""
    """The profile at the end of the call, where a key or an earlier call decides it."""

    @property
    def reaches_person(self) -> bool:
        """Whether an agent answers it."""
        return self.target == PEOPLE or any(key.key == "0" for key in self.keys)


CALLS = (
    Expected("the same caller, dialled 139…", "13900000001", "elder", PEOPLE),
    Expected("the same caller, 86139…", "8613900000001", "elder", PEOPLE),
    Expected("the same caller, +86139…", "+8613900000001", "elder", PEOPLE),
    Expected("the same caller, 0086139…", "008613900000001", "elder", PEOPLE),
    Expected("elder", "13900000002", "elder", PEOPLE),
    Expected("elder", "13900000003", "elder", PEOPLE),
    Expected("senior", "13900000005", "senior", PEOPLE),
    Expected("senior", "13900000006", "senior", PEOPLE),
    Expected("senior", "13900000007", "senior", PEOPLE),
    Expected("adult, asks for slower speech", "13900000008", "adult", ASSISTANT, (Key(2000, "7"),), "unhurried"),
    Expected("adult, hears the hours", "13900000009", "adult", ASSISTANT, (Key(1500, "1"),)),
    Expected("adult, asks for a person", "13900000010", "adult", ASSISTANT, (Key(2500, "0"),)),
    Expected("minor", "13900000011", "minor", ASSISTANT),
    Expected("minor", "13900000012", "minor", ASSISTANT),
    Expected("not in the registry", "13900009999", "", ASSISTANT),
    Expected("number withheld", "anonymous", "", ASSISTANT),
    Expected("a short number", "10086", "", ASSISTANT),
    Expected("who asked for slower speech calls again", "13900000008", "adult", ASSISTANT, speech="unhurried"),
)
PROTECTED = {"senior", "elder"}


async def main() -> int:
    """Run the demo; 0 only if every call went where it must."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="elder-demo-") as scratch:
        console.print("[bold]==>[/] starting Redis, Asterisk, two agents' phones and the router")
        centre = Centre(Path(scratch), callers=PROJECT / "config" / "callers.sample.csv")
        async with centre:
            console.print(f"[bold]==>[/] placing {len(CALLS)} calls over SIP; each line is a call that has ended")
            return await _calls(centre, console)


async def _calls(centre: Centre, console: Console) -> int:
    began, since = time.monotonic(), datetime.now(UTC)
    async with asyncio.TaskGroup() as group:
        table = group.create_task(_follow(centre, console))
        placed = [group.create_task(_place(centre, number, call)) for number, call in enumerate(CALLS)]
    took_s = time.monotonic() - began
    log = read_queue_log(centre.asterisk.directory / "log" / "queue_log")
    wrong = [
        f"call {number + 1} ({call.who}): {why}"
        for number, call in enumerate(CALLS)
        for why in _wrong(call, _called(number), table.result(), log, placed[number].result())
    ]
    _summary(console, table.result(), log, took_s)
    await _report(centre, console, since)
    for line in wrong:
        console.print(f"[red]wrong:[/] {line}", highlight=False)
    console.print("[red]not every call went where it must[/]" if wrong else "[green]every call went where it must[/]")
    return 1 if wrong else 0


def _called(number: int) -> str:
    """Each call dials a number of its own, by which it is found in the journal."""
    return f"955{number:02d}"


async def _place(centre: Centre, number: int, call: Expected) -> Placed:
    await asyncio.sleep(0.6 * number)  # one after the other, as callers come
    hold_ms = PERSON_HOLD_MS if call.reaches_person else ASSISTANT_HOLD_MS
    directory = centre.directory / f"call{number}"
    return await place(
        directory, centre.asterisk.sip_port, [Call(call.caller, _called(number))],
        hold_ms=hold_ms, keys=call.keys, limit_s=PATIENCE_S,
    )  # fmt: skip


Story = tuple[Record, Record]


async def _follow(centre: Centre, console: Console) -> dict[str, Story]:
    """Print a line for each call that ends; return (decision, outcome) by the number called."""
    stories: dict[str, Story] = {}
    deadline = time.monotonic() + PATIENCE_S
    console.print(
        _row_text(("caller", "band", "rule", "target", "answered by", "wait s", "speech", "decided ms")), soft_wrap=True
    )
    while len(stories) < len(CALLS) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        decisions = {record["uniqueid"]: record for record in centre.router.records("decision")}
        for outcome in centre.router.records("outcome"):
            decision = decisions.get(outcome["uniqueid"])
            if decision and decision["called"] not in stories:
                stories[decision["called"]] = (decision, outcome)
                console.print(_row(decision, outcome), highlight=False, soft_wrap=True)
    return stories


def _row(decision: Record, outcome: Record) -> str:
    wait = outcome["wait_s"]
    by_nobody = {"self_served": "assistant", "hung_up_early": "–"}.get(outcome["ended"], outcome["ended"])
    answered = str(outcome["answered_by"] or by_nobody)
    decided = sum(decision[step] or 0.0 for step in ("lookup_ms", "decide_ms", "apply_ms"))
    return _row_text(
        (
            decision["caller"],
            decision["age_band"] or "unknown",
            decision["rule"],
            decision["target"],
            answered,
            "–" if wait is None else f"{wait:.1f}",
            _speech(decision, outcome),
            f"{decided:.1f}",
        )
    )


def _speech(decision: Record, outcome: Record) -> str:
    """The speech profile: where it came from an earlier choice of the caller's, and how it changed during the call."""
    began = decision["speech"] + (" (chosen)" if decision["speech_from"] == "choice" else "")
    return began if outcome["speech"] in (decision["speech"], None) else f"{began} → {outcome['speech']}"


def _row_text(cells: Sequence[str]) -> str:
    widths = (15, 7, 26, 11, 11, 6, 20, 10)
    fitted = (
        cell if len(cell) <= width else f"{cell[: width - 1]}…" for cell, width in zip(cells, widths, strict=True)
    )
    return " ".join(cell.ljust(width) for cell, width in zip(fitted, widths, strict=True)).rstrip()


def _wrong(call: Expected, called: str, stories: dict[str, Story], log: QueueLog, placed: Placed) -> list[str]:
    """What is wrong with one call; nothing, if all went as it must."""
    if called not in stories:
        return [f"no decision and outcome within {PATIENCE_S:.0f} s; SIPp's status was {placed.status}"]
    decision, outcome = stories[called]
    uniqueid = decision["uniqueid"]
    agent = log.answered_by.get(uniqueid, "")
    checks = [
        (placed.succeeded, f"SIPp ended with status {placed.status}"),
        ((decision["age_band"] or "") == call.band, f"band {decision['age_band']}, not {call.band or 'unknown'}"),
        (decision["target"] == call.target, f"sent to {decision['target']}, not {call.target}"),
        (decision["applied"] and not outcome["fallback"], f"not applied: {decision['not_applied_why']}"),
        (bool(agent) == call.reaches_person, f"Asterisk's queue log says it was answered by «{agent}»"),
        (outcome["answered_by"] == agent, f"the journal says answered by «{outcome['answered_by']}», not «{agent}»"),
    ]
    if call.speech:
        checks.append((outcome["speech"] == call.speech, f"ended at {outcome['speech']} speech, not {call.speech}"))
    if call.target == PEOPLE:
        checks.append((log.entered.get(uniqueid, "") == PEOPLE, f"entered the queue {log.entered.get(uniqueid)}"))
    if call.band in PROTECTED:
        checks.append((not outcome["touched_assistant"], "touched the assistant"))
        checks.append((decision["speech"] != "standard", "was not spoken to slowly"))
    return [why for held, why in checks if not held]


async def _report(centre: Centre, console: Console, since: datetime) -> None:
    """What a supervisor reads first: the first line of the report, made as they would make it."""
    settings = str(centre.router.directory / "elder-router.yaml")
    status, said = await centre.command("--config", settings, "report", "--since", since.isoformat(timespec="seconds"))
    if status != 0:
        raise LabError(f"the report could not be made:\n{said}")
    console.print(f"elder-router report: {said.splitlines()[0]}", highlight=False, soft_wrap=True)


def _summary(console: Console, stories: dict[str, Story], log: QueueLog, took_s: float) -> None:
    protected = [story for story in stories.values() if story[0]["age_band"] in PROTECTED]
    waits = sorted(outcome["wait_s"] for _, outcome in protected if outcome["wait_s"] is not None)
    decided = sorted(sum(d[s] or 0.0 for s in ("lookup_ms", "decide_ms", "apply_ms")) for d, _ in stories.values())
    table = Table(show_header=False, box=None, pad_edge=False)
    slower = sum("slower" in (outcome["choice"] or "") for _, outcome in stories.values())
    remembered = sum(decision["speech_from"] == "choice" for decision, _ in stories.values())
    table.add_row("calls", f"{len(stories)} of {len(CALLS)} in {took_s:.0f} s")
    by_person = sum(1 for decision, _ in protected if decision["uniqueid"] in log.answered_by)
    table.add_row("callers of 60 and over", f"{by_person} of {len(protected)} answered by a person")
    if waits:
        table.add_row("their longest wait", f"{waits[-1]:.1f} s")
    table.add_row("asked for slower speech", f"in {slower} call; remembered in {remembered} later one")
    if decided:
        table.add_row("time to decide", f"{decided[len(decided) // 2]:.1f} ms median, {decided[-1]:.1f} ms longest")
    console.print(table)
