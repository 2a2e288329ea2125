"""Lookups at given rates, in a process of their own: when each was due, how long after that it had its answer.

Arrivals are a Poisson process drawn beforehand: a slow answer does not keep the next lookup from being due, and a
lookup that could not be sent in time has its waiting counted. One in five is for a number that nobody loaded. Every
answer is looked at: a loaded caller who is not found has failed, and so has one found who was never loaded.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import time
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import structlog
import uvloop
from numpy.typing import NDArray
from redis.asyncio import Redis

from bench.alarm import at_each
from bench.apart import Stop
from bench.registry_feed import MOST_CALLERS, NUMBERS, numbers
from router.callers.generation import read_generation
from router.callers.keys import REGISTRY_KEY, bucket_key, bucket_of
from router.callers.number import PhoneNumber
from router.callers.registry import BandSource, open_registry
from router.callers.secret_ring import load_ring
from router.callers.settings import RedisSettings, RegistrySettings

ONE_BY_ONE: Final = 0
"""The rate that stands for: the next when the one before has its answer."""
UNKNOWN_SHARE: Final = 0.2
SEED: Final = 60
_PATIENCE_S: Final = 10.0
"""A lookup that takes longer has failed."""
_MOST_DRAWN: Final = 100_000
_WARMING: Final = 200


class Way(StrEnum):
    """How a lookup is made."""

    REGISTRY = "elder-router"
    GET = "redis-py, GET of a plain key"
    HGET = "redis-py, HGET of the bucket"


class Turn(NamedTuple):
    """So many lookups a second for so long."""

    rate: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Order:
    """What to do.

    Attributes:
        way: How.
        redis: Where it is; redis-py itself is given the URL.
        secret_file: What callers are hashed with there.
        callers: How many were loaded.
        turns: At which rates, one after the other,
        again: and over and over, until told to end.
    """

    way: Way
    redis: RedisSettings
    secret_file: Path
    callers: int
    turns: tuple[Turn, ...]
    again: bool = False


@dataclass(frozen=True, slots=True)
class Samples:
    """One row a lookup, and why those failed that did.

    The columns: the rate, when it was due by `time.monotonic`, seconds until its answer, and 0 or which of the reasons
    it failed for, counted from 1.
    """

    rows: NDArray[np.float64]
    why: tuple[str, ...]


Ask: TypeAlias = Callable[[PhoneNumber], Awaitable[bool]]
"""Whether the caller is in the registry; raises if that cannot be said."""


class NoAnswerError(Exception):
    """A lookup that came back without one."""


def ask_by_order(stop: Stop, order: Order) -> Samples:
    """Do as ordered. What the registry logs of it is not of interest: failures are counted."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_ask_by_order(stop, order))


async def _ask_by_order(stop: Stop, order: Order) -> Samples:
    told = asyncio.Event()
    asyncio.get_running_loop().add_reader(stop.descriptor, told.set)
    try:
        async with _opened(order) as ask:
            asker = _Asker(ask, order.callers)
            await asker.warm_up()
            turns = itertools.cycle(order.turns) if order.again else order.turns
            for turn in turns:
                await asker.take(turn, told)
                if told.is_set():
                    break
            return asker.samples()
    finally:
        asyncio.get_running_loop().remove_reader(stop.descriptor)


