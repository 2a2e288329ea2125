"""Whatever happens to the engine or the disk, a caller hears something right, in time; other calls are routed."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.phones import Call, place
from lab.ports import free_port
from lab.rtp import RATE_HZ, Recorder, Samples
from tests.integration.conftest import Callers
from tests.integration.spoken import Told, built, catalogue, heard_as, is_heard, profile, spoken, telling, told
from tests.integration.witness import Witness

IN_TIME_S = 2.6
"""The dialplan's 2 s, and as much as a busy machine may add."""

# Each English of its own has an engine that fails in its own way; their sounds are those of `en`.
VOICES = (
    "{en_AU: {command: [/bin/sh, -c, 'kill -9 $$']}, zh: {command: [sleep, '60']}, "
    "en_NZ: {command: [head, -c, '100000', /dev/urandom]}}"
)
LANGUAGES = {"7021": "en_AU", "7022": "zh_slow", "7023": "en_NZ", "7024": "en_unhurried"}
SOUNDS = {"7021": "en", "7022": "zh_slow", "7023": "en", "7024": "en_unhurried"}


def _dialplan() -> str:
    asks = "Set(ELDER_QUEUE=agents)\n same => n,Set(CHANNEL(language)={})\n same => n,Gosub(elder-say-place,s,1)"
    calls = [telling(number, asks.format(language)) for number, language in LANGUAGES.items()]
    calls.append(telling("7025", "Set(CHANNEL(language)=en_unhurried)\n same => n,Gosub(elder-say,s,1(place-next))"))
    return "\n[from-callers]\nexten => 7000,1,Answer(,i)\n same => n,Queue(agents)\n" + "".join(calls)


@contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    """A disk of 256 KB, full but for what is deleted from it; who may not mount one has a folder that is in the way."""
    folder.mkdir()
    if os.geteuid() != 0:
        folder.chmod(0o500)
        yield
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "elder-router-test", str(folder)]
    subprocess.run(mount, check=True)
    try:
        (folder / "full").write_bytes(bytes(256 * 1024))
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _free(folder: Path) -> None:
    folder.chmod(0o755)
    (folder / "full").unlink(missing_ok=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with _small_disk(tmp_path / "small"):
        yield tmp_path / "small"


async def test_killed_hanging_garbage_and_a_full_disk_are_not_heard(
    centre_of: Callable[..., Any], small_disk: Path
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/elder-router/what-is-spoken-during-calls/at-the-speed-of-its-caller"
    centre = await centre_of(
        extra_dialplan=_dialplan(),
        agents={"agent1": 100},
        speech={
            "voices": VOICES,
            "during_calls": f"{{folder: {small_disk}}}",
            "serve": f"{{port: {port}, url: '{url}'}}",
        },
    )
    callers = Callers(centre)
    async with Witness(centre.asterisk) as witness:
        await witness.action(Action="QueuePause", Interface="PJSIP/agent1", Paused="true")
        waiting = [callers.call("13900000008", "7000", hold_ms=60_000) for _ in range(2)]
        await witness.wait_for("QueueCallerJoin", 2)
        heard = await _heard(centre, *LANGUAGES)
        routed = callers.call("13900000001", "95501", hold_ms=500)
        await routed
    for call in waiting:
        call.cancel()

    for number, (came, recording) in heard.items():
        assert (came.said, came.say) == ("yes", ""), (number, came)
        assert _fallback_is_heard(SOUNDS[number], recording), number
        assert came.took_s - len(recording) / RATE_HZ < IN_TIME_S, (number, came.took_s)
    (decision,) = await centre.router.wait_for_records("decision", 1)
    assert decision["applied"]
    _free(small_disk)
    again = await _heard(centre, "7025")
    came, recording = again["7025"]
    assert came.said == "yes"
    assert came.say.startswith(url)
    wanted = heard_as(spoken(catalogue().say("place-next", "en", {}), "en", profile("unhurried")))
    assert is_heard(wanted, recording), "it is played by its URL"


async def _heard(centre: Any, *numbers: str) -> dict[str, tuple[Told, Samples]]:  # noqa: ANN401
    async def one(number: str) -> Samples:
        async with Recorder() as recorder:
            directory = centre.directory / f"heard-{number}"
            called = [Call("13900000001", number, media_port=recorder.port)]
            await place(directory, centre.asterisk.sip_port, called, hold_ms=15_000)
            return recorder.samples()

    recordings = await asyncio.gather(*map(one, numbers))
    came = await told(centre.asterisk)
    return {number: (came[number], recording) for number, recording in zip(numbers, recordings, strict=True)}


def _fallback_is_heard(language: str, recording: Samples) -> bool:
    """«The number of people waiting is», «2», «at the moment», one after the other."""
    sounds = [
        built(language, name) for name in ("elder/callers-waiting-before", "digits/2", "elder/callers-waiting-after")
    ]
    return all(is_heard(sound, recording) for sound in sounds)
