"""Speaking while a caller waits: at once if it was said before, else outside the event loop, within bounds and in time.

    a whole answer that was said before      its file; nothing is done
    all its phrases were said before         joined, made louder, written
    a phrase is new                          the engine speaks that, and no more

So much is bounded: how many are spoken side by side, how many wait for their turn (beyond that one is told at once that
it cannot be said), how long each may take from the moment of asking (then its program is killed), and how often an
engine that fails is asked. Whoever asks for what is being spoken already waits for that.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import structlog

from router.callers.breaker import Breaker, BreakerState
from router.errors import SpeechError
from router.speech.engines import Engine, Voices, open_voices
from router.speech.formats import formats_named
from router.speech.manifest import digest
from router.speech.profile import SpokenProfile
from router.speech.programs import gently, within
from router.speech.remembered import Remembered
from router.speech.sentence import Sentence
from router.speech.settings import DuringCallsSettings, SpeechSettings
from router.speech.sound import RECIPE, Sox
from router.speech.speaking import Unit, join, sentence_of, speak_units, units_of
from router.speech.spoken import NAME_CHARACTERS, SpokenFiles

MOST_WAITING: Final = 16
"""Answers that wait for their turn. espeak-ng and what is done to its sound take 25 ms of a core for a new amount, so
that on a busy machine the last of these is heard after half a second; more would keep callers of a slower engine
waiting for what then comes too late."""

FAILURES_TO_REST: Final = 3
REST_S: Final = 5.0
"""An engine that failed so often in a row is left alone so long, then one answer finds out whether it is well again."""

ENOUGH_TIME: Final = 0.5
"""An answer that had less than this part of its time, because it waited for its turn, says nothing of the engine."""

MOST_VOICES: Final = 256
"""Voices of which it is remembered that they failed."""

COMPLAIN_EVERY_S: Final = 10.0
SERVED_FORMAT: Final = "wav"
"""What an Asterisk on another machine is offered: it transcodes it, and knows it by its ending."""

SWITCH_EVERY_S: Final = 0.0005
"""How long a thread that speaks may keep the event loop from running: routing would feel Python's own 5 ms."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class SpeakerCounts:
    """What has been asked since the start, by what came of it."""

    found: int = 0
    joined: int = 0
    spoken: int = 0
    failed: int = 0
    late: int = 0
    turned_away: int = 0
    resting: int = 0
    unwritten: int = 0


class _Unwritten(SpeechError):  # noqa: N818 - it says what happened
    pass


@dataclass(slots=True)
class _Work:
    """What is to be spoken, by whom; `is_new`: the engine must be asked; `was_late`: it has had too little time."""

    engine: Engine
    voice: str
    sentences: tuple[Sentence, ...]
    language: str
    profile: SpokenProfile
    is_new: bool = True
    was_late: bool = False

    def key(self, unit: Unit) -> Hashable:
        """All that decides how phrases sound but for the gain, which comes last."""
        pause_s = self.profile.value_pause_s if len(unit) > 1 else 0.0
        return self.voice, self.language, unit, self.profile.rate, pause_s


