"""Building the prompts of every language and speech profile into Asterisk's directory of sounds.

`plan` says which files there should be. A build makes only what changed, and removes only what it made
itself; what somebody else put in a profile's directory it leaves alone, and says so. It is safe while calls
are played: files are replaced in one step, and what Asterisk has open it plays to its end.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from router.errors import SpeechError
from router.speech.catalogue import Catalogue
from router.speech.engines import Engine, EspeakNg
from router.speech.manifest import Made, digest, load_manifest, replace_file, save_manifest
from router.speech.plan import Failure, Plan, Planner, Task
from router.speech.profile import SpokenProfile
from router.speech.recordings import SOUND_SUFFIXES, require_directory
from router.speech.sound import Sox, wav_of

# After one of these every other file would fail as well.
_HOPELESS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did. Paths are relative to the directory of sounds, sorted.

    Attributes:
        made: Written, because new or changed.
        kept: Already as they should be.
        removed: Made earlier and no longer wanted.
        failed: Could not be made; one made earlier stays, and without one Asterisk plays the base prompt.
        left_alone: Wanted, but somebody else's file is there.
    """

    made: tuple[str, ...]
    kept: tuple[str, ...]
    removed: tuple[str, ...]
    failed: tuple[Failure, ...]
    left_alone: tuple[str, ...]


def build_prompts(
    catalogue: Catalogue,
    profiles: Sequence[SpokenProfile],
    languages: Sequence[str],
    sounds_dir: Path,
    core_dirs: Mapping[str, Path] | None = None,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    engine: Engine | None = None,
) -> BuildReport:
    """Make the directory of sounds what the catalogue and the profiles say, changing only what differs.

    Args:
        catalogue: The prompts.
        profiles: Every speech profile; those that change nothing need no files of their own.
        languages: The base languages to build. What was made for others stays.
        sounds_dir: Asterisk's `sounds` directory.
        core_dirs: By language, where recordings are besides `<sounds>/<language>`, which is always looked at.
        on_progress: Called with how many files are done, and of how many, as they are.
        engine: Who speaks; espeak-ng unless given.

    Returns:
        What was done. One sound that cannot be made does not keep others from being made.

    Raises:
        SpeechError: nothing (more) can be built: a program or a directory is missing, the disk is full,
            another build is at work.
    """
    require_directory(sounds_dir, what="the directory of sounds")
    root = sounds_dir.resolve()
    cores = dict(core_dirs or {})
    for language, directory in cores.items():
        require_directory(directory, what=f"the directory of {language} recordings")
    sox, engine = Sox(), engine or EspeakNg()
    with _explained(root), _alone(root):
        ours = load_manifest(root)
        planner = Planner(catalogue, profiles, root, ours.keys(), sox, engine)
        for language in dict.fromkeys(languages):
            planner.add(language, cores.get(language))
        return _carry_out(planner.plan, root, ours, languages, on_progress or _ignore_progress)


def _ignore_progress(_done: int, _total: int) -> None:
    pass


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Keep a second build out for as long as this one runs."""
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise SpeechError(f"another build is at work in {root}: wait until it has ended") from error
    finally:
        os.close(directory)


def _carry_out(
    plan: Plan,
    root: Path,
    ours: dict[str, Made],
    languages: Sequence[str],
    on_progress: Callable[[int, int], None],
) -> BuildReport:
    todo: list[Task] = []
    kept: list[str] = []
    left_alone: list[str] = []
    present = _sounds_present(root, {str(PurePosixPath(task.path).parent) for task in plan.tasks})
    for task in plan.tasks:
        before = ours.get(task.path)
        if before is None and str(PurePosixPath(task.path).with_suffix("")) in present:
            left_alone.append(task.path)
        elif before is not None and before.sha256 and before.key == task.key:
            kept.append(task.path)
        else:
            todo.append(task)
    wanted = {task.path for task in plan.tasks} | {failure.path for failure in plan.failures}
    unwanted = sorted(path for path, made in ours.items() if made.language in languages and path not in wanted)

    if todo or unwanted:
        # Written ahead: whatever stops the build, its files are known as ours.
        about_to_be = {task.path: Made(language=task.language, key="") for task in todo}
        save_manifest(root, ours | about_to_be)
    made, failures = _make_all(todo, root, ours, on_progress, already=len(kept))
    for path in unwanted:
        _remove(root, path)
        del ours[path]
    if todo or unwanted:
        save_manifest(root, ours)
    return BuildReport(
        made=tuple(sorted(made)),
        kept=tuple(sorted(kept)),
        removed=tuple(unwanted),
        failed=tuple(sorted([*plan.failures, *failures], key=lambda failure: failure.path)),
        left_alone=tuple(sorted(left_alone)),
    )


def _sounds_present(root: Path, directories: Collection[str]) -> set[str]:
    """The sounds in some directories, in whatever format, as paths without suffix."""
    return {
        f"{directory}/{path.stem}"
        for directory in directories
        if (root / directory).is_dir()
        for path in (root / directory).iterdir()
        if path.suffix in SOUND_SUFFIXES
    }


def _make_all(
    todo: Sequence[Task],
    root: Path,
    ours: dict[str, Made],
    on_progress: Callable[[int, int], None],
    *,
    already: int,
) -> tuple[list[str], list[Failure]]:
    """Make files side by side, one a processor, entering each into `ours` when it is written."""
    made: list[str] = []
    failures: list[Failure] = []
    total = already + len(todo)
    on_progress(already, total)
    pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1)
    try:
        waiting: dict[Future[str], Task] = {pool.submit(_make, task, root): task for task in todo}
        for done, future in enumerate(as_completed(waiting), start=already + 1):
            task = waiting[future]
            try:
                sha256 = future.result()
            except SpeechError as error:
                failures.append(Failure(task.path, str(error)))
            else:
                ours[task.path] = Made(language=task.language, key=task.key, sha256=sha256)
                made.append(task.path)
            on_progress(done, total)
    finally:
        pool.shutdown(cancel_futures=True)
    return made, failures


def _make(task: Task, root: Path) -> str:
    try:
        content = wav_of(task.make())
        replace_file(root / task.path, content)
    except OSError as error:
        if error.errno in _HOPELESS:
            raise
        raise SpeechError(f"{error.filename or task.path}: {error.strerror}") from error
    return digest(content)


def _remove(root: Path, path: str) -> None:
    """Remove a file of ours, and directories that it leaves empty."""
    (root / path).unlink(missing_ok=True)
    for parent in list((root / path).relative_to(root).parents)[:-1]:
        with suppress(OSError):
            (root / parent).rmdir()


@contextmanager
def _explained(root: Path) -> Iterator[None]:
    """Say what to do about a directory that cannot be read or written."""
    try:
        yield
    except OSError as error:
        match error.errno:
            case errno.ENOSPC | errno.EDQUOT:
                advice = "make room on that disk"
            case errno.EROFS:
                advice = "that disk is mounted read-only; give a directory that can be written to"
            case _:
                advice = "run this as the user that owns the directory of sounds, or as root"
        raise SpeechError(
            f"{error.filename or root}: {error.strerror}; {advice}, and build again (prompts that were there before "
            "can be played as ever)"
        ) from error
