"""The daemon speaks where its settings say so; where it cannot, the dialplan is told at once and calls are routed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lab.ports import free_port
from router.daemon import Daemon
from router.speech.settings import CommandVoice, DuringCallsSettings, ServeSettings, SpeechSettings
from router.web.settings import MetricsSettings

from .ami.fake_asterisk import FakeAsterisk
from .calls.rig import soon
from .calls.wire import user_event_bytes
from .test_daemon import an_asterisk, globals_of, running, set_on_a_channel, settings_for, until

PROMPTS = Path(__file__).parents[2] / "config" / "prompts"


def speech(directory: Path) -> SpeechSettings:
    return SpeechSettings(PROMPTS, during_calls=DuringCallsSettings(directory / "spoken", deadline_s=1.9))


@asynccontextmanager
async def talking(directory: Path, settings: SpeechSettings | None) -> AsyncIterator[tuple[FakeAsterisk, Daemon]]:
    async with (
        an_asterisk() as asterisk,
        running(replace(settings_for(directory, asterisk.port), speech=settings)) as daemon,
    ):
        await until(asterisk, lambda: "ELDER_FALLBACKS_SEEN" in globals_of(asterisk))
        yield asterisk, daemon


async def answer(asterisk: FakeAsterisk, turn: int = 1, **headers: str) -> str:
    """What a request for speech is answered with."""
    token = globals_of(asterisk)["ELDER_TOKEN"]
    asterisk.send(user_event_bytes("SpeechRequest", Token=token, Turn=str(turn), **headers))
    name = f"ELDER_SPEECH_{turn}"
    await until(asterisk, lambda: name in set_on_a_channel(asterisk))
    return next(action["Value"] for action in asterisk.named("Setvar") if action["Variable"] == name)


async def test_it_says_a_prompt_at_the_caller_s_speed_where_asterisk_finds_it(tmp_path: Path) -> None:
    async with talking(tmp_path, speech(tmp_path)) as (asterisk, _):
        stem = await answer(asterisk, Prompt="place-next", SpeechLanguage="en_unhurried")
        assert Path(stem).parent == tmp_path / "spoken"
        assert Path(f"{stem}.ulaw").stat().st_size > 2000  # noqa: ASYNC240 - it takes no time


async def test_prometheus_is_told_what_came_of_it(tmp_path: Path) -> None:
    port = free_port()
    async with an_asterisk() as asterisk:
        settings = settings_for(tmp_path, asterisk.port)
        metrics = MetricsSettings("127.0.0.1", port, "elder-router.yaml", 1, 1)
        async with running(replace(settings, speech=speech(tmp_path), metrics=metrics)):
            await until(asterisk, lambda: "ELDER_FALLBACKS_SEEN" in globals_of(asterisk))
            await answer(asterisk, Prompt="place-next", SpeechLanguage="en")
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
            told = (await asyncio.wait_for(reader.read(), 10)).decode()
            writer.close()
    assert 'elder_router_speech_answers_total{result="spoken"} 1.0' in told.splitlines()


async def test_without_a_section_speech_the_dialplan_is_told_at_once(tmp_path: Path) -> None:
    async with talking(tmp_path, None) as (asterisk, _):
        assert await answer(asterisk, Prompt="place-next", SpeechLanguage="en") == "-"


@pytest.mark.parametrize(
    "broken",
    [
        {"voices": {"en": CommandVoice(("no-such-program-here",))}},
        {"during_calls": DuringCallsSettings(Path("/tmp/a folder, that Asterisk cannot be told of"))},  # noqa: S108
        {"prompts": Path("/no-such-folder")},
        # Nobody may listen there but those who are asked for it by name: it is no address of this machine.
        {"serve": ServeSettings("192.0.2.1", 9106, "http://192.0.2.1:9106", "elder.yaml", 7, 1)},
    ],
    ids=["engine", "folder", "prompts", "address"],
)
async def test_where_it_cannot_speak_it_says_so_and_routes(tmp_path: Path, broken: dict[str, object]) -> None:
    with capture_logs() as logs:
        async with talking(tmp_path, replace(speech(tmp_path), **broken)) as (asterisk, _):  # type: ignore[arg-type]
            assert await answer(asterisk, Prompt="place-next", SpeechLanguage="en") == "-"
            asterisk.send(user_event_bytes("RouteRequest", Token=globals_of(asterisk)["ELDER_TOKEN"]))
            await until(asterisk, lambda: "ELDER_TARGET" in set_on_a_channel(asterisk))
    told = [line for line in logs if line["event"] in {"nothing is spoken during calls", "prompts not taken"}]
    assert told
    assert told[0]["reason"]


async def test_prompts_are_read_anew_when_it_is_told_to_and_wrong_ones_are_not_taken(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    (prompts / "p.yaml").write_text("hello: {use: a test, text: {en: [Hello.]}}\n")
    async with talking(tmp_path, replace(speech(tmp_path), prompts=prompts)) as (asterisk, daemon):
        assert await answer(asterisk, 1, Prompt="later", SpeechLanguage="en") == "-"
        (prompts / "p.yaml").write_text("later: {use: a test, text: {en: [Hello.]}}\n")
        daemon._hang_up.set()  # as SIGHUP does
        await soon(lambda: [prompt.id for prompt in daemon._prompts.catalogue.prompts] == ["later"])
        assert await answer(asterisk, 2, Prompt="later", SpeechLanguage="en") != "-"
        (prompts / "p.yaml").write_text("later: {use: ")
        await daemon._prompts.reload()
        assert await answer(asterisk, 3, Prompt="later", SpeechLanguage="en") != "-"


async def test_while_the_engine_hangs_a_flood_of_requests_is_answered_and_calls_are_routed(tmp_path: Path) -> None:
    hangs = replace(
        speech(tmp_path),
        voices={"en": CommandVoice(("sleep", "60"))},
        during_calls=DuringCallsSettings(tmp_path / "spoken", deadline_s=0.3),
    )
    async with talking(tmp_path, hangs) as (asterisk, _):
        token = globals_of(asterisk)["ELDER_TOKEN"]
        flood = [
            user_event_bytes("SpeechRequest", Token=token, Turn=str(turn), Text=f"Hello {turn}.", SpeechLanguage="en")
            for turn in range(1, 101)
        ]
        asterisk.send(b"".join(flood) + user_event_bytes("RouteRequest", Token=token))
        await until(asterisk, lambda: "ELDER_TARGET" in set_on_a_channel(asterisk))
        await until(asterisk, lambda: len(spoken_of(asterisk)) == len(flood))
        assert set(spoken_of(asterisk)) == {"-"}


def spoken_of(asterisk: FakeAsterisk) -> list[str]:
    """All answers to requests for speech."""
    return [action["Value"] for action in asterisk.named("Setvar") if action["Variable"].startswith("ELDER_SPEECH_")]
