"""The catalogue of prompts: what is said, in each language, and where.

    greeting:
      use: the first words of every call
      text:
        en: ["Welcome, and thank you for calling."]
    place:
      use: to waiting callers
      variables: {position: number}
      text:
        en: ["You are [number {position}] in the queue."]

It is a folder of YAML files. A prompt without variables is built to sound files; one with variables is spoken
during calls, and `Catalogue.say` puts its values in. Every mistake in all files is reported at once, each with
its line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from router.errors import ConfigurationError, Problem, SpeechError
from router.rules.scalars import quoted
from router.rules.wording import did_you_mean, listed
from router.speech.catalogue_file import Entry, Place, read_entries
from router.speech.free_text import sentences_of_text
from router.speech.sentence import Sentence
from router.speech.template import parse_template
from router.speech.values import Kind, phrases_of

__all__ = ["Catalogue", "Prompt", "load_catalogue", "sentences_of_text"]

# The directory of our prompts within a language's: Playback(elder/greeting).
PROMPTS_DIRECTORY: Final = "elder"


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt.

    Attributes:
        id: Its name.
        use: Where callers hear it, for whoever edits the text.
        text: Sentences by language, as they stand in the file.
        variables: What is known only in the call, by name.
        essential: Which sentence, counted from 1, is said again to callers who want that.
        core_sound: The sound of Asterisk's own that this is instead, such as `digits/1`; empty for none.
        recording: Studio recordings by language.
    """

    id: str
    use: str
    text: Mapping[str, tuple[str, ...]]
    variables: Mapping[str, Kind] = field(default_factory=dict)
    essential: int | None = None
    core_sound: str = ""
    recording: Mapping[str, Path] = field(default_factory=dict)

    @property
    def sound(self) -> str:
        """What Asterisk plays it as: its path below a language's directory, without suffix."""
        return self.core_sound or f"{PROMPTS_DIRECTORY}/{self.id}"

    def language_of(self, language: str) -> str | None:
        """The language of its text for a channel language: `zh` for `zh_CN_slow`; None where there is none."""
        while language not in self.text:
            language, underscore, _ = language.rpartition("_")
            if not underscore:
                return None
        return language

    def sentences(self, language: str) -> tuple[Sentence, ...]:
        """What is said by a prompt without variables, in one of its languages.

        Raises:
            SpeechError: It has variables, or is not in that language.
        """
        return self.filled(language, {})

    def filled(self, language: str, values: Mapping[str, str]) -> tuple[Sentence, ...]:
        """What is said, with values as the dialplan sends them; those that the prompt has no use for do no harm.

        Raises:
            SpeechError: The language, or a value, is missing or cannot be said.
        """
        found = self.language_of(language)
        if found is None:
            raise SpeechError(
                f"the prompt {self.id} is not in {quoted(language)}; it is in {listed(self.text)}; write its text, "
                "or give the channel one of these languages"
            )
        said = {name: self._phrases(name, values, found) for name in self.variables}
        return tuple(
            Sentence(parse_template(text).filled(said), essential=number == self.essential)
            for number, text in enumerate(self.text[found], start=1)
        )

    def _phrases(self, name: str, values: Mapping[str, str], language: str) -> tuple[str, ...]:
        if name not in values:
            raise SpeechError(f"the prompt {self.id} needs a value for {name} ({self.variables[name]}); send {name}=…")
        try:
            return phrases_of(self.variables[name], values[name], language)
        except SpeechError as error:
            raise SpeechError(f"{name} of the prompt {self.id}: {error}") from error


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All prompts, in the order of the files' names and of their lines."""

    prompts: tuple[Prompt, ...]

    @property
    def languages(self) -> tuple[str, ...]:
        """Every language that some prompt is in, in the order of their first appearance."""
        return tuple(dict.fromkeys(language for prompt in self.prompts for language in prompt.text))

    def prompt(self, prompt_id: str) -> Prompt:
        """The prompt of that name.

        Raises:
            SpeechError: There is none.
        """
        for prompt in self.prompts:
            if prompt.id == prompt_id:
                return prompt
        near = did_you_mean(prompt_id, (prompt.id for prompt in self.prompts))
        advice = near.strip() or "`elder-router prompts list` has all"
        raise SpeechError(f"no prompt is called {quoted(prompt_id)}; {advice}")

    def say(self, prompt_id: str, language: str, values: Mapping[str, str]) -> tuple[Sentence, ...]:
        """What a prompt says in a call.

        Args:
            prompt_id: Its name.
            language: The channel's, such as `zh_CN_slow`; what the catalogue does not have is stripped from its end.
            values: As the dialplan sends them, by name.

        Raises:
            SpeechError: There is no such prompt, it is not in that language, or a value is missing or cannot be said.
        """
        return self.prompt(prompt_id).filled(language, values)


