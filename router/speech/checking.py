"""What is wrong with the prompts although they can be read: a language without its text, words no voice can say.

Reading (`catalogue`) refuses what would have no meaning. This finds what callers would hear wrongly, or not at all.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from router.errors import ConfigurationError, Problem, SpeechError
from router.rules.document import open_ordinary
from router.rules.wording import listed
from router.speech.catalogue import Prompt, load_catalogue
from router.speech.catalogue_file import Entry, Place, read_entries
from router.speech.engines import Engine
from router.speech.profile import SpokenProfile
from router.speech.sentence import Sentence
from router.speech.sound import STUDIO_INPUT, Sox, trimmed
from router.speech.speaking import speak
from router.speech.template import parse_template
from router.speech.values import EXAMPLES

_USUAL: Final = SpokenProfile("standard")
# Pictures and signs that engines name at length, pass over or stop at; money and `°` they know.
_ODD_CATEGORIES: Final = frozenset({"So", "Sk", "Cn", "Co"})
_ODD_CHARACTERS: Final = frozenset("<>|\\^~`=_*#@&/")
_KNOWN_SIGNS: Final = frozenset("°№")
_IN_CHARACTERS: Final = frozenset({"zh", "yue", "cmn", "ja", "ko", "hak", "nan"})


@dataclass(frozen=True, slots=True)
class _Said:
    """One sentence to be heard, and where it stands."""

    place: Place
    language: str
    index: int
    sentence: Sentence

    def problem(self, message: str) -> Problem:
        return self.place.problem("text", self.language, self.index, message=message)


def check_prompts(
    path: Path, engine: Engine | None, on_progress: Callable[[int, int], None] = lambda _done, _total: None
) -> list[Problem]:
    """Everything that callers would hear wrongly or not at all.

    Args:
        path: The catalogue's folder, or one file.
        engine: Who speaks the prompts, each once at the usual speed; None to leave that out.
        on_progress: Called with how many sentences were heard, and of how many.

    Returns:
        The problems, each at its place; none where all is well.

    Raises:
        ConfigurationError: The catalogue itself is wrong.
        SpeechError: Programs that make sound are missing.
    """
    catalogue = load_catalogue(path)
    entries, unread = read_entries(path)
    if unread:
        raise ConfigurationError(unread)
    problems: list[Problem] = []
    said: list[_Said] = []
    sox = None if engine is None else Sox()
    prompts, languages = {prompt.id: prompt for prompt in catalogue.prompts}, catalogue.languages
    for place, entry in entries:
        prompt = prompts[place.id]
        problems += _wrong_with(place, entry, prompt, languages)
        problems += _wrong_recordings(place, entry, prompt, sox)
        for language in entry.text:
            try:
                sentences = prompt.filled(language, {name: EXAMPLES[kind] for name, kind in prompt.variables.items()})
            except SpeechError as error:
                problems.append(place.problem("text", language, message=str(error), at_key=True))
                continue
            said += [_Said(place, language, index, sentence) for index, sentence in enumerate(sentences)]
    if engine is not None and sox is not None:
        problems += _unheard(said, engine, sox, on_progress)
    return sorted(set(problems))


def _wrong_with(place: Place, entry: Entry, prompt: Prompt, languages: Sequence[str]) -> Iterator[Problem]:
    missing = [language for language in languages if language not in prompt.text]
    # Asterisk's own words are there in languages that have no recordings of them, and only in those.
    if entry.use and missing and not prompt.core_sound:
        yield place.problem(message=f"`{prompt.id}` is not in {listed(missing)}; add it under `text`")
    for language, sentences in entry.text.items():
        names = {name for sentence in sentences for name in parse_template(sentence).names}
        for name in prompt.variables:
            if name not in names:
                message = f"{{{name}}} is not said in {language}; put it into a sentence"
                yield place.problem("text", language, message=message, at_key=True)
        for index, sentence in enumerate(sentences):
            if odd := _odd_characters(sentence, language):
                message = f"voices stumble over {listed(odd)}; write words instead"
                yield place.problem("text", language, index, message=message)


def _wrong_recordings(place: Place, entry: Entry, prompt: Prompt, sox: Sox | None) -> Iterator[Problem]:
    for language in entry.recording:
        if (why := _wrong_recording(prompt.recording[language], sox)) is not None:
            yield place.problem("recording", language, message=why)


def _odd_characters(sentence: str, language: str) -> list[str]:
    reads_characters = language.lower().replace("-", "_").partition("_")[0] in _IN_CHARACTERS
    return [
        character
        for character in dict.fromkeys(sentence)
        if (unicodedata.category(character) in _ODD_CATEGORIES and character not in _KNOWN_SIGNS)
        or character in _ODD_CHARACTERS - {"_"}
        or (not reads_characters and unicodedata.category(character) == "Lo" and "CJK" in _name(character))
    ]


def _name(character: str) -> str:
    return unicodedata.name(character, "")


def _wrong_recording(file: Path, sox: Sox | None) -> str | None:
    """What is wrong with one; without `sox`, what can be seen without hearing it."""
    if file.suffix not in STUDIO_INPUT:
        return f"{file.name} is not in a format that can be made slower; save it as wav"
    try:
        with open_ordinary(file) as stream:
            content = stream.read(-1 if sox else 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        return f"{file} cannot be read: {why}; put the recording there, or remove this line"
    if sox is None:
        return None
    try:
        is_heard = trimmed(sox.stretched(content, file.suffix, rate=1.0))
    except SpeechError as error:
        return f"{file.name} is no recording that can be played: {error}; save it as wav"
    return None if is_heard else f"nothing is heard of {file.name}; record it again"


def _unheard(said: Sequence[_Said], engine: Engine, sox: Sox, on_progress: Callable[[int, int], None]) -> list[Problem]:
    """Speak every sentence once, side by side."""
    problems: list[Problem] = []
    silent: set[str] = set()
    for language in dict.fromkeys(one.language for one in said):
        try:
            engine.identity(language)
        except SpeechError as error:
            first = next(one for one in said if one.language == language)
            problems.append(first.place.problem("text", language, message=str(error), at_key=True))
            silent.add(language)
    heard = [one for one in said if one.language not in silent]
    pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1)
    try:
        waiting: dict[Future[bytes], _Said] = {
            pool.submit(speak, engine, sox, (one.sentence,), one.language, _USUAL): one for one in heard
        }
        for done, future in enumerate(as_completed(waiting), start=1):
            try:
                future.result()
            except SpeechError as error:
                problems.append(waiting[future].problem(str(error)))
            on_progress(done, len(heard))
    finally:
        pool.shutdown(cancel_futures=True)
    return problems
