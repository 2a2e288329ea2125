"""What callers choose during a call: slower, their usual speed, a person. Answered at once, and remembered for later.

    SpeechChosen ─▶ the next profile ─▶ set on the channel, ELDER_CHOSEN_<turn> last ─▶ remembered in the background
    the key 0    ─▶ remembered

Remembering never holds up a call: it is bounded, has a deadline of its own, and what is lost is counted. The call's
outcome record has the choice in any case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from asterisk.ami import Response, SimpleAction

from router.ami.messages import one
from router.callers.number import PhoneNumber
from router.callers.past import NORMAL, PERSON, SLOWER, Chosen
from router.calls.call import Call
from router.calls.events import SpeechChosen
from router.calls.verdict import Variable, channel_language, profile_spoken, set_on_channel, spoken_variables
from router.errors import AmiError, RegistryError
from router.rules.book import RuleBook
from router.rules.model import SpeechProfile
from router.rules.pace import profile_after_key
from router.rules.schema import STANDARD_SPEECH

MOST_ANSWERING: Final = 500
"""Keys being answered at once on one Asterisk. Whoever presses one more hears the last thing again, as it was."""

MOST_TO_REMEMBER: Final = 1000
"""Callers whose choice waits to be remembered: while Redis hangs, and every attempt waits, more are not kept."""

REMEMBER_WITHIN_S: Final = 2.0

MOST_TURNS: Final = 10_000
"""A turn is part of a variable's name; no call has so many."""

CHOSEN_PREFIX: Final = "ELDER_CHOSEN_"
"""Set last: it is what the dialplan waits for, `elder-choose`. The turn follows."""

PACE_CHOSEN: Final = "ELDER_PACE_CHOSEN"
"""Keeps the pace with the channel, for the next run of the router to know."""

_CHANGED, _SLOWEST, _USUAL = "changed", "slowest", "usual"

log = structlog.get_logger(__name__)

Send = Callable[[Sequence[SimpleAction]], Awaitable[list[Response]]]


class Remembers(Protocol):
    """The registry of callers, as far as choices use it."""

    async def remember(self, number: PhoneNumber, later: Chosen) -> None:
        """Join a choice to what the number's owner chose before; raises RegistryError."""


@dataclass(slots=True)
class ChoiceCounts:
    """Choices since the start: made, not answered in the call, not remembered for later calls."""

    choices: int = 0
    choices_unanswered: int = 0
    choices_lost: int = 0