def load_catalogue(path: Path) -> Catalogue:
    """Read the catalogue: a folder's `*.yaml`, or one file.

    Raises:
        ConfigurationError: Something cannot be read or is wrong; `problems` holds all that is.
    """
    entries, problems = read_entries(path)
    gathered: dict[str, list[tuple[Place, Entry]]] = {}
    for place, entry in entries:
        gathered.setdefault(place.id, []).append((place, entry))
    # Of a prompt in a file that could not be read, what others add to it would seem to hang in the air.
    problems += [problem for same in gathered.values() for problem in _wrong_with(same, all_read=not problems)]
    problems += _wrong_sounds(entries)
    if problems:
        raise ConfigurationError(sorted(set(problems)))
    return Catalogue(tuple(_prompt(name, same) for name, same in gathered.items()))


def _prompt(name: str, same: list[tuple[Place, Entry]]) -> Prompt:
    main = next(entry for _, entry in same if entry.use)
    return Prompt(
        id=name,
        use=main.use or "",
        text={language: tuple(said) for _, entry in same for language, said in entry.text.items()},
        variables=main.variables,
        essential=main.essential,
        core_sound=main.sound or "",
        recording={
            language: Path(place.document.file).parent / recorded
            for place, entry in same
            for language, recorded in entry.recording.items()
        },
    )


def _wrong_with(same: list[tuple[Place, Entry]], *, all_read: bool) -> Iterator[Problem]:
    """What is wrong with the entries of one prompt, taken together."""
    first = next(((place, entry) for place, entry in same if entry.use), None)
    if first is None:
        if all_read:
            message = f"`use` is missing: say where callers hear `{same[0][0].id}`, as no other file has it"
            yield same[0][0].problem(message=message)
        return
    languages: dict[str, Place] = {}
    for place, entry in same:
        if place is not first[0]:
            yield from _wrong_addition(place, entry, first[0])
        for language in entry.text:
            if language in languages:
                message = f"`{place.id}` is in {language} already ({languages[language].says}); keep one"
                yield place.problem("text", language, message=message, at_key=True)
            languages.setdefault(language, place)
        yield from _wrong_text(place, entry, first[1])
    yield from _wrong_variables(same, *first)


def _wrong_addition(place: Place, entry: Entry, first: Place) -> Iterator[Problem]:
    if entry.use:
        yield place.problem(
            message=f"`{place.id}` stands in {first.says} already; rename one, or leave out `use` here to add languages"
        )
        return
    for key in ("variables", "essential", "sound"):
        if getattr(entry, key):
            message = f"`{key}` is the same in every language: it belongs beside `use` ({first.says})"
            yield place.problem(key, message=message, at_key=True)


def _wrong_text(place: Place, entry: Entry, main: Entry) -> Iterator[Problem]:
    """Each sentence against the prompt's variables and its essential sentence."""
    for language, sentences in entry.text.items():
        if main.essential is not None and main.essential > len(sentences):
            here = f"{len(sentences)} sentence{'' if len(sentences) == 1 else 's'}"
            message = f"`essential` is sentence {main.essential}, and in {language} there is {here}; write as many"
            yield place.problem("text", language, message=message, at_key=True)
        for index, sentence in enumerate(sentences):
            for name in parse_template(sentence).names:
                if name not in main.variables:
                    near = (
                        did_you_mean(name, main.variables).strip() or f"add it to `variables`, like {{{name}: number}}"
                    )
                    yield place.problem("text", language, index, message=f"`{name}` is no variable of this; {near}")
    for language in entry.recording:
        if language not in entry.text:
            message = f"write under `text` what the recording in {language} says, for those who cannot hear it"
            yield place.problem("recording", language, message=message, at_key=True)


def _wrong_variables(same: list[tuple[Place, Entry]], place: Place, main: Entry) -> Iterator[Problem]:
    said = [sentence for _, entry in same for sentences in entry.text.values() for sentence in sentences]
    used = {name for sentence in said for name in parse_template(sentence).names}
    for name in main.variables:
        if name not in used:
            message = f"no sentence says {{{name}}}; put it into one, or take it out of `variables`"
            yield place.problem("variables", name, message=message, at_key=True)
    for key in ("sound", "recording"):
        if main.variables and any(getattr(entry, key) for _, entry in same):
            message = f"a prompt with variables is spoken during calls and cannot have a `{key}`; remove one of the two"
            yield place.problem("variables", message=message, at_key=True)


def _wrong_sounds(entries: list[tuple[Place, Entry]]) -> Iterator[Problem]:
    seen: dict[str, Place] = {}
    for place, entry in entries:
        if entry.sound and entry.sound in seen:
            message = f"{entry.sound} is said by `{seen[entry.sound].id}` already ({seen[entry.sound].says}); keep one"
            yield place.problem("sound", message=message)
        elif entry.sound:
            seen[entry.sound] = place
