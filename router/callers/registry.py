"""The registry of callers in Redis: which age band a number belongs to, what its owner chose, when it called.

How callers lie in Redis is told by `stored` and the layouts, `buckets` and `plain`; how its servers are asked, by
`servers`; what is in force, by `watching`.

Looking up is made for the moment a call arrives: a lookup always returns within its deadline and never raises, for a
call is not held up because Redis is. A call is noted with its lookup, under the call's own name, so that asking twice
notes it once. MGET answers nil for a key that holds a hash or a list, so what is such a thing counts as nothing.
Everything else waits for longer and may raise.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from itertools import islice
from types import TracebackType
from typing import Final, NamedTuple, Self, assert_never

import structlog
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.crc import key_slot
from redis.exceptions import RedisError

from router.callers.breaker import Breaker, BreakerState
from router.callers.buckets import Buckets
from router.callers.deadline import Deadline
from router.callers.former import former_keys
from router.callers.generation import Generation
from router.callers.keys import OwnKeys, own_keys
from router.callers.number import Caller, NoNumber, PhoneNumber
from router.callers.past import NOTHING, Chosen, read_choice
from router.callers.plain import PlainKeys
from router.callers.secret_ring import SecretRing
from router.callers.servers import LookupFailedError, LookupFailure, Servers, open_servers
from router.callers.servers.failure import REDIS_ERRORS, lookup_failed
from router.callers.servers.wire import Command, Reply
from router.callers.settings import RegistrySettings
from router.callers.stored import (
    CALLS_COMMANDS,
    BandReader,
    Fed,
    Stored,
    Visit,
    band_name,
    choice_name,
    commands,
    earlier_calls_s,
    read,
)
from router.callers.watching import RegistryWatch
from router.errors import RegistryError

__all__ = ["BandLookup", "BandSource", "LookupFailure", "Registry", "open_registry"]

SET_BY_HAND: Final = "set by hand"
SHARED_NUMBER: Final = "shared by callers of several bands"
EMPTY: Final = "the registry is empty; load callers with `elder-router callers import`"

_UNLINKED_AT_ONCE: Final = 1000

_log = structlog.get_logger(__name__)


class BandSource(StrEnum):
    """How it was found out to which band a caller belongs."""

    REGISTRY = "registry"
    NOT_FOUND = "unknown"
    NO_NUMBER = "no_number"
    LOOKUP_FAILED = "lookup_failed"


@dataclass(frozen=True, slots=True)
class BandLookup:
    """What a lookup found: `band` is a name exactly when `source` is REGISTRY; `took_s` includes waiting."""

    band: str | None
    source: BandSource
    detail: str
    took_s: float
    choice: str | None = None
    """What the caller had remembered, "" for nothing, None where it is not known."""
    earlier_calls_s: tuple[float, ...] | None = None
    """Seconds since each earlier call, newest first; None where they are not known."""
    age_s: float | None = None
    """How old the registry's callers were; None where that is not known, or the band was not from there."""


class _Band(NamedTuple):
    """What is to be said of a caller's band, as in `BandLookup`."""

    name: str | None
    source: BandSource
    detail: str
    age_s: float | None = None
    failure: LookupFailure | None = None


@dataclass(slots=True)
class RegistryStats:
    """Counters since the start."""

    lookups: int = 0
    found: int = 0
    not_found: int = 0
    no_number: int = 0
    failures: Counter[LookupFailure] = field(default_factory=Counter)

    def as_fields(self) -> dict[str, object]:
        """For a log."""
        return asdict(self) | {"failures": {failure.value: count for failure, count in self.failures.items()}}


