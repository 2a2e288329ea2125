"""Who speaks: engines that turn text into a WAV, each behind the same small protocol.

    engine.py    the protocol
    espeak.py    espeak-ng, which needs nothing but its package
    command.py   any program: text on standard input, sound on standard output
    http.py      any server with the `/v1/audio/speech` interface
    answers.py   what a server says when it refuses, and how long to wait before asking again
    cutting.py   connections that a deadline cuts, however slowly the other side drips
    text.py      text on one line, without control characters
    ssml.py      text as SSML, for engines that take it
    wav.py       is this sound, whole, and not too much of it?
    voices.py    which engine speaks which language, as the settings say

An engine speaks at its own native rate where it can: slowing how the words are formed harms them less than
stretching the sound. It need not meet the rate exactly; `router.speech.speaking` measures. Engines know nothing of
prompts, profiles or calls. What they are asked blocks: the daemon calls them outside the event loop.
"""

from router.speech.engines.engine import Engine
from router.speech.engines.espeak import EspeakNg
from router.speech.engines.http import SpeechServer
from router.speech.engines.voices import Voices, open_voices

__all__ = ["Engine", "EspeakNg", "SpeechServer", "Voices", "open_voices"]
