"""What callers hear, on real calls, measured in what their phones recorded.

One call of each language and speech profile goes through the router, to a rule that gives the number called its
profile and language. The dialplan then says one thing after the other, 2 s apart, lets the caller wait in a real queue
that makes its announcements, and ends in the assistant. Everything that was heard between two silences that long is one
thing; its pauses are found in it (`listening.phrases`), and what is left is speech. How long the phrases last in the
call at the usual speed is the measure for the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from lab import listening
from lab.centre import Centre
from lab.listening import Span
from lab.phones import Call, place
from lab.places import PROJECT
from lab.processes import LabError
from lab.rtp import RATE_HZ, Recorder, Recording, Samples
from router.calls.verdict import spoken_profile
from router.rules.book import load_rules
from router.speech.catalogue import load_catalogue
from router.speech.engines import EspeakNg
from router.speech.profile import BASE_PHRASE_PAUSE_S, BASE_SENTENCE_PAUSE_S, SpokenProfile
from router.speech.sentence import Sentence
from router.speech.sound import Sox, seconds
from router.speech.speaking import speak_sentence

USUAL: Final = "standard"
APART_S: Final = 2.0
# More than any pause in speech, less than lies between two things.
_BETWEEN_S: Final = 1.5
# Where the dialplan itself sends nothing for a pause, from 0.25 s on: what is shorter came late.
_LATE_S: Final = 0.2
_RULES: Final = PROJECT / "config" / "routing.yaml"
_PROMPTS: Final = PROJECT / "config" / "prompts"
_QUEUE_AFTER_S: Final = 10  # `Recorder` takes a longer gap for another stream


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that callers hear.

    Attributes:
        name: For people.
        plays: The dialplan's steps that play it; none for what the queue does by itself.
        prompts: Whose sentences it says, with `values`; none for a recording without pauses of ours.
        values: See `prompts`.
        recorded_in: Languages in which it is no prompt but a recording of Asterisk's own.
        waits: Whether the dialplan waits between its sounds, sending nothing, to make a pause.
    """

    name: str
    plays: tuple[str, ...]
    prompts: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    recorded_in: frozenset[str] = frozenset()
    waits: bool = False

    def sentences(self, language: str) -> tuple[Sentence, ...]:
        """What is said; none for a recording."""
        if language in self.recorded_in:
            return ()
        catalogue = load_catalogue(_PROMPTS)
        return tuple(one for prompt in self.prompts for one in catalogue.say(prompt, language, self.values))


def prompt(name: str, prompt_id: str) -> Thing:
    """One that was built."""
    return Thing(name, (f"Playback(elder/{prompt_id})",), (prompt_id,))


def spoken(name: str, prompt_id: str, **values: str) -> Thing:
    """One that is spoken during the call."""
    sent = "&".join(f"{name}={value}" for name, value in values.items())
    return Thing(name, (f"Gosub(elder-say,s,1({prompt_id},{sent}))",), (prompt_id,), values)


GREETING: Final = prompt("greeting", "greeting")
MENU: Final = prompt("menu, as one sound", "menu")
PLACE: Final = spoken("place and wait, spoken during the call", "place-and-wait", position="3", wait="240")
REFERENCE: Final = spoken("digits, spoken during the call", "reference", digits="139057")
DIGITS: Final = Thing("digits, Asterisk's SayDigits", ("SayDigits(139057)",))
POSITION: Final = Thing("queue: Asterisk's position", (), ("core-queue-you-are-next",), recorded_in=frozenset({"en"}))
WAITING: Final = Thing("queue: please wait", (), ("queue-wait",))
# It waits for keys at its end, and nobody presses one: the call is over before it speaks again.
ASSISTANT: Final = Thing(
    "the assistant's greeting and menu",
    (
        *("Set(ELDER_GREETED=)", "Set(ELDER_MENU=hours,claims)", "Set(ELDER_DIGIT_TIMEOUT=15)"),
        *("Set(TIMEOUT(absolute)=17)", "Goto(router-assistant,s,1)"),
    ),
    ("greeting", "menu-hours", "menu-claims"),
    waits=True,
)
EVERYTHING: Final = (GREETING, MENU, PLACE, REFERENCE, DIGITS, POSITION, WAITING, ASSISTANT)


