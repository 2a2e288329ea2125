"""Which sounds there should be, and from what each is made.

    <sounds>/en/elder/greeting.ulaw              spoken at rate 1.0, or converted from a studio's recording
    <sounds>/en_unhurried/elder/greeting.ulaw    spoken at the profile's rate, natively
    <sounds>/en_unhurried/digits/1.ulaw          Asterisk's own digits/1, stretched
    <sounds>/en_US_unhurried                     a link to en_unhurried, where en_US is another name of en

A recording wins over a synthesised prompt: where somebody put `en/elder/greeting.gsm`, nothing is spoken over
it, and its slower versions are stretched from it. A profile's directory holds all that a channel of that language
hears: what `en_GB` has not itself it hears from `en`, and so it does at every speed.

Each sound has a key: a digest of all that decides its content (text or recording, engine, voice, sox, rate,
pauses, gain, sample rate). As long as the key stays, its files do.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from router.errors import SpeechError
from router.speech.catalogue import Catalogue, Prompt
from router.speech.engines import Engine
from router.speech.manifest import digest
from router.speech.profile import BASE_PHRASE_PAUSE_S, BASE_SENTENCE_PAUSE_S, SpokenProfile, language_for
from router.speech.recordings import Recordings, find_recordings, require_directory
from router.speech.sound import RECIPE, STUDIO_INPUT, Sox
from router.speech.speaking import speak

BASE_PROFILE: Final = SpokenProfile("standard")


@dataclass(frozen=True, slots=True)
class Failure:
    """One sound, or all of a language's, that could not be made, and what to do about it."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Task:
    """One sound that there should be, in every format.

    Attributes:
        sound: Its path below the directory of sounds, without suffix.
        language: Its base language.
        key: The digest of all that decides its samples.
        make: Gives its samples.
    """

    sound: str
    language: str
    key: str
    make: Callable[[], bytes]


@dataclass(slots=True)
class Plan:
    """What there should be.

    Attributes:
        tasks: The sounds.
        links: Directories of profiles that are links to another's: which to which.
        failures: What is already known to fail; a sound among them is kept as it is.
        unsure: Languages of which not all could be planned: nothing that was made for them is removed.
    """

    tasks: list[Task] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    unsure: set[str] = field(default_factory=set)


