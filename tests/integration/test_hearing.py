"""What an older caller hears, out of the RTP sent to their phone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.listening import heard_part, pitch_hz, read_sound
from lab.places import PROJECT, SOUNDS
from lab.rtp import RATE_HZ, Recorder, Samples
from router.speech.profile import BASE_SENTENCE_PAUSE_S
from tests.integration.conftest import Callers
from tests.integration.witness import Witness

SAMPLE = PROJECT / "config" / "callers.sample.csv"
RATE = 0.85
PAUSE_S, MORE_PAUSE_S = BASE_SENTENCE_PAUSE_S, 0.4  # between two sentences, and what `unhurried` adds to it
ALIKE = 0.95  # µ-law costs a little; another prompt, or this one at another speed, is below 0.5


def _prompt(language: str, name: str) -> Samples:
    return read_sound(SOUNDS / language, name)


async def _hear(centre_of: Callable[..., Any], caller: str, seconds: float) -> Samples:
    centre = await centre_of(callers=SAMPLE, agents={"agent1": 500})
    callers = Callers(centre)
    async with Witness(centre.asterisk) as witness, Recorder() as recorder:
        assert "Success" in await witness.action(Action="QueuePause", Interface="PJSIP/agent1", Paused="true")
        callers.call(caller, media_port=recorder.port, hold_ms=int(seconds * 1000))
        await callers.all_ended()
    return recorder.samples()


async def test_an_older_caller_hears_the_greeting_slowed_at_its_pitch(centre_of: Callable[..., Any]) -> None:
    recording = await _hear(centre_of, "13900000001", 16)
    for name in ("elder/greeting", "elder/connecting-person"):
        slow, normal = _prompt("en_unhurried", name), _prompt("en", name)
        heard, likeness = heard_part(slow, recording)
        assert likeness > ALIKE
        assert heard_part(normal, recording)[1] < 0.8, "the prompt at normal speed is not heard"
        assert len(heard) == pytest.approx(len(slow), abs=0.02 * RATE_HZ), "nothing was cut or lost on the way"
        assert abs(heard[:RATE_HZ] - slow[:RATE_HZ]).max() == 0, (
            "Asterisk sends the bytes of the file, without transcoding"
        )
        speech_s = len(normal) / RATE_HZ - PAUSE_S
        assert len(heard) / RATE_HZ - PAUSE_S - MORE_PAUSE_S == pytest.approx(speech_s / RATE, rel=0.05)
        assert pitch_hz(heard) == pytest.approx(pitch_hz(normal), rel=0.03)


async def test_a_younger_caller_hears_the_greeting_as_it_is(centre_of: Callable[..., Any]) -> None:
    recording = await _hear(centre_of, "13900000008", 6)
    assert heard_part(_prompt("en", "elder/greeting"), recording)[1] > ALIKE
    assert heard_part(_prompt("en_unhurried", "elder/greeting"), recording)[1] < 0.8


async def test_asterisk_s_own_announcements_are_slowed_as_well(centre_of: Callable[..., Any]) -> None:
    rules = (PROJECT / "config" / "routing.yaml").read_text()
    rules = rules.replace("queue: senior-care, overflow: {after: 60s, to: people}", "queue: announcing")
    announcing = """
[announcing](elder-queue)
announce-frequency = 2
announce-position = yes
announce-to-first-user = yes
min-announce-frequency = 1
"""
    centre = await centre_of(callers=SAMPLE, rules=rules, agents={"agent1": 500}, extra_queues=announcing)
    callers = Callers(centre)
    async with Recorder() as recorder:
        callers.call("13900000001", media_port=recorder.port, hold_ms=22_000)
        await callers.all_ended()
    recording = recorder.samples()
    slow, normal = _prompt("en_unhurried", "queue-youarenext"), _prompt("en", "queue-youarenext")
    heard, likeness = heard_part(slow, recording)
    assert likeness > ALIKE
    assert len(heard) == pytest.approx(len(normal) / RATE, rel=0.05)
    assert pitch_hz(heard) == pytest.approx(pitch_hz(normal), rel=0.03)
