"""Which speech profile a caller means by «slower» and «normal»."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from router.callers.past import NORMAL, SLOWER, Chosen
from router.rules.model import SpeechProfile
from router.rules.schema import STANDARD_SPEECH


def next_slower(profile: SpeechProfile, profiles: Iterable[SpeechProfile]) -> SpeechProfile:
    """The fastest of those that are slower than a profile; the profile itself if none is.

    Of several that are equally fast, the one that stands first in the file.
    """
    slower = [other for other in profiles if other.rate < profile.rate]
    return max(slower, key=lambda other: other.rate, default=profile)


def profile_chosen(chosen: Chosen, ruled: SpeechProfile, profiles: Mapping[str, SpeechProfile]) -> SpeechProfile:
    """The profile to speak in to a caller who chose a pace in an earlier call.

    Args:
        chosen: What they chose. Its profile may have gone from the rules since, or not have been named.
        ruled: What the rules would speak in, of their own.
        profiles: All there are, `standard` among them.
    """
    if (profile := profiles.get(chosen.profile)) is not None:
        return profile
    if chosen.pace == NORMAL:
        return profiles[STANDARD_SPEECH]
    return next_slower(ruled, profiles.values())


def profile_after_key(pace: str, spoken: SpeechProfile, profiles: Mapping[str, SpeechProfile]) -> SpeechProfile:
    """The profile to go on in with a caller who now asks for `slower` or `normal`.

    Raises:
        ValueError: It is neither.
    """
    match pace:
        case "slower":
            return next_slower(spoken, profiles.values())
        case "normal":
            return profiles[STANDARD_SPEECH]
    raise ValueError(f"{pace!r} is no pace; callers choose {SLOWER} or {NORMAL}")


def reached_by_callers(used: Iterable[str], rates: Mapping[str, float]) -> frozenset[str]:
    """Names of the profiles that callers can come to speak with, beginning with those that rules use.

    Args:
        used: Names of the profiles that rules name.
        rates: The rate of every profile, `standard` among them.
    """
    reached = {STANDARD_SPEECH, *(name for name in used if name in rates)}
    level = max(rates[name] for name in reached)
    # From the fastest on, each next slower one; those are the same from wherever one begins.
    while slower := {name: rate for name, rate in rates.items() if rate < level}:
        level = max(slower.values())
        reached.add(next(name for name, rate in slower.items() if rate == level))
    return frozenset(reached)