class Planner:
    """Works out a plan, one language after another.

    Args:
        catalogue: The prompts.
        profiles: Every speech profile.
        root: The directory of sounds, without links in its path.
        cores: By language, where recordings are besides `<root>/<language>`.
        ours: Files that were made here earlier, relative to `root`: they are no recordings.
        sox: What will stretch.
        engine: Who will speak.
        rate_hz: The sample rate of all samples.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        profiles: Sequence[SpokenProfile],
        root: Path,
        cores: Mapping[str, Path],
        ours: Collection[str],
        sox: Sox,
        engine: Engine,
        rate_hz: int,
    ) -> None:
        self.plan = Plan()
        self._catalogue = catalogue
        self._changed = [profile for profile in profiles if not profile.changes_nothing]
        self._root = root
        self._cores = cores
        self._listed = frozenset(ours)
        # Their true places: `sounds/en` may be a link to the directory that is given as the core sounds'.
        self._ours = {(root / path).parent.resolve() / Path(path).name for path in ours}
        self._sox = sox
        self._engine = engine
        self._rate_hz = rate_hz
        self._digests: dict[Path, str] = {}
        self._voices: dict[str, str | None] = {}

    def add(self, language: str) -> None:
        """Add what one language needs: recordings stretched, and prompts without a recording spoken."""
        try:
            self._require_directories_of_their_own(language)
            found = self._recordings(language)
        except SpeechError as error:
            self._unsure(language, error)
            return
        if found.unreadable and self._changed:
            self._unsure(language, _not_readable(found.unreadable))
        taken = found.sources.keys() | set(found.unreadable)
        for sound, source in found.sources.items():
            self._add_recorded(sound, source, language, self._changed)
        for prompt in self._catalogue.prompts:
            if not prompt.variables and prompt.sound not in taken:
                self._add_prompt(prompt, language)

    def add_alias(self, alias: str, language: str) -> None:
        """Add another name of a language that was added."""
        for profile in self._changed:
            self.plan.links[language_for(alias, profile)] = language_for(language, profile)

    def _unsure(self, language: str, reason: SpeechError) -> None:
        self.plan.failures.append(Failure(language, str(reason)))
        self.plan.unsure.add(language)

    def _require_directories_of_their_own(self, language: str) -> None:
        """Refuse to write through a link into another language's or profile's sounds; links to other disks are fine.

        Raises:
            SpeechError: a profile's directory is such a link, and not made here.
        """
        for profile in self._changed:
            directory = self._root / (name := language_for(language, profile))
            if name not in self._listed and directory.is_symlink() and directory.resolve().parent == self._root:
                raise SpeechError(
                    f"{directory} is a link to {directory.readlink()}, whose sounds would be written over: remove the "
                    "link (what a profile has not, Asterisk plays from the language by itself)"
                )

    def _recordings(self, language: str) -> Recordings:
        """All that a channel of this language hears, the nearest language's own recordings last, which win."""
        places: list[Path] = []
        for name in _with_parents(language):
            base = self._root / name
            if name == language and base.is_symlink():
                require_directory(base, what=f"the directory of {name} sounds")
            places += [folder.resolve() for folder in (self._cores.get(name), base) if folder is not None]
        sources: dict[str, Path] = {}
        unreadable: set[str] = set()
        for directory in dict.fromkeys(places):
            readable = self._sox.readable(self._rate_hz)
            found = find_recordings(directory, readable=readable, without=self._ours)
            sources |= found.sources
            unreadable |= set(found.unreadable)
        return Recordings(sources, tuple(sorted(unreadable - sources.keys())))

    def _add_prompt(self, prompt: Prompt, language: str) -> None:
        # What is only in `en` is spoken for `en_GB` too, but for the base: Asterisk finds that in `en`.
        found = next((name for name in reversed(_with_parents(language)) if _is_in(prompt, name)), None)
        if found is None:
            return
        profiles = self._changed if found != language else [BASE_PROFILE, *self._changed]
        if found in prompt.recording:
            self._add_recorded(prompt.sound, prompt.recording[found], language, profiles)
            return
        voice = self._voice(found, language)
        if voice is None:
            return
        try:
            said = prompt.sentences(found)
        except SpeechError as error:
            self.plan.failures += [Failure(_path(language, profile, prompt.sound), str(error)) for profile in profiles]
            return
        sentences = [dataclasses.astuple(sentence) for sentence in said]
        pauses_s = (BASE_SENTENCE_PAUSE_S, BASE_PHRASE_PAUSE_S)
        for profile in profiles:

            def make(profile: SpokenProfile = profile) -> bytes:
                return speak(self._engine, self._sox, said, found, profile, rate_hz=self._rate_hz)

            key = self._key("spoken", voice, sentences, pauses_s, dataclasses.astuple(profile)[1:])
            self.plan.tasks.append(Task(_path(language, profile, prompt.sound), language, key, make))

    def _voice(self, spoken: str, language: str) -> str | None:
        """What speaks; None where nothing does, which is told once."""
        if spoken not in self._voices:
            try:
                self._voices[spoken] = self._engine.identity(spoken)
            except SpeechError as error:
                self._voices[spoken] = None
                self._unsure(language, error)
        if self._voices[spoken] is None:
            self.plan.unsure.add(language)
        return self._voices[spoken]

    def _add_recorded(self, sound: str, source: Path, language: str, profiles: Sequence[SpokenProfile]) -> None:
        if not profiles:
            return
        try:
            _require_utf8(sound)
            content = self._digest(source)
        except SpeechError as error:
            self.plan.failures += [Failure(_path(language, profile, sound), str(error)) for profile in profiles]
            return
        for profile in profiles:
            # The only two settings that mean something to a recording.
            rate, gain_db = profile.rate, profile.gain_db

            def make(rate: float = rate, gain_db: float = gain_db) -> bytes:
                recorded = source.read_bytes()
                return self._sox.stretched(recorded, source.suffix, rate=rate, gain_db=gain_db, rate_hz=self._rate_hz)

            key = self._key("stretched", source.suffix, content, rate, gain_db)
            self.plan.tasks.append(Task(_path(language, profile, sound), language, key, make))

    def _digest(self, source: Path) -> str:
        if source not in self._digests:
            if source.suffix not in {*STUDIO_INPUT, *self._sox.readable()}:
                raise SpeechError(f"{source} is in no format that can be read here: give it as WAV")
            if source.exists() and not source.is_file():
                raise SpeechError(f"{source} is no ordinary file: give a recording")
            try:
                self._digests[source] = digest(source.read_bytes())
            except OSError as error:
                raise SpeechError(f"{source} cannot be read: {error.strerror}; let this user read it") from error
        return self._digests[source]

    def _key(self, *decides: object) -> str:
        return digest(json.dumps([RECIPE, self._rate_hz, self._sox.version, *decides]).encode())


def _require_utf8(sound: str) -> None:
    """Refuse a name that could not be listed as ours, so that its sounds would never be replaced or removed.

    Raises:
        SpeechError: see above.
    """
    try:
        sound.encode()
    except UnicodeEncodeError as error:
        raise SpeechError("its name is not in UTF-8: give it another") from error


def _path(language: str, profile: SpokenProfile, sound: str) -> str:
    return f"{language_for(language, profile)}/{sound}"


def _with_parents(language: str) -> list[str]:
    """`en`, `en_GB` for `en_GB`: where Asterisk looks last, first."""
    parts = language.split("_")
    return ["_".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _is_in(prompt: Prompt, language: str) -> bool:
    return language in prompt.text or language in prompt.recording


def _not_readable(sounds: Collection[str]) -> SpeechError:
    return SpeechError(
        f"{len(sounds)} sounds, such as {min(sounds)}, are there only in formats that cannot be read here: install "
        "the same sounds as wav (for Asterisk's own, the wav package of its core sounds), or ffmpeg for g722"
    )
