"""What the dialplan asks to be said during a call: read, worded, spoken, and answered with one variable.

    SpeechRequested ─▶ what is to be said ─▶ sentences ─▶ `Speaker` ─▶ ELDER_SPEECH_<turn>

The answer is what to play, or `-` when it cannot be said, or `none` when nothing needs to be said. Whatever is wrong
with a request, its caller gets an answer and goes on. Any call of a dialplan that has the link's token is served,
whether this router has routed it or not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import unquote

import structlog

from router.ami.messages import for_log
from router.calls.desk import Send
from router.calls.events import LONGEST_TEXT, Answered, SpeechRequested
from router.calls.place import Answers, QueueListings, SendForList, expected_wait_s
from router.calls.promote import priority_of
from router.calls.verdict import language_and_suffix, set_on_channel, spoken_profile
from router.errors import AmiError, RouterError, SpeechError
from router.rules.book import RuleBook
from router.rules.scalars import quoted
from router.speech.catalogue import Catalogue, sentences_of_text
from router.speech.profile import SpokenProfile, is_language
from router.speech.sentence import Sentence

CANNOT: Final = "-"
NOTHING: Final = "none"

ANSWER_WITHIN_S: Final = 1.9
"""The dialplan waits 2 s (`elder-say`); what comes later is not sent."""

MOST_IN_HAND: Final = 500
"""Requests being answered at once: 10 s of 50 a second, of which the dialplan waits 2 s."""

MOST_VALUES: Final = 16
MOST_TURNS: Final = 999_999
"""Of one call; ten hours of one a second are 36,000."""

COMPLAIN_EVERY_S: Final = 10.0

BASE_PROFILE: Final = SpokenProfile("standard")

log = structlog.get_logger(__name__)


class WrongRequestError(SpeechError):
    """It cannot be said, whoever speaks; the text says what was wrong with what the dialplan sent."""


class SaysSentences(Protocol):
    """`router.speech.during_calls.Speaker`, as far as it is used here."""

    async def say(self, sentences: tuple[Sentence, ...], language: str, profile: SpokenProfile, *, until: float) -> str:
        """The name of what was said; raises SpeechError."""
        ...


@dataclass(frozen=True, slots=True)
class Voice:
    """What is needed to speak: how, from which catalogue, and how Asterisk is told where an answer is.

    `deadline_s` is how long after the request an answer must be there.
    """

    speaker: SaysSentences
    catalogue: Callable[[], Catalogue]
    place_of: Callable[[str], str]
    deadline_s: float


@dataclass(slots=True)
class SpeechCounts:
    """What was asked of one Asterisk's dialplan since the start."""

    requests: int = 0
    said: int = 0
    nothing: int = 0
    cannot: int = 0
    turned_away: int = 0
    wrong: int = 0


