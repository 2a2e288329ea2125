"""The registry's section of docs/benchmarks.md: everything measured so far, at each size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from bench.markdown import TIE, compared, table
from bench.registry_asker import UNKNOWN_SHARE, Way
from bench.registry_load import MASS_INSERTION
from bench.registry_results import Asked, AtSize, FailedOver, Hashed, Loaded, LoadedDirectly, RegistryResults
from lab.redis_groups import DEAD_AFTER_MS
from router.callers.pseudonym import PSEUDONYM_BYTES

HEADING: Final = "A registry of 200 million callers"
MIB, GIB = 2**20, 2**30
TARGET_BYTES, TARGET_PER_S = 12, 500_000
CALLERS: Final = 200_000_000
_MOBILE_NUMBERS: Final = 5.2e9
"""Chinese mobile numbers of the ranges that `phonenumbers` knows as assigned."""
_TYPICAL_RATE: Final = 245


def section(results: RegistryResults) -> str:
    """All of it; a part that was not measured is left out."""
    parts = [_head()]
    loaded = [at.load for at in results.sizes.values() if at.load]
    if loaded:
        parts += [_loads(results), _memory(results)]
    if asked := {callers: at for callers, at in results.sizes.items() if at.asked}:
        parts.append(_lookups(asked))
    if asked := {callers: at for callers, at in results.sizes.items() if at.asked_during}:
        parts.append(_during(asked))
    if len(loaded) > 1:
        parts.append(_by_size(results))
    if results.failovers:
        parts.append(_failovers(results.failovers))
    if results.hashed:
        parts.append(_hashing(results.hashed))
    parts.append(_when(results))
    return "\n\n".join(parts)


def growth(results: RegistryResults) -> list[str]:
    """A line of the page's last section."""
    sizes = {callers: at for callers, at in results.sizes.items() if at.load}
    if len(sizes) < 2:
        return []
    (few, small), *_, (many, large) = sizes.items()
    assert small.load is not None
    assert large.load is not None
    bytes_per = compared(_bytes_per(large.load), _bytes_per(small.load))
    per_s = compared(large.load.per_s, small.load.per_s)
    line = (
        f"- **Callers.** From {few:,} to {many:,} callers ({many / few:.0f} times as many), a caller takes {bytes_per} "
        f"times the memory in Redis, and {per_s} times as many are loaded a second."
    )
    if (low := _typical(small)) and (high := _typical(large)) and low.p50_us and high.p50_us:
        line += (
            f" At {_TYPICAL_RATE} lookups/s the p50 of a lookup becomes {compared(high.p50_us, low.p50_us)} times what "
            "it was."
        )
    return [line]


def _head() -> str:
    return f"""\
## {HEADING}

Written by `make bench-registry`, which measures the sizes it is given and keeps what was measured of others. Callers
are made up, and each has another number. So many numbers cannot be ones that belong to nobody: they span the ranges of
China's mobile numbers, stay in temporary files, and are deleted."""


def _loads(results: RegistryResults) -> str:
    rows = []
    for callers, at in results.sizes.items():
        if at.load:
            rows += [_load_row(at.load)]
            rows += [_directly_row(way, at.load) for way in _directly(results, callers)]
    numbers = table(
        (
            "callers", "how", "seconds", "of which reading", "callers/s", "elder-router's rate to this",
            "client, µs of processor a caller", "Redis, µs of processor a caller",
        ),
        rows,
    )  # fmt: skip
    return f"""\
### Loading

`elder-router callers import` of a CSV file with numbers and dates of birth into an empty Redis on the same machine,
from the command to the switch, when lookups see all callers. “Reading” is until the first callers come to Redis. Its
processor time is that of all its processes. Beside it the same callers one key each, `SET elder:<number> <digit>`: by a
script with Python's `csv` and redis-py used directly, from the same file; and with Redis's own mass insertion, whose
stream of commands was made before the clock started, so that nobody reads a CSV file or reckons an age there.

{numbers}

{_loads_said(results)}"""


