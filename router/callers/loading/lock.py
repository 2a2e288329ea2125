"""One import at a time: a lock in Redis for all machines, and one on the work folder for this one.

The lock in Redis expires by itself some time after its owner was killed. Whoever then runs the command again on the
same machine need not wait: holding the folder's lock, it knows that the owner is gone.
"""

from __future__ import annotations

import asyncio
import fcntl
import getpass
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ValidationError

from router.callers.keys import IMPORT_KEY
from router.callers.loading.lines import Lines, Primaries
from router.callers.loading.swap import swap
from router.callers.servers.failure import REDIS_ERRORS, LookupFailedError
from router.errors import ConfigurationError, Problem, RegistryError

LOCK_S: Final = 90
"""More than the buckets that were replaced stay (60 s) and a renewal takes to come (20 s): whoever takes over the
lock of an import that was killed finds them no longer in use."""
RENEWED_EVERY_S: Final = 20.0
_TRIES: Final = 3
_FOLDER_LOCK: Final = "lock"


class Owner(BaseModel):
    """Who imports."""

    owner: str
    host: str
    pid: int
    since: float
    folder: str
    token: str

    @classmethod
    def here(cls, folder: Path) -> Self:
        """This process."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError):
            user = str(os.getuid())
        return cls(
            owner=user,
            host=socket.gethostname(),
            pid=os.getpid(),
            since=time.time(),
            folder=str(folder.resolve()),
            token=secrets.token_hex(8),
        )

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since, UTC).astimezone()
        return f"{self.owner} on {self.host} (process {self.pid}), since {since:%Y-%m-%d %H:%M:%S}"


@contextmanager
def work_folder(folder: Path) -> Iterator[Path]:
    """The folder, made for its owner only, and for nobody else until the end.

    Raises:
        ConfigurationError: It cannot be made or written, or another import uses it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Root may work in another user's folder: no link of theirs is written through.
        descriptor = os.open(folder / _FOLDER_LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        why = f"cannot be used as the work folder: {error.strerror}"
        if isinstance(error, PermissionError):
            why += "; do this as root, or as the router's user"
        raise ConfigurationError([Problem(str(folder), 0, 0, why)]) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "?"
            why = f"another import is using this folder (process {pid}); wait until it has ended"
            raise ConfigurationError([Problem(str(folder), 0, 0, why)]) from error
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield folder
    finally:
        os.close(descriptor)


class ImportLock:
    """Held from entering to leaving the `async with`, if nobody takes it away.

    Args:
        servers: Where Redis is.
        folder: The work folder, whose lock is held.
        renewed_every_s: How often it is prolonged.

    Raises:
        RegistryError: Somebody else is importing, or Redis cannot be asked.
    """

    def __init__(self, servers: Primaries, folder: Path, *, renewed_every_s: float = RENEWED_EVERY_S) -> None:
        self._lines = Lines(servers)
        self._me = Owner.here(folder)
        self._text = self._me.model_dump_json().encode()
        self._renewed_every_s = renewed_every_s
        self._renewed_at_s = 0.0
        self._lost_to: str | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._asking = asyncio.Lock()  # a line takes one question at a time
        self.retaken = False
        """Whether it had gone, and was taken once more: others may have imported in between."""
        self.leave_to_expire = False
        """Set while buckets that were replaced are still there, and must stay for a while."""

    async def __aenter__(self) -> Self:
        try:
            # At once or not at all: a person waits, or the nightly job will be run again.
            await self._lines.persistently(self._take, patience_s=0.0)
        except BaseException:
            await self._lines.close()
            raise
        self._renewing = asyncio.create_task(self._renew(), name="import-lock")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
            with suppress(asyncio.CancelledError):
                await self._renewing
        if not self.leave_to_expire:
            with suppress(*REDIS_ERRORS, LookupFailedError):  # it expires by itself
                line = await self._lines.to(IMPORT_KEY)
                await swap(line, IMPORT_KEY, self._text, ("DEL", IMPORT_KEY))
        await self._lines.close()

    def check(self) -> None:
        """Whether it is still held.

        Raises:
            RegistryError: Somebody has taken it, or it could not be prolonged in time.
        """
        if self._lost_to is not None:
            raise RegistryError(f"{self._lost_to} has taken over the import; this one stops and has switched nothing")
        if asyncio.get_running_loop().time() - self._renewed_at_s > LOCK_S:
            raise RegistryError(
                f"Redis could not be reached for more than {LOCK_S} s; run the same command again when it is back, "
                "it goes on where it stopped"
            )

    async def confirm(self) -> None:
        """Whether it is still held, asked of Redis: a machine that slept does not know that it has expired meanwhile.

        Raises:
            RegistryError: As `check`, or Redis cannot be asked.
        """
        async with self._asking:
            await self._lines.persistently(self._renew_once)
        self.check()

    async def _take(self) -> None:
        line = await self._lines.to(IMPORT_KEY)
        held: bytes | None = None
        for _ in range(_TRIES):
            self._renewed_at_s = asyncio.get_running_loop().time()
            if await line.get("SET", IMPORT_KEY, self._text, "NX", "EX", LOCK_S) is not None:
                return
            held = await line.get("GET", IMPORT_KEY)
            if held is None:
                continue  # it has just expired
            if not self._is_gone(held):
                break
            if await self._put(held):
                return
        raise RegistryError(f"somebody else is importing: {_named(held)}; {await self._how_long()}")

    async def _how_long(self) -> str:
        left_s = await (await self._lines.to(IMPORT_KEY)).get("TTL", IMPORT_KEY)
        return f"wait until it has ended; if it was killed, its lock expires in {left_s} s"

    def _is_gone(self, held: bytes) -> bool:
        # Its folder is locked by us, so that it cannot be running.
        other = _read(held)
        return other is not None and (other.host, other.folder) == (self._me.host, self._me.folder)

    async def _put(self, expected: bytes) -> bool:
        line = await self._lines.to(IMPORT_KEY)
        return await swap(line, IMPORT_KEY, expected, ("SET", IMPORT_KEY, self._text, "EX", LOCK_S))

    async def _renew(self) -> None:
        while self._lost_to is None:
            await asyncio.sleep(self._renewed_every_s)
            async with self._asking:
                try:
                    await self._renew_once()
                except (*REDIS_ERRORS, LookupFailedError):
                    await self._lines.close()  # `check` knows how long it may last

    async def _renew_once(self) -> None:
        asked_s = asyncio.get_running_loop().time()
        if not await self._put(self._text):
            line = await self._lines.to(IMPORT_KEY)
            # A Redis that was restarted may have forgotten it.
            if await line.get("SET", IMPORT_KEY, self._text, "NX", "EX", LOCK_S) is None:
                held = await line.get("GET", IMPORT_KEY)
                if held != self._text:
                    self._lost_to = _named(held)
                    return
            else:
                self.retaken = True
        self._renewed_at_s = asked_s


def _read(held: bytes) -> Owner | None:
    try:
        return Owner.model_validate_json(held)
    except ValidationError:
        return None


def _named(held: bytes | None) -> str:
    other = _read(held) if held is not None else None
    return "somebody unknown" if other is None else "".join(c if c.isprintable() else "?" for c in str(other))