class Speaker:
    """Says sentences and keeps them as files. Used by the event loop's thread alone.

    Args:
        voices: Who speaks.
        sox: What converts, stretches and raises the loudness.
        files: Where answers are kept; its suffixes name the formats.
        settings: Its bounds.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        voices: Voices,
        sox: Sox,
        files: SpokenFiles,
        settings: DuringCallsSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.files = files
        self.settings = settings
        self.counts = SpeakerCounts()
        self._voices = voices
        self._sox = sox
        self._clock = clock
        self._formats = formats_named(files.suffixes)
        self._rate_hz = self._formats[0].rate_hz
        self._remembered = Remembered()
        self._identities: dict[str, str] = {}
        """Of the voice for each language."""
        self._breakers: dict[str, Breaker] = {}
        self._making: dict[str, asyncio.Future[None]] = {}
        self._complained_at = -COMPLAIN_EVERY_S
        self._speaking = ThreadPoolExecutor(settings.at_once, thread_name_prefix="speaking")
        # What needs no engine does not wait behind one that hangs.
        self._joining = ThreadPoolExecutor(1, thread_name_prefix="joining")
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_EVERY_S))

    async def say(self, sentences: Sequence[Sentence], language: str, profile: SpokenProfile, *, until: float) -> str:
        """Have sentences said.

        Args:
            sentences: At least one.
            language: Such as `en`.
            profile: The caller's.
            until: When it must be there, by the clock.

        Returns:
            The name of the answer among `files`.

        Raises:
            SpeechError: it cannot be said, or not in time.
        """
        engine = self._voices.of(language)
        voice = self._identities.get(language) or await self._identity(engine, language, until)
        work = _Work(engine, voice, tuple(sentences), language, profile)
        name = self._name(work)
        if self.files.find(name):
            self.counts.found += 1
            return name
        making = self._making.get(name)
        if making is None:
            units = units_of(engine, work.sentences)
            work.is_new = any(self._remembered.get(work.key(unit)) is None for unit in units)
            making = self._begin(name, work, until)
        try:
            async with asyncio.timeout(until - self._clock()):
                await asyncio.shield(making)
        except TimeoutError:
            self.counts.late += 1
            raise SpeechError("it was not spoken in time") from None
        return name

    async def keep_within_bounds(self) -> None:
        """Delete what was not played for long, every minute, until cancelled."""
        try:
            await asyncio.to_thread(self.files.adopt)
        except OSError as error:
            log.warning("spoken files not taken up", folder=str(self.files.folder), reason=error.strerror)
        while True:
            await asyncio.sleep(60.0)
            await asyncio.to_thread(self.files.expire)

    def close(self) -> None:
        """Begin nothing more; what is under way ends by its deadline."""
        for threads in (self._speaking, self._joining):
            threads.shutdown(wait=False, cancel_futures=True)

    async def _identity(self, engine: Engine, language: str, until: float) -> str:
        """The voice's, remembered: it does not change, and for a new language an engine may run its program."""
        try:
            async with asyncio.timeout(until - self._clock()):
                identity = await asyncio.to_thread(engine.identity, language)
        except TimeoutError:
            self.counts.late += 1
            raise SpeechError(f"the engine did not say in time whether it has a voice for {language}") from None
        if len(self._identities) >= MOST_VOICES:
            self._identities.pop(next(iter(self._identities)))
        self._identities[language] = identity
        return identity

    def _begin(self, name: str, work: _Work, until: float) -> asyncio.Future[None]:
        if len(self._making) >= self.settings.at_once + MOST_WAITING:
            self.counts.turned_away += 1
            raise SpeechError("too much is to be said at once")
        breaker = self._breaker(work.voice)
        if work.is_new and not breaker.admits():
            self.counts.resting += 1
            raise SpeechError("the engine has failed several times in a row, and is left alone for some seconds")
        threads = self._speaking if work.is_new else self._joining
        making = asyncio.get_running_loop().run_in_executor(threads, self._make, name, work, until)
        self._making[name] = making
        making.add_done_callback(lambda made: self._made(name, work, breaker, made))
        return making

    def _made(self, name: str, work: _Work, breaker: Breaker, made: asyncio.Future[None]) -> None:
        """Count what came of it; the engine is judged by what it was asked for and had the time for."""
        del self._making[name]
        error = SpeechError("the router stops") if made.cancelled() else made.exception()
        engine_is_well: bool | None = None
        match error:
            case None:
                engine_is_well = True
                self.counts.spoken += work.is_new
                self.counts.joined += not work.is_new
            case _Unwritten():
                engine_is_well = True
                self.counts.unwritten += 1
                self._complain("spoken files not written", error, folder=str(self.files.folder))
            case _:
                engine_is_well = None if work.was_late else False
                self.counts.failed += not work.was_late
                self._complain("not spoken", error, language=work.language)
        if not work.is_new:
            return
        if engine_is_well:
            breaker.succeeded()
        elif engine_is_well is False or breaker.state is BreakerState.HALF_OPEN:
            breaker.failed()

    def _make(self, name: str, work: _Work, until: float) -> None:
        """In a thread of its own."""
        left_s = until - self._clock()
        work.was_late = left_s < ENOUGH_TIME * self.settings.deadline_s
        if left_s <= 0:
            raise SpeechError("its turn came too late")
        with within(left_s), gently():
            spoken = self._spoken(work)
            samples = join(self._sox, work.sentences, spoken, work.profile, rate_hz=self._rate_hz)
            contents = {format_.suffix[1:]: format_.encode(samples) for format_ in self._formats}
        try:
            self.files.write(name, contents)
        except (OSError, SpeechError) as error:
            said = error.strerror if isinstance(error, OSError) else str(error)
            raise _Unwritten(f"{said}; see that there is room, and that this user may write there") from error

    def _spoken(self, work: _Work) -> dict[Sentence, bytes]:
        units = units_of(work.engine, work.sentences)
        spoken = {unit: self._remembered.get(work.key(unit)) or b"" for unit in units}
        new = [unit for unit in units if not spoken[unit]]
        how = (work.language, work.profile)
        for unit, samples in speak_units(work.engine, self._sox, new, *how, rate_hz=self._rate_hz, quick=True).items():
            spoken[unit] = samples
            self._remembered.put(work.key(unit), samples)
        return {
            sentence: sentence_of(work.engine, sentence, spoken, work.profile, rate_hz=self._rate_hz)
            for sentence in work.sentences
        }

    def _name(self, work: _Work) -> str:
        profile = work.profile
        how = (profile.rate, profile.sentence_pause_s, profile.value_pause_s, profile.gain_db, profile.repeat_essential)
        said = [(sentence.phrases, sentence.essential) for sentence in work.sentences]
        decides = (RECIPE, self._sox.version, work.voice, work.language, said, how, self.files.suffixes)
        return digest(json.dumps(decides).encode())[:NAME_CHARACTERS]

    def _breaker(self, identity: str) -> Breaker:
        if identity not in self._breakers:
            if len(self._breakers) >= MOST_VOICES:
                self._breakers.pop(next(iter(self._breakers)))
            self._breakers[identity] = Breaker(failures_to_open=FAILURES_TO_REST, open_s=REST_S, clock=self._clock)
        return self._breakers[identity]

    def _complain(self, what: str, error: BaseException, **fields: object) -> None:
        """At most so often: when speech fails, it fails for every caller."""
        if self._clock() - self._complained_at >= COMPLAIN_EVERY_S:
            self._complained_at = self._clock()
            log.warning(what, reason=str(error), **fields)


def open_speaker(settings: SpeechSettings, during_calls: DuringCallsSettings) -> Speaker:
    """Have ready what speaks during calls.

    Raises:
        SpeechError: a program is missing, or the folder is none that Asterisk can be told of.
    """
    suffixes = (SERVED_FORMAT,) if settings.serve else formats_for_calls(settings.formats)
    files = SpokenFiles(
        during_calls.folder, suffixes, most_bytes=during_calls.most_mb * 1_000_000, keep_s=during_calls.keep_s
    )
    return Speaker(open_voices(settings), Sox(), files, during_calls)


def formats_for_calls(names: Sequence[str]) -> tuple[str, ...]:
    """Those of the wanted formats in which answers are kept: one sample rate, a telephone line's where there is one.

    Raises:
        SpeechError: there is no such format.
    """
    formats = formats_named(names)
    rate_hz = min(format_.rate_hz for format_ in formats)
    return tuple(
        name for name, format_ in zip(dict.fromkeys(names), formats, strict=True) if format_.rate_hz == rate_hz
    )