def _loads_said(results: RegistryResults) -> str:
    largest = max((at.load for at in results.sizes.values() if at.load), key=lambda load: load.callers)
    said = [
        f"The target is {TARGET_PER_S:,} callers/s, which makes {CALLERS / TARGET_PER_S / 60:.1f} minutes for "
        f"{CALLERS:,}; at {largest.callers:,} it was {largest.per_s:,.0f}/s."
    ]
    least_s = min(at.load.least_s for at in results.sizes.values() if at.load)
    said.append(f"Any load takes {least_s:.1f} s, which is what a thousand callers took.")
    if packed := [load for at in results.sizes.values() if (load := at.load) and load.gzip_s]:
        said.append(
            "From the same file as .gz: "
            + ", ".join(f"{load.callers:,} in {load.gzip_s:,.1f} s" for load in packed if load.gzip_s)
            + "."
        )
    if any(_is_worked_out(results, callers) for callers in results.sizes):
        said.append(
            "What is *slanted* was not measured but worked out from the largest size that was, as proportional to the "
            "number of callers."
        )
    said.append(
        "The feed was made at "
        + ", ".join(f"{load.callers / load.feed_s / 1e6:.1f}" for at in results.sizes.values() if (load := at.load))
        + " million rows/s."
    )
    return " ".join(said)


def _load_row(load: Loaded) -> list[str]:
    return [
        f"{load.callers:,}",
        "**elder-router**",
        f"**{load.took_s:,.1f}**",
        f"{load.reading_s:,.1f}",
        f"**{load.per_s:,.0f}**",
        "",
        f"{load.importer_cpu_s / load.callers * 1e6:.2f}",
        f"{load.redis_cpu_s / load.callers * 1e6:.2f}",
    ]


def _directly_row(way: LoadedDirectly, load: Loaded) -> list[str]:
    scale = load.callers / way.callers
    cells = [
        f"{way.took_s * scale:,.1f}",
        "",
        f"{way.callers / way.took_s:,.0f}",
        compared(load.per_s, way.callers / way.took_s),
        f"{way.client_cpu_s / way.callers * 1e6:.2f}",
        f"{way.redis_cpu_s / way.callers * 1e6:.2f}",
    ]
    return [f"{load.callers:,}", way.way, *(_slanted(cell) if scale > 1 else cell for cell in cells)]


def _directly(results: RegistryResults, callers: int) -> Sequence[LoadedDirectly]:
    """The loads without the router to hold against a size: its own, or those of the largest size that has some."""
    if at := results.at(callers).directly:
        return at
    smaller = [at.directly for size, at in results.sizes.items() if at.directly and size < callers]
    return smaller[-1] if smaller else []


def _is_worked_out(results: RegistryResults, callers: int) -> bool:
    return bool(results.at(callers).load) and any(way.callers != callers for way in _directly(results, callers))


def _slanted(cell: str) -> str:
    return f"*{cell}*" if cell else ""


def _memory(results: RegistryResults) -> str:
    rows = []
    for callers, at in results.sizes.items():
        if not (load := at.load):
            continue
        plain = next((way for way in _directly(results, callers) if way.way == MASS_INSERTION), None)
        set_bytes, ratio = "", ""
        if plain:
            set_bytes = f"{plain.redis_bytes / plain.callers:.1f}"
            set_bytes = _slanted(set_bytes) if plain.callers != callers else set_bytes
            ratio = compared(plain.redis_bytes / plain.callers, _bytes_per(load))
        rows.append(
            (
                f"{callers:,}", f"**{_bytes_per(load):.2f}**", set_bytes, ratio,
                _sized(load.redis_bytes), _sized(load.redis_rss_bytes), _sized(load.rdb_bytes), f"{load.rdb_s:.1f}",
                f"{load.callers / load.buckets:.0f}", str(load.largest_bucket),
                f"**{_sized(load.peak_pss_bytes)}**", _sized(load.peak_anonymous_bytes), _sized(load.spool_bytes),
            )
        )  # fmt: skip
    numbers = table(
        (
            "callers", "bytes a caller", "plain SET", "plain SET to this", "Redis", "RSS", "dump", "dump, s",
            "callers a bucket", "in the fullest", "importer", "its own", "work folder",
        ),
        rows,
    )  # fmt: skip
    return f"""\
### Memory

Of Redis: by how much its `used_memory` grew, a caller and in all, what the system gave to it (RSS), and a dump
(`BGSAVE`). Of the importer: the most that all its processes had at once, pages that they share counted once; how much
of that was their own and not the page cache's; and the most that lay in its work folder on disk. The target is
{TARGET_BYTES} bytes a caller, and an importer that does not grow with the file.

{numbers}"""


