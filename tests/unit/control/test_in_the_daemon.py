"""The control socket of a whole daemon, whose manager interface is played."""

from __future__ import annotations

import asyncio
import os
import pwd
from dataclasses import replace
from pathlib import Path

import pytest

from router.control.client import ask
from router.control.protocol import ErrorKind, Unanswerable
from router.daemon import Daemon
from router.errors import ConfigurationError, ControlError
from router.journal.records import PromotionRecord
from router.settings import Settings
from tests.unit.ami.fake_asterisk import FakeAsterisk, Headers, success
from tests.unit.ami.wire import message
from tests.unit.journal.reading import records_in
from tests.unit.test_daemon import an_asterisk, globals_of, listing, running, settings_for, until


def with_socket(folder: Path, asterisk: FakeAsterisk) -> Settings:
    return replace(settings_for(folder, asterisk.port), control_socket=folder / "s")


def two_wait(asterisk: FakeAsterisk) -> None:
    """Two callers in one queue; the change of a priority moves the caller to the front."""
    waiting = ["1.1", "1.2"]

    def listed(action: Headers) -> bytes:
        entries = [
            message(
                "Event: QueueEntry",
                f"ActionID: {action['ActionID']}",
                *("Queue: agents", f"Position: {position}", f"Channel: PJSIP/{call}", f"Uniqueid: {call}", "Wait: 7"),
                "Priority: 100",
            )
            for position, call in enumerate(waiting, start=1)
        ]
        return listing(action, "QueueStatus", *entries)

    def moved(action: Headers) -> bytes:
        call = action["Caller"].removeprefix("PJSIP/")
        waiting.remove(call)
        waiting.insert(0, call)
        return success(action, "Message: Priority change for caller on queue")

    asterisk.answers["QueueStatus"] = listed
    asterisk.answers["QueueChangePriorityCaller"] = moved


async def test_a_promotion_goes_from_the_socket_to_asterisk_and_into_the_journal(folder: Path) -> None:
    async with an_asterisk() as asterisk:
        two_wait(asterisk)
        async with running(with_socket(folder, asterisk)):
            await until(asterisk, lambda: "ELDER_FALLBACKS_SEEN" in globals_of(asterisk))
            answer = await asyncio.to_thread(ask, folder / "s", "promote", {"call": "1.2", "why": "has fallen"})
            with pytest.raises(Unanswerable) as caught:
                await asyncio.to_thread(ask, folder / "s", "promote", {"call": "9.9"})
    assert (answer["queue"], answer["from_position"], answer["to_position"]) == ("agents", 2, 1)
    assert caught.value.kind is ErrorKind.REFUSED
    (record,) = [each for each in records_in(folder / "journal.jsonl") if isinstance(each, PromotionRecord)]
    assert (record.uniqueid, record.by, record.by_uid) == ("1.2", pwd.getpwuid(os.getuid()).pw_name, os.getuid())
    assert (record.why, record.done) == ("has fallen", True)
    assert not (folder / "s").exists()


async def test_beside_a_router_that_runs_another_does_not_start_and_asterisk_never_hears_of_it(folder: Path) -> None:
    async with an_asterisk() as asterisk, running(with_socket(folder, asterisk)):
        await until(asterisk, lambda: "ELDER_FALLBACKS_SEEN" in globals_of(asterisk))
        with pytest.raises(ConfigurationError, match="another router answers on this socket"):
            await Daemon(with_socket(folder, asterisk)).run()
        assert len(asterisk.named("Login")) == 1
        assert (folder / "s").is_socket()


async def test_without_the_setting_there_is_no_socket_and_the_router_runs(folder: Path) -> None:
    async with an_asterisk() as asterisk, running(settings_for(folder, asterisk.port)):
        await until(asterisk, lambda: "ELDER_FALLBACKS_SEEN" in globals_of(asterisk))
        with pytest.raises(ControlError, match=r"^no router listens on"):
            await asyncio.to_thread(ask, folder / "s", "promote", {"call": "1.2"})