class SpeechDesk:
    """Answers all of one Asterisk's requests for speech.

    Args:
        node: The Asterisk's name.
        voice: None where nothing is spoken during calls: then every request is told so at once.
        rules: Gives the rules in force, for their speech profiles.
        send: Sends AMI actions and returns the answers; raises AmiError.
        send_for_list: Sends an action and returns what it lists; raises AmiError.
        tasks: Runs the answering of each request.
        now: Monotonic seconds.
    """

    def __init__(
        self,
        node: str,
        voice: Voice | None,
        *,
        rules: Callable[[], RuleBook],
        send: Send,
        send_for_list: SendForList,
        tasks: asyncio.TaskGroup,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts = SpeechCounts()
        self._voice = voice
        self._rules = rules
        self._send = send
        self._tasks = tasks
        self._now = now
        self._answers = Answers()
        self._listings = QueueListings(send_for_list, now)
        self._in_hand: set[tuple[str, int]] = set()
        self._complained_at: dict[str, float] = {}
        self._log = log.bind(node=node)

    def answered(self, answered: Answered) -> None:
        """Somebody who waited was answered: that is how fast the queue moves."""
        self._answers.note(answered.queue, answered.hold_s, self._now())

    def requested(self, request: SpeechRequested) -> None:
        """Have something said, unless that very request is in hand already; never blocks."""
        which = (request.uniqueid, request.turn)
        if which in self._in_hand or not (0 < request.turn <= MOST_TURNS and request.channel):
            return
        if len(self._in_hand) >= MOST_IN_HAND:
            self.counts.turned_away += 1
            self._complain("speech request turned away", in_hand=len(self._in_hand))
            return
        self.counts.requests += 1
        self._in_hand.add(which)
        task = self._tasks.create_task(self._answer(request, self._now()))
        task.add_done_callback(lambda _: self._in_hand.discard(which))

    async def _answer(self, request: SpeechRequested, asked_at: float) -> None:
        """One request. Whatever goes wrong, its caller is told, and the others go on."""
        value = CANNOT
        try:
            value = await self._value(request, asked_at)
        except WrongRequestError as wrong:
            self.counts.wrong += 1
            self._complain("speech request is wrong", call=for_log(request.uniqueid), reason=for_log(str(wrong)))
        except (SpeechError, AmiError, TimeoutError) as error:
            self._complain("not said", call=for_log(request.uniqueid), reason=str(error) or "it took too long")
        except Exception:  # noqa: BLE001 - the boundary of one request, logged with its traceback
            self._log.exception("not said", call=for_log(request.uniqueid))
        self._count(value)
        if self._now() - asked_at > ANSWER_WITHIN_S:
            return
        try:
            await self._send(set_on_channel(request.channel, [(f"ELDER_SPEECH_{request.turn}", value)]))
        except RouterError as error:
            self._complain("speech not answered", call=for_log(request.uniqueid), reason=str(error))

    async def _value(self, request: SpeechRequested, asked_at: float) -> str:
        voice = self._voice
        if voice is None:
            return CANNOT
        until = asked_at + voice.deadline_s
        async with asyncio.timeout(until - self._now()):
            language, profile = language_and_profile(request.language, self._rules())
            try:
                sentences = await self._sentences(request, voice.catalogue(), language)
            except SpeechError as error:
                raise WrongRequestError(str(error)) from error
            if not sentences:
                return NOTHING
            return voice.place_of(await voice.speaker.say(sentences, language, profile, until=until))

    async def _sentences(self, request: SpeechRequested, catalogue: Catalogue, language: str) -> tuple[Sentence, ...]:
        """What is to be said, nothing where silence is best.

        Raises:
            SpeechError: it is not known what, or it cannot be worded.
            AmiError: Asterisk could not be asked for the queue.
        """
        asked = [word for word in (request.prompt, request.text, request.place) if word]
        if len(asked) != 1:
            raise SpeechError("ask for a prompt, for a text or for a place in a queue: one of the three")
        if request.text:
            return sentences_of_text(checked_text(request.text))
        if request.prompt:
            given = values_of(request.values)
            try:
                return catalogue.say(request.prompt, language, given)
            except SpeechError as error:
                raise SpeechError(without_values(str(error), given)) from error
        prompt, values = await self._place(request)
        return catalogue.say(prompt, language, values) if prompt else ()

    async def _place(self, request: SpeechRequested) -> tuple[str, Mapping[str, str]]:
        """The prompt that tells the place in the queue and the wait; none where nobody would wait."""
        waiting = await self._listings.waiting(request.place)
        place = waiting.place_of(request.uniqueid, priority_of(request.priority))
        interval_s = self._answers.interval_s(request.place, self._now()) if waiting.agents else None
        wait_s = expected_wait_s(place, interval_s)
        if request.about == "queue":
            return about_queue(len(waiting.entries), wait_s)
        if place <= waiting.agents_free:
            return "", {}
        return about_place(place, wait_s)

    def _count(self, value: str) -> None:
        match value:
            case "-":
                self.counts.cannot += 1
            case "none":
                self.counts.nothing += 1
            case _:
                self.counts.said += 1

    def _complain(self, what: str, **fields: object) -> None:
        """At most so often for each kind: what goes wrong for one caller may go wrong for all."""
        now = self._now()
        if now - self._complained_at.get(what, -COMPLAIN_EVERY_S) >= COMPLAIN_EVERY_S:
            self._complained_at[what] = now
            self._log.warning(what, **fields, so_far=self.counts.cannot)


def language_and_profile(channel_language: str, rules: RuleBook) -> tuple[str, SpokenProfile]:
    """A channel's language without the suffix of a speech profile, and that profile: `en_GB_slow` is slow `en_GB`.

    Raises:
        WrongRequestError: It has not the form of a language.
    """
    language, suffix = language_and_suffix(channel_language, rules.speech)
    if not is_language(language):
        raise WrongRequestError("the channel's language has not the form of one, like en or zh_slow")
    return language, spoken_profile(rules.speech[suffix]) if suffix else BASE_PROFILE


def checked_text(text: str) -> str:
    """A text that came whole.

    Raises:
        SpeechError: It is too long, or was cut on its way.
    """
    if len(text) > LONGEST_TEXT:
        raise SpeechError(f"the text has more than {LONGEST_TEXT} characters; say it in two parts")
    if "\ufffd" in text:
        raise SpeechError(
            "the text was cut on its way, or is no UTF-8; Asterisk carries 454 Chinese characters at most"
        )
    return text


def values_of(text: str) -> dict[str, str]:
    """The values of a prompt's variables, out of `name=value&name=value`, each value URI-encoded where it must be.

    Raises:
        SpeechError: It is not so.
    """
    pairs = [pair.partition("=") for pair in text.split("&") if pair]
    values = {name: unquote(value) for name, _, value in pairs}
    if len(pairs) > MOST_VALUES or len(values) < len(pairs) or not all(equals for _, equals, _ in pairs):
        raise SpeechError(f"give values as name=value&name=value, each name once and {MOST_VALUES} at most")
    return values


def without_values(message: str, values: Mapping[str, str]) -> str:
    """A message for the log: what a caller has typed, or has on their account, does not belong there."""
    for value in values.values():
        message = message.replace(quoted(value), '"…"')
    return message


def about_place(place: int, wait_s: int | None) -> tuple[str, Mapping[str, str]]:
    """The prompt for a caller who joins a queue, and its values."""
    wait = {} if wait_s is None else {"wait": str(wait_s)}
    position = {} if place == 1 else {"position": str(place)}
    name = "place-next" if place == 1 else "place"
    return (f"{name}-and-wait" if wait else name), position | wait


def about_queue(waiting: int, wait_s: int | None) -> tuple[str, Mapping[str, str]]:
    """The prompt for a caller who asks how long it would take, and its values."""
    if waiting == 0:
        return "nobody-waiting", {}
    if wait_s is None:
        return "people-waiting", {"waiting": str(waiting)}
    return "wait-for-person", {"waiting": str(waiting), "wait": str(wait_s)}
