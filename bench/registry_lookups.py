"""How long lookups take, on a registry at rest and while it is loaded anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from bench.apart import Apart
from bench.registry_asker import ONE_BY_ONE, Order, Samples, Turn, Way, ask_by_order
from bench.registry_load import Feed, Importer, another_feed
from bench.registry_results import Asked
from lab.redis import RedisServer
from router.callers.settings import RedisSettings

DEADLINE_S: Final = 0.05
RATES: Final = (Turn(ONE_BY_ONE, 5.0), Turn(25, 40.0), Turn(245, 20.0), Turn(2_450, 10.0), Turn(10_000, 10.0))
_RATES_DURING: Final = (25, 245, 2_450, 10_000)
_SHORTEST_TURN_S, _LONGEST_TURN_S = 0.25, 4.0
_TURN_S_PER_CALLER: Final = 0.25e-6
"""During a load each rate has several turns, so that all rates see all that happens in it."""
_NO_ROWS: Final = np.empty((0, 4))


@dataclass(frozen=True, slots=True)
class During:
    """Lookups while callers were loaded anew; the router's also from the switch to the end, when old ones are removed.

    `took_s` is how long the loads under the router's lookups took.
    """

    asked: list[Asked]
    took_s: float
    after_lookups: int
    after_late: int


async def measure_lookups(
    importer: Importer,
    server: RedisServer,
    callers: int,
    plain: RedisServer,
    plain_keys: int,
    shorter: float,
    console: Console,
) -> list[Asked]:
    """At each rate in each way. `shorter` is a factor for all times."""
    found = []
    for turn in RATES:
        for way in Way:
            where, keys = (plain, plain_keys) if way is Way.GET else (server, callers)
            turns = (Turn(turn.rate, turn.seconds * shorter),)
            order = Order(way, RedisSettings(where.url), importer.secret_file, keys, turns)
            async with Apart(f"lookups by {way}", ask_by_order, order) as apart:
                apart.begin()
                samples = await apart.answer()
            found.append(summary(way, turn.rate, [samples]))
            _tell(found[-1], console)
    return found


async def measure_during(feed: Feed, importer: Importer, server: RedisServer, loads: int, console: Console) -> During:
    """Load so many times again while the router's lookups go on, and so many times with redis-py's."""
    asked, took_s, after = [], 0.0, _NO_ROWS
    for way in (Way.REGISTRY, Way.HGET):
        found = [await _one_load(way, feed, importer, server) for _ in range(loads)]
        for rate in _RATES_DURING:
            parts = [Samples(one.during[one.during[:, 0] == rate], one.why) for one in found]
            asked.append(summary(way, rate, parts))
            _tell(asked[-1], console)
        if way is Way.REGISTRY:
            took_s, after = sum(one.took_s for one in found), np.concatenate([one.after for one in found])
    return During(asked, took_s, len(after), _late(after))


@dataclass(frozen=True, slots=True)
class _OneLoad:
    """Lookups from the command to the switch, which took so long, and those from there to the command's end."""

    during: NDArray[np.float64]
    after: NDArray[np.float64]
    why: tuple[str, ...]
    took_s: float


async def _one_load(way: Way, feed: Feed, importer: Importer, server: RedisServer) -> _OneLoad:
    another_feed(feed)
    turn_s = min(_LONGEST_TURN_S, max(_SHORTEST_TURN_S, feed.callers * _TURN_S_PER_CALLER))
    turns = tuple(Turn(rate, turn_s) for rate in _RATES_DURING)
    order = Order(way, RedisSettings(server.url), importer.secret_file, feed.callers, turns, again=True)
    async with Apart(f"lookups by {way} during a load", ask_by_order, order) as apart:
        apart.begin()
        imported = await importer.run(feed.file, feed.callers, "import under lookups")
        samples = await apart.end()
    due, watched = samples.rows[:, 1], imported.watched
    during = samples.rows[(due >= watched.began) & (due < watched.switched)]
    after = samples.rows[(due >= watched.switched) & (due < imported.ended)]
    return _OneLoad(during, after, samples.why, watched.switched - watched.began)


def summary(way: str, rate: int, parts: Sequence[Samples]) -> Asked:
    """What the table shows of some lookups."""
    rows = np.concatenate([part.rows for part in parts])
    why = Counter(part.why[int(reason) - 1] for part in parts for reason in part.rows[:, 3] if reason)
    failed = rows[:, 3] != 0
    answered_us = rows[~failed, 2] * 1e6
    p50, p99, p999 = np.quantile(answered_us, (0.5, 0.99, 0.999)).tolist() if len(answered_us) else (None, None, None)
    return Asked(
        way=way,
        rate=rate,
        lookups=len(rows),
        p50_us=p50,
        p99_us=p99,
        p999_us=p999,
        slowest_us=float(rows[:, 2].max()) * 1e6 if len(rows) else 0.0,
        failed=int(failed.sum()),
        late=_late(rows),
        why=why.most_common(1)[0][0] if why else "",
    )


def _late(rows: NDArray[np.float64]) -> int:
    """How many had no answer within the deadline."""
    return int(((rows[:, 3] != 0) | (rows[:, 2] > DEADLINE_S)).sum())


def _tell(asked: Asked, console: Console) -> None:
    rate = f"{asked.rate:,}/s" if asked.rate else "one by one"
    times = " / ".join("–" if us is None else f"{us:,.0f}" for us in (asked.p50_us, asked.p99_us, asked.p999_us))
    console.print(
        f"    {asked.way}, {rate}: {times} µs (p50 / p99 / p99.9), slowest {asked.slowest_us / 1e3:,.1f} ms, "
        f"{asked.failed:,} of {asked.lookups:,} failed {asked.why and f'({asked.why[:80]})'}"
    )
