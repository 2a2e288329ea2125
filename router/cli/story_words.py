"""What happened to a call, in the words of whoever has to answer for it: endings, keys, causes, and what was wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo
from typing import Final

from router.callers.past import choice_in_words
from router.cli.tracing import counted
from router.journal.minute import SLOW_MS, Away, Minute, Wrong
from router.journal.records import DecisionRecord, Ending, OutcomeRecord, PromotionRecord
from router.rules.durations import in_words, roughly_in_words
from router.rules.model import SpeechProfile
from router.rules.wording import listed

FORGOTTEN: Final = "forgotten: this caller was taken out of the journal"

_KEYS: Final = {
    "person": "asked for a person",
    "slower": "asked for slower speech",
    "normal": "asked for the usual speed",
    "repeat": "asked to hear it again",
    "silence": "pressed nothing",
    "invalid": "pressed a key that means nothing",
}
_FALLBACKS: Final = {
    "heartbeat": "the router had not been heard of for 3 s",
    "deadline": "the router did not answer in time",
    "no-such-context": "the rules name a context that the dialplan does not have",
}
# ITU-T Q.850, as far as Asterisk gives them for a caller's channel.
_CAUSES: Final = {
    1: "the number does not exist",
    16: "normal: one of the two hung up, which of them it does not tell",
    17: "busy",
    18: "nobody's telephone responded",
    19: "nobody picked up",
    20: "the telephone was not reachable",
    21: "the call was rejected",
    26: "answered elsewhere",
    27: "the telephone or the line was out of order",
    28: "the number is not complete",
    31: "normal, without more being said",
    34: "no line was free",
    38: "the network was out of order",
    41: "a temporary failure of the network",
    42: "the exchange was overloaded",
    44: "the line asked for was not free",
    47: "something that the call needed was not to be had",
    58: "the line cannot carry this call",
    88: "the telephones do not understand each other",
    102: "the other side did not respond in time: the line was lost, nobody hung up",
    111: "the network and Asterisk misunderstood each other",
    127: "the networks did not say",
}
_ENDED_BY_THEMSELVES: Final = frozenset({0, 16, 17, 18, 19, 21, 26, 31})


def ending_in_words(outcome: OutcomeRecord) -> tuple[str, bool]:
    """How a call ended, in a sentence, and whether that is trouble."""
    wait = "a wait of unknown length" if outcome.wait_s is None else roughly_in_words(outcome.wait_s)
    where = f" for {outcome.queue}" if outcome.queue else ""
    match outcome.ended:
        case Ending.ANSWERED:
            return f"answered by {outcome.answered_by or 'a person'} after {wait}", False
        case Ending.ABANDONED if outcome.wait_s is None:
            return "abandoned: gone after asking for a person, before a queue was reached", True
        case Ending.ABANDONED:
            return f"abandoned: gone after waiting {wait}{where}; nobody had answered", True
        case Ending.SELF_SERVED:
            return "self-served: the caller used the assistant and asked for nobody", False
        case Ending.HUNG_UP_EARLY:
            return "hung up early: before a queue was joined or anything chosen", False
        case Ending.UNSEEN:
            return "not known: it ended while the router was away, or not linked to this Asterisk", True


def keys_in_words(keys: Iterable[str]) -> str:
    """The keys pressed, in their order."""
    return ", ".join(_KEYS.get(key, f"chose {key} in the menu") for key in keys)


def cause_in_words(cause: int, *, is_abandoned: bool) -> tuple[str, bool]:
    """Why the line was closed, by the cause of ITU-T Q.850, and whether that is trouble: nobody wanted it."""
    if cause == 16 and is_abandoned:  # noqa: PLR2004 - Q.850's normal clearing
        return "the caller hung up, most likely (cause 16, normal)", False
    words = _CAUSES.get(cause, "see ITU-T Q.850")
    return f"{words} (cause {cause})", cause not in _ENDED_BY_THEMSELVES


def fallback_in_words(reason: str) -> str:
    """Why the dialplan sent a call to people by itself."""
    return f"{_FALLBACKS.get(reason, 'for a reason of its own')} ({reason})"


def recognised_in_words(record: DecisionRecord) -> tuple[str, bool]:
    """How the caller's age band came to be known or not, and whether that is trouble."""
    age = ""
    if record.registry_age_s is not None:
        age = f"; the registry was {roughly_in_words(record.registry_age_s)} old"
    detail = f": {record.band_detail}" if record.band_detail else ""
    match record.band_source:
        case "registry":
            return f"found in the registry{detail}{age}", False
        case "unknown":
            return f"not in the registry{detail}{age}", False
        case "no_number":
            return f"no number to look up{detail}", False
        case "lookup_failed":
            return f"the registry could not be asked{detail}", True
        case "not_asked":
            return "not looked up: the router was not asked", bool(record.fallback)


