"""Everything that callers hear is as slow, as loud and has the pauses that their profile asks for, at its usual pitch.

What `make speech-report` measures, on fewer calls: four at once, in two languages, at three speeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lab import heard
from lab.heard import Asked, Bounds, Thing, asked_for
from lab.processes import LabError
from lab.rtp import RATE_HZ, Recording

NEXT = heard.spoken("next and wait, spoken during the call", "place-next-and-wait", wait="240")
THINGS = (heard.GREETING, NEXT, Thing("digits, Asterisk's SayDigits", ("SayDigits(39)",)))
EN_USUAL, EN_SLOW, ZH_USUAL, ZH_UNHURRIED = CALLS = (
    *asked_for(["en"], ["slow"]),
    *(replace(one, number=f"{one.number}0") for one in asked_for(["zh"], ["unhurried"])),
)


def problems(recordings: dict[str, Recording], calls: Sequence[Asked] = CALLS) -> list[str]:
    return [
        line for one in heard.measured(heard.heard_in(calls, recordings, THINGS)) for line in Bounds().broken_by(one)
    ]


async def test_what_callers_hear_is_what_their_profile_asks_for(tmp_path: Path) -> None:
    recordings = await heard.listen(tmp_path, CALLS, THINGS)
    assert problems(recordings) == []

    found = heard.heard_in(CALLS, recordings, THINGS)
    pauses = {one.asked.profile.name: len(one.pauses_s) for one in found if one.thing is NEXT and one.asked != ZH_USUAL}
    assert pauses == {"standard": 2, "slow": 3, "unhurried": 2}, "the essential sentence is heard again by the slow"

    # The measure itself: of the same recordings, it does not take one thing for another.
    for wrong, complaint in (
        (replace(EN_SLOW.profile, rate=0.75), "times as long, asked for 1.333"),
        (replace(EN_SLOW.profile, sentence_pause_s=0.6), "a pause is +1"),
        (replace(EN_SLOW.profile, value_pause_s=0.6), "a pause is -"),
        (replace(EN_SLOW.profile, gain_db=4.5), "dB louder, asked for +4.5"),
    ):
        told = problems(recordings, [EN_USUAL, replace(EN_SLOW, profile=wrong)])
        assert any(complaint in line for line in told), (complaint, told)
    for broken, complaint in ((faster, "pitch"), (cut, "clipped")):
        told = problems(recordings | {EN_SLOW.number: broken(recordings[EN_SLOW.number])}, [EN_USUAL, EN_SLOW])
        assert any(complaint in line for line in told), (complaint, told)
    with pytest.raises(LabError, match="2 things are heard, 3 were said"):
        problems(recordings | {EN_SLOW.number: half(recordings[EN_SLOW.number])}, [EN_USUAL, EN_SLOW])


def faster(recording: Recording) -> Recording:
    """Played a twentieth too fast, which raises the pitch as well."""
    every = np.arange(0, len(recording.samples) - 1, 1.05)
    return Recording(np.interp(every, np.arange(len(recording.samples)), recording.samples), ())


def cut(recording: Recording) -> Recording:
    """Twice as loud as there is room for."""
    return replace(recording, samples=np.clip(recording.samples * 4, -0.99, 0.99))


def half(recording: Recording) -> Recording:
    """Without its last thing."""
    return replace(recording, samples=recording.samples[: -4 * RATE_HZ])
