"""How long and how much is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes of one run.

    Attributes:
        rates: Calls a second → seconds of one block of calls at that rate.
        order: The order of the blocks at each rate: `d`irect or through the `r`outer. Interleaved, so that a
            machine that grows slower meanwhile slows both.
        replay_calls: Calls of one replay.
        replay_runs: How often it is repeated.
        outstanding: Requests that wait for their answer at once during a replay.
        memory_calls: Numbers of calls in hand at which memory is looked at.
        stream_calls: Calls in the stream that the clients read.
        reader_limit_s: After so long a client's reading is cut off.
    """

    rates: dict[int, float]
    order: str
    replay_calls: int
    replay_runs: int
    outstanding: tuple[int, ...]
    memory_calls: tuple[int, ...]
    stream_calls: int
    reader_limit_s: float


FULL = Plan(
    rates={25: 12.0, 100: 8.0, 245: 8.0},
    order="drrddr",
    replay_calls=30_000,
    replay_runs=3,
    outstanding=(16, 64, 200),
    memory_calls=(10, 1_000, 10_000),
    stream_calls=20_000,
    reader_limit_s=8.0,
)
QUICK = Plan(
    rates={25: 2.0, 245: 2.0},
    order="dr",
    replay_calls=5_000,
    replay_runs=1,
    outstanding=(64,),
    memory_calls=(10, 1_000),
    stream_calls=2_000,
    reader_limit_s=2.0,
)
