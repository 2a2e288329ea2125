"""Making a directory of sounds what a plan says: what differs is made, what is no longer wanted is removed.

Sounds are made side by side, by threads: nearly all of the time, sox and engines are at work, and NumPy lets other
threads run.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from router.errors import SpeechError
from router.speech.formats import Format, highest_rate_hz
from router.speech.manifest import Made, digest, replace_file, replace_link, save_manifest
from router.speech.plan import Failure, Plan, Task
from router.speech.recordings import SOUND_SUFFIXES
from router.speech.sound import Sox

# After one of these every other file would fail as well.
_HOPELESS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did. Paths are relative to the directory of sounds, sorted.

    Attributes:
        made: Files written, because new or changed.
        kept: Files already as they should be.
        removed: Files made earlier and no longer wanted.
        failed: Sounds that could not be made; one made earlier stays, and without one Asterisk plays the base prompt.
        left_alone: Sounds that are wanted, but somebody else's file is there, in whatever format: of several formats
            of one sound Asterisk plays the one that suits the call.
    """

    made: tuple[str, ...]
    kept: tuple[str, ...]
    removed: tuple[str, ...]
    failed: tuple[Failure, ...]
    left_alone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """The formats that one sound has to be made in."""

    task: Task
    formats: tuple[Format, ...]

    @property
    def paths(self) -> list[str]:
        """The files, relative to the directory of sounds."""
        return [f"{self.task.sound}{format_.suffix}" for format_ in self.formats]


