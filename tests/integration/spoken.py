"""What should be heard when something is said during a call: the same sentences, spoken here in the same way."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lab.asterisk_server import AsteriskServer
from lab.listening import find, read_sound
from lab.places import PROJECT, SOUNDS
from lab.rtp import RATE_HZ, Samples
from router.calls.verdict import spoken_profile
from router.rules.book import load_rules
from router.speech.catalogue import Catalogue, load_catalogue
from router.speech.engines import EspeakNg
from router.speech.formats import samples_of_ulaw, ulaw_of
from router.speech.profile import SpokenProfile
from router.speech.sentence import Sentence
from router.speech.sound import Sox
from router.speech.speaking import join, speak_sentence

_PIECE = int(0.15 * RATE_HZ)
_VOICE, _ALIKE, _ENOUGH = 0.02, 0.95, 0.6


def catalogue() -> Catalogue:
    """The shipped prompts."""
    return load_catalogue(PROJECT / "config" / "prompts")


def profile(name: str) -> SpokenProfile:
    """One of the shipped speech profiles."""
    return spoken_profile(load_rules(PROJECT / "config" / "routing.yaml").speech[name])


def spoken(sentences: Sequence[Sentence], language: str, at: SpokenProfile) -> bytes:
    """The µ-law file that says this."""
    engine, sox = EspeakNg(), Sox()
    said = {sentence: speak_sentence(engine, sox, sentence, language, at, quick=True) for sentence in sentences}
    return ulaw_of(join(sox, sentences, said, at))


def heard_as(ulaw: bytes) -> Samples:
    """A µ-law file as a phone plays it, -1 to 1."""
    return np.frombuffer(samples_of_ulaw(ulaw), np.int16) / 32768.0


def built(language: str, sound: str) -> Samples:
    """A prompt as it was built for the lab, or Asterisk's own recording."""
    return read_sound(SOUNDS / language, sound)


def is_heard(wanted: Samples, recording: Samples) -> bool:
    """Whether a sound is heard from its beginning to its end, in order.

    Pieces of it are looked for, of which some may be missing: on a busy machine Asterisk leaves gaps.
    """
    starts = range(0, len(wanted) - _PIECE, _PIECE // 2)
    pieces = [wanted[at : at + _PIECE] for at in starts if np.sqrt(np.mean(wanted[at : at + _PIECE] ** 2)) > _VOICE]
    found = [place.at for piece in pieces if (place := find(piece, recording)).likeness > _ALIKE]
    in_order = sum(later > earlier for earlier, later in pairwise(found))
    return len(found) >= _ENOUGH * len(pieces) > 0 and in_order >= 0.9 * (len(found) - 1)


@dataclass(frozen=True, slots=True)
class Told:
    """What a dialplan of a test tells of a request: ELDER_SAID, ELDER_SAY, and how long asking and saying took."""

    said: str
    say: str
    took_s: float


def telling(number: str, request: str) -> str:
    """Extensions that answer, have something said by `request`, tell what came of it, and hang up."""
    return f"""
exten => {number},1,Answer()
 same => n,Set(BEGAN=${{STRFTIME(,,%s.%3q)}})
 same => n,{request}
 same => n,Set(GLOBAL(TOLD_{number})=${{ELDER_SAID}}|${{ELDER_SAY}}|${{BEGAN}}|${{STRFTIME(,,%s.%3q)}})
 same => n,Hangup()
"""


async def told(asterisk: AsteriskServer) -> dict[str, Told]:
    """What was told so far, by the number that was dialled."""
    lines = (await asterisk.cli("dialplan show globals")).splitlines()
    found = (re.fullmatch(r"\s*TOLD_(\w+)=(.*?)\|(.*?)\|([\d.]+)\|([\d.]+)", line) for line in lines)
    return {m[1]: Told(m[2], m[3], float(m[5]) - float(m[4])) for m in found if m}
