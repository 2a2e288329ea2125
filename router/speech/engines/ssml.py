"""A sentence as SSML 1.1 (https://www.w3.org/TR/speech-synthesis11/), for engines that take it.

Each phrase has a `prosody` of its own and the `break` stands between two: inside of one, espeak-ng stretches the
break with the speech (1000 ms last 1790 ms at 70 %); between two it lasts as told at every rate, and up to 60 ms
more, which the words around it keep as their edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from router.speech.engines.text import plain


def ssml_of(phrases: Sequence[str], rate: float, pause_s: float) -> str:
    """The SSML of one sentence.

    Args:
        phrases: Its text; what looks like markup is spoken, not obeyed.
        rate: 0.85 becomes `rate="85%"`; 1.0 is left out.
        pause_s: Between two phrases.

    Returns:
        One line. It names no language: the voice decides, and espeak-ng would take another voice for it.
    """
    pause = f'<break time="{round(pause_s * 1000)}ms"/>' if pause_s > 0 else " "
    spoken = [escape(plain(phrase)) for phrase in phrases]
    if rate != 1.0:
        spoken = [f'<prosody rate="{rate * 100:.4g}%">{text}</prosody>' for text in spoken]
    return f'<speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis">{pause.join(spoken)}</speak>'