@dataclass(frozen=True, slots=True)
class Asked:
    """A call to make: its language and profile, and the number that gives it both."""

    number: str
    language: str
    profile: SpokenProfile


@dataclass(frozen=True, slots=True)
class Heard:
    """One thing as it was heard: its sound, where its phrases lie in it, and what lay between them.

    `pauses_s` are pairs of a pause as it was heard and as it was asked for. `late_s` is how long packets did not come
    in time, within the thing or between the files that Asterisk plays for it: that is the machine's doing, and cut out.
    """

    asked: Asked
    thing: Thing
    sound: Samples
    late_s: float
    spans: tuple[Span, ...]
    pauses_s: tuple[tuple[float, float], ...]

    @property
    def phrases_s(self) -> list[float]:
        """How long each phrase was heard."""
        return [span.seconds for span in self.spans]


@dataclass(frozen=True, slots=True)
class Measured:
    """One thing against the same in the call at the usual speed.

    Attributes:
        heard: What was measured.
        length: The ratio of the speech's duration, pauses left out.
        pitch: The ratio of the median pitch.
        level_db: The difference of the active speech level.
        clipped: Samples at full scale.
        worst_pause_s: The largest difference of a pause from what was asked for; None without pauses.
    """

    heard: Heard
    length: float
    pitch: float
    level_db: float
    clipped: int
    worst_pause_s: float | None

    @property
    def length_asked(self) -> float:
        """What the profile asks for."""
        return 1 / self.heard.asked.profile.rate


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far something heard may be from what was asked for."""

    length: float = 0.03
    pitch: float = 0.03
    level_db: float = 1.0
    pause_s: float = 0.05

    def broken_by(self, found: Measured) -> list[str]:
        """What is out of bounds, in words."""
        asked = found.heard.asked.profile
        wrong = []
        if abs(found.length / found.length_asked - 1) > self.length:
            wrong.append(f"lasts {found.length:.3f} times as long, asked for {found.length_asked:.3f}")
        if abs(found.pitch - 1) > self.pitch:
            wrong.append(f"its pitch is {found.pitch:.3f} times the usual")
        if abs(found.level_db - asked.gain_db) > self.level_db:
            wrong.append(f"is {found.level_db:+.1f} dB louder, asked for {asked.gain_db:+.1f}")
        if found.clipped:
            wrong.append(f"{found.clipped} samples are clipped")
        if found.worst_pause_s is not None and abs(found.worst_pause_s) > self.pause_s:
            wrong.append(f"a pause is {found.worst_pause_s * 1000:+.0f} ms from what was asked for")
        name = f"{found.heard.asked.language}, {asked.name}, {found.heard.thing.name}"
        return [f"{name}: {what}" for what in wrong]


def asked_for(languages: Sequence[str], profiles: Sequence[str]) -> list[Asked]:
    """Calls of each language at each of these profiles of the shipped rules; the usual one comes first."""
    speech = load_rules(_RULES).speech
    pairs = ((language, spoken_profile(speech[name])) for language in languages for name in (USUAL, *profiles))
    return [Asked(str(95510 + number), *pair) for number, pair in enumerate(pairs)]


def rules_for(every: Sequence[Asked]) -> str:
    """The shipped rules, with one before them for each of the calls."""
    shipped = _RULES.read_text(encoding="utf-8")
    own = "".join(
        f'  - {{name: "{one.number}", when: {{called: "{one.number}", age_band: unknown}}, '
        f"then: {{to: measured, speech: {one.profile.name}, language: {one.language}}}}}\n"
        for one in every
    )
    return shipped.replace("targets:\n", "targets:\n  measured: {context: measured}\n", 1).replace(
        "\nrules:\n", f"\nrules:\n{own}", 1
    )


def dialplan_for(things: Sequence[Thing]) -> str:
    """Says one thing after the other; those of the queue, which follow each other, in a queue that announces.

    There, `r` takes the place of music, which would fill the silence between the announcements: on a call that is
    answered, and without tones of a country, nothing is heard of it.
    """
    queue = (f"Queue(announcing-${{ELDER_CALLED}},r,,,{2 * _QUEUE_AFTER_S})",)
    played = dict.fromkeys(thing.plays or queue for thing in things)
    wait = (f"Wait({APART_S:g})",)
    steps = [step for number, plays in enumerate(played) for step in (*wait * (number > 0), *plays)]
    lines = ["", "[measured]", "exten => s,1,Answer()", *(f" same => n,{step}" for step in ("Wait(0.5)", *steps))]
    return "\n".join([*lines, " same => n,Hangup()", ""])


def queues_for(every: Sequence[Asked]) -> str:
    """A queue for each call, where it is the first: Asterisk tells it so, and later that it still waits."""
    return "".join(
        f"""
