"""The last versions of the rules that were in force, kept on disk so that one can go back to them.

    rules-history/
      20261125T150301Z-3f2a9c51d0e7/     when it was last taken, and its version
        routing.yaml                     the files exactly as they were loaded
        vip.txt
        .cases.yaml                      the cases that it passed, if there were any
        .version.json                    what belongs to it, with a SHA-256 of each file

A folder is written under another name and renamed when all of it is on disk, so that it is whole or not there.
What is not whole (a bad disk, a hand that slipped) and what was not made here is passed over.

One router writes one history; the command line reads it at the same time.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from router.errors import ConfigurationError, HistoryError, Problem
from router.reloading.restoring import Restored, sync_folder, write_back
from router.rules.book import RuleBook, rules_from
from router.rules.document import Source, open_ordinary, source_of
from router.rules.lists import MAX_LIST_BYTES
from router.rules.values import LIST_NAME

KEPT_VERSIONS: Final = 10
FOLDER_MODE: Final = 0o750
FILE_MODE: Final = 0o640

_CARD: Final = ".version.json"
_CASES: Final = ".cases.yaml"
_UNFINISHED: Final = ".unfinished-"
_FOLDER: Final = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{12}")
_LIST: Final = re.compile(LIST_NAME)
# A moment outside was not written by a router whose clock was right, and cannot be reckoned with near the ends of time.
_BELIEVED: Final = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
# Eight times the largest list of callers there may be: a folder that somebody filled must not fill the memory.
_MAX_BYTES: Final = 64 * 1024 * 1024


class _Card(BaseModel):
    """What `.version.json` says: each file's SHA-256, in hex; of `files`, the rules file is the first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    first_loaded: AwareDatetime
    loaded: AwareDatetime
    files: dict[str, str]
    cases: str | None = None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One version that was in force.

    `files` is each file's name and content, the rules file first; `cases` are those that it passed, None where there
    were none. `first_loaded` and `loaded` are when it was taken for the first and for the last time.
    """

    version: str
    first_loaded: datetime
    loaded: datetime
    files: Mapping[str, bytes] = field(repr=False)
    cases: bytes | None = field(repr=False)
    folder: Path

    @property
    def rules_name(self) -> str:
        """The name that the rules file had."""
        return next(iter(self.files))

    @property
    def cases_file(self) -> Path:
        """Where the cases lie that it passed, if there were any."""
        return self.folder / _CASES

    @property
    def lists(self) -> dict[str, bytes]:
        """The caller lists that belong to it."""
        return {name: content for name, content in self.files.items() if name != self.rules_name}

    @property
    def size_bytes(self) -> int:
        """The size of all its files together."""
        return sum(map(len, self.files.values()))

    def load(self) -> RuleBook:
        """Its rules, from exactly what `files` holds.

        Raises:
            ConfigurationError: This program cannot use them, or `files` are not the rules and the lists that they name.
        """
        source = source_of(self.files[self.rules_name], str(self.folder / self.rules_name))
        if isinstance(source, Problem):
            raise ConfigurationError([source])
        book, problems = rules_from(source, self._list)
        if book is None:
            raise ConfigurationError(problems)
        message = "the rules of this version do not name this list, so the router did not keep it; remove the version"
        if unknown := [Problem(str(self.folder / name), 0, 0, message) for name in self.files.keys() - book.files]:
            raise ConfigurationError(sorted(unknown))
        return book

    def files_at(self, rules_file: Path, cases_file: Path | None = None) -> dict[Path, bytes]:
        """Where each of its files belongs → its content; the rules last.

        Args:
            rules_file: Where the rules lie; their lists lie beside them.
            cases_file: Where the cases belong that it passed; None leaves them out.
        """
        files = {rules_file.with_name(name): content for name, content in self.lists.items()}
        if cases_file is not None and self.cases is not None:
            files[cases_file] = self.cases
        files[rules_file] = self.files[self.rules_name]
        return files

    def _list(self, name: str) -> Source | Problem:
        file = str(self.folder / name)
        if name not in self.lists:
            return Problem(file, 0, 0, "it is not kept with this version")
        return source_of(self.files[name], file, MAX_LIST_BYTES)

    def lies_at(self, rules_file: Path) -> bool:
        """Whether the rules file, and the lists beside it, are those of this version."""
        if _content(rules_file) != self.files[self.rules_name]:
            return False
        return all(_content(rules_file.with_name(name)) == content for name, content in self.lists.items())


class RulesHistory:
    """The versions kept in one folder, which is made when the first is recorded."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def entries(self) -> list[HistoryEntry]:
        """All that are whole, newest first, each version once. Raises nothing: what cannot be read is not there."""
        by_version: dict[str, HistoryEntry] = {}
        for entry in self._found():
            by_version.setdefault(entry.version, entry)
        return list(by_version.values())

    def record(self, book: RuleBook, now: datetime, cases: bytes | None = None) -> None:
        """Note that `book` is in force from `now` on, and forget what is older than the last ten versions.

        Args:
            book: The rules.
            now: When they were taken.
            cases: The file of cases that they passed. Old rules need it back as much as their lists: they would fail
                the cases that came with new ones.

        Raises:
            HistoryError: It could not be written; what was kept before is still there.
        """
        found = self._found()
        is_newest = bool(found) and found[0].version == book.version
        if is_newest and found[0].cases == cases:
            return
        if is_newest:
            loaded = found[0].loaded
        else:
            # Newest by its own word even if the clock was set back meanwhile.
            loaded = max(now, found[0].loaded + timedelta(microseconds=1)) if found else now
        if not _is_believed(loaded):
            raise HistoryError(
                f"{self.directory}: a version would be dated {loaded:%Y-%m-%d}; set the clock right, and remove the "
                "folders here whose names begin with a date to come"
            )
        first_loaded = min((entry.first_loaded for entry in found if entry.version == book.version), default=loaded)
        contents = {**book.files} if cases is None else {**book.files, _CASES: cases}
        card = _Card(
            version=book.version,
            first_loaded=min(first_loaded, loaded),
            loaded=loaded,
            files={name: _digest(content) for name, content in book.files.items()},
            cases=None if cases is None else _digest(cases),
        )
        try:
            self._write(card, contents)
            self._forget(found)
        except OSError as error:
            raise HistoryError(f"{self.directory}: {error.strerror or error}") from error

    def find(self, version: str) -> HistoryEntry:
        """The entry of a version, or of the first digits of one.

        Raises:
            HistoryError: None is called so, or several are.
        """
        entries = self.entries()
        fitting = [entry for entry in entries if version and entry.version.startswith(version.lower())]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise HistoryError(f"several versions begin with {version}: {_listed(fitting)}; write more of it")
        if not entries:
            raise HistoryError(f"{self.directory} holds no version yet; the router keeps each one that it takes")
        raise HistoryError(f"no version kept is called {version[:40]!r}; there are {_listed(entries)}")

    def lying_at(self, rules_file: Path) -> HistoryEntry | None:
        """The version that lies on disk, if it is one of those kept."""
        return next((entry for entry in self.entries() if entry.lies_at(rules_file)), None)

    def restore(
        self, entry: HistoryEntry, rules_file: Path, now: datetime, *, cases_file: Path | None = None
    ) -> Restored:
        """Write a version back to where the rules lie.

        What lay there is kept beside it as `NAME.rejected-TIME` unless the history holds it. Takes the version as it
        was read, and checked, and said yes to: what lies in the history may be another by now.

        Args:
            entry: Which.
            rules_file: Where the rules lie; their lists lie beside them.
            now: For the name of what is kept.
            cases_file: Where the cases are to be written that the version passed; None leaves the cases alone.

        Raises:
            HistoryError: It could not be written.
        """
        kept = {content for other in self.entries() for content in (*other.files.values(), other.cases)}
        files = entry.files_at(rules_file, cases_file)
        return write_back(files, rules_file, now, is_kept=lambda content: content in kept)

    def _found(self) -> list[HistoryEntry]:
        """Every whole folder, newest first."""
        try:
            folders = [path for path in self.directory.iterdir() if _FOLDER.fullmatch(path.name)]
        except OSError:
            return []
        entries = [entry for folder in folders if (entry := _read(folder)) is not None]
        return sorted(entries, key=lambda entry: entry.loaded, reverse=True)

    def _write(self, card: _Card, files: Mapping[str, bytes]) -> None:
        self.directory.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        unfinished = self.directory / f"{_UNFINISHED}{secrets.token_hex(4)}"
        unfinished.mkdir()
        unfinished.chmod(FOLDER_MODE)  # whatever the umask
        try:
            for name, content in files.items():
                _write_file(unfinished / name, content)
            _write_file(unfinished / _CARD, card.model_dump_json(indent=1).encode())
            sync_folder(unfinished)
            folder = self.directory / f"{card.loaded.astimezone(UTC):%Y%m%dT%H%M%SZ}-{card.version}"
            if folder.exists():
                # The same version a second time within a second, or with other cases.
                shutil.rmtree(folder)
            unfinished.rename(folder)
        except OSError:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        sync_folder(self.directory)

    def _forget(self, before: Iterable[HistoryEntry]) -> None:
        """Remove what is too old, what came again, and what a crash left unfinished."""
        kept = {entry.folder for entry in self.entries()[:KEPT_VERSIONS]}
        for entry in before:
            if entry.folder not in kept and entry.folder.exists():
                shutil.rmtree(entry.folder)
        for folder in self.directory.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(folder)