class Choices:
    """The choices that callers of one Asterisk make.

    Args:
        node: That Asterisk's name, for the log.
        registry: Remembers them.
        rules: Gives the rules in force, whose speech profiles there are.
        send: Sends AMI actions in one write and returns all answers; raises AmiError.
        tasks: Runs the answering and the remembering.
    """

    def __init__(
        self, node: str, *, registry: Remembers, rules: Callable[[], RuleBook], send: Send, tasks: asyncio.TaskGroup
    ) -> None:
        self.counts = ChoiceCounts()
        self._registry = registry
        self._rules = rules
        self._send = send
        self._tasks = tasks
        self._answering: set[asyncio.Task[None]] = set()
        # By number, so that a key pressed again and again is one entry; the oldest first.
        self._to_remember: dict[PhoneNumber, tuple[Chosen, str]] = {}
        self._remembering: asyncio.Task[None] | None = None
        self._log = log.bind(node=node)

    def pace(self, chosen: SpeechChosen, call: Call | None) -> None:
        """A caller asked for another pace. Never blocks, never raises.

        Args:
            chosen: What the dialplan told.
            call: The call, if it is in hand; one that is not is answered all the same.
        """
        if chosen.pace not in {SLOWER, NORMAL} or not 0 < chosen.turn <= MOST_TURNS or not chosen.channel:
            self._log.warning("choice refused", call=chosen.uniqueid, choice=chosen.pace[:20], turn=chosen.turn)
            return
        profiles = self._rules().speech
        names = frozenset(profiles)
        before = profile_spoken(chosen.language, profiles)
        profile = profile_after_key(chosen.pace, before, profiles)
        language = channel_language(chosen.language, profile, names)
        wanted = spoken_variables(profile, profiles, language=language, language_now=chosen.language)
        now = _chosen(chosen.pace, before, profile)
        wanted.append((PACE_CHOSEN, str(now)))
        wanted.append((f"{CHOSEN_PREFIX}{chosen.turn}", _answer(chosen.pace, before, profile)))
        self.counts.choices += 1
        if len(self._answering) < MOST_ANSWERING:
            task = self._tasks.create_task(self._set(chosen.uniqueid, set_on_channel(chosen.channel, wanted), wanted))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        else:
            self.counts.choices_unanswered += 1
            self._log.error("choice not answered", call=chosen.uniqueid, reason="too many at once")
        if call is not None:
            call.speech = profile.name
            self._note(call, now)

    def person(self, call: Call) -> None:
        """A caller pressed the key for a person. Never blocks, never raises."""
        self.counts.choices += 1
        self._note(call, Chosen(person=True))

    async def close(self, patience_s: float) -> None:
        """Wait a while until all is remembered."""
        if self._remembering is not None:
            await asyncio.wait([self._remembering], timeout=patience_s)
        if self._to_remember:
            self._log.error("choices lost", reason="the router ends", number=len(self._to_remember))

    def _note(self, call: Call, chosen: Chosen) -> None:
        call.choice = call.choice.joined(chosen)
        if call.number is None:
            return
        waiting = self._to_remember.get(call.number)
        if waiting is not None:
            chosen = waiting[0].joined(chosen)
        elif len(self._to_remember) >= MOST_TO_REMEMBER:
            self._lose(call.uniqueid, "too many wait to be remembered; is Redis well?")
            return
        self._to_remember[call.number] = (chosen, call.uniqueid)
        if self._remembering is None or self._remembering.done():
            self._remembering = self._tasks.create_task(self._remember())

    async def _set(self, uniqueid: str, actions: Sequence[SimpleAction], wanted: Sequence[Variable]) -> None:
        try:
            answers = await self._send(actions)
            refused = next(
                (f"Asterisk refused {name}: {one(answer, 'Message')}"
                 for (name, _), answer in zip(wanted, answers, strict=True) if answer.is_error()),
                "",
            )  # fmt: skip
        except AmiError as error:
            refused = str(error)
        except Exception:  # noqa: BLE001 - the boundary of one call, logged with its traceback
            self._log.exception("choice not answered", call=uniqueid)
            self.counts.choices_unanswered += 1
            return
        if refused:
            # Mostly the caller has hung up; otherwise they hear the last thing again, as it was.
            self.counts.choices_unanswered += 1
            self._log.warning("choice not answered", call=uniqueid, reason=refused)

    async def _remember(self) -> None:
        """Have all that wait remembered, one after the other: what one caller chose later comes after the earlier."""
        while self._to_remember:
            number = next(iter(self._to_remember))
            chosen, uniqueid = self._to_remember.pop(number)
            try:
                async with asyncio.timeout(REMEMBER_WITHIN_S):
                    await self._registry.remember(number, chosen)
            except TimeoutError:
                self._lose(uniqueid, f"no answer from Redis within {REMEMBER_WITHIN_S:g} s")
            except RegistryError as error:
                self._lose(uniqueid, str(error))
            except Exception:  # noqa: BLE001 - the boundary of one call: the others' choices go on
                self.counts.choices_lost += 1
                self._log.exception("choice not remembered", call=uniqueid)

    def _lose(self, uniqueid: str, reason: str) -> None:
        self.counts.choices_lost += 1
        self._log.warning("choice not remembered", call=uniqueid, reason=reason)


def is_for_a_person(step: str, detail: str) -> bool:
    """Whether a step that the dialplan told of is the key for a person."""
    return step == "key" and detail == PERSON


def _chosen(pace: str, before: SpeechProfile, after: SpeechProfile) -> Chosen:
    """The choice to remember. Who asks for slower speech where there is none has not chosen `standard`."""
    is_vain = pace == SLOWER and after.name == before.name == STANDARD_SPEECH
    return Chosen(pace, "" if is_vain else after.name)


def _answer(pace: str, before: SpeechProfile, after: SpeechProfile) -> str:
    if pace == NORMAL:
        return _USUAL
    return _SLOWEST if after.name == before.name else _CHANGED