[announcing-{one.number}](elder-queue)
context =
announce-frequency = 300
announce-position = yes
announce-to-first-user = yes
queue-thankyou =
periodic-announce = elder/queue-wait
periodic-announce-frequency = {_QUEUE_AFTER_S}
"""
        for one in every
    )


async def listen(directory: Path, every: Sequence[Asked], things: Sequence[Thing]) -> dict[str, Recording]:
    """Make all calls at once in a call centre of their own; what each heard, by the number called.

    Raises:
        LabError: A call did not go as it should.
    """
    rules = _written(directory, rules_for(every))
    centre = Centre(
        directory / "centre",
        rules=rules,
        extra_dialplan=dialplan_for(things),
        extra_queues=queues_for(every),
    )
    async with centre:
        recordings = await asyncio.gather(*(_one(centre, directory / one.number, one.number) for one in every))
    return dict(zip((one.number for one in every), recordings, strict=True))


def _written(directory: Path, rules: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "routing.yaml"
    file.write_text(rules, encoding="utf-8")
    return file


async def _one(centre: Centre, directory: Path, number: str) -> Recording:
    async with Recorder() as recorder:
        call = Call("13900000099", number, media_port=recorder.port)
        placed = await place(directory, centre.asterisk.sip_port, [call], hold_ms=150_000, limit_s=160.0)
        if not placed.succeeded:
            raise LabError(f"the call to {number} did not end as it should: see {placed.directory}")
        return recorder.recording()


def heard_in(every: Sequence[Asked], recordings: Mapping[str, Recording], things: Sequence[Thing]) -> list[Heard]:
    """Find everything in the recordings.

    Raises:
        LabError: More or fewer things are heard than were said.
    """
    usual: dict[tuple[str, str], list[float]] = {}
    found = []
    for one in sorted(every, key=lambda one: one.profile.name != USUAL):
        recording = recordings[one.number].samples
        spans = listening.between(recording, _BETWEEN_S)
        if len(spans) != len(things):
            raise LabError(
                f"{one.language}, {one.profile.name}: {len(spans)} things are heard, {len(things)} were said: "
                + ", ".join(f"{span.seconds:.1f} s" for span in spans)
            )
        for thing, span in zip(things, spans, strict=True):
            longest_s = _LATE_S if thing.waits else APART_S
            sound, late_s = _without_holes(recordings[one.number], span, longest_s=longest_s)
            heard = _heard(one, thing, sound, late_s, usual)
            usual.setdefault((one.language, thing.name), heard.phrases_s)
            found.append(heard)
    return found


def _without_holes(recording: Recording, span: Span, *, longest_s: float) -> tuple[Samples, float]:
    """What was heard there, put together where no packets came; and how long all those holes were, in seconds."""
    inside = ((begin, end) for begin, end in recording.holes if span.begin < begin and end < span.end)
    holes = [(begin, end) for begin, end in inside if end - begin < longest_s * RATE_HZ]
    ends = [span.begin, *(end for _, end in holes)]
    begins = [*(begin for begin, _ in holes), span.end]
    pieces = [recording.samples[end:begin] for end, begin in zip(ends, begins, strict=True)]
    return listening.without_edges(np.concatenate(pieces)), sum(end - begin for begin, end in holes) / RATE_HZ


def _heard(
    one: Asked, thing: Thing, sound: Samples, late_s: float, usual: Mapping[tuple[str, str], list[float]]
) -> Heard:
    sentences = thing.sentences(one.language)
    known = usual.get((one.language, thing.name))
    once_s = known if known is not None else _spoken_s(sentences, one)
    if len(once_s) <= 1 and len(_pauses_s(sentences, one.profile)) == 0:
        return Heard(one, thing, sound, late_s, (Span(0, len(sound)),), ())
    expected_s = [once_s[at] / one.profile.rate for at in _order(sentences, one.profile)]
    spans = listening.phrases(sound, expected_s)
    heard_s = [(after.begin - before.end) / RATE_HZ for before, after in pairwise(spans)]
    pauses_s = tuple(zip(heard_s, _pauses_s(sentences, one.profile), strict=True))
    return Heard(one, thing, sound, late_s, tuple(spans), pauses_s)


def _spoken_s(sentences: Sequence[Sentence], one: Asked) -> list[float]:
    """About how long each phrase lasts at the usual speed: where to look for the pauses of the first call."""
    engine, sox, usual = EspeakNg(), Sox(), SpokenProfile(USUAL)
    return [
        seconds(speak_sentence(engine, sox, Sentence((phrase,)), one.language, usual))
        for sentence in sentences
        for phrase in sentence.phrases
    ]


def _order(sentences: Sequence[Sentence], profile: SpokenProfile) -> list[int]:
    """The places, among all phrases, of those that are said, one after the other."""
    places: list[list[int]] = []
    for sentence in sentences:
        first = sum(map(len, places))
        places.append(list(range(first, first + len(sentence.phrases))))
    again = [at for at, sentence in zip(places, sentences, strict=True) if sentence.essential]
    return [at for those in (*places, *(again if profile.repeat_essential else ())) for at in those]


def _pauses_s(sentences: Sequence[Sentence], profile: SpokenProfile) -> list[float]:
    """The pauses that are asked for, in their order."""
    between_phrases = BASE_PHRASE_PAUSE_S + profile.value_pause_s
    between_sentences = BASE_SENTENCE_PAUSE_S + profile.sentence_pause_s
    again = [sentence for sentence in sentences if sentence.essential and profile.repeat_essential]
    pauses: list[float] = []
    for number, sentence in enumerate((*sentences, *again)):
        pauses += [between_sentences] * (number > 0) + [between_phrases] * (len(sentence.phrases) - 1)
    return pauses


def measured(found: Sequence[Heard]) -> list[Measured]:
    """Measure everything against the same thing in the call of its language at the usual speed."""
    usual = {(one.asked.language, one.thing.name): one for one in found if one.asked.profile.name == USUAL}
    return [_measured(one, usual[one.asked.language, one.thing.name]) for one in found]


def _measured(one: Heard, usual: Heard) -> Measured:
    sentences = one.thing.sentences(one.asked.language)
    order = _order(sentences, one.asked.profile) or [0]
    worst = max((heard - asked for heard, asked in one.pauses_s), key=abs, default=None)
    once = len(usual.spans)
    return Measured(
        heard=one,
        length=sum(one.phrases_s) / sum(usual.phrases_s[at] for at in order),
        pitch=listening.pitch_hz(_speech(one, once)) / listening.pitch_hz(_speech(usual, once)),
        level_db=listening.level_db(_speech(one, once)) - listening.level_db(_speech(usual, once)),
        clipped=listening.clipped(one.sound),
        worst_pause_s=worst,
    )


def _speech(one: Heard, phrases: int) -> Samples:
    """Its first phrases, without pauses: what is said again would weigh twice."""
    return np.concatenate([span.of(one.sound) for span in one.spans[:phrases]])
