"""Keeps the rules in force, and takes new ones from disk while calls go on.

New rules are read, checked and tried on the cases beside them, in a thread, so that calls are not held up; then they
are in force in one step, an assignment. Whatever keeps them out leaves the old ones in force, and is complained of
until what lies on disk can be used again. A call keeps the rule book that it was given.

The files are watched by asking for their state once a second. That works on network file systems, with editors that
write a new file and rename it, and with configuration management, and costs some microseconds.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from router.errors import ConfigurationError, HistoryError, Problem
from router.reloading.history import RulesHistory
from router.reloading.restoring import content_at
from router.rules.book import RuleBook, load_rules
from router.rules.cases import CASES_NAME, check_cases
from router.rules.schema import LIST_SUFFIX

POLL_S: Final = 1.0
COMPLAIN_EVERY_S: Final = 60.0

CheckCases: TypeAlias = Callable[[RuleBook, Path], list[Problem]]
"""Tries rules on the cases in a file: what fails, or why the file cannot be used; nothing when all is well."""

Stamp: TypeAlias = tuple[int, ...]
"""Of a file as it lies on disk: changes whenever the file does."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RulesStatus:
    """How the rules are.

    `version` has been in force since `loaded_at`. While what lies on disk cannot be used, `refused_since` says since
    when, and `problems` what the last attempt found. The counts are of attempts since the start.
    """

    version: str
    loaded_at: datetime
    attempted_at: datetime
    refused_since: datetime | None = None
    problems: tuple[Problem, ...] = ()
    loaded: int = 0
    refused: int = 0
    unchanged: int = 0

    @property
    def succeeded(self) -> bool:
        """Whether the last attempt found rules that can be used."""
        return self.refused_since is None


@dataclass(frozen=True, slots=True)
class _Found:
    """Rules that may be taken, and the file of cases that they passed; None where there is none."""

    book: RuleBook
    cases: bytes | None


