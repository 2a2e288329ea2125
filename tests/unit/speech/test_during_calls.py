"""Speaking while a caller waits stays within its bounds, whatever the engine, the disk and the callers do."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from router.errors import SpeechError
from router.speech.during_calls import (
    FAILURES_TO_REST,
    MOST_WAITING,
    REST_S,
    Speaker,
    formats_for_calls,
)
from router.speech.engines import Voices
from router.speech.formats import samples_of_ulaw, wav_of
from router.speech.profile import BASE_SENTENCE_PAUSE_S, SpokenProfile
from router.speech.sentence import Sentence
from router.speech.settings import DuringCallsSettings
from router.speech.sound import Sox, seconds, trimmed
from router.speech.spoken import SpokenFiles
from tests.unit.speech.voice_like import voice_like

STANDARD = SpokenProfile("standard")
ONE_S = seconds(trimmed(voice_like(0.5)))
UNHURRIED = SpokenProfile("unhurried", 0.85, sentence_pause_s=0.4, gain_db=3.0, repeat_essential=True)


@pytest.fixture(scope="module")
def sox() -> Sox:
    return Sox()


class StandInEngine:
    """A voice that a test makes fail, hang and wait."""

    native_rate = True
    takes_pauses = False

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails: Exception | None = None
        self.open = threading.Event()
        self.open.set()
        self.begun = threading.Semaphore(0)
        self.at_work = 0
        self.most_at_work = 0

    def identity(self, language: str) -> str:
        if language == "fr":
            raise SpeechError("there is no voice for fr")
        return f"stand-in {language}"

    def synthesise(
        self,
        phrases: Sequence[str],
        language: str,  # noqa: ARG002 - the protocol's
        rate: float,
        pause_s: float = 0.0,  # noqa: ARG002 - the protocol's
        *,
        deadline_s: float | None = None,
    ) -> bytes:
        self.asked.append(" ".join(phrases))
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        self.begun.release()
        try:
            assert deadline_s is not None, "nothing is spoken without a deadline"
            if not self.open.wait(deadline_s):
                raise SpeechError("it did not end in time and was stopped")
            if self.fails is not None:
                raise self.fails
            return wav_of(voice_like(0.5 / rate))
        finally:
            self.at_work -= 1


class Clock:
    """The true time, which a test puts forward."""

    ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


class Rig:
    def __init__(self, folder: Path, sox: Sox, *, at_once: int = 2, deadline_s: float = 1.5) -> None:
        self.folder = folder
        self.engine = StandInEngine()
        self.clock = Clock()
        self.files = SpokenFiles(folder, ("ulaw", "alaw"), most_bytes=10_000_000, keep_s=3600)
        self.speaker = Speaker(
            Voices({"en": self.engine}, self.engine),
            sox,
            self.files,
            DuringCallsSettings(folder, at_once=at_once, deadline_s=deadline_s),
            clock=self.clock,
        )
        self.deadline_s = deadline_s

    async def say(self, *texts: str, profile: SpokenProfile = STANDARD, language: str = "en") -> str:
        sentences = tuple(Sentence((text,), essential=number == 0) for number, text in enumerate(texts))
        return await self.speaker.say(sentences, language, profile, until=self.clock() + self.deadline_s)

    def length_s(self, name: str) -> float:
        return seconds(samples_of_ulaw((self.folder / f"{name}.ulaw").read_bytes()))


@pytest.fixture
def rig(tmp_path: Path, sox: Sox) -> Rig:
    return Rig(tmp_path / "spoken", sox)


async def test_what_is_said_lies_in_each_format_with_its_pauses(rig: Rig) -> None:
    name = await rig.say("One.", "Two.")
    assert sorted(file.suffix for file in rig.folder.iterdir()) == [".alaw", ".ulaw"]
    assert rig.length_s(name) == pytest.approx(2 * ONE_S + BASE_SENTENCE_PAUSE_S, abs=0.03)
    slow = await rig.say("One.", "Two.", profile=UNHURRIED)
    assert rig.length_s(slow) == pytest.approx(3 * ONE_S / 0.85 + 2 * (BASE_SENTENCE_PAUSE_S + 0.4), abs=0.05)


async def test_what_was_said_before_is_answered_without_the_engine(rig: Rig) -> None:
    name = await rig.say("One.", "Two.")
    asked = len(rig.engine.asked)
    assert await rig.say("One.", "Two.") == name
    assert len(rig.engine.asked) == asked
    assert (rig.speaker.counts.spoken, rig.speaker.counts.found) == (1, 1)


async def test_sentences_that_were_said_before_are_joined_without_the_engine(rig: Rig) -> None:
    await rig.say("You are number 3.", "The wait is long.")
    await rig.say("You are number 4.", "The wait is short.")
    asked = len(rig.engine.asked)
    name = await rig.say("You are number 4.", "The wait is long.")
    assert len(rig.engine.asked) == asked
    assert rig.speaker.counts.joined == 1
    assert rig.length_s(name) == pytest.approx(2 * ONE_S + BASE_SENTENCE_PAUSE_S, abs=0.03)


async def test_of_an_answer_no_more_is_spoken_than_is_new(rig: Rig) -> None:
    async def say(amount: str, profile: SpokenProfile = STANDARD) -> None:
        sentence = Sentence(("The amount is", amount), essential=True)
        await rig.speaker.say([sentence], "en", profile, until=rig.clock() + rig.deadline_s)

    await say("12.50 yuan.")
    await say("13.70 yuan.")
    assert rig.engine.asked == ["The amount is", "12.50 yuan.", "13.70 yuan."]
    assert rig.speaker.counts.spoken == 2
    longer_pauses = SpokenProfile("p", value_pause_s=0.5, sentence_pause_s=0.7, gain_db=3.0, repeat_essential=True)
    await say("13.70 yuan.", longer_pauses)
    assert len(rig.engine.asked) == 3, "pauses and gain are no part of a phrase"
    await say("13.70 yuan.", SpokenProfile("slow", 0.7))
    assert len(rig.engine.asked) == 3 + 2 * 2
    assert (rig.speaker.counts.spoken, rig.speaker.counts.joined) == (3, 1)


async def test_an_engine_that_looks_for_its_voice_does_not_hold_up_others(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[threading.Thread] = []

    def identity(language: str) -> str:
        asked.append(threading.current_thread())
        return f"stand-in {language}"

    monkeypatch.setattr(rig.engine, "identity", identity)
    await rig.say("One.")
    await rig.say("Two.")
    assert len(asked) == 1
    assert asked[0] is not threading.current_thread()
    release = threading.Event()
    monkeypatch.setattr(rig.engine, "identity", lambda language: str(release.wait(10)) + language)
    with pytest.raises(SpeechError, match="did not say in time whether it has a voice for de"):
        await rig.speaker.say([Sentence(("One.",))], "de", STANDARD, until=rig.clock() + 0.05)
    release.set()


async def test_each_thing_that_changes_the_sound_has_a_file_of_its_own(rig: Rig) -> None:
    names = [
        await rig.say("One."),
        await rig.say("One.", profile=SpokenProfile("a", 0.85)),
        await rig.say("One.", profile=SpokenProfile("a", 0.85, gain_db=3.0)),
        await rig.say("One.", profile=SpokenProfile("a", 0.85, sentence_pause_s=0.4)),
        await rig.say("One.", language="de"),
        await rig.say("One!"),
    ]
    assert len(set(names)) == len(names)
    assert await rig.say("One.", profile=SpokenProfile("another-name", 0.85)) == names[1]


async def test_the_same_thing_asked_for_at_once_is_spoken_once(rig: Rig) -> None:
    names = await asyncio.gather(*(rig.say("One.") for _ in range(50)))
    assert len(set(names)) == 1
    assert rig.engine.asked == ["One."]


async def test_whoever_asks_for_what_is_being_spoken_waits_for_that_and_keeps_it_if_another_gives_up(rig: Rig) -> None:
    rig.engine.open.clear()
    patient = [asyncio.create_task(rig.say("One.")) for _ in range(3)]
    assert await asyncio.to_thread(rig.engine.begun.acquire, timeout=5)
    with pytest.raises(SpeechError, match="not spoken in time"):
        await rig.speaker.say([Sentence(("One.",), essential=True)], "en", STANDARD, until=rig.clock() + 0.05)
    rig.engine.open.set()
    assert len(set(await asyncio.gather(*patient))) == 1
    assert rig.engine.asked == ["One."]
    assert rig.speaker.counts.spoken == 1


async def test_pauses_that_an_engine_makes_itself_are_not_those_of_another_profile(rig: Rig) -> None:
    rig.engine.takes_pauses = True
    for pause_s in (0.0, 0.5):
        profile = SpokenProfile("p", value_pause_s=pause_s)
        sentence = Sentence(("The amount is", "12.50 yuan."))
        await rig.speaker.say([sentence], "en", profile, until=rig.clock() + rig.deadline_s)
    assert rig.engine.asked == ["The amount is 12.50 yuan."] * 2


async def test_at_the_end_nothing_more_is_begun(tmp_path: Path, sox: Sox) -> None:
    rig = Rig(tmp_path, sox, at_once=1)
    rig.engine.open.clear()
    saying = [asyncio.create_task(rig.say(f"{n}.")) for n in range(3)]
    assert await asyncio.to_thread(rig.engine.begun.acquire, timeout=5)
    rig.speaker.close()
    rig.engine.open.set()
    await asyncio.gather(*saying, return_exceptions=True)
    assert rig.engine.asked == ["0."]


async def test_a_trial_that_came_too_late_does_not_leave_the_engine_alone_for_ever(rig: Rig) -> None:
    rig.engine.fails = SpeechError("it was killed")
    for n in range(FAILURES_TO_REST):
        with pytest.raises(SpeechError, match="killed"):
            await rig.say(f"{n}.")
    rig.clock.ahead_s += REST_S
    sentences = [Sentence(("Late.",))]
    with pytest.raises(SpeechError, match="killed"):  # it had less time than would tell of the engine
        await rig.speaker.say(sentences, "en", STANDARD, until=rig.clock() + 0.3 * rig.deadline_s)
    rig.engine.fails = None
    rig.clock.ahead_s += REST_S
    await rig.say("It is well again.")


async def test_no_more_are_spoken_side_by_side_than_may_be(tmp_path: Path, sox: Sox) -> None:
    rig = Rig(tmp_path, sox, at_once=2, deadline_s=10)
    rig.engine.open.clear()
    saying = [asyncio.create_task(rig.say(f"{n}.")) for n in range(8)]
    for _ in range(2):
        assert await asyncio.to_thread(rig.engine.begun.acquire, timeout=5)
    rig.engine.open.set()
    await asyncio.gather(*saying)
    assert rig.engine.most_at_work == 2


async def test_what_waits_beyond_the_bound_is_turned_away_at_once(rig: Rig) -> None:
    rig.engine.open.clear()
    waiting = [asyncio.create_task(rig.say(f"{n}.")) for n in range(2 + MOST_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(SpeechError, match="too much"):
        await rig.say("One more.")
    assert rig.speaker.counts.turned_away == 1
    rig.engine.open.set()
    await asyncio.gather(*waiting)
    assert await rig.say("One more.")


async def test_a_hanging_engine_is_given_up_by_the_deadline_and_stopped(tmp_path: Path, sox: Sox) -> None:
    rig = Rig(tmp_path, sox, deadline_s=0.2)
    rig.engine.open.clear()
    began = time.monotonic()
    with pytest.raises(SpeechError, match=r"not spoken in time|was stopped"):
        await rig.say("One.")
    assert time.monotonic() - began < 5
    async with asyncio.timeout(5):
        while rig.engine.at_work:  # noqa: ASYNC110 - a thread ends, which signals nobody
            await asyncio.sleep(0.01)
    assert not rig.files.kept_bytes


async def test_an_engine_that_fails_in_a_row_is_left_alone_for_a_while_and_then_tried_once(rig: Rig) -> None:
    await rig.say("Known.")
    rig.engine.fails = SpeechError("it was killed")
    for n in range(FAILURES_TO_REST):
        with pytest.raises(SpeechError, match="killed"):
            await rig.say(f"{n}.")
    asked = len(rig.engine.asked)
    with pytest.raises(SpeechError, match="left alone"):
        await rig.say("Now.")
    assert len(rig.engine.asked) == asked
    assert await rig.say("Known.", "Known."), "what needs no engine is said all the same"
    rig.clock.ahead_s += REST_S
    with pytest.raises(SpeechError, match="killed"):
        await rig.say("Probe.")
    with pytest.raises(SpeechError, match="left alone"):
        await rig.say("Now.")
    rig.clock.ahead_s += REST_S
    rig.engine.fails = None
    assert await rig.say("Well again.")
    assert await rig.say("Now.")
    assert rig.speaker.counts.resting == 2


async def test_an_engine_is_not_blamed_for_what_waited_too_long_for_its_turn(tmp_path: Path, sox: Sox) -> None:
    rig = Rig(tmp_path, sox, at_once=1, deadline_s=0.5)
    rig.engine.open.clear()
    waiting = [asyncio.create_task(rig.say(f"{n}.")) for n in range(8)]
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, SpeechError) for result in results)
    async with asyncio.timeout(5):
        while rig.speaker._making:  # noqa: ASYNC110 - threads end, which signals nobody
            await asyncio.sleep(0.01)
    rig.engine.open.set()
    assert rig.speaker.counts.failed <= 1
    assert await rig.say("Now.")


@pytest.mark.parametrize("error", [ValueError("a mistake of ours"), SpeechError("no sound")])
async def test_whatever_goes_wrong_leaves_nothing_behind(rig: Rig, error: Exception) -> None:
    rig.engine.fails = error
    with pytest.raises(type(error)):
        await rig.say("One.")
    assert not rig.folder.exists()
    rig.engine.fails = None
    assert await rig.say("One.")


async def test_without_a_voice_for_the_language_it_is_told_at_once(rig: Rig) -> None:
    with pytest.raises(SpeechError, match="no voice for fr"):
        await rig.say("Un.", language="fr")


async def test_a_folder_that_cannot_be_written_is_told_seldom_and_the_engine_not_blamed(
    tmp_path: Path, sox: Sox
) -> None:
    (tmp_path / "spoken").write_text("in the way")
    rig = Rig(tmp_path / "spoken", sox)
    with capture_logs() as logs:
        for n in range(2 * FAILURES_TO_REST):
            with pytest.raises(SpeechError, match="this user may write there"):
                await rig.say(f"{n}.")
    assert [line["event"] for line in logs] == ["spoken files not written"]
    assert rig.speaker.counts.unwritten == 2 * FAILURES_TO_REST
    (tmp_path / "spoken").unlink()
    assert await rig.say("1."), "and it needs no engine"
    assert rig.speaker.counts.joined == 1


async def test_the_engine_s_programs_stand_back_for_others(tmp_path: Path, sox: Sox) -> None:
    from router.speech.engines.command import Command  # noqa: PLC0415
    from router.speech.settings import CommandVoice  # noqa: PLC0415

    report = tmp_path / "niceness"
    program = tmp_path / "speaks"
    sound = tmp_path / "sound.wav"
    sound.write_bytes(wav_of(voice_like(0.5)))
    program.write_text(f"#!/bin/sh\ncat > /dev/null\nnice > {report}\ncat {sound}\n")
    program.chmod(0o755)
    rig = Rig(tmp_path / "spoken", sox)
    rig.speaker._voices = Voices({"en": Command(CommandVoice((str(program),)))})
    await rig.say("One.")
    assert int(report.read_text()) == min(19, os.nice(0) + 10)


def test_answers_are_kept_in_formats_of_one_sample_rate() -> None:
    assert formats_for_calls(["ulaw", "alaw"]) == ("ulaw", "alaw")
    assert formats_for_calls(["sln16", "ulaw", "wav", "ulaw"]) == ("ulaw", "wav")
    assert formats_for_calls(["sln16"]) == ("sln16",)
