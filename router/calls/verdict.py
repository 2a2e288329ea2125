"""A decision as channel variables: the router's half of the contract with `dialplans/elder-router.conf`."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from functools import lru_cache

from asterisk.ami import SimpleAction

from router.rules.model import ContextTarget, Decision, QueueTarget, SpeechProfile
from router.rules.pace import next_slower
from router.rules.schema import STANDARD_SPEECH
from router.speech.profile import BASE_SENTENCE_PAUSE_S, SpokenProfile, is_language, language_for

Variable = tuple[str, str]

TARGET = "ELDER_TARGET"
"""Set last: it is what the dialplan waits for."""

STANDARD_DIGIT_TIMEOUT_S = 5.0
USUAL_PACE = "usual"

_DIALPLAN_STARTS_FROM = frozenset(
    {
        ("ELDER_DIGIT_TIMEOUT", f"{STANDARD_DIGIT_TIMEOUT_S:g}"),
        ("ELDER_SENTENCE_PAUSE", f"{BASE_SENTENCE_PAUSE_S:g}"),
        ("ELDER_MENU_OPTIONS", ""),
        ("ELDER_PACE", USUAL_PACE),
    }
)
"""Need not be sent."""


def spoken_profile(profile: SpeechProfile) -> SpokenProfile:
    """A speech profile of the rules as prompts know it."""
    return SpokenProfile(
        profile.name,
        profile.rate,
        profile.sentence_pause_s,
        profile.gain_db,
        profile.value_pause_s,
        profile.repeat_essential,
    )


def language_and_suffix(channel_language: str, profiles: Container[str]) -> tuple[str, str]:
    """A channel's language without the suffix of a speech profile, and that suffix: `en_GB` and `slow`.

    Args:
        channel_language: Such as `en_GB_slow`.
        profiles: Every profile's name, to tell a suffix of ours from that of `zh_CN`.

    Returns:
        The suffix is "" where there is none.
    """
    base, _, suffix = channel_language.rpartition("_")
    return (base, suffix) if base and suffix in profiles else (channel_language, "")


@lru_cache(maxsize=256)
def channel_language(arrived_with: str, profile: SpeechProfile, profiles: frozenset[str]) -> str:
    """The channel language that has everything spoken at a profile's speed.

    Args:
        arrived_with: The language the channel has, perhaps with a profile's suffix from an earlier request.
        profile: The speech profile; one that changes nothing adds no suffix.
        profiles: Every profile's name, to tell a suffix of ours from `zh_CN`.
    """
    language, _ = language_and_suffix(arrived_with, profiles)
    if not is_language(language):
        return arrived_with
    return language_for(language, spoken_profile(profile))


def profile_spoken(channel_language: str, profiles: Mapping[str, SpeechProfile]) -> SpeechProfile:
    """The profile that a channel language speaks: that of its suffix, or `standard`, which has none."""
    _, suffix = language_and_suffix(channel_language, profiles)
    return profiles[suffix or STANDARD_SPEECH]


def profile_name_spoken(language: str, believed: str, profiles: Mapping[str, SpeechProfile]) -> str:
    """The name of the profile that a channel language speaks.

    Args:
        language: The channel language.
        believed: The profile that it should be: it is, unless the language says another. Profiles that change nothing
            have no suffix and cannot be told apart by it.
        profiles: All there are.
    """
    likely = profiles.get(believed)
    if likely is not None and channel_language(language, likely, frozenset(profiles)) == language:
        return believed
    return profile_spoken(language, profiles).name


def pace_offered(profile: SpeechProfile, profiles: Mapping[str, SpeechProfile]) -> str:
    """Which of the keys «slower» and «normal» can change anything.

    `usual`: slower; `between`: both; `slowest`: normal; `only`: neither.
    """
    is_slowest = next_slower(profile, profiles.values()) is profile
    if profile.name == STANDARD_SPEECH:
        return "only" if is_slowest else USUAL_PACE
    return "slowest" if is_slowest else "between"


def spoken_variables(
    profile: SpeechProfile, profiles: Mapping[str, SpeechProfile], *, language: str, language_now: str
) -> list[Variable]:
    """What to set on a channel that is spoken to in another profile from now on, all of it said anew.

    Args:
        profile: The profile from now on.
        profiles: All there are.
        language: The channel language that speaks it.
        language_now: The channel language that the call has.
    """
    wanted = [("CHANNEL(language)", language)] if language != language_now else []
    return wanted + _for_menus(profile, profiles)


def variables(
    decision: Decision, profiles: Mapping[str, SpeechProfile], *, language: str, language_now: str, people_queue: str
) -> list[Variable]:
    """What to set on the channel, in order, the target last.

    The dialplan has cleared everything before it asks, so only what differs from its defaults is sent.

    Args:
        decision: What the rules say.
        profiles: All speech profiles of the rules.
        language: The channel language to speak in.
        language_now: The channel language that the call has.
        people_queue: The queue in which a caller of the assistant reaches a person.
    """
    wanted: list[Variable] = []
    if language != language_now:
        wanted.append(("CHANNEL(language)", language))
    match decision.target:
        case QueueTarget(queue=queue, overflow=overflow):
            wanted.append(("ELDER_QUEUE", queue))
            if overflow is not None:
                wanted.append(("ELDER_OVERFLOW_S", str(overflow.after_s)))
                wanted.append(("ELDER_OVERFLOW_QUEUE", overflow.queue))
        case ContextTarget(context=context):
            wanted.append(("ELDER_QUEUE", people_queue))
            wanted.append(("ELDER_CONTEXT", context))
    if decision.head_start_s:
        wanted.append(("ELDER_HEAD_START", str(decision.head_start_s)))
    wanted += [variable for variable in _for_menus(decision.speech, profiles) if variable not in _DIALPLAN_STARTS_FROM]
    if decision.agent_label:
        wanted.append(("ELDER_LABEL", decision.agent_label))
    wanted.append((TARGET, decision.target.name))
    return wanted


def _for_menus(profile: SpeechProfile, profiles: Mapping[str, SpeechProfile]) -> list[Variable]:
    """What a menu must know of a profile. Its options are sounds of their own, with the pause of sentences between."""
    return [
        ("ELDER_DIGIT_TIMEOUT", f"{profile.digit_timeout_s:g}"),
        ("ELDER_SENTENCE_PAUSE", f"{BASE_SENTENCE_PAUSE_S + profile.sentence_pause_s:g}"),
        ("ELDER_MENU_OPTIONS", "" if profile.menu_options is None else str(profile.menu_options)),
        ("ELDER_PACE", pace_offered(profile, profiles)),
    ]


def set_on_channel(channel: str, wanted: Iterable[Variable]) -> list[SimpleAction]:
    """The AMI actions that set variables on one channel."""
    return [SimpleAction("Setvar", Channel=channel, Variable=name, Value=value) for name, value in wanted]


def set_globally(name: str, value: str) -> SimpleAction:
    """The AMI action that sets a global variable."""
    return SimpleAction("Setvar", Variable=name, Value=value)
