"""A decision record turned back into the facts that the rules were asked with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from router.callers.number import Caller, NoNumber, NoNumberReason, PhoneNumber
from router.journal.erasing import ERASED
from router.journal.hashing import rollout_place
from router.rules.model import Facts, QueueState
from router.rules.recorded import Recogniser, RecordedCaller

_REASON_OF_MASK = {"anonymous": NoNumberReason.WITHHELD} | {reason.value: reason for reason in NoNumberReason}


def facts_of(fields: Mapping[str, Any], recogniser: Recogniser, rules_version: str) -> Facts:
    """The facts of one decision.

    Args:
        fields: The record as a line of the journal has it, read as JSON.
        recogniser: Tells whether the caller, whose number was not kept, is one of those that a rule names.
        rules_version: The version of the rules that are to be asked. For those that decided the call, the calendars
            are open that were open then; others find out for themselves.

    Raises:
        KeyError, TypeError, ValueError: The fields are not those of a decision.
    """
    key = fields["caller_key"]
    # Records of before the moment was kept have that of their writing, some milliseconds later.
    at = fields.get("at")
    was_asked = at is not None and fields["rules_version"] == rules_version
    earlier = fields.get("earlier_calls_s")
    return Facts(
        caller=_caller(fields, recogniser),
        called=fields["called"],
        language=fields["language"],
        age_band=fields["age_band"],
        at=datetime.fromisoformat(at or fields["time"]),
        queues={name: QueueState(*state) for name, state in fields.get("queues", {}).items()},
        earlier_calls_s=None if earlier is None else tuple(earlier),
        choice=fields.get("choice"),
        rollout=rollout_place(key) if key else None,
        calendars=frozenset(fields["calendars"]) if was_asked else None,
    )


def _caller(fields: Mapping[str, Any], recogniser: Recogniser) -> Caller | RecordedCaller:
    if full := fields.get("full_caller"):
        return PhoneNumber(full)
    shown = fields["caller"]
    if (key := fields["caller_key"]) or shown == ERASED:
        # One who was forgotten had a number, and is nobody whom a rule names.
        return RecordedCaller(shown, key, recogniser)
    return NoNumber(_REASON_OF_MASK[shown], "")