class _Asker:
    def __init__(self, ask: Ask, callers: int) -> None:
        self._ask = ask
        self._callers = callers
        self._chance = np.random.default_rng(SEED)
        self._rows = array("d")
        self._why: dict[str, int] = {}
        self._asking: set[asyncio.Task[None]] = set()

    async def warm_up(self) -> None:
        """Connect, and go through everything once; then look for garbage as seldom as the daemon does."""
        for number, _ in self._drawn(_WARMING):
            await self._ask(number)
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)

    async def take(self, turn: Turn, told: asyncio.Event) -> None:
        """Take one turn, or a part of it if told to end."""
        if turn.rate == ONE_BY_ONE:
            await self._one_by_one(turn.seconds, told)
            return
        number = max(1, round(turn.rate * turn.seconds))
        people = self._drawn(min(number, _MOST_DRAWN))
        waits_s = self._chance.exponential(1 / turn.rate, number)
        due: list[float] = (time.monotonic() + 0.01 + np.cumsum(waits_s)).tolist()
        create_task, asking = asyncio.get_running_loop().create_task, self._asking

        def arrives(index: int) -> None:
            task = create_task(self._one(turn.rate, due[index], *people[index % len(people)]))
            asking.add(task)
            task.add_done_callback(asking.discard)

        ends = asyncio.ensure_future(told.wait())
        sending = asyncio.ensure_future(at_each(due, arrives))
        await asyncio.wait([ends, sending], return_when=asyncio.FIRST_COMPLETED)
        for task in (ends, sending):
            task.cancel()
        await asyncio.wait([ends, sending])
        if self._asking:
            await asyncio.wait(self._asking)

    async def _one_by_one(self, seconds: float, told: asyncio.Event) -> None:
        people = itertools.cycle(self._drawn(_MOST_DRAWN))
        ends = time.monotonic() + seconds
        while (now := time.monotonic()) < ends and not told.is_set():
            await self._one(ONE_BY_ONE, now, *next(people))

    async def _one(self, rate: int, due: float, number: PhoneNumber, known: bool) -> None:
        failed = ""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                found = await self._ask(number)
        except TimeoutError:
            failed = f"no answer in {_PATIENCE_S:.0f} s"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is counted
            failed = str(error) or type(error).__name__
        else:
            if found is not known:
                failed = "a loaded caller was not found" if known else "a caller was found who was not loaded"
        reason = self._why.setdefault(failed, len(self._why) + 1) if failed else 0
        self._rows.extend((rate, due, time.monotonic() - due, reason))

    def samples(self) -> Samples:
        """All there are."""
        return Samples(np.frombuffer(self._rows, np.float64).reshape(-1, 4).copy(), tuple(self._why))

    def _drawn(self, number: int) -> list[tuple[PhoneNumber, bool]]:
        """So many callers, and whether each was loaded."""
        known = self._chance.random(number) >= UNKNOWN_SHARE
        loaded = self._chance.integers(0, self._callers, number)
        others = self._chance.integers(MOST_CALLERS, NUMBERS, number)
        texts = numbers(np.where(known, loaded, others).astype(np.uint64))
        return [(PhoneNumber(text), was) for text, was in zip(texts, known.tolist(), strict=True)]


def _opened(order: Order) -> AbstractAsyncContextManager[Ask]:
    match order.way:
        case Way.REGISTRY:
            return _registry(order)
        case Way.GET:
            return _get(order)
        case Way.HGET:
            return _hget(order)


@asynccontextmanager
async def _registry(order: Order) -> AsyncIterator[Ask]:
    settings = RegistrySettings(order.redis, order.secret_file)
    async with open_registry(settings, load_ring(order.secret_file)) as registry:

        async def ask(number: PhoneNumber) -> bool:
            found = await registry.lookup(number)
            if found.source is BandSource.LOOKUP_FAILED:
                raise NoAnswerError(found.detail)
            return found.source is BandSource.REGISTRY

        yield ask


@asynccontextmanager
async def _get(order: Order) -> AsyncIterator[Ask]:
    async with Redis.from_url(order.redis.url) as client:

        async def ask(number: PhoneNumber) -> bool:
            return await client.get(f"elder:{number.e164}") is not None

        yield ask


@asynccontextmanager
async def _hget(order: Order) -> AsyncIterator[Ask]:
    async with Redis.from_url(order.redis.url) as client:
        text = await client.get(REGISTRY_KEY)
        assert isinstance(text, bytes)
        generation = read_generation(text)
        secret = load_ring(order.secret_file).named(generation.secret)
        assert secret is not None
        pseudonym = secret.pseudonym

        async def ask(number: PhoneNumber) -> bool:
            who = pseudonym(number)
            bucket = bucket_of(who.place, generation.buckets)
            key = bucket_key(generation.generation, bucket, generation.buckets)
            return await client.hget(key, who.field) is not None

        yield ask