class RulesKeeper:
    """Holds the rules in force.

    Reads them when it is made. If they cannot be used then, the newest version in the history is in force: whoever
    restarts a PBX at night shall not lose its router to a slip in a file.

    Args:
        file: The rules file.
        history: Where versions that were in force are kept.
        cases_file: The cases that rules must pass; None for those beside the rules, if there are any.
        check_cases: Tries rules on them.
        poll_s: How often the files are looked at.
        complain_every_s: How often it is said that the rules on disk are refused.

    Raises:
        ConfigurationError: The rules cannot be used, and there is no earlier version; carries every problem.
    """

    def __init__(
        self,
        file: Path,
        history: RulesHistory,
        *,
        cases_file: Path | None = None,
        check_cases: CheckCases = check_cases,
        poll_s: float = POLL_S,
        complain_every_s: float = COMPLAIN_EVERY_S,
    ) -> None:
        self.file = file
        self.history = history
        self._cases_file = cases_file
        self._check_cases = check_cases
        self._poll_s = poll_s
        self._complain_every_s = complain_every_s
        self._one_at_a_time = asyncio.Lock()
        self._asked = self._answered = 0
        self._complained_at_s = 0.0
        self._is_refused = asyncio.Event()
        self._seen = _stamps(self._candidates())
        """The files as they were before the last attempt read them."""
        self.book: RuleBook
        """The rules in force."""
        self.status: RulesStatus
        self._start()

    async def reload(self) -> RulesStatus:
        """Take what lies on disk if it can be used. Never raises.

        Whoever asks while an attempt is under way waits for one more, which serves all who asked meanwhile.
        """
        self._asked += 1
        mine = self._asked
        async with self._one_at_a_time:
            if self._answered < mine:
                asked = self._asked
                await self._attempt()
                self._answered = asked
        return self.status

    async def run(self) -> None:
        """Watch the files, and complain while they are refused, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            group.create_task(self._keep_complaining())

    def _start(self) -> None:
        now = datetime.now(UTC)
        found = self._look()
        if isinstance(found, _Found):
            self.book = found.book
            self.status = RulesStatus(found.book.version, now, now)
            self._record(found, now)
            return
        self.book = self._newest_good(found)
        self.status = RulesStatus(self.book.version, now, now, refused_since=now, problems=found)
        log.error(
            "rules on disk cannot be used, started with the newest good ones",
            rules=self.book.version,
            file=str(self.file),
            problems=_said(found),
        )
        self._complained()

    def _newest_good(self, problems: tuple[Problem, ...]) -> RuleBook:
        for entry in self.history.entries():
            try:
                return entry.load()
            except ConfigurationError:
                # Taken by another version of this program.
                log.warning("a kept version of the rules cannot be used any more", version=entry.version)
        raise ConfigurationError(problems)

    async def _attempt(self) -> None:
        self._seen = await asyncio.to_thread(lambda: _stamps(self._candidates()))
        found = await asyncio.to_thread(self._look)
        now = datetime.now(UTC)
        if not isinstance(found, _Found):
            self._refuse(found, now)
            return
        before, version = self.status, found.book.version
        if version == before.version:
            self.status = replace(
                before, attempted_at=now, refused_since=None, problems=(), unchanged=before.unchanged + 1
            )
            event = "rules on disk are those in force" if before.succeeded else "rules on disk are those in force again"
            log.info(event, rules=version)
        else:
            self.book = found.book
            self.status = RulesStatus(
                version,
                now,
                now,
                loaded=before.loaded + 1,
                refused=before.refused,
                unchanged=before.unchanged,
            )
            log.info("rules loaded", rules=version, before=before.version)
        self._is_refused.clear()
        await asyncio.to_thread(self._record, found, now)

    def _look(self) -> _Found | tuple[Problem, ...]:
        """What lies on disk: rules that may be taken, or all that keeps them out."""
        try:
            book = load_rules(self.file)
            file = cases_file_of(self.file, self._cases_file)
            problems = [] if file is None else missing_cases(file) or self._check_cases(book, file)
        except ConfigurationError as error:
            return error.problems
        except Exception:
            # Whatever is in a file, it shall not end a router that routes calls.
            log.exception("rules not checked", file=str(self.file))
            message = "these rules could not be checked for an error in the router; its log says where"
            return (Problem(str(self.file), 0, 0, message),)
        errors = tuple(problem for problem in problems if problem.severity == "error")
        return errors or _Found(book, None if file is None else _content(file))

    def _refuse(self, problems: tuple[Problem, ...], now: datetime) -> None:
        before = self.status
        self.status = replace(
            before,
            attempted_at=now,
            refused_since=before.refused_since or now,
            problems=problems,
            refused=before.refused + 1,
        )
        log.error(
            "rules on disk refused, the old ones stay",
            rules=before.version,
            since=_moment(self.status.refused_since),
            count=len(problems),
            problems=_said(problems),
        )
        self._complained()

    def _complained(self) -> None:
        self._complained_at_s = time.monotonic()
        self._is_refused.set()

    async def _keep_complaining(self) -> None:
        while True:
            await self._is_refused.wait()
            wait_s = self._complained_at_s + self._complain_every_s - time.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
                continue
            status = self.status
            log.error(
                "rules on disk refused, the old ones stay",
                rules=status.version,
                since=_moment(status.refused_since),
                count=len(status.problems),
                first=str(status.problems[0]),
            )
            self._complained()

    def _record(self, found: _Found, now: datetime) -> None:
        try:
            self.history.record(found.book, now, found.cases)
        except HistoryError as error:
            log.error("rules not kept in the history", rules=found.book.version, reason=str(error))  # noqa: TRY400

    async def _watch(self) -> None:
        """Reload when something has changed and then stood still for one look: an editor may be writing still."""
        before = self._watched(self._seen)
        while True:
            await asyncio.sleep(self._poll_s)
            stamps = await asyncio.to_thread(lambda: _stamps(self._candidates()))
            now = self._watched(stamps)
            if now == before and now != self._watched(self._seen):
                await self.reload()
            before = now

    def _candidates(self) -> list[Path]:
        """Every file that may belong to the rules."""
        try:
            with os.scandir(self.file.parent) as names:
                lists = [self.file.with_name(entry.name) for entry in names if entry.name.endswith(LIST_SUFFIX)]
        except OSError:
            lists = []
        return [*self._always_watched(), *lists]

    def _always_watched(self) -> tuple[Path, Path]:
        return self.file, self._cases_file or self.file.with_name(CASES_NAME)

    def _watched(self, stamps: Mapping[Path, Stamp]) -> dict[Path, Stamp]:
        """Of all candidates those that count.

        While the rules are refused nobody knows which lists they name; one may just have been put there.
        """
        if not self.status.succeeded:
            return dict(stamps)
        counts = {*self._always_watched(), *map(self.file.with_name, self.book.files)}
        return {path: stamp for path, stamp in stamps.items() if path in counts}


def cases_file_of(rules_file: Path, named: Path | None) -> Path | None:
    """The cases that rules must pass: the file that the settings name, or that beside the rules; None if none is."""
    if named is not None:
        return named
    beside = rules_file.with_name(CASES_NAME)
    return beside if os.path.lexists(beside) else None


def missing_cases(file: Path) -> list[Problem]:
    """What is wrong with cases that are named and not there: a slip in a name shall not let everything pass."""
    if os.path.lexists(file):
        return []
    message = "there is no such file; write the cases into it, or take `rules_tests` out of the settings"
    return [Problem(str(file), 0, 0, message)]


def _content(file: Path) -> bytes | None:
    """A file that was there a moment ago; None if it went, which the next look sees."""
    try:
        return content_at(file)
    except OSError:
        return None


def _stamps(paths: list[Path]) -> dict[Path, Stamp]:
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> Stamp:
    """By the time of the last change of its state too, so that a `chmod` that lets us read it is seen."""
    try:
        state = path.stat()
    except OSError as error:
        return (error.errno or -1,)
    return (state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino)


def _said(problems: tuple[Problem, ...]) -> list[str]:
    return [str(problem) for problem in problems]


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
