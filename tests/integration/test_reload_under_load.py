"""Rules are rewritten again and again, every other time wrongly, while 100 calls a second come in: none is dropped."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.centre import Router
from lab.phones import Call, place
from lab.places import PROJECT
from tests.integration.rules import BRISK, BRISK_ASSISTANT

SAMPLE = PROJECT / "config" / "callers.sample.csv"
CALLS_PER_S = 100
REWRITES = 50
REWRITE_EVERY_S = 0.25
CALLS = 1_400


def _rule(number: int) -> str:
    return f"everyone else, edition {number}"


def _edition(number: int) -> bytes:
    """Right rules, a version of their own."""
    return BRISK.replace("everyone else", _rule(number)).encode()


def _version(content: bytes) -> str:
    """As `sha256sum` has it."""
    return hashlib.sha256(content).hexdigest()[:12]


WRONG = (
    BRISK.replace("{to: assistant}", "{to: asistant}").encode(),  # a name misspelt
    BRISK[: len(BRISK) // 2].encode(),  # an upload that broke off
    b"",
    BRISK.replace("[senior, elder]", "[senior, elder").encode(),  # not YAML
    b"\xff\xfe" + BRISK.encode("utf-16-le"),
    BRISK.replace("then: {to: older, speech: unhurried}", "then: {to: assistant}").encode(),  # no person for them
)


async def _rewrite(router: Router) -> None:
    """Rewrite the rules, in place and by renaming, right and wrong by turns; each is seen before the next."""
    wrong = itertools.cycle(WRONG)
    for number in range(REWRITES):
        next_at = time.monotonic() + REWRITE_EVERY_S
        right = number % 2 == 0
        content = _edition(number) if right else next(wrong)
        if number % 3:
            router.rules.write_bytes(content)
        else:
            new = router.rules.with_suffix(".new")
            new.write_bytes(content)
            new.rename(router.rules)
        router.child.send(signal.SIGHUP)
        event = '"rules loaded"' if right else "rules on disk refused, the old ones stay"
        await router.wait_for_log(event, times=number // 2 + 1)
        await asyncio.sleep(next_at - time.monotonic())


async def test_50_rewrites_during_100_calls_a_second_drop_no_call_and_each_is_decided_by_rules_that_were_right(
    centre_of: Callable[..., Any],
) -> None:
    agents = {f"agent{n}": 300 for n in range(20)}
    centre = await centre_of(rules=BRISK, callers=SAMPLE, extra_dialplan=BRISK_ASSISTANT, agents=agents, one_phone=True)
    # One of ten is an older caller, who talks to a person.
    calls = [Call(f"139000000{n % 7 + 1 if n % 10 == 0 else n % 4 + 8:02d}") for n in range(CALLS)]
    directory: Path = centre.directory / "callers"
    run, _ = await asyncio.gather(
        place(directory, centre.asterisk.sip_port, calls, rate_per_s=CALLS_PER_S, hold_ms=1_000),
        _rewrite(centre.router),
    )
    decisions = await centre.router.wait_for_records("decision", CALLS)
    await centre.router.wait_for_records("outcome", CALLS)

    assert run.status == 0
    assert len(decisions) == len({record["uniqueid"] for record in decisions}) == CALLS
    assert [record["not_applied_why"] for record in decisions if not record["applied"] or record["fallback"]] == []
    editions = {_version(BRISK.encode()): "everyone else"}
    editions |= {_version(_edition(number)): _rule(number) for number in range(0, REWRITES, 2)}
    used = {record["rules_version"] for record in decisions}
    assert used <= set(editions)
    assert len(used) >= REWRITES // 4
    for record in decisions:
        # The version written down is the one that decided.
        assert record["rule"] in {editions[record["rules_version"]], "older callers"}
