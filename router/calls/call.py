"""One call from its request to its end, as far as it is known here, and the outcome that makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from router.callers.number import PhoneNumber
from router.callers.past import NORMAL, NOTHING, PERSON, SLOWER, Chosen
from router.journal.records import Ending, OutcomeRecord

MOST_KEYS = 50
"""Keys kept of one call. A caller leaning on the phone must not fill the journal."""

ASKED_FOR_A_PERSON = PERSON
"""The key 0: whoever hangs up after it, though before a queue was joined, has given up on a person."""

COUNTED_APART_S = 1.5
"""By so much Asterisk's count of whole seconds may lie above ours, though nothing is wrong."""

WAITS_OUTSIDE = frozenset({"overflow", "no-agents"})
"""Steps after which a caller waits for a person, whether or not a queue lets them join."""

NO_SERVICE = frozenset({"silence", "invalid", "repeat", SLOWER, NORMAL})
"""What is noted among the keys though the caller chose nothing by it."""


@dataclass(slots=True)
class Call:
    """A call in hand. Times are seconds of the monotonic clock; `uniqueid` and `linkedid` are Asterisk's.

    `band` is the caller's age band, None while or where that is not known; `is_protected` what the rules say of it.

    `number` is whose choices are remembered: None for a call without one. `speech` is the name of the profile that the
    caller is spoken to in, `choice` what they have chosen in this call. `is_told_whole` is False for a call that an
    earlier run took up, until its channel has told what it is spoken to in and what was chosen meanwhile.
    """

    node: str
    uniqueid: str
    linkedid: str
    ask: int
    asked_at: float
    band: str | None = None
    is_protected: bool = False
    fallback: str = ""
    queue: str = ""
    joined_at: float | None = None
    abandoned_at: float | None = None
    answered_at: float | None = None
    answered_by: str = ""
    parted_at: float | None = None
    touched_assistant: bool = False
    keys: list[str] = field(default_factory=list)
    number: PhoneNumber | None = None
    speech: str = ""
    choice: Chosen = NOTHING
    is_told_whole: bool = True

    @property
    def waiting_since(self) -> float | None:
        """When the caller began to wait who still waits for a person; None for any other."""
        return self.joined_at if self.answered_at is None and self.abandoned_at is None else None

    def joined(self, queue: str, now: float) -> None:
        """It waits in a queue. The wait counts from the first queue, whatever queues follow.

        Once answered, the call's story is told: what comes after a transfer is another's.
        """
        if self.answered_at is None:
            self.queue = queue
        if self.joined_at is None:
            self.joined_at = now

    def answered(self, queue: str, agent: str, now: float, hold_s: float = 0.0) -> None:
        """A person answered, after so long in that queue by Asterisk's count. The first one counts."""
        if self.answered_at is None:
            self._held(now, hold_s)
            self.queue, self.answered_at, self.answered_by = queue, now, agent

    def parted(self, now: float) -> None:
        """The person who answered no longer talks to the caller: the call is over, or was transferred."""
        if self.parted_at is None:
            self.parted_at = now

    def abandoned(self, queue: str, now: float, hold_s: float = 0.0) -> None:
        """The caller gave up waiting, after so long in that queue by Asterisk's count."""
        if self.answered_at is None:
            self._held(now, hold_s)
            self.queue, self.abandoned_at = queue, now

    def _held(self, now: float, hold_s: float) -> None:
        """A router that hung sees joining and answering at once, and would tell of no wait at all."""
        if self.joined_at is not None and now - self.joined_at < hold_s - COUNTED_APART_S:
            self.joined_at = now - hold_s
            self.asked_at = min(self.asked_at, self.joined_at)

    def stepped(self, step: str, detail: str, now: float) -> None:
        """The dialplan told of a step: see `router.calls.events.Stepped`."""
        if step == "assistant":
            self.touched_assistant = True
        elif step in WAITS_OUTSIDE and self.joined_at is None:
            # No queue took the caller, who is kept waiting for a person all the same.
            self.joined_at = now
        elif step == "key" and len(self.keys) < MOST_KEYS:
            self.keys.append(detail)

    def outcome(self, now: float, cause: int | None, *, seen: bool = True) -> OutcomeRecord:
        """The outcome record, once the call is over.

        Args:
            now: The end, by the same clock.
            cause: The hangup cause of ITU-T Q.850, None when it is not known.
            seen: False when the call ended while the router was not there to see.
        """
        over = self.answered_at if self.answered_at is not None else self.abandoned_at
        waited_until = over if over is not None else (now if seen else None)
        wait_s = None
        if self.joined_at is not None and waited_until is not None:
            wait_s = round(max(0.0, waited_until - self.joined_at), 3)
        talk_s = None
        parted_at = self.parted_at if self.parted_at is not None else (now if seen else None)
        if self.answered_at is not None and parted_at is not None:
            talk_s = round(max(0.0, parted_at - self.answered_at), 3)
        # What may have been chosen while nobody listened is not known, which is something else than nothing.
        is_choice_known = self.choice != NOTHING or (seen and self.is_told_whole)
        return OutcomeRecord(
            time=datetime.now(UTC),
            node=self.node,
            uniqueid=self.uniqueid,
            linkedid=self.linkedid,
            ask=self.ask,
            ended=self._ending(seen=seen),
            answered_by=self.answered_by,
            queue=self.queue,
            wait_s=wait_s,
            talk_s=talk_s,
            touched_assistant=self.touched_assistant,
            keys=tuple(self.keys),
            choice=str(self.choice) if is_choice_known else None,
            speech=self.speech if self.is_told_whole else None,
            fallback=self.fallback,
            hangup_cause=cause,
            duration_s=round(max(0.0, now - self.asked_at), 3) if seen else None,
        )

    def _ending(self, *, seen: bool) -> Ending:
        if self.answered_at is not None:
            return Ending.ANSWERED
        if not seen:
            return Ending.UNSEEN
        if self.joined_at is not None or ASKED_FOR_A_PERSON in self.keys:
            return Ending.ABANDONED
        served = self.touched_assistant and any(key not in NO_SERVICE for key in self.keys)
        return Ending.SELF_SERVED if served else Ending.HUNG_UP_EARLY