class Registry:
    """The registry; see `open_registry`, which makes one. Belongs to one event loop."""

    def __init__(
        self,
        settings: RegistrySettings,
        servers: Servers,
        watch: RegistryWatch,
        *,
        clock: Callable[[], float] = time.perf_counter,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.stats = RegistryStats()
        self.servers = servers
        self.settings = settings
        self._watch = watch
        self._clock = clock
        self._now = now
        self._plain = PlainKeys(settings.layout) if settings.layout != "buckets" else None
        redis = settings.redis
        self._in_parts = bool(redis.cluster), redis.prefer_replicas
        self._closed = False

    def __repr__(self) -> str:
        return f"<Registry {self.servers!r}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def breaker_state(self) -> BreakerState:
        """Whether Redis is being asked."""
        return self.servers.breaker_state

    @property
    def ring(self) -> SecretRing:
        """The secrets as they were last read."""
        return self._watch.ring

    @property
    def plain(self) -> PlainKeys | None:
        """The other system's keys, in that layout."""
        return self._plain

    def known_in_force(self) -> Generation | None:
        """What was last read to be in force; None if nothing was ever loaded, or another system writes callers.

        Raises:
            LookupFailedError: It is not known, or cannot be used.
        """
        if self._plain is not None or (buckets := self._watch.buckets()) is None:
            return None
        return buckets.generation

    def own_keys(self, number: PhoneNumber) -> list[OwnKeys]:
        """The keys of a caller, by secret, the newest first."""
        return [own_keys(secret.name, secret.pseudonym(number)) for secret in self.ring.secrets]

    async def watch(self) -> None:
        """Keep in mind what is in force, for ever: for who looks up again and again."""
        await self._watch.run()

    async def in_force(self) -> Buckets | None:
        """What is in force, read now; None if nothing was ever loaded, or another system writes callers.

        Raises:
            RegistryError: It could not be read, or cannot be used.
        """
        if (failed := await self._watch.read()) is not None:
            raise self._error(failed)
        return None if self._plain else self._watch.buckets()

    async def lookup(self, caller: Caller, visit: Visit | None = None) -> BandLookup:
        """The age band of a caller, or why it is not known, within the deadline. Raises nothing.

        Args:
            caller: Who calls.
            visit: The call, if it is to be noted and the earlier ones are wanted.
        """
        began_s = self._clock()
        self.stats.lookups += 1
        choice: str | None = None
        earlier: tuple[float, ...] | None = None
        try:
            if isinstance(caller, NoNumber):
                band = _Band(None, BandSource.NO_NUMBER, caller.reason.value)
            elif self._watch.is_due:
                async with Deadline(self.settings.deadline_s):
                    await self._watch.read()
                    band, choice, earlier = await self._found(caller, visit)
            else:
                band, choice, earlier = await self._found(caller, visit)
        except LookupFailedError as error:
            band = _failed(error)
        except (RedisError, TimeoutError) as error:
            band = _failed(lookup_failed(error))
        except Exception:  # noqa: BLE001 - the boundary of one lookup: this call falls back, the others go on
            _log.exception("registry lookup failed")
            band = _failed(LookupFailedError(LookupFailure.INTERNAL))
        self._count(band)
        took_s = self._clock() - began_s
        return BandLookup(band.name, band.source, band.detail, took_s, choice, earlier, band.age_s)

    async def set(self, number: PhoneNumber, band: str) -> None:
        """Set a number's band by hand: stronger than the feed, until it is cleared.

        Raises:
            RegistryError: Redis cannot be reached or refuses.
        """
        await self.set_many([(number, band)])

    async def set_many(self, bands: Iterable[tuple[PhoneNumber, str]]) -> None:
        """Set many numbers' bands by hand in one round trip. Not one transaction: run it again if it fails.

        Raises:
            RegistryError: Redis cannot be reached or refuses.
        """
        with self.raising():
            pipeline = self.admin().pipeline(transaction=False)
            for number, band in bands:
                newest, *older = self.own_keys(number)
                pipeline.set(newest.set, band.encode())
                for keys in older:
                    pipeline.delete(keys.set)
            await pipeline.execute()

    async def clear(self, number: PhoneNumber) -> bool:
        """Remove what was set by hand, so that the feed's band counts again. Returns whether there was anything.

        Raises:
            RegistryError: Redis cannot be reached or refuses.
        """
        with self.raising():
            pipeline = self.admin().pipeline(transaction=False)
            for keys in self.own_keys(number):
                pipeline.delete(keys.set)
            return any(await pipeline.execute())

    async def earlier_calls(self, number: PhoneNumber, at: float, within_s: float) -> tuple[float, ...] | None:
        """How long before `at` (epoch seconds) a caller called, newest first; nothing is noted.

        Raises:
            RegistryError: Redis cannot be reached or refuses.
        """
        with self.raising():
            pipeline = self.admin().pipeline(transaction=False)
            for keys in self.own_keys(number):
                pipeline.zrange(keys.calls, 0, -1, withscores=True)
            replies = await pipeline.execute()
        return earlier_calls_s(
            Visit("", at, within_s), [[part for call in calls for part in call] for calls in replies]
        )

    async def choice(self, number: PhoneNumber) -> str:
        """What the owner of a number had remembered; "" for nothing.

        Raises:
            RegistryError: Redis cannot be reached or refuses.
        """
        with self.raising():
            pipeline = self.admin().pipeline(transaction=False)
            for keys in self.own_keys(number):
                pipeline.get(keys.choice)
            return next(filter(None, map(choice_name, await pipeline.execute())), "")

    async def choose(self, number: PhoneNumber, choice: str) -> None:
        """Remember a choice, as `past` writes it, over what was there; "" forgets it. It expires in time.

        Raises:
            RegistryError: Redis cannot be reached or refuses.
        """
        newest, *older = self.own_keys(number)
        with self.raising():
            pipeline = self.admin().pipeline(transaction=False)
            if choice:
                pipeline.set(newest.choice, choice, ex=math.ceil(self.settings.choice_kept_s))
            else:
                pipeline.delete(newest.choice)
            for keys in older:
                pipeline.delete(keys.choice)
            await pipeline.execute()

    async def remember(self, number: PhoneNumber, later: Chosen) -> None:
        """Join a choice to what the owner of a number chose before; from now on it is kept as long as a new one.

        Two at once for one number may lose one of them: whoever calls leaves that to one after the other.

        Raises:
            RegistryError: Redis cannot be reached or refuses.
        """
        before = read_choice(await self.choice(number)) or NOTHING
        await self.choose(number, str(before.joined(later)))

    def admin(self) -> Redis | RedisCluster:
        """A client for what is neither a lookup nor a choice.

        Raises:
            RegistryError: The registry is closed.
        """
        return self.servers.admin()

    async def old_keys(self) -> int:
        """How many keys there are as they were before callers were hashed, with numbers in clear: looks at all keys.

        Raises:
            RegistryError: Redis cannot be reached or refuses.
        """
        with self.raising():
            return len({key async for key in former_keys(self.admin(), self._plain)})

    async def unlink(self, keys: Collection[bytes | str]) -> int:
        """Remove many keys, wherever they lie; doing so again does no harm. Returns how many were there.

        Raises:
            RegistryError: Redis cannot be reached or refuses; some of them may be gone.
        """
        left, removed = iter(keys), 0
        with self.raising():
            while some := list(islice(left, _UNLINKED_AT_ONCE)):
                pipeline = self.admin().pipeline(transaction=False)
                for key in some:
                    pipeline.execute_command("UNLINK", key)  # in a cluster its own method is no pipeline's
                removed += sum(await pipeline.execute())
        return removed

    async def close(self) -> None:
        """Drop the connections. Lookups still waiting fail at once, and so does every later one."""
        self._closed = True
        await self._watch.close()
        await self.servers.close()

    async def _found(self, number: PhoneNumber, visit: Visit | None) -> tuple[_Band, str, tuple[float, ...] | None]:
        """The band, what was chosen, the earlier calls. Raises LookupFailedError and what `read` does."""
        if self._closed:
            raise LookupFailedError(LookupFailure.CLOSED)
        reader, unusable = self._reader()
        known = {secret.name: secret.pseudonym(number) for secret in self.ring.secrets}
        own = [own_keys(name, who) for name, who in known.items()]
        asked = commands(own, reader.command(number, known) if reader else None, visit)
        stored = read(len(own), await self._replies(asked, visit), fed=reader is not None, visit=visit)
        return self._band(stored, reader, unusable), stored.choice, stored.earlier_calls_s

    def _reader(self) -> tuple[BandReader | None, LookupFailedError | None]:
        """How to read the feed's band: None if there is no feed, or it cannot be asked, and why."""
        if self._plain is not None:
            return self._plain, None
        try:
            return self._watch.buckets(), None
        except LookupFailedError as error:
            if not self._watch.was_read:  # Redis could not be asked just now; trying twice would not help
                raise
            return None, error

    def _band(self, stored: Stored, reader: BandReader | None, unusable: LookupFailedError | None) -> _Band:
        if stored.set_band is not None:
            band = band_name(stored.set_band)
            failed = LookupFailedError(LookupFailure.BAD_VALUE)
            return _Band(band, BandSource.REGISTRY, SET_BY_HAND) if band else _failed(failed)
        if reader is None:
            return _failed(unusable) if unusable else _Band(None, BandSource.NOT_FOUND, EMPTY)
        return self._fed(stored.fed, reader)

    def _fed(self, reply: Reply, reader: BandReader) -> _Band:
        try:
            fed: Fed | None = reader.read(reply)
        except RedisError as error:
            return _failed(lookup_failed(error))
        except ValueError as error:
            return _failed(LookupFailedError(LookupFailure.BAD_VALUE, str(error)))
        age_s = max(0.0, self._now() - reader.generation.fresh_at) if isinstance(reader, Buckets) else None
        if fed is None:
            return _Band(None, BandSource.NOT_FOUND, "", age_s)
        return _Band(fed.band, BandSource.REGISTRY, SHARED_NUMBER if fed.shared else "", age_s)

    async def _replies(self, asked: Sequence[Command], visit: Visit | None) -> Sequence[Reply]:
        """The answers, from one round trip where one server has them all."""
        in_cluster, prefer_replicas = self._in_parts
        if not in_cluster and not (prefer_replicas and visit is not None):
            return await self.servers.ask(_key(asked[0]), asked, writing=visit is not None)
        # A replica cannot note calls: only that is asked of the primary, and costs the earlier calls if it is gone.
        parts: dict[tuple[int, bool], list[int]] = {}
        for place, command in enumerate(asked):
            slot = key_slot(_key(command).encode()) if in_cluster else 0
            parts.setdefault((slot, command[0] in CALLS_COMMANDS), []).append(place)
        answers = await asyncio.gather(
            *(
                self.servers.ask(_key(asked[places[0]]), [asked[place] for place in places], writing=writing)
                for (_, writing), places in parts.items()
            ),
            return_exceptions=True,
        )
        replies: list[Reply] = [None] * len(asked)
        for ((_, writing), places), answer in zip(parts.items(), answers, strict=True):
            if isinstance(answer, BaseException):
                if writing and isinstance(answer, LookupFailedError):
                    continue
                raise answer
            for place, reply in zip(places, answer, strict=True):
                replies[place] = reply
        return replies

    def _count(self, found: _Band) -> None:
        match found.source:
            case BandSource.REGISTRY:
                self.stats.found += 1
            case BandSource.NOT_FOUND:
                self.stats.not_found += 1
            case BandSource.NO_NUMBER:
                self.stats.no_number += 1
            case BandSource.LOOKUP_FAILED:
                self.stats.failures[found.failure or LookupFailure.INTERNAL] += 1
            case _:
                assert_never(found.source)

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Have what Redis and the network raise be RegistryErrors."""
        try:
            yield
        except REDIS_ERRORS as error:
            raise self._error(error) from error

    def _error(self, error: Exception) -> RegistryError:
        return RegistryError(f"{lookup_failed(error)} ({self.servers!r})")


def open_registry(
    settings: RegistrySettings,
    ring: SecretRing,
    *,
    connect_s: float = 0.5,
    max_batch: int = 256,
    max_waiting: int = 1024,
    breaker: Callable[[], Breaker] = Breaker,
) -> Registry:
    """The registry. Connects at the first lookup, so that the router starts without Redis too.

    Args:
        settings: Where it is and how callers lie there.
        ring: The secrets in `settings.secret_file`, which is read again when it changes.
        connect_s: How long one attempt to connect may take, while lookups return at their own deadline.
        max_batch: Most questions asked in one round trip, so that it holds Redis up for a millisecond at most.
        max_waiting: Most questions waiting for the next round trip; one more fails at once. At 3,000/s and the
            default deadline 150 wait at worst.
        breaker: Makes the breaker of each server.

    Raises:
        ConfigurationError: A server's address cannot be used.
    """
    servers = open_servers(
        settings.redis,
        deadline_s=settings.deadline_s,
        connect_s=connect_s,
        max_batch=max_batch,
        max_waiting=max_waiting,
        breaker=breaker,
    )
    watch = RegistryWatch(
        servers,
        ring,
        settings.secret_file,
        has_generations=settings.layout == "buckets",
        has_replicas=settings.redis.prefer_replicas,
    )
    return Registry(settings, servers, watch)


def _failed(error: LookupFailedError) -> _Band:
    return _Band(None, BandSource.LOOKUP_FAILED, str(error), failure=error.failure)


def _key(command: Command) -> str:
    return str(command[1])