def _lookups(sizes: dict[int, AtSize]) -> str:
    most_plain = max(at.plain_keys for at in sizes.values())
    return f"""\
### Lookups

In ms from when the lookup was due: arrivals are random (Poisson), drawn beforehand, and do not wait for answers. Some
{UNKNOWN_SHARE:.0%} are for numbers that nobody loaded. “{Way.REGISTRY}” is `Registry.lookup`, which also asks what was
set by hand and what the caller chose in earlier calls, has a deadline of 50 ms, and asks for all that came meanwhile in
one round trip. The others are redis-py used directly, its pool as it comes: a `GET` of a plain key, among as many but
at most {most_plain:,}, and an `HGET` of the same bucket, its hash reckoned for each lookup. Quantiles are of those that
were answered, the slowest is of all; “late” had no answer within 50 ms, the failed included. Lookups that come seldom
take longer than those that come often: the processor sleeps in between, and wakes up slowly.

{_ways(sizes, lambda at: at.asked)}

{_asked_said([one for at in sizes.values() for one in at.asked])}"""


def _during(sizes: dict[int, AtSize]) -> str:
    after = ", ".join(
        f"{at.after_late:,} of {at.after_lookups:,} among {callers:,} callers" for callers, at in sizes.items()
    )
    took = ", ".join(f"{at.during_s:,.0f} s for {callers:,}" for callers, at in sizes.items())
    return f"""\
### Lookups during a full load

The same while another full load runs into the same Redis, from its command to the switch (in all {took}), the rates
taking turns. Every answer is looked at: a caller who is in both feeds and is not found counts as failed. The router's
lookups and redis-py's have loads of their own.

{_ways(sizes, lambda at: at.asked_during)}

{_asked_said([one for at in sizes.values() for one in at.asked_during])} From the switch to the command's end, while
what was in force before is kept for a minute and then removed, so many of the router's lookups were late: {after}."""


def _ways(sizes: dict[int, AtSize], asked: Callable[[AtSize], Sequence[Asked]]) -> str:
    """A table of the ways side by side."""
    rows, used = [], [way for way in Way if any(one.way == way for at in sizes.values() for one in asked(at))]
    for callers, at in sizes.items():
        for rate in dict.fromkeys(one.rate for one in asked(at)):
            ways = [one for way in used for one in asked(at) if (one.way, one.rate) == (way, rate)]
            rows.append([f"{callers:,}", _rate(rate), *(cell for one in ways for cell in (_times(one), _lost(one)))])
    head = [cell for way in used for cell in (f"{way}: p50 / p99 / p99.9 / slowest, ms", "failed / late of all")]
    return table(("callers", "lookups/s", *head), rows)


def _rate(rate: int) -> str:
    return f"{rate:,}" if rate else "one by one"


def _times(one: Asked) -> str:
    quantiles = ["–" if us is None else f"{us / 1e3:.2f}" for us in (one.p50_us, one.p99_us, one.p999_us)]
    times = " / ".join([*quantiles, f"{one.slowest_us / 1e3:,.1f}"])
    return f"**{times}**" if one.way == Way.REGISTRY else times


def _lost(one: Asked) -> str:
    return f"{one.failed:,} / {one.late:,} of {one.lookups:,}"


def _asked_said(asked: Sequence[Asked]) -> str:
    fewest = min(one.lookups for one in asked)
    said = [f"The p99.9 of {fewest:,} lookups rests on the slowest {max(1, round(fewest / 1000))}."]
    reasons: dict[str, list[str]] = {}
    for one in asked:
        if one.why:
            reasons.setdefault(one.why, []).append(one.way)
    if reasons:
        why = "; ".join(f"“{why}” ({', '.join(dict.fromkeys(ways))})" for why, ways in reasons.items())
        said.append(f"What failed most often: {why}.")
    return " ".join(said)


