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
        replays: Requests that wait for their answer at once during a replay → calls of that replay.
        replay_runs: How often each is repeated.
        extra_calls: Calls of the replays with few and with many calls in hand, and under the profiler.
        memory_calls: Numbers of calls in hand at which memory is looked at.
        stream_calls: Calls in the stream that the clients read.
        reader_limit_s: After so long a client's reading is cut off.
        rules: Numbers of rules that calls are decided by.
        rule_calls: Different calls of each kind at each number of rules.
        rule_rounds: How often each measurement there is repeated.
        day_calls: Calls of the day that is replayed.
        builds: The order of the builds of all prompts: with `1` worker or with one a `c`ore.
        built_one_in: One in so many of the core sounds is slowed there.
        stretched_sounds: About so many recorded sounds are stretched with each tool,
        stretched_rates: at each of these rates.
        speech_s: Seconds of one block of calls that have something said.
        read_texts: So many texts are read by the recogniser; 0 for all.
    """

    rates: dict[int, float]
    order: str
    replays: dict[int, int]
    replay_runs: int
    extra_calls: int
    memory_calls: tuple[int, ...]
    stream_calls: int
    reader_limit_s: float
    rules: tuple[int, ...]
    rule_calls: int
    rule_rounds: int
    day_calls: int
    builds: str
    built_one_in: int
    stretched_sounds: int
    stretched_rates: tuple[float, ...]
    speech_s: float
    read_texts: int


FULL = Plan(
    rates={25: 12.0, 100: 8.0, 245: 8.0},
    order="drrddr",
    replays={1: 6_000, 16: 30_000, 64: 30_000, 200: 30_000},
    replay_runs=3,
    extra_calls=10_000,
    memory_calls=(10, 1_000, 10_000),
    stream_calls=20_000,
    reader_limit_s=8.0,
    rules=(5, 50, 500),
    rule_calls=2_500,
    rule_rounds=7,
    day_calls=2_120_000,
    builds="1cc1",
    built_one_in=1,
    stretched_sounds=70,
    stretched_rates=(0.85, 0.7, 0.5),
    speech_s=20.0,
    read_texts=0,
)
QUICK = Plan(
    rates={25: 2.0, 245: 2.0},
    order="dr",
    replays={1: 1_000, 64: 5_000},
    replay_runs=1,
    extra_calls=2_000,
    memory_calls=(10, 1_000),
    stream_calls=2_000,
    reader_limit_s=2.0,
    rules=(5, 50),
    rule_calls=200,
    rule_rounds=3,
    day_calls=20_000,
    builds="1c",
    built_one_in=10,
    stretched_sounds=12,
    stretched_rates=(0.7,),
    speech_s=4.0,
    read_texts=20,
)