@dataclass(frozen=True, slots=True)
class Making:
    """What carries out a plan.

    Attributes:
        root: The directory of sounds.
        ours: The manifest, kept true while files come and go.
        formats: What is made of each sound.
        sox: What brings samples to another sample rate.
        on_progress: Told how many sounds are done, and of how many.
        workers: How many are made at once.
    """

    root: Path
    ours: dict[str, Made]
    formats: Sequence[Format]
    sox: Sox
    on_progress: Callable[[int, int], None]
    workers: int

    def carry_out(self, plan: Plan, languages: Collection[str]) -> BuildReport:
        """Make what is missing, then remove what is no longer wanted of these languages.

        Raises:
            OSError: it makes no sense to go on: the disk is full, or may not be written to.
        """
        theirs = self._somebody_elses(plan.tasks)
        tasks = [task for task in plan.tasks if task.sound not in theirs]
        wanted = {path for task in tasks for path in Missing(task, tuple(self.formats)).paths}
        unwanted = self._unwanted(plan, wanted | plan.links.keys(), languages)
        todo = [missing for task in tasks if (missing := self._missing(task)).formats]
        links = {path: target for path, target in plan.links.items() if path not in self.ours}
        about_to_be = {path: Made(language=gap.task.language, key="") for gap in todo for path in gap.paths}
        about_to_be |= {path: _linked(path, target) for path, target in links.items() if _is_free(self.root / path)}
        if not (todo or unwanted or links):
            self.on_progress(len(tasks), len(tasks))
            return _report(kept=wanted, failed=plan.failures, left_alone=theirs)
        before = dict(self.ours)
        # Written ahead: whatever stops this, its files are known as ours.
        save_manifest(self.root, self.ours | about_to_be)
        try:
            # Links first: what is made in their place must not be written through them.
            self._remove([path for path in unwanted if self.ours[path].link])
            failures = self._make_all(todo, len(tasks))
            self._remove([path for path in unwanted if path in self.ours])
            refused = self._link(links)
        except BaseException:
            # What was made need not be made again, if there is still room to say so.
            with suppress(OSError):
                unmade = {path: made for path, made in about_to_be.items() if self.ours.get(path) == before.get(path)}
                save_manifest(self.root, self.ours | unmade)
            raise
        save_manifest(self.root, self.ours)
        failed = {failure.path for failure in failures}
        return _report(
            made=[path for gap in todo if gap.task.sound not in failed for path in gap.paths],
            kept=wanted - about_to_be.keys(),
            removed=unwanted,
            failed=[*plan.failures, *failures],
            left_alone=[*theirs, *refused],
        )

    def _somebody_elses(self, tasks: Sequence[Task]) -> list[str]:
        """The sounds that are wanted and there already, in whatever format, and not made here."""
        wanted = {task.sound for task in tasks}
        return sorted(
            sound
            for directory in {str(PurePosixPath(sound).parent) for sound in wanted}
            if (self.root / directory).is_dir() and PurePosixPath(directory).parts[0] not in self.ours
            for sound in {
                f"{directory}/{path.stem}"
                for path in (self.root / directory).iterdir()
                if path.suffix in SOUND_SUFFIXES and f"{directory}/{path.name}" not in self.ours
            }
            if sound in wanted
        )

    def _missing(self, task: Task) -> Missing:
        def is_missing(format_: Format) -> bool:
            made = self.ours.get(f"{task.sound}{format_.suffix}")
            return made is None or not made.sha256 or made.key != task.key

        return Missing(task, tuple(format_ for format_ in self.formats if is_missing(format_)))

    def _unwanted(self, plan: Plan, wanted: AbstractSet[str], languages: Collection[str]) -> list[str]:
        """Files that were made here for these languages, and that nobody wants now. What failed is still wanted."""
        failed = {failure.path for failure in plan.failures}
        return sorted(
            path
            for path, made in self.ours.items()
            if made.language in languages
            and made.language not in plan.unsure
            and path not in wanted
            and PurePosixPath(path).with_suffix("").as_posix() not in failed
        )

    def _make_all(self, todo: Sequence[Missing], total: int) -> list[Failure]:
        """Make sounds side by side, entering each into `ours` when it is written. Returns what could not be made."""
        failures: list[Failure] = []
        already = total - len(todo)
        self.on_progress(already, total)
        pool = ThreadPoolExecutor(max_workers=self.workers)
        try:
            waiting: dict[Future[dict[str, str]], Task] = {pool.submit(self._make, gap): gap.task for gap in todo}
            for done, future in enumerate(as_completed(waiting), start=already + 1):
                task = waiting[future]
                try:
                    digests = future.result()
                except SpeechError as error:
                    failures.append(Failure(task.sound, str(error)))
                else:
                    for path, sha256 in digests.items():
                        self.ours[path] = Made(language=task.language, key=task.key, sha256=sha256)
                self.on_progress(done, total)
        finally:
            pool.shutdown(cancel_futures=True)
        return failures

    def _make(self, gap: Missing) -> dict[str, str]:
        """Write the files of one sound. Returns their digests."""
        try:
            from_hz = highest_rate_hz(self.formats)
            samples = {from_hz: gap.task.make()}
            digests: dict[str, str] = {}
            for path, format_ in zip(gap.paths, gap.formats, strict=True):
                if format_.rate_hz not in samples:
                    samples[format_.rate_hz] = self.sox.resampled(samples[from_hz], from_hz, format_.rate_hz)
                content = format_.encode(samples[format_.rate_hz])
                replace_file(self.root / path, content)
                digests[path] = digest(content)
        except OSError as error:
            if error.errno in _HOPELESS:
                raise
            raise SpeechError(f"{error.filename or gap.task.sound}: {error.strerror}") from error
        return digests

    def _remove(self, paths: Sequence[str]) -> None:
        """Remove files and links of ours, and directories that they leave empty."""
        for path in paths:
            (self.root / path).unlink(missing_ok=True)
            for parent in list(PurePosixPath(path).parents)[:-1]:
                with suppress(OSError):
                    (self.root / parent).rmdir()
            del self.ours[path]

    def _link(self, links: Mapping[str, str]) -> list[str]:
        """Make links. Returns those in whose place somebody else's file or directory is."""
        refused = []
        for path, target in links.items():
            if _is_free(self.root / path):
                replace_link(self.root / path, target)
                self.ours[path] = _linked(path, target)
            else:
                refused.append(path)
        return refused


def _is_free(place: Path) -> bool:
    return not place.exists() and not place.is_symlink()


def _linked(path: str, target: str) -> Made:
    return Made(language=path.rpartition("_")[0], key="", link=target)


def _report(
    *,
    made: Collection[str] = (),
    kept: Collection[str] = (),
    removed: Collection[str] = (),
    failed: Collection[Failure] = (),
    left_alone: Collection[str] = (),
) -> BuildReport:
    return BuildReport(
        made=tuple(sorted(made)),
        kept=tuple(sorted(kept)),
        removed=tuple(sorted(removed)),
        failed=tuple(sorted(failed, key=lambda failure: failure.path)),
        left_alone=tuple(sorted(left_alone)),
    )