def _by_size(results: RegistryResults) -> str:
    sizes = [(callers, at, at.load) for callers, at in results.sizes.items() if at.load]
    rows = []
    for callers, at, load in sizes:
        typical = _typical(at)
        rows.append(
            (
                f"{callers:,}",
                f"{_bytes_per(load):.2f}",
                f"{load.per_s:,.0f}",
                _sized(load.peak_anonymous_bytes),
                *(_ms(us) for us in ((typical.p50_us, typical.p99_us) if typical else (None, None))),
            )
        )
    first, last = sizes[0][2], sizes[-1][2]
    numbers = table(
        (
            "callers", "bytes a caller", "callers/s loaded", "importer's own memory",
            f"lookup p50 at {_TYPICAL_RATE}/s, ms", "p99, ms",
        ),
        rows,
    )  # fmt: skip
    forms = (
        f"- **Memory** in Redis is {_form(_bytes_per(last) / _bytes_per(first))}: each full load chooses as many "
        "buckets as make them equally full, so that a caller's share of a bucket's own cost stays.",
        f"- **Loading** takes time that is {_form(first.per_s / last.per_s)}: each is hashed once, sorted among about "
        "as many others, and written once.",
        f"- **A lookup** goes to one bucket, by a hash, and through its entries, {first.callers / first.buckets:.0f} "
        f"on average at the smallest size and {last.callers / last.buckets:.0f} at the largest: what it costs does not "
        "depend on the number of callers, but for how much of the registry the processor's caches hold.",
    )
    return f"""\
### By the number of callers

{numbers}

{chr(10).join(forms)}"""


def _form(ratio: float) -> str:
    """What becomes of a cost a caller from the smallest to the largest size, in words."""
    if 1 / TIE < ratio < TIE:
        return f"proportional to the number of callers (one costs {ratio:.2f} of that at the smallest size, a tie)"
    return f"not quite proportional to the number of callers (one costs {ratio:.2f} of that at the smallest size)"


def _failovers(found: Sequence[FailedOver]) -> str:
    rows = [
        (
            one.kind, str(one.rate), f"{one.lookups:,}", f"{one.failed:,}", f"{one.outage_s:.1f}",
            f"{one.slowest_ms:.1f}",
        )
        for one in found
    ]  # fmt: skip
    numbers = table(("", "lookups/s", "lookups", "without an answer", "until, s", "slowest to return, ms"), rows)
    return f"""\
### A primary killed under lookups

The primary gets SIGKILL while lookups come. A lookup that returns without an answer lets the call be routed like that
of an unknown caller; none may hang. “Until” is from the kill to the last of these. A server is held for dead here
when it is silent for {DEAD_AFTER_MS / 1000:.0f} s; where that is set to be longer, it takes as much longer. In the
cluster of three primaries, each with a replica, a third of the callers lie on the one that is killed.

{numbers}"""


def _hashing(found: Hashed) -> str:
    return f"""\
### What it costs to enumerate

HMAC-SHA256 of numbers on one core of this machine: {found.many_per_s:,.0f}/s as the importer does it,
{found.one_per_s:,.0f}/s as a lookup does{_openssl(found)}. Who has the secret *and* a copy of Redis can hash every
number that could exist: some {_MOBILE_NUMBERS / 1e9:.1f} billion mobile numbers take
{_MOBILE_NUMBERS / (found.openssl_per_s or found.many_per_s) / 60:.0f} minutes of one core. Without the secret,
{8 * PSEUDONYM_BYTES} bits of a hash under a key of 256 bits say nothing of the number."""


def _openssl(found: Hashed) -> str:
    return f", {found.openssl_per_s:,.0f}/s in OpenSSL's own loop" if found.openssl_per_s else ""


def _when(results: RegistryResults) -> str:
    """Each part's machine and time, those that are the same together."""
    parts = [(f"{callers:,} callers", at.measured) for callers, at in results.sizes.items()]
    parts += [("the primaries killed", results.failovers_measured), ("hashing", results.hashed_measured)]
    by_time: dict[str, list[str]] = {}
    for what, when in parts:
        if when:
            by_time.setdefault(when, []).append(what)
    lines = [f"Measured by itself ({', '.join(whats)}) {when}" for when, whats in by_time.items()]
    return "\n\n".join(lines)


def _typical(at: AtSize) -> Asked | None:
    return next((one for one in at.asked if one.way == Way.REGISTRY and one.rate == _TYPICAL_RATE), None)


def _bytes_per(load: Loaded) -> float:
    return load.redis_bytes / load.callers


def _sized(size_bytes: float) -> str:
    return f"{size_bytes / GIB:.2f} GiB" if size_bytes >= GIB else f"{size_bytes / MIB:,.0f} MiB"


def _ms(us: float | None) -> str:
    return "–" if us is None else f"{us / 1e3:.3f}"
