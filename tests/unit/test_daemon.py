"""The whole daemon against a manager interface that is played; no Redis is there, as on a bad day."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import repeat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lab.ports import free_port
from lab.redis import RedisServer
from lab.registry import load
from router import node as node_module
from router.ami.settings import LinkSettings
from router.callers import watching
from router.callers.number import PhoneNumber
from router.callers.secret_ring import load_ring
from router.callers.settings import RedisSettings, RegistrySettings
from router.daemon import Daemon
from router.errors import ConfigurationError, RegistryError
from router.journal.records import DecisionRecord, Ending, OutcomeRecord
from router.settings import Settings

from .ami.fake_asterisk import FakeAsterisk, Headers, error, hang_up, success
from .ami.wire import message
from .calls.wire import user_event_bytes
from .journal.reading import records_in

RULES = (Path(__file__).parents[2] / "config" / "routing.yaml").read_text()
CALL = "1763888645.42"


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "HEARTBEAT_S", 0.01)
    monkeypatch.setattr(node_module, "_TAKE_UP_AGAIN_S", 0.01)


def settings_for(directory: Path, port: int, *, full_numbers: bool = False) -> Settings:
    rules = directory / "routing.yaml"
    if not rules.exists():
        rules.write_text(RULES)
    return Settings(
        links=(LinkSettings("pbx1", "127.0.0.1", "router", "secret5", port=port),),
        registry=RegistrySettings(RedisSettings(f"redis://127.0.0.1:{free_port()}/0"), directory / "registry.secrets"),
        rules_file=rules,
        rules_history=directory / "rules-history",
        journal_file=directory / "journal.jsonl",
        journal_secret_file=directory / "callers.key",
        full_numbers=full_numbers,
    )


def an_asterisk() -> FakeAsterisk:
    """It has globals, and no calls."""
    asterisk = FakeAsterisk()
    asterisk.answers["Status"] = lambda action: listing(action, "Status")
    asterisk.answers["QueueStatus"] = lambda action: listing(action, "QueueStatus")
    asterisk.answers["QueueSummary"] = lambda action: listing(action, "QueueSummary")
    asterisk.answers["Getvar"] = lambda action: success(
        action, f"Value: {globals_of(asterisk).get(action['Variable'], '')}"
    )
    return asterisk


def listing(action: Headers, name: str, *events: bytes) -> bytes:
    complete = message(f"Event: {name}Complete", f"ActionID: {action['ActionID']}", "EventList: Complete")
    return success(action, "EventList: start") + b"".join(events) + complete


def globals_of(asterisk: FakeAsterisk) -> dict[str, str]:
    return {action["Variable"]: action["Value"] for action in asterisk.named("Setvar") if "Channel" not in action}


def set_on_a_channel(asterisk: FakeAsterisk) -> list[str]:
    return [action["Variable"] for action in asterisk.named("Setvar") if "Channel" in action]


def heartbeats(asterisk: FakeAsterisk) -> list[str]:
    return [action["Value"] for action in asterisk.named("Setvar") if action["Variable"] == "ELDER_HEARTBEAT"]


async def until(asterisk: FakeAsterisk, holds: Callable[[], bool]) -> None:
    """Wait until what Asterisk was told makes it so."""
    async with asyncio.timeout(5), asterisk.read:
        await asterisk.read.wait_for(holds)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Daemon]:
    daemon = Daemon(settings)
    run = asyncio.create_task(daemon.run())
    try:
        yield daemon
    finally:
        daemon._stop.set()
        async with asyncio.timeout(5):
            await run


def records(directory: Path) -> list[DecisionRecord | OutcomeRecord]:
    return [
        record
        for record in records_in(directory / "journal.jsonl")
        if isinstance(record, DecisionRecord | OutcomeRecord)
    ]


async def test_a_new_link_is_told_the_token_and_the_queue_before_the_heartbeat(tmp_path: Path) -> None:
    async with an_asterisk() as asterisk, running(settings_for(tmp_path, asterisk.port)):
        await until(asterisk, lambda: len(heartbeats(asterisk)) >= 3)
        told = [action["Variable"] for action in asterisk.named("Setvar")]
        assert told[:4] == ["ELDER_TOKEN", "ELDER_FALLBACK_QUEUE", "ELDER_HEARTBEAT", "ELDER_FALLBACK_QUEUE"]
        assert globals_of(asterisk)["ELDER_FALLBACK_QUEUE"] == "agents"


async def test_each_asterisk_has_numbers_read_as_its_own_region_has_them(tmp_path: Path) -> None:
    async with an_asterisk() as asterisk:
        settings = replace(settings_for(tmp_path, asterisk.port), home_regions={"pbx1": "GB"})
        async with running(settings):
            await until(asterisk, lambda: bool(heartbeats(asterisk)))
            token = globals_of(asterisk)["ELDER_TOKEN"]
            asterisk.send(user_event_bytes("RouteRequest", Token=token, Caller="07700900123"))
            await until(asterisk, lambda: "ELDER_TARGET" in set_on_a_channel(asterisk))
    assert [r.caller for r in records(tmp_path) if isinstance(r, DecisionRecord)] == ["+4477****0123"]


async def test_the_heartbeat_goes_by_asterisks_clock(tmp_path: Path) -> None:
    async with an_asterisk() as asterisk, running(settings_for(tmp_path, asterisk.port)):
        await until(asterisk, lambda: bool(heartbeats(asterisk)))
        assert int(heartbeats(asterisk)[0]) == pytest.approx(1_700_000_000, abs=2)


async def test_fallbacks_are_not_said_to_be_recorded_before_they_are(tmp_path: Path) -> None:
    async with an_asterisk() as asterisk:
        asked = asyncio.Event()
        status = asterisk.answers["Status"]

        def never_complete(action: Headers) -> bytes:
            asked.set()
            return success(action, "EventList: start")

        asterisk.answers["Status"] = never_complete
        async with running(settings_for(tmp_path, asterisk.port)):
            async with asyncio.timeout(5):
                await asked.wait()
            beats = len(heartbeats(asterisk))
            await until(asterisk, lambda: len(heartbeats(asterisk)) >= beats + 3)
            assert "ELDER_FALLBACKS_SEEN" not in globals_of(asterisk)
            asterisk.answers["Status"] = status
            asterisk.hang_up()  # the next link reconciles
            await until(asterisk, lambda: globals_of(asterisk).get("ELDER_FALLBACKS_SEEN") == "0")


async def test_a_call_is_routed_and_followed_without_a_registry(tmp_path: Path) -> None:
    async with an_asterisk() as asterisk, running(settings_for(tmp_path, asterisk.port)):
        await until(asterisk, lambda: "ELDER_FALLBACKS_SEEN" in globals_of(asterisk))  # it has reconciled
        token = globals_of(asterisk)["ELDER_TOKEN"]
        asterisk.send(user_event_bytes("RouteRequest", Token=token))
        await until(asterisk, lambda: "ELDER_TARGET" in set_on_a_channel(asterisk))
        asterisk.send(user_event_bytes("RouteEnded", Token=token))
    decision, outcome = records(tmp_path)
    assert isinstance(decision, DecisionRecord)
    assert isinstance(outcome, OutcomeRecord)
    assert (decision.uniqueid, decision.applied, decision.band_source) == (CALL, True, "lookup_failed")
    assert len(decision.caller_key) >= 16
    assert outcome.ended is Ending.HUNG_UP_EARLY
    assert "13912345678" not in (tmp_path / "journal.jsonl").read_text()


async def in_force(daemon: Daemon, number: int) -> None:
    """Wait until the daemon knows that this load of callers is in force."""
    async with asyncio.timeout(5):
        for pause_s in repeat(0.005):
            with suppress(RegistryError):
                generation = daemon._registry.known_in_force()
                if generation is not None and generation.generation == number:
                    return
            await asyncio.sleep(pause_s)


async def test_a_call_is_routed_by_what_is_in_force_and_by_the_next_load_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "READ_EVERY_S", 0.02)
    async with RedisServer(tmp_path / "redis") as redis, an_asterisk() as asterisk:
        settings = settings_for(tmp_path, asterisk.port)
        registry = replace(settings.registry, redis=RedisSettings(redis.url), deadline_s=1.0)
        with capture_logs() as logs:
            async with running(replace(settings, registry=registry)) as daemon:
                await until(asterisk, lambda: "ELDER_FALLBACKS_SEEN" in globals_of(asterisk))
                token = globals_of(asterisk)["ELDER_TOKEN"]
                for number, band in enumerate(("elder", "adult"), 1):
                    callers = {PhoneNumber("+8613912345678"): band}
                    await load(
                        redis.url, load_ring(registry.secret_file), callers, loaded_at=time.time() - 3600 * number
                    )
                    await in_force(daemon, number)
                    asterisk.send(user_event_bytes("RouteRequest", Token=token, Call=f"1.{number}"))
                    await until(asterisk, partial(has_targets, asterisk, number))
    decisions = [record for record in records(tmp_path) if isinstance(record, DecisionRecord)]
    assert [record.age_band for record in decisions] == ["elder", "adult"]
    assert {record.band_source for record in decisions} == {"registry"}
    assert [record.registry_age_s for record in decisions] == [pytest.approx(3600, abs=60), pytest.approx(7200, abs=60)]
    (left,) = [entry for entry in logs if entry["event"] == "registry left"]
    assert (left["lookups"], left["found"], left["failures"]) == (2, 2, {})


def has_targets(asterisk: FakeAsterisk, calls: int) -> bool:
    return set_on_a_channel(asterisk).count("ELDER_TARGET") == calls


def test_the_secrets_of_the_registry_are_made_at_the_first_start_and_must_be_fit_for_use(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, 1)
    Daemon(settings)
    file = settings.registry.secret_file
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    Daemon(settings)
    assert file.read_bytes() == before
    file.write_text("nonsense\n")
    with pytest.raises(ConfigurationError, match="64 hexadecimal digits"):
        Daemon(settings)


def queue_summary(waiting: int) -> bytes:
    return message(
        "Event: QueueSummary", "Queue: agents", "LoggedIn: 2", "Available: 1", f"Callers: {waiting}", "HoldTime: 5",
        "TalkTime: 0", "LongestHoldTime: 61",
    )  # fmt: skip


def listing_queues(asterisk: FakeAsterisk, waiting: list[int]) -> None:
    """Have it list the queue with each number of callers in turn, then with the last for ever."""

    def answer(action: Headers) -> bytes:
        event = queue_summary(waiting.pop(0) if len(waiting) > 1 else waiting[0])
        with_id = event.replace(b"\r\n\r\n", f"\r\nActionID: {action['ActionID']}\r\n\r\n".encode())
        return listing(action, "QueueSummary", with_id)

    asterisk.answers["QueueSummary"] = answer


@pytest.mark.parametrize("looks", [1, 4])
async def test_the_queues_are_known_to_the_first_call_and_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    monkeypatch.setattr(node_module, "QUEUES_EVERY_S", 60.0 if looks == 1 else 0.02)
    async with an_asterisk() as asterisk:
        listing_queues(asterisk, [3, 4, 7])
        async with running(settings_for(tmp_path, asterisk.port)):
            await until(asterisk, lambda: bool(heartbeats(asterisk)))
            await until(asterisk, lambda: len(asterisk.named("QueueSummary")) >= looks)
            asterisk.send(user_event_bytes("RouteRequest", Token=globals_of(asterisk)["ELDER_TOKEN"]))
            await until(asterisk, lambda: "ELDER_TARGET" in set_on_a_channel(asterisk))
    decision = records(tmp_path)[0]
    assert isinstance(decision, DecisionRecord)
    assert decision.queues == {"agents": (3 if looks == 1 else 7, 61, 1)}


@pytest.mark.parametrize("answer", ["refused", "never complete"])
async def test_an_asterisk_that_does_not_tell_of_its_queues_has_its_calls_routed(tmp_path: Path, answer: str) -> None:
    async with an_asterisk() as asterisk:
        if answer == "refused":
            asterisk.answers["QueueSummary"] = lambda action: error(action, "Invalid/unknown command")
        else:
            asterisk.answers["QueueSummary"] = lambda action: success(action, "EventList: start")
        async with running(settings_for(tmp_path, asterisk.port)):
            await until(asterisk, lambda: bool(heartbeats(asterisk)))
            token = globals_of(asterisk)["ELDER_TOKEN"]
            asterisk.send(user_event_bytes("RouteRequest", Token=token))
            await until(asterisk, lambda: "ELDER_TARGET" in set_on_a_channel(asterisk))
    decision = records(tmp_path)[0]
    assert isinstance(decision, DecisionRecord)
    assert (decision.applied, decision.queues) == (True, {})


async def test_a_call_of_the_run_before_that_is_gone_has_its_outcome(tmp_path: Path) -> None:
    async with an_asterisk() as asterisk:
        settings = settings_for(tmp_path, asterisk.port)
        async with running(settings):
            await until(asterisk, lambda: "ELDER_FALLBACKS_SEEN" in globals_of(asterisk))
            asterisk.send(user_event_bytes("RouteRequest", Token=globals_of(asterisk)["ELDER_TOKEN"]))
            await until(asterisk, lambda: "ELDER_TARGET" in set_on_a_channel(asterisk))
        seen = len(asterisk.actions)
        async with running(settings):
            await until(
                asterisk, lambda: any(a.get("Variable") == "ELDER_FALLBACKS_SEEN" for a in asterisk.actions[seen:])
            )
    decision, outcome = records(tmp_path)
    assert isinstance(outcome, OutcomeRecord)
    assert (decision.uniqueid, outcome.uniqueid, outcome.ended) == (CALL, CALL, Ending.UNSEEN)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_has_new_calls_fall_back_at_once_and_ends_the_daemon(tmp_path: Path, sig: int) -> None:
    async with an_asterisk() as asterisk:
        daemon = Daemon(settings_for(tmp_path, asterisk.port))
        run = asyncio.create_task(daemon.run())
        await until(asterisk, lambda: len(heartbeats(asterisk)) >= 3)
        os.kill(os.getpid(), sig)
        async with asyncio.timeout(5):
            await run
        assert heartbeats(asterisk)[-1] == "0"
        assert asterisk.actions[-1]["Action"] == "Logoff"
        assert asterisk.actions[-2].get("Variable") == "ELDER_HEARTBEAT"


async def test_a_reload_takes_right_rules_and_keeps_the_old_ones_otherwise(tmp_path: Path) -> None:
    async with an_asterisk() as asterisk, running(settings_for(tmp_path, asterisk.port)) as daemon:
        await until(asterisk, lambda: bool(heartbeats(asterisk)))
        before = daemon.rules
        rules = daemon.settings.rules_file
        rules.write_text(RULES.replace("fallback: {to: people}", "fallback: {to: peple}"))
        with capture_logs() as logs:
            await signalled(lambda: "rules on disk refused, the old ones stay" in [entry["event"] for entry in logs])
        assert daemon.rules is before
        (refused,) = [entry for entry in logs if "problems" in entry]
        assert "there is no target `peple`; did you mean `people`?" in refused["problems"][0]
        rules.write_text(RULES.replace("queue: agents", "queue: everybody"))
        await signalled(lambda: daemon.rules is not before)
        await until(asterisk, lambda: globals_of(asterisk)["ELDER_FALLBACK_QUEUE"] == "everybody")


async def test_rules_that_fail_the_cases_of_the_settings_are_not_taken(tmp_path: Path) -> None:
    cases = tmp_path / "cases.yaml"
    cases.write_text(
        'tests:\n  - {name: unknown, call: {called: "95500", at: "2026-11-25 12:00"}, expect: {to: assistant}}\n'
    )
    async with an_asterisk() as asterisk:
        settings = replace(settings_for(tmp_path, asterisk.port), rules_tests=cases)
        async with running(settings) as daemon:
            await until(asterisk, lambda: bool(heartbeats(asterisk)))
            before = daemon.rules
            settings.rules_file.write_text(RULES.replace("then: {to: assistant}", "then: {to: people}"))
            with capture_logs() as logs:
                await signalled(
                    lambda: "rules on disk refused, the old ones stay" in [entry["event"] for entry in logs]
                )
            assert daemon.rules is before
    (refused,) = [entry for entry in logs if "problems" in entry]
    assert refused["problems"][0].startswith(f"{cases}:2:")


async def signalled(happened: Callable[[], bool]) -> None:
    """Send SIGHUP and wait until it was heard."""
    os.kill(os.getpid(), signal.SIGHUP)
    async with asyncio.timeout(5):
        while not happened():  # noqa: ASYNC110 - a signal handler tells nobody that it has run
            await asyncio.sleep(0.001)


async def test_a_reload_opens_the_journal_anew(tmp_path: Path) -> None:
    async with an_asterisk() as asterisk, running(settings_for(tmp_path, asterisk.port)) as daemon:
        await until(asterisk, lambda: bool(heartbeats(asterisk)))
        journal = daemon.settings.journal_file
        journal.rename(journal.with_name("journal.jsonl.1"))
        await signalled(journal.exists)


async def test_a_refusal_at_the_greeting_is_told_and_tried_again(tmp_path: Path) -> None:
    async with an_asterisk() as asterisk:
        asterisk.answers["Setvar"] = lambda action: error(action, "Permission denied")
        with capture_logs() as logs:
            async with running(settings_for(tmp_path, asterisk.port)):
                await asterisk.has_read("Setvar", 4)
                assert heartbeats(asterisk) == []  # nobody shall take this router for one that routes
                del asterisk.answers["Setvar"]
                await until(asterisk, lambda: len(heartbeats(asterisk)) >= 2)
    told = [entry["reason"] for entry in logs if entry["event"] == "calls are not routed yet"]
    assert "Asterisk refused a global variable (Permission denied)" in told[0]


async def test_while_no_link_is_up_the_heart_does_not_beat(tmp_path: Path) -> None:
    async with an_asterisk() as asterisk:
        with capture_logs() as logs:
            async with running(settings_for(tmp_path, asterisk.port)):
                await until(asterisk, lambda: bool(heartbeats(asterisk)))
                asterisk.answers["Login"] = hang_up
                asterisk.hang_up()
                await asterisk.has_read("Login", 2)
                beats = len(heartbeats(asterisk))
                await asyncio.sleep(0.05)  # five heartbeats' time, in which none may come
                assert len(heartbeats(asterisk)) == beats
    assert "heartbeat not set" not in [entry["event"] for entry in logs]


async def test_a_daemon_that_never_reached_asterisk_still_ends(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path, free_port())):
        await asyncio.sleep(0)
    assert records(tmp_path) == []


def test_rules_that_are_wrong_keep_it_from_starting(tmp_path: Path) -> None:
    (tmp_path / "routing.yaml").write_text(RULES.replace("to: assistant", "to: asistant").replace("0.85", "fast"))
    with pytest.raises(ConfigurationError) as caught:
        Daemon(settings_for(tmp_path, 1))
    assert len(caught.value.problems) == 2


def test_one_callers_key_is_the_same_after_a_restart_and_another_with_another_secret(tmp_path: Path) -> None:
    number = PhoneNumber("+8613912345678")
    first = Daemon(settings_for(tmp_path, 1)).caller_key
    assert first(number) == first(number) == Daemon(settings_for(tmp_path, 1)).caller_key(number)
    (tmp_path / "callers.key").unlink()
    assert Daemon(settings_for(tmp_path, 1)).caller_key(number) != first(number)
    assert first(PhoneNumber("+8613912345679")) != first(number)


async def test_full_numbers_are_warned_of(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with running(settings_for(tmp_path, free_port(), full_numbers=True)):
            await asyncio.sleep(0)
    assert "full numbers are written to the journal" in [entry["event"] for entry in logs]


async def test_now_and_then_the_state_is_asked_for_although_the_link_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_module, "RECONCILE_S", 0.0)
    async with an_asterisk() as asterisk, running(settings_for(tmp_path, asterisk.port)):
        await until(asterisk, lambda: len(asterisk.named("Status")) >= 3)


async def test_once_told_to_stop_no_heartbeat_says_otherwise(tmp_path: Path) -> None:
    async with an_asterisk() as asterisk:
        async with running(settings_for(tmp_path, asterisk.port)):
            await until(asterisk, lambda: len(heartbeats(asterisk)) >= 2)
        assert heartbeats(asterisk)[-1] == "0"