def _read(folder: Path) -> HistoryEntry | None:
    """What a folder holds; None if it is not whole. No link in it is followed: root restores from here."""
    card_text = _content(folder / _CARD, follow_links=False)
    if card_text is None:
        return None
    try:
        card = _Card.model_validate_json(card_text)
    except ValidationError:
        return None
    if not _is_ours(card) or not folder.name.endswith(f"-{card.version}"):
        return None
    expected = card.files if card.cases is None else {**card.files, _CASES: card.cases}
    contents = {}
    for name, digest in expected.items():
        content = _content(folder / name, follow_links=False)
        if content is None or _digest(content) != digest:
            return None
        contents[name] = content
    cases = contents.pop(_CASES, None)
    return HistoryEntry(card.version, card.first_loaded, card.loaded, contents, cases, folder)


def _is_ours(card: _Card) -> bool:
    """Whether the router could have written it. Whoever else did must not choose which files root writes."""
    rules, *lists = card.files or [""]
    return (
        rules == Path(rules).name
        and rules not in {"", ".", "..", _CARD, _CASES}
        and all(map(_LIST.fullmatch, lists))
        and _is_believed(card.first_loaded)
        and _is_believed(card.loaded)
    )


def _is_believed(moment: datetime) -> bool:
    return _BELIEVED[0] <= moment < _BELIEVED[1]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _content(path: Path, *, follow_links: bool = True) -> bytes | None:
    """A file's content; None if it cannot be read, is no file, or is larger than anything kept here."""
    try:
        with open_ordinary(path, follow_links=follow_links) as stream:
            content = stream.read(_MAX_BYTES + 1)
    except (OSError, ValueError):
        return None
    return None if len(content) > _MAX_BYTES else content


def _write_file(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(descriptor, "wb") as stream:
        os.fchmod(descriptor, FILE_MODE)
        stream.write(content)
        stream.flush()
        os.fsync(descriptor)


def _listed(entries: Iterable[HistoryEntry]) -> str:
    return ", ".join(entry.version for entry in entries)
