"""Journals kept by routers that run, are killed and come back, while callers are forgotten in them from elsewhere."""

from __future__ import annotations

import asyncio
import gzip
import json
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lab.centre import ELDER_ROUTER, Centre
from lab.places import PROJECT
from lab.processes import Child
from lab.redis import RedisServer
from router.journal.hashing import caller_key, load_or_create_secret
from router.journal.reader import journal_files
from tests.integration.conftest import Callers
from tests.integration.rules import BRISK, BRISK_ASSISTANT
from tests.integration.witness import Witness
from tests.unit.journal.samples import decision, outcome

SAMPLE = PROJECT / "config" / "callers.sample.csv"
OLDER, YOUNGER = "13900000001", "13900000008"


def records(journal: Path) -> list[dict[str, Any]]:
    """All records of a journal and what was rotated away from it, oldest first."""
    found = []
    for file in reversed(journal_files(journal)):
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        found += [json.loads(line) for line in content.splitlines()]
    return found


async def command(settings: Path, *words: str) -> tuple[int, str]:
    """Run `elder-router WORDS`; its exit status and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(ELDER_ROUTER, "--config", str(settings), *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode or 0, out.decode()


def numbers_in(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().splitlines() if line.isdigit()]


async def reached(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what stands in a file is no event
            await asyncio.sleep(0.02)


async def test_routers_that_are_killed_lose_nothing_and_callers_are_forgotten_while_they_write(tmp_path: Path) -> None:
    redis = RedisServer(tmp_path / "redis")
    journal = tmp_path / "journal.jsonl"
    settings = tmp_path / "elder-router.yaml"
    settings.write_text(
        f"asterisk:\n  - {{name: pbx1, secret_file: none}}\ncallers: {{redis: '{redis.url}'}}\n"
        "rules: routing.yaml\njournal: {file: journal.jsonl, secret_file: callers.key}\n"
    )
    secret = load_or_create_secret(tmp_path / "callers.key")
    key, other = caller_key(secret, "+8613900000001"), caller_key(secret, "+8613900000002")
    async with redis:
        assert (await command(settings, "callers", "choose", OLDER, "slower"))[0] == 0
        said = tmp_path / "said"
        first = 1
        for life in range(1, 5):
            program = [sys.executable, "-m", "tests.integration.keeping_router", str(journal), str(first), key, other]
            child = await Child.start("router", [*program, "400"], said, cwd=PROJECT)
            try:
                await reached(lambda life=life: len(numbers_in(said)) >= 600 * life)  # type: ignore[misc]
                status, told = await command(settings, "callers", "forget", OLDER)
                # 3: it called so often that there was always something new.
                assert status in (0, 3), told
                assert "taken out of " in told
            finally:
                # In the middle of whatever it was doing.
                assert await child.stop(signal.SIGKILL) == -signal.SIGKILL
            first = max(int(record["uniqueid"].partition(".")[0]) for record in records(journal)) + 1
        status, told = await command(settings, "callers", "forget", OLDER)
        assert status in (0, 1), told
    written = numbers_in(said)
    read = records(journal)
    ended = [record["uniqueid"] for record in read if record["record"] == "outcome"]
    assert ended == sorted(set(ended), key=float)
    assert {f"{number}.0" for number in written} <= set(ended)
    decided = [(int(record["uniqueid"].partition(".")[0]), record) for record in read if record["record"] == "decision"]
    assert {(number % 5 == 0, record["caller_key"]) for number, record in decided} == {(True, ""), (False, other)}
    assert key.encode() not in b"".join(
        gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        for file in journal_files(journal)
    )
    assert [file for file in journal_files(journal) if file.suffix == ".gz"]
    status, told = await command(settings, "journal", "verify", "--json")
    verified = json.loads(told)
    # Killed between the two records of a call, it never ended.
    assert (verified["missing"], set(verified["counts"]) - {"no_outcome"}) == (0, set()), told
    assert verified["under_way"] <= 4


def real(journal: Path, kind: str) -> list[dict[str, Any]]:
    """The records that the router wrote itself."""
    return [record for record in records(journal) if record["record"] == kind and record["node"] != "elsewhere"]


def fill(journal: Path) -> None:
    """Append more than a megabyte of calls that ended, as if there had been that many."""
    with journal.open("ab") as stream:
        for number in range(1000):
            uniqueid = f"{time.time_ns()}.{number}"
            for record in (decision(uniqueid, node="elsewhere"), outcome(uniqueid, node="elsewhere")):
                fields = {"run": "", "seq": None, "time": datetime.now(UTC)}
                stream.write(record.model_copy(update=fields).model_dump_json().encode() + b"\n")


async def test_a_call_under_way_over_rotations_and_a_restart_has_its_outcome(
    centre_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    centre: Centre = await centre_of(
        rules=BRISK,
        callers=SAMPLE,
        agents={"agent1": 300, "agent9": 60_000},
        members={"agents": ["agent1"], "senior-care": ["agent9"]},
        extra_dialplan=BRISK_ASSISTANT,
        router=False,
    )
    router = centre.router
    usual = router.write_settings

    def with_rotation() -> Path:
        file = usual()
        file.write_text(file.read_text().replace("journal:\n", "journal:\n  rotate: {size: 1MB, keep: 400d}\n"))
        return file

    monkeypatch.setattr(router, "write_settings", with_rotation)
    callers = Callers(centre)
    async with router, Witness(centre.asterisk) as witness:
        callers.call(OLDER, hold_ms=60_000, limit_s=90)
        await witness.wait_for("AgentConnect", 1, patience_s=30)
        for rotations in range(1, 4):
            fill(router.journal)
            await callers.call(YOUNGER, "95501", hold_ms=200)
            await router.wait_for_log('"journal_rotated"', times=rotations)
        await router.wait_for_log('"journal_file_compressed"', times=2)
        await router.stop()
        await router.start()
        status, told = await centre.command("callers", "forget", OLDER)
        assert status == 0, told
        assert "taken out of 1 record in 1 file" in told
        await centre.asterisk.cli("channel request hangup all")
        await callers.all_ended()
        await reached(lambda: len(real(router.journal, "outcome")) == 4)
    decisions, outcomes = real(router.journal, "decision"), real(router.journal, "outcome")
    assert decisions[0]["caller"] == "erased"
    assert {record["uniqueid"] for record in outcomes} == {record["uniqueid"] for record in decisions}
    ended = next(record for record in outcomes if record["uniqueid"] == decisions[0]["uniqueid"])
    assert ended["ended"] == "answered"
    assert len({record["run"] for record in decisions + outcomes}) == 2
    status, told = await command(router.write_settings(), "journal", "verify")
    assert status == 0, told
