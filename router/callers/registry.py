"""The registry of callers in Redis: which age band a number belongs to, what its owner chose, when it called.

How callers lie in Redis is `stored`'s.

Looking up is made for the moment a call arrives. Lookups that come while one round trip is under way form
the next one, as one pipeline on a single connection: with a pool of single GETs 10,000 lookups a second
collapse, coalesced they stay below a millisecond. A lookup always returns within its deadline and never
raises: a call is not held up because Redis is. MGET answers nil for a key that holds a hash or a list, so
such a caller is unknown; `get` tells the difference. A call is noted with its lookup, under the call's own name, so
that asking twice notes it once. Writing and importing use a connection of their own
and may raise.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import TracebackType
from typing import Final, Self, TypeAlias

import structlog
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from router.callers.breaker import Breaker, BreakerState
from router.callers.deadline import Deadline
from router.callers.link import RegistryAddress, RegistryLink
from router.callers.number import Caller, NoNumber, PhoneNumber
from router.callers.past import CHOICE_KEPT_S, NOTHING, Chosen, read_choice
from router.callers.stored import (
    CALLS_PREFIX,
    CHOICE_PREFIX,
    KEY_PREFIX,
    Stored,
    Visit,
    band_key,
    band_name,
    choice_name,
    commands,
    earlier_calls_s,
    read,
)
from router.errors import RegistryError

# Long enough for a disk that stalls a save, short enough for a person at a terminal.
ADMIN_TIMEOUT_S: Final = 5.0
_MAX_DETAIL_CHARACTERS = 120
_LIBRARYS_WORDS = re.compile(r"Error (-?[0-9]+) connecting to \S+ (.+)\.")

_log = structlog.get_logger(__name__)


class BandSource(StrEnum):
    """How it was found out to which band a caller belongs."""

    REGISTRY = "registry"
    NOT_FOUND = "unknown"
    NO_NUMBER = "no_number"
    LOOKUP_FAILED = "lookup_failed"


class LookupFailure(StrEnum):
    """Why a lookup failed; few and fixed, so that they can be counted."""

    DEADLINE = "no answer within the deadline"
    BREAKER_OPEN = "breaker open"
    TOO_MANY = "too many lookups waiting"
    UNREACHABLE = "Redis cannot be reached"
    REFUSED = "Redis answered with an error"
    BAD_VALUE = "the value stored is not the name of a band"
    CLOSED = "the registry is closed"
    INTERNAL = "an error in the router; see its log"


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


@dataclass(slots=True)
class RegistryStats:
    """Counters since the start."""

    lookups: int = 0
    found: int = 0
    not_found: int = 0
    no_number: int = 0
    batches: int = 0
    failures: Counter[LookupFailure] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Failed:
    failure: LookupFailure
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.failure}: {self.detail}" if self.detail else self.failure.value


@dataclass(frozen=True, slots=True)
class _Question:
    number: PhoneNumber
    visit: Visit | None
    answer: asyncio.Future[_Outcome]


_Outcome: TypeAlias = Stored | _Failed


class Registry:
    """The registry; see `open_registry`, which makes one. Belongs to one event loop."""

    def __init__(
        self,
        address: RegistryAddress,
        *,
        deadline_s: float,
        connect_s: float,
        max_batch: int,
        max_waiting: int,
        breaker: Breaker,
        choice_kept_s: float = CHOICE_KEPT_S,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.stats = RegistryStats()
        self._address = address
        self._deadline_s = deadline_s
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._breaker = breaker
        self._choice_kept_s = choice_kept_s
        self._clock = clock
        self._link = RegistryLink(address, answer_s=deadline_s, connect_s=connect_s)
        self._waiting: deque[_Question] = deque()
        self._drainer: asyncio.Task[None] | None = None
        self._admin: Redis | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Registry {self._address!r} breaker={self._breaker.state.value}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def breaker_state(self) -> BreakerState:
        """Whether Redis is being asked."""
        return self._breaker.state

    async def lookup(self, caller: Caller, visit: Visit | None = None) -> BandLookup:
        """The age band of a caller, or why it is not known, within the deadline. Raises nothing.

        Args:
            caller: Who calls.
            visit: The call, if it is to be noted and the earlier ones are wanted.
        """
        began_s = self._clock()
        self.stats.lookups += 1
        if isinstance(caller, NoNumber):
            self.stats.no_number += 1
            return BandLookup(None, BandSource.NO_NUMBER, caller.reason.value, self._clock() - began_s)
        outcome = await self._outcome(caller, visit)
        return self._lookup(outcome, self._clock() - began_s)

    async def get(self, number: PhoneNumber) -> str | None:
        """The band stored for a number, or None.

        Raises:
            RegistryError: Redis cannot be reached, or holds something else under that key.
        """
        try:
            value = await self._admin_client().get(band_key(number))
        except (RedisError, OSError) as error:
            raise self._error(error) from error
        if value is None:
            return None
        band = band_name(value if isinstance(value, bytes) else value.encode())
        if band is None:
            raise RegistryError(f"{LookupFailure.BAD_VALUE}; store the band again to replace it")
        return band

    async def set(self, number: PhoneNumber, band: str) -> None:
        """Store a number's band, over what was there.

        Raises:
            RegistryError: Redis cannot be reached or refuses.
        """
        await self.set_many([(number, band)])

    async def set_many(self, bands: Iterable[tuple[PhoneNumber, str]]) -> None:
        """Store many numbers' bands in one round trip. Not one transaction: run it again if it fails.

        Raises:
            RegistryError: Redis cannot be reached or refuses.
        """
        pipeline = self._admin_client().pipeline(transaction=False)
        for number, band in bands:
            pipeline.set(band_key(number), band.encode())
        try:
            await pipeline.execute()
        except (RedisError, OSError) as error:
            raise self._error(error) from error

    async def earlier_calls(self, number: PhoneNumber, at: float, within_s: float) -> tuple[float, ...] | None:
        """How long before `at` (epoch seconds) a caller called, newest first; nothing is noted.

        Raises:
            RegistryError: Redis cannot be reached or refuses.
        """
        try:
            calls = await self._admin_client().zrange(CALLS_PREFIX + number.e164, 0, -1, withscores=True)
        except (RedisError, OSError) as error:
            raise self._error(error) from error
        return earlier_calls_s(Visit("", at, within_s), [part for call in calls for part in call])

    async def choice(self, number: PhoneNumber) -> str:
        """What the owner of a number had remembered; "" for nothing.

        Raises:
            RegistryError: Redis cannot be reached or refuses.
        """
        try:
            return choice_name(await self._admin_client().get(CHOICE_PREFIX + number.e164))
        except (RedisError, OSError) as error:
            raise self._error(error) from error

    async def choose(self, number: PhoneNumber, choice: str) -> None:
        """Remember a choice, as `past` writes it, over what was there; "" forgets it. It expires in time.

        Raises:
            RegistryError: Redis cannot be reached or refuses.
        """
        key = CHOICE_PREFIX + number.e164
        try:
            if choice:
                await self._admin_client().set(key, choice, ex=math.ceil(self._choice_kept_s))
            else:
                await self._admin_client().delete(key)
        except (RedisError, OSError) as error:
            raise self._error(error) from error

    async def remember(self, number: PhoneNumber, later: Chosen) -> None:
        """Join a choice to what the owner of a number chose before; from now on it is kept as long as a new one.

        Two at once for one number may lose one of them: whoever calls leaves that to one after the other.

        Raises:
            RegistryError: Redis cannot be reached or refuses.
        """
        before = read_choice(await self.choice(number)) or NOTHING
        await self.choose(number, str(before.joined(later)))

    async def forget(self, number: PhoneNumber) -> bool:
        """Remove all that is held of a number. Returns whether there was anything.

        Raises:
            RegistryError: Redis cannot be reached or refuses.
        """
        keys = [prefix + number.e164 for prefix in (KEY_PREFIX, CHOICE_PREFIX, CALLS_PREFIX)]
        try:
            return bool(await self._admin_client().delete(*keys))
        except (RedisError, OSError) as error:
            raise self._error(error) from error

    async def close(self) -> None:
        """Drop the connections. Lookups still waiting fail at once, and so does every later one."""
        self._closed = True
        if self._drainer is not None:
            self._drainer.cancel()
            await asyncio.wait([self._drainer])
        self._answer_all_waiting(_Failed(LookupFailure.CLOSED))
        await self._link.close()
        if self._admin is not None:
            await self._admin.aclose()
            self._admin = None

    async def _outcome(self, number: PhoneNumber, visit: Visit | None) -> _Outcome:
        if self._closed:
            return _Failed(LookupFailure.CLOSED)
        if len(self._waiting) >= self._max_waiting:
            # Whoever comes last is turned away: those who wait are nearer to their answer.
            return _Failed(LookupFailure.TOO_MANY)
        if not self._breaker.admits():
            return _Failed(LookupFailure.BREAKER_OPEN)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_Outcome] = loop.create_future()
        self._waiting.append(_Question(number, visit, answer))
        if self._drainer is None or self._drainer.done():
            # Starts when this task waits, so that all lookups of one turn of the loop share the round trip.
            self._drainer = loop.create_task(self._drain(), name="registry-lookups")
        try:
            async with Deadline(self._deadline_s):
                return await answer
        except TimeoutError:
            return _Failed(LookupFailure.DEADLINE)

    async def _drain(self) -> None:
        """Ask for all that wait, one batch after the other, until none does."""
        while self._waiting:
            if self._breaker.state is BreakerState.OPEN:
                self._answer_all_waiting(_Failed(LookupFailure.BREAKER_OPEN))
                return
            # Those who gave up meanwhile are asked for too: the breaker waits to hear how its probe went.
            batch = [self._waiting.popleft() for _ in range(min(self._max_batch, len(self._waiting)))]
            outcomes: Sequence[_Outcome] = [_Failed(LookupFailure.CLOSED)] * len(batch)
            try:
                outcomes = await self._ask(batch)
            finally:
                for question, outcome in zip(batch, outcomes, strict=True):
                    if not question.answer.done():
                        question.answer.set_result(outcome)

    async def _ask(self, batch: Sequence[_Question]) -> Sequence[_Outcome]:
        self.stats.batches += 1
        try:
            asked = [(question.number, question.visit) for question in batch]
            found = read(asked, await self._link.ask(commands(asked)))
        except (RedisError, OSError) as error:
            failed = _failed(error)
        except Exception:  # noqa: BLE001 - the boundary of one batch: these calls fall back, the others go on
            _log.exception("registry lookup failed")
            failed = _Failed(LookupFailure.INTERNAL)
        else:
            if self._breaker.state is not BreakerState.CLOSED:
                _log.info("redis back")
            self._breaker.succeeded()
            return found
        await self._link.close()  # what else it may have sent is no answer to the next question
        was = self._breaker.state
        self._breaker.failed()
        if was is BreakerState.CLOSED and self._breaker.state is BreakerState.OPEN:
            _log.warning("redis lost, callers are routed as unknown", why=str(failed), where=repr(self._address))
        return [failed] * len(batch)

    def _answer_all_waiting(self, outcome: _Outcome) -> None:
        while self._waiting:
            question = self._waiting.popleft()
            if not question.answer.done():
                question.answer.set_result(outcome)

    def _lookup(self, outcome: _Outcome, took_s: float) -> BandLookup:
        if isinstance(outcome, _Failed):
            return self._lookup_failed(outcome, took_s)
        choice, earlier = outcome.choice, outcome.earlier_calls_s
        if outcome.band is None:
            self.stats.not_found += 1
            return BandLookup(None, BandSource.NOT_FOUND, "", took_s, choice, earlier)
        if (band := band_name(outcome.band)) is None:
            failed = self._lookup_failed(_Failed(LookupFailure.BAD_VALUE), took_s)
            return replace(failed, choice=choice, earlier_calls_s=earlier)
        self.stats.found += 1
        return BandLookup(band, BandSource.REGISTRY, "", took_s, choice, earlier)

    def _lookup_failed(self, failed: _Failed, took_s: float) -> BandLookup:
        self.stats.failures[failed.failure] += 1
        return BandLookup(None, BandSource.LOOKUP_FAILED, str(failed), took_s)

    def _admin_client(self) -> Redis:
        if self._closed:
            raise RegistryError(LookupFailure.CLOSED.value)
        if self._admin is None:
            self._admin = self._address.client(timeout_s=ADMIN_TIMEOUT_S)
        return self._admin

    def _error(self, error: Exception) -> RegistryError:
        return RegistryError(f"{_failed(error)} ({self._address!r})")


def open_registry(
    url: str,
    *,
    password: str | None = None,
    deadline_s: float = 0.05,
    connect_s: float = 0.5,
    max_batch: int = 256,
    max_waiting: int = 1024,
    breaker: Breaker | None = None,
    choice_kept_s: float = CHOICE_KEPT_S,
) -> Registry:
    """The registry at a Redis URL. Connects at the first lookup, so that the router starts without Redis too.

    Args:
        url: `redis://host:port/db`, `rediss://…` or `unix:///path?db=0`.
        password: Stronger than one in the URL.
        deadline_s: After this long a lookup has returned, connecting included.
        connect_s: How long one attempt to connect may take, while lookups return at their own deadline.
        max_batch: Most numbers asked for in one round trip, so that it holds Redis up for a millisecond at most.
        max_waiting: Most lookups waiting for the next round trip; one more fails at once. At 3,000/s and the
            default deadline 150 wait at worst.
        breaker: Its own, unless given.
        choice_kept_s: How long a choice is remembered that is not made again.

    Raises:
        ConfigurationError: The URL is of no such form.
    """
    return Registry(
        RegistryAddress(url, password),
        deadline_s=deadline_s,
        connect_s=connect_s,
        max_batch=max_batch,
        max_waiting=max_waiting,
        breaker=breaker or Breaker(),
        choice_kept_s=choice_kept_s,
    )


def _failed(error: Exception) -> _Failed:
    """Sort an error by who has to act: the network's or the machine's, or Redis's own refusal."""
    code = getattr(error, "status_code", None)  # the reply's first word, which redis-py cuts off its message
    text = " ".join(part for part in (code, _said(error)) if part)
    shown = "".join(character if character.isprintable() else "?" for character in text)
    detail = shown[:_MAX_DETAIL_CHARACTERS]
    if isinstance(error, TimeoutError | RedisTimeoutError):
        return _Failed(LookupFailure.DEADLINE)
    if isinstance(error, OSError) or (isinstance(error, RedisConnectionError) and not code):
        return _Failed(LookupFailure.UNREACHABLE, detail)
    return _Failed(LookupFailure.REFUSED, detail)


def _said(error: Exception) -> str:
    """What the system says of a failed connection, without the library's words around it."""
    if not (match := _LIBRARYS_WORDS.fullmatch(str(error))):
        return str(error)
    number = int(match[1])  # below 0 for a name that nothing answers to
    return os.strerror(number) if number > 0 else match[2]
