"""Which sound files there should be, and from what each is made.

    <sounds>/en/elder/greeting.wav              spoken at rate 1.0
    <sounds>/en_unhurried/elder/greeting.wav    spoken at the profile's rate, natively
    <sounds>/en_unhurried/digits/1.wav          Asterisk's own digits/1, stretched

A recording wins over a synthesised prompt: where somebody put `en/elder/greeting.gsm`, nothing is spoken over
it, and its slower versions are stretched from it.

Each file has a key: a digest of all that decides its content (text or recording, engine, voice, sox, rate,
pause, gain, sample format). As long as the key stays, the file does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from router.speech.catalogue import Catalogue, Prompt
from router.speech.engines import Engine
from router.speech.manifest import digest
from router.speech.profile import SpokenProfile, language_for
from router.speech.recordings import find_recordings, require_directory
from router.speech.sentence import Sentence
from router.speech.sound import RECIPE, Sox
from router.speech.speaking import BASE_SENTENCE_PAUSE_S, speak

# The directory of our prompts within a language's: Playback(elder/greeting).
PROMPTS_DIRECTORY: Final = "elder"
BASE_PROFILE: Final = SpokenProfile("standard")


@dataclass(frozen=True, slots=True)
class Failure:
    """One sound that could not be made, and what to do about it."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Task:
    """One file that there should be, relative to the directory of sounds; `make()` gives its samples."""

    path: str
    language: str
    key: str
    make: Callable[[], bytes]


@dataclass(slots=True)
class Plan:
    """All files that there should be, and those already known to fail."""

    tasks: list[Task] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


class Planner:
    """Works out a plan, one language after another.

    Args:
        catalogue: The prompts.
        profiles: Every speech profile.
        root: The directory of sounds, without links in its path.
        ours: Files that were made here earlier, relative to `root`: they are no recordings.
        sox: What will stretch.
        engine: Who will speak.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        profiles: Sequence[SpokenProfile],
        root: Path,
        ours: Collection[str],
        sox: Sox,
        engine: Engine,
    ) -> None:
        self.plan = Plan()
        self._catalogue = catalogue
        self._changed = [profile for profile in profiles if not profile.changes_nothing]
        self._root = root
        # Their true places: `sounds/en` may be a link to the directory that is given as the core sounds'.
        self._ours = {(root / path).parent.resolve() / Path(path).name for path in ours}
        self._sox = sox
        self._engine = engine

    def add(self, language: str, core_dir: Path | None) -> None:
        """Add what one language needs: recordings stretched, and prompts without a recording spoken.

        Raises:
            SpeechError: its recordings cannot be looked through, or there is no voice for it.
        """
        base = self._root / language
        if base.is_symlink():
            require_directory(base, what=f"the directory of {language} sounds")
        sources: dict[str, Path] = {}
        unreadable: set[str] = set()
        # The operator's own recordings come second and win.
        for directory in dict.fromkeys(folder.resolve() for folder in (core_dir, base) if folder is not None):
            found = find_recordings(directory, without=self._ours)
            sources |= found.sources
            unreadable |= set(found.unreadable)
        self._add_unreadable(unreadable - sources.keys(), language)
        for sound, source in sources.items() if self._changed else ():
            self._add_stretched(sound, source, language)
        for prompt in self._catalogue.prompts:
            recorded = f"{PROMPTS_DIRECTORY}/{prompt.id}" in sources.keys() | unreadable
            if language in prompt.text and not recorded:
                self._add_spoken(prompt, language)

    def _add_unreadable(self, sounds: Collection[str], language: str) -> None:
        if sounds and self._changed:
            reason = (
                f"{len(sounds)} sounds, such as {min(sounds)}, are there only in formats that sox cannot read: "
                "install the same sounds as wav (for Asterisk's own, the wav package of its core sounds)"
            )
            self.plan.failures.append(Failure(language, reason))

    def _add_stretched(self, sound: str, source: Path, language: str) -> None:
        paths = {f"{language_for(language, profile)}/{sound}.wav": profile for profile in self._changed}
        try:
            content = digest(source.read_bytes())
        except OSError as error:
            reason = f"{source} cannot be read: {error.strerror}; let this user read it"
            self.plan.failures += [Failure(path, reason) for path in paths]
            return
        for path, profile in paths.items():

            def make(profile: SpokenProfile = profile) -> bytes:
                recorded = source.read_bytes()
                return self._sox.stretched(recorded, source.suffix, rate=profile.rate, gain_db=profile.gain_db)

            key = _key("stretched", self._sox.version, source.suffix, content, profile.rate, profile.gain_db)
            self.plan.tasks.append(Task(path, language, key, make))

    def _add_spoken(self, prompt: Prompt, language: str) -> None:
        sentences = prompt.text[language]
        voice = self._engine.identity(language)
        for profile in (BASE_PROFILE, *self._changed):

            def make(profile: SpokenProfile = profile) -> bytes:
                spoken = [Sentence((sentence,)) for sentence in sentences]
                return speak(self._engine, self._sox, spoken, language, profile)

            path = f"{language_for(language, profile)}/{PROMPTS_DIRECTORY}/{prompt.id}.wav"
            pause_s = BASE_SENTENCE_PAUSE_S + profile.sentence_pause_s
            how = (voice, sentences, profile.rate, pause_s, profile.gain_db)
            self.plan.tasks.append(Task(path, language, _key("spoken", self._sox.version, *how), make))


def _key(*decides: object) -> str:
    return digest(json.dumps([RECIPE, *decides]).encode())