def speech_of(profile: SpeechProfile) -> str:
    """A speech profile's speed and pauses."""
    pace = "the usual speed" if profile.rate == 1.0 else f"{profile.rate:g} of the usual speed"
    pauses = [f"{in_words(profile.sentence_pause_s)} more between sentences"] if profile.sentence_pause_s else []
    pauses.append(f"{in_words(profile.digit_timeout_s)} for a key")
    return ", ".join([pace, *pauses])


def promotion_in_words(record: PromotionRecord) -> str:
    """Who moved the caller to the front, or tried to."""
    why = f", saying: {record.why}" if record.why else ""
    if not record.done:
        return f"{record.by} asked to move the caller to the front{why}; not done: {record.not_done_why}"
    places = ""
    if record.from_position is not None:
        to = f"place {record.to_position}" if record.to_position is not None else "answered by the time it was looked"
        places = f" from place {record.from_position} to {to}"
    return f"{record.by} moved the caller to the front of {record.queue}{places}{why}"


def chosen_in_words(outcome: OutcomeRecord) -> str:
    """What the caller chose in the call, to be remembered."""
    return choice_in_words(outcome.choice) if outcome.choice else ""


def trouble_in_words(minute: Minute, zone: tzinfo | None) -> Iterator[str]:
    """What was wrong around a call, a line each; nothing where nothing is known to have been."""
    for wrong in minute.wrong:
        yield _wrong_in_words(wrong, minute, zone)
    for away in minute.away:
        yield _away_in_words(away, minute, zone)
    if minute.fell_back:
        reasons = listed(f"{fallback_in_words(reason)} {number}x" for reason, number in minute.fell_back.items())
        yield f"{sum(minute.fell_back.values())} of {counted(minute.calls, 'call')} fell back to people: {reasons}"
    if minute.not_applied:
        yield f"{minute.not_applied} of {counted(minute.calls, 'call')} could not be told where to go"
    if minute.lookups_failed:
        yield f"the registry could not be asked about {minute.lookups_failed} of {counted(minute.calls, 'caller')}"
    if minute.slowest_ms is not None and minute.slowest_ms > SLOW_MS:
        yield f"decisions were slow: the slowest took {minute.slowest_ms / 1000:.1f} s"
    if minute.lost:
        yield f"{counted(minute.lost, 'record')} of the journal {'is' if minute.lost == 1 else 'are'} missing"


def looked_at_in_words(minute: Minute, zone: tzinfo | None) -> str:
    """Which span and how many calls were looked at."""
    slowest = "" if minute.slowest_ms is None else f", slowest decision {minute.slowest_ms:.1f} ms"
    since = ""
    if minute.known_since is not None:
        since = f"; what began before {_clock(minute.known_since, minute.begins, zone)} is not known"
    span = f"{_clock(minute.begins, minute.begins, zone)} to {_clock(minute.ends, minute.begins, zone)}"
    return f"{span}: {counted(minute.calls, 'call')}{slowest}{since}"


def _wrong_in_words(wrong: Wrong, minute: Minute, zone: tzinfo | None) -> str:
    where = f" ({wrong.node})" if wrong.node else ""
    why = f": {wrong.why}" if wrong.why else ""
    since = _clock(wrong.since, minute.begins, zone)
    until = f" to {_clock(wrong.until, wrong.since, zone)}" if wrong.until is not None else " on"
    return f"{wrong.what}{where}, from {since}{until}{why}"


def _away_in_words(away: Away, minute: Minute, zone: tzinfo | None) -> str:
    if away.since is None:
        since = "until"
    else:
        how = "stopped at" if away.was_stopped else "no sign of it after"
        since = f"{how} {_clock(away.since, minute.begins, zone)}, there again at"
    if away.until is None:
        return f"the router was away: {since.removesuffix(', there again at')}"
    return f"the router was away: {since} {_clock(away.until, away.since or minute.begins, zone)}"


def _clock(moment: datetime, beside: datetime, zone: tzinfo | None) -> str:
    """A time of day, with its date where that is another one than that of a moment told beside it."""
    here, there = moment.astimezone(zone), beside.astimezone(zone)
    return f"{here:%H:%M:%S}" if here.date() == there.date() else f"{here:%Y-%m-%d %H:%M:%S}"
