"""Keeps in mind which generation is in force and which secrets there are; read anew every second, not by each lookup.

What was read stays right for a while after a switch, since the buckets of the generation before do (see `generation`);
what could not be read again for longer than `TRUSTED_S` is not relied on. The file of the secrets is read again when
it has changed, so that a secret is changed without a restart, and a secret that callers in force are hashed with stays
in use until they are not, whatever has become of the file.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import structlog
from redis.exceptions import RedisError

from router.callers.buckets import Buckets
from router.callers.generation import TRUSTED_S, Generation, read_generation
from router.callers.keys import REGISTRY_KEY
from router.callers.secret_ring import SecretRing, load_ring
from router.callers.servers import Servers
from router.callers.servers.failure import LookupFailedError, LookupFailure, lookup_failed
from router.callers.stored import value_in
from router.errors import ConfigurationError, RegistryError

READ_EVERY_S: Final = 1.0

_log = structlog.get_logger(__name__)

# Counts the time that a machine slept, in which callers may have been loaded.
_seconds_since_boot: Final = partial(time.clock_gettime, time.CLOCK_BOOTTIME)


class RegistryWatch:
    """What is in force. Belongs to one event loop.

    Args:
        servers: Where to ask.
        ring: The secrets, as they were read from the file.
        secret_file: Where to read them again.
        has_generations: False where another system writes callers: then it is only about the secrets.
        has_replicas: Whether one may be asked if the primary cannot be. Not before: one that lags would tell of callers
            who are no longer there.
        clock: Seconds that go on while the machine sleeps.
    """

    def __init__(
        self,
        servers: Servers,
        ring: SecretRing,
        secret_file: Path,
        *,
        has_generations: bool,
        has_replicas: bool = False,
        clock: Callable[[], float] = _seconds_since_boot,
    ) -> None:
        self.ring = ring
        self._servers = servers
        self._secret_file = secret_file
        self._has_generations = has_generations
        self._has_replicas = has_replicas
        self._clock = clock
        self._file_state: tuple[int, ...] | None = None
        self._file_problem = ""
        self._text: bytes | None = None
        self._buckets: Buckets | None = None
        self._unusable: LookupFailedError | None = None
        self._not_read: LookupFailedError | None = None
        self._read_at_s: float | None = None
        self._reading: asyncio.Task[LookupFailedError | None] | None = None
        self._in_background = False

    @property
    def was_read(self) -> bool:
        """Whether it was, ever."""
        return self._read_at_s is not None

    @property
    def is_due(self) -> bool:
        """Whether to read before relying on it: never, while that is done in the background and succeeds."""
        if self._read_at_s is None:
            return True
        return self._clock() - self._read_at_s > (TRUSTED_S if self._in_background else READ_EVERY_S)

    def buckets(self) -> Buckets | None:
        """What is in force; None if nothing was ever loaded.

        Raises:
            LookupFailedError: It was not read, or not for too long, or cannot be used.
        """
        if self._read_at_s is None:
            raise self._not_read or LookupFailedError(LookupFailure.NOT_CURRENT, "it was never read")
        if (age_s := self._clock() - self._read_at_s) > TRUSTED_S:
            why = f": {self._not_read}" if self._not_read else ""
            raise LookupFailedError(LookupFailure.NOT_CURRENT, f"it was last read {age_s:.0f} s ago{why}")
        if self._unusable is not None:
            raise self._unusable
        return self._buckets

    async def run(self) -> None:
        """Read every second, for ever."""
        self._in_background = True
        try:
            while True:
                try:
                    await self.read()
                except Exception:  # noqa: BLE001 - the boundary of one reading: what was read before is used meanwhile
                    _log.exception("what is in force in the registry was not read")
                await asyncio.sleep(READ_EVERY_S)
        finally:
            self._in_background = False

    async def read(self) -> LookupFailedError | None:
        """Read now, once for all who want that at the same time. Returns why it could not be read."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(), name="registry-in-force")
        reading = self._reading
        await asyncio.wait([reading])  # whoever gives up leaves it to the others
        return LookupFailedError(LookupFailure.CLOSED) if reading.cancelled() else reading.result()

    async def close(self) -> None:
        """End a reading that is under way."""
        if self._reading is not None and not self._reading.done():
            self._reading.cancel()
            await asyncio.wait([self._reading])

    async def _read(self) -> LookupFailedError | None:
        asked_at_s = self._clock()
        text: bytes | None = None
        if self._has_generations:
            try:
                text = await self._stored_text()
            except LookupFailedError as error:
                self._not_read = error
                return error
        await self._read_secrets()
        if self._has_generations:
            self._take(text)
        self._not_read = None
        self._read_at_s = asked_at_s
        return None

    async def _stored_text(self) -> bytes | None:
        try:
            (reply,) = await self._servers.ask(REGISTRY_KEY, [("GET", REGISTRY_KEY)], writing=True)
        except LookupFailedError:
            if not self._has_replicas:
                raise
            (reply,) = await self._servers.ask(REGISTRY_KEY, [("GET", REGISTRY_KEY)])
        try:
            return value_in(reply, "what is in force")
        except RedisError as error:
            raise lookup_failed(error) from error

    async def _read_secrets(self) -> None:
        """Read the file of the secrets again if it has changed; while it cannot be read, those known are used."""
        try:
            changed = await asyncio.to_thread(_ring_if_changed, self._secret_file, self._file_state)
        except (ConfigurationError, OSError) as error:
            if str(error) != self._file_problem and self._in_background:
                self._file_problem = str(error)
                _log.warning("the secrets read before are used", reason=str(error))
            return
        self._file_problem = ""
        if changed is not None:
            before, (self.ring, self._file_state) = self.ring, changed
            if before != self.ring and self._in_background:
                _log.info("registry secrets changed", secrets=[secret.name for secret in self.ring.secrets])

    def _take(self, text: bytes | None) -> None:
        """Have it that this text is in force."""
        if text == self._text and self._unusable is None:
            return
        self._text = text
        try:
            self._buckets = None if text is None else self._buckets_of(read_generation(text))
        except LookupFailedError as error:
            self._unusable = error
            return
        except RegistryError as error:
            self._unusable = LookupFailedError(LookupFailure.UNUSABLE, str(error))
            return
        self._unusable = None
        if self._buckets is not None and self._in_background:
            generation = self._buckets.generation
            _log.info(
                "registry in force",
                generation=generation.generation,
                callers=generation.callers,
                as_of=generation.as_of,
            )

    def _buckets_of(self, generation: Generation) -> Buckets:
        if (secret := self.ring.named(generation.secret)) is not None:
            return Buckets(generation, secret)
        if self._buckets is not None and self._buckets.secret.name == generation.secret:
            return Buckets(generation, self._buckets.secret)
        raise LookupFailedError(
            LookupFailure.HASHED_OTHERWISE,
            f"callers are hashed with the secret {generation.secret}, which is not in {self._secret_file}; "
            "copy that file from where callers are loaded",
        )


def _ring_if_changed(file: Path, before: tuple[int, ...] | None) -> tuple[SecretRing, tuple[int, ...]] | None:
    found = file.stat()
    state = (found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
    return None if state == before else (load_ring(file), state)
