"""Without the registry calls go on as those of unknown callers, within the lookup's deadline."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from lab.centre import Centre, Record
from lab.places import PROJECT
from tests.integration.conftest import Callers
from tests.integration.rules import BRISK, BRISK_ASSISTANT

SAMPLE = PROJECT / "config" / "callers.sample.csv"
OLDER = "13900000001"
DEADLINE_MS = 50


async def _decided(centre: Centre, callers: Callers, count: int) -> Record:
    callers.call(OLDER, f"955{count:02d}", hold_ms=300)
    records = await centre.router.wait_for_records("decision", count)
    (record,) = [record for record in records if record["called"] == f"955{count:02d}"]
    return record


async def _recovers(centre: Centre, callers: Callers, count: int) -> None:
    """A call after the breaker's pause is recognised again; tries a few, as the pause is 1 s."""
    for number in range(count, count + 15):
        record = await _decided(centre, callers, number)
        await callers.all_ended()
        if record["age_band"] == "elder":
            return
    pytest.fail("no caller was recognised again")


@pytest.mark.parametrize("how", ["killed", "frozen", "refusing"])
async def test_without_redis_calls_go_on_as_unknown_and_it_recovers(centre_of: Callable[..., Any], how: str) -> None:
    centre = await centre_of(rules=BRISK, callers=SAMPLE, extra_dialplan=BRISK_ASSISTANT)
    callers = Callers(centre)
    known = await _decided(centre, callers, 1)
    assert (known["age_band"], known["band_source"], known["target"]) == ("elder", "registry", "older")
    await callers.all_ended()

    match how:
        case "killed":
            await centre.redis.stop()
        case "frozen":
            centre.redis.child.send(signal.SIGSTOP)
        case _:
            await centre.redis.stop()
            await centre.redis.start("--requirepass", "not-told-to-the-router")

    for count in range(2, 8):
        record = await _decided(centre, callers, count)
        assert (record["age_band"], record["band_source"], record["target"]) == (None, "lookup_failed", "assistant")
        assert record["band_detail"], "the record says why"
        assert record["applied"]
        assert record["lookup_ms"] < DEADLINE_MS + 20
    assert not any(record["fallback"] for record in centre.router.records("decision"))

    if how == "frozen":
        centre.redis.child.send(signal.SIGCONT)
    else:
        await centre.redis.stop()
        await centre.redis.start()
        status, said = await centre.command("callers", "import", str(SAMPLE), "--rules", str(centre.router.rules))
        assert status == 0, said
    await _recovers(centre, callers, 8)
