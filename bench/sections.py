"""The sections of docs/benchmarks.md: each states its method and shows its numbers."""

from __future__ import annotations

from statistics import median

from bench.added_latency import STAY_S, AtRate, Way, quantile
from bench.day_replayed import DayReplayed
from bench.markdown import between, compared, table
from bench.population import SHARES
from bench.readers import Reading
from bench.replay import OUTSTANDING, Memory, Run
from bench.rule_cost import AtSize, Timed

CALLS_A_DAY = 2_120_000
TARGET_PER_S = 3_000
MIB = 2**20


def latency(found: list[AtRate], order: str) -> str:
    """What the router adds to a call."""
    numbers = table(
        (
            "calls/s", "calls each way", "direct p50", "router p50", "added p50", "direct p99", "router p99",
            "added p99", "own p50", "own p99", "failed direct / router", "fell back",
        ),
        [_latency_row(at) for at in found],
    )  # fmt: skip
    spread = table(
        ("calls/s", "direct p50", "router p50", "direct p99", "router p99"),
        [
            (str(at.rate), *(_spread(way, share) for share in (0.5, 0.99) for way in (at.direct, at.routed)))
            for at in found
        ],
    )
    ways = " ".join({"d": "direct", "r": "router"}[way] for way in order)
    mix = ", ".join(f"{share}% {band or 'not in the registry'}" for band, share in SHARES.items())
    fewest = found[0].direct.calls
    return f"""\
## What the router adds to a call

From the INVITE to the 200 OK, which is the first step in the target context (`Answer()`), in ms. The same SIPp
calls the same Asterisk under two numbers: one goes to the target context with a plain `Goto`, the other through
`elder-inbound` and the router, whose rules send everybody to that same context. A call stays {STAY_S} s. Blocks of
calls alternate at each rate ({ways}). Both packets are timed by the kernel as they pass the loopback interface
(SIPp's own times come in steps of 4 ms). Callers are made up ({mix}); the rules look up, decide and set variables
as the shipped ones do.

{numbers}

“Failed” is SIPp's count of calls that did not go as its scenario says, “fell back” Asterisk's own count of calls
that went on to people without the router. “Own” is the router's own time by its journal, from reading the request
to Asterisk's answer to the last variable. The dialplan looks every 2 ms whether the target is set. The p99 of
{fewest:,} calls rests on the slowest {max(1, round(fewest / 100))} of them.

Lowest and highest of the {order.count("d")} blocks of each way:

{spread}"""


def _latency_row(at: AtRate) -> list[str]:
    row = [str(at.rate), f"{at.direct.calls:,}"]
    for share in (0.5, 0.99):
        direct, routed = quantile(at.direct.times_ms, share), quantile(at.routed.times_ms, share)
        row += [f"{direct:.2f}", f"{routed:.2f}", f"**{routed - direct:.2f}**"]
    row += [f"{quantile(at.routed.answer_ms, share):.2f}" for share in (0.5, 0.99)]
    return [*row, f"{at.direct.failed} / {at.routed.failed}", str(at.routed.fell_back)]


def _spread(way: Way, share: float) -> str:
    return between([quantile(block.times_ms, share) for block in way.blocks])


def cost(found: list[AtRate]) -> str:
    """What a call costs in processor time."""
    numbers = table(
        (
            "calls/s", "router, µs a call", "of one core", "Asterisk direct, µs a call",
            "Asterisk with router, µs a call", "ratio of these two",
        ),
        [
            (
                str(at.rate),
                f"**{at.routed.router_us_per_call:,.0f}**",
                f"{at.routed.router_core_share:.1%}",
                f"{at.direct.asterisk_us_per_call:,.0f}",
                f"{at.routed.asterisk_us_per_call:,.0f}",
                compared(at.routed.asterisk_us_per_call, at.direct.asterisk_us_per_call),
            )
            for at in found
        ],
    )  # fmt: skip
    blocks = [block for at in found for block in at.direct.blocks]
    idle = sum(block.router_cpu_s for block in blocks) / sum(block.took_s for block in blocks)
    return f"""\
## What a call costs

Processor time of the two processes during the blocks above, in µs a call, heartbeat and keepalive included. During
the direct blocks the idle router took {idle:.2%} of a core.

{numbers}"""


def replays(runs: list[Run]) -> str:
    """Decisions a second of one process."""
    numbers = table(
        (
            "outstanding", "decisions/s", "lowest – highest", f"of the target of {TARGET_PER_S:,}/s",
            "daemon, µs a decision", "daemon's core", "stand-in, of the other core", "Redis, of the other core",
        ),
        [
            _replay_row([run for run in runs if run.outstanding == outstanding])
            for outstanding in sorted({run.outstanding for run in runs})
        ],
    )  # fmt: skip
    calls = sum(run.calls for run in runs)
    events = sum(run.replayed.events for run in runs) / calls
    actions = sum(run.replayed.actions for run in runs) / calls
    per_s = _typical_per_s(runs)
    size = sum(run.journal_bytes for run in runs) / calls
    decisions, applied, outcomes, failed = (
        f"{sum(getattr(run, what) for run in runs):,}"
        for what in ("decisions", "applied", "outcomes", "lookups_failed")
    )
    return f"""\
## Decisions a second of one process

The real daemon (`elder-router run`) with the shipped rules, a real Redis and a real journal, fed by a stand-in for
Asterisk's manager interface. That replays over loopback what Asterisk sent the router about two real calls (one of
an older caller to a person, one of another to the assistant) under other numbers, as often as needed: {events:.1f}
events from Asterisk and {actions:.1f} actions of the router a call. A request counts as decided when `ELDER_TARGET`
is set; then the rest of that call follows, to its end, and the next request, so that the same number of requests is
outstanding all the time. The daemon has one core for itself; Redis and the stand-in share the other. Unlike
Asterisk, the stand-in answers at once, and many actions in one write.

{numbers}

At {per_s:,.0f} decisions/s (with {OUTSTANDING} outstanding), {CALLS_A_DAY:,} calls, a day of the hotline this is
made for, pass in {CALLS_A_DAY / per_s / 60:.1f} minutes. The journal held {decisions} decisions ({applied} applied)
and {outcomes} outcomes of {calls:,} calls, {size:,.0f} bytes a call, which makes {size * CALLS_A_DAY / 1e9:.1f} GB of
such a day. {failed} lookups failed or missed their deadline of 50 ms, as they do when something else has one of the
cores for that long; such a call is decided like that of an unknown caller. {_bottleneck(runs)}"""


def _replay_row(runs: list[Run]) -> list[str]:
    per_s = [run.per_s for run in runs]
    took_s = sum(run.replayed.took_s for run in runs)
    used_s = (
        sum(run.daemon_cpu_s for run in runs),
        sum(run.replayed.server_cpu_s for run in runs),
        sum(run.redis_cpu_s for run in runs),
    )
    return [
        str(runs[0].outstanding),
        f"**{median(per_s):,.0f}**",
        between(per_s, 0),
        f"{median(per_s) / TARGET_PER_S:.2f}",
        f"{median(run.us_per_call for run in runs):,.0f}",
        *(f"{each_s / took_s:.0%}" for each_s in used_s),
    ]


def _typical_per_s(runs: list[Run]) -> float:
    return median(run.per_s for run in runs if run.outstanding == OUTSTANDING)


def _bottleneck(runs: list[Run]) -> str:
    full = [run for run in runs if run.outstanding >= OUTSTANDING]
    daemon = median(run.share_of_core(run.daemon_cpu_s) for run in full)
    other = median(run.share_of_core(run.replayed.server_cpu_s + run.redis_cpu_s) for run in full)
    if other > 0.8:
        return "**The stand-in and Redis were the bottleneck**: the daemon can do more than this shows."
    if daemon < 0.9:
        return "**The daemon did not get a whole core**: the machine was busy with something else."
    return (
        f"From {OUTSTANDING} outstanding on the daemon's core was full and the other was not: the daemon is the limit."
    )


def clients(readings: list[Reading], runs: list[Run]) -> str:
    """What other clients manage that only read."""
    decided = _typical_per_s(runs) if runs else None
    head = ["client", "messages read", "messages/s", "µs of processor a message", "as in calls/s"]
    if decided:
        head.append("to the daemon's decisions/s")
    rows = []
    for reading in readings:
        row = [
            reading.client,
            f"{reading.messages:,}",
            f"{reading.per_s:,.0f}",
            f"{reading.cpu_s / max(1, reading.messages) * 1e6:,.1f}",
            f"{reading.calls_per_s:,.0f}",
        ]
        rows.append([*row, compared(reading.calls_per_s, decided)] if decided else row)
    return f"""\
## Clients that only read

AMI clients reading the same recorded events (not the answers to actions) with a callback that counts, each in a
process of its own: no lookup, no decision, no action, no record. The first is the router's own link, likewise only
reading. “As in calls/s” divides by the {readings[0].messages_per_call:.1f} events of a call.

{table(head, rows)}

A client too slow for the whole stream was cut off. Each was measured once, in a run of a second or so: take small
differences for ties."""


def memory(found: Memory) -> str:
    """Memory with calls in hand."""
    empty = found.rss_bytes[0]
    rows = [
        (
            f"{calls:,}",
            f"{rss / MIB:.1f}",
            f"{(rss - empty) / MIB:.1f}" if calls else "–",
            f"{(rss - empty) / calls:,.0f}" if calls >= 1_000 else "–",
        )
        for calls, rss in found.rss_bytes.items()
    ]
    return f"""\
## Memory

Resident memory of the daemon with calls in hand that were decided, have joined a queue and never end. Every caller
had called once before, so that what is remembered of callers is not counted as memory of calls.

{table(("calls in hand", "MiB", "more than with none, MiB", "bytes a call"), rows)}

Memory is taken from the system in steps, and what was freed is used again first: a small number of calls may show
as nothing at all."""


def rules(found: list[AtSize]) -> str:
    """What deciding costs by the number of rules, beside rule-engine."""
    deciding = table(
        (
            "rules", "which matches", "rules asked", "elder-router, µs a decision", "lowest – highest",
            "rule-engine, µs a decision", "lowest – highest", "rule-engine / elder-router",
        ),
        [
            (
                *(str(at.rules), kind.which, f"{kind.asked:,.1f}", *_timed(kind.decide_us)),
                compared(median(kind.decide_us.theirs), median(kind.decide_us.ours)),
            )
            for at in found
            for kind in at.kinds
        ],
    )  # fmt: skip
    loading = table(
        (
            "rules", "file, KiB", "elder-router: read, check, prove, ms", "lowest – highest",
            "rule-engine: compile, ms", "lowest – highest", "elder-router / rule-engine",
        ),
        [
            (
                *(str(at.rules), f"{at.file_bytes / 1024:.1f}", *_timed(at.load_ms)),
                compared(median(at.load_ms.ours), median(at.load_ms.theirs)),
            )
            for at in found
        ],
    )  # fmt: skip
    records = table(
        (
            "rules", "first matches: bytes", "any: bytes", "last: bytes", "first matches: µs", "any: µs", "last: µs",
        ),
        [
            (
                str(at.rules),
                *(f"{kind.record_bytes:,.0f}" for kind in at.kinds),
                *(f"{median(kind.record_us):,.0f}" for kind in at.kinds),
            )
            for at in found
        ],
    )  # fmt: skip
    return f"""\
## What rules cost

One decision by the number of rules, in one process without Asterisk, Redis or journal; and the same rules and calls
given to [rule-engine](https://github.com/zeroSteiner/rule-engine), a general engine that one might take instead. By
its name it is what someone who looks for a rule engine for Python finds first; it is pure Python, maintained,
BSD-licensed, has conditions over attributes in a language of its own, and a `Chain` that takes the first rule that
matches. It is used the fastest way found: undeclared types, `getattr` as its resolver, lists and beginnings as
regular expressions, the facts worked out beforehand. Before anything is timed, both engines have chosen the same rule
for every call.

The rules are made up and the same at each run: lines, lists of lines, beginnings of service numbers, regions and lists
of callers, some by age band, language, withheld number, calendar or roll-out; the last has no condition. Calls fit the
first rule, or any rule, each as likely; or none but the last, the worst case. A time is the median of
{len(found[0].load_ms.ours)} rounds over thousands of different calls, the engines taking turns.

**elder-router's time includes its trace**, which says of each rule asked what it wanted and what the call had, and
which every record holds; and finding out which calendars are open. rule-engine gives no trace, it says which rule
matched; and it is told beforehand which calendars are open.

{deciding}

Loading is done once for each change of the file. elder-router's also finds every mistake with its line, and proves
that every rule can be reached and that protected callers reach a person; rule-engine only compiles its expressions.

{loading}

A decision's record in the journal, which holds the trace, and the time to make and write it:

{records}"""


def days(runs: list[DayReplayed]) -> str:
    """What it costs to put a day to changed rules."""
    numbers = table(
        (
            "rules", "journal", "file, GB", "seconds", "decisions/s", "µs of processor a decision",
            "most memory, MiB", "routed differently",
        ),
        [
            (
                *(str(run.rules), "gzip" if run.compressed else "plain", f"{run.file_bytes / 1e9:.2f}"),
                *(f"**{run.took_s:.1f}**", f"{run.decisions / run.took_s:,.0f}"),
                *(f"{run.cpu_s / run.decisions * 1e6:.1f}", f"**{run.peak_rss_bytes / MIB:.0f}**", f"{run.differ:,}"),
            )
            for run in runs
        ],
    )  # fmt: skip
    return f"""\
## Replaying a day against changed rules

`elder-router diff` over the journal of a day of {runs[0].decisions:,} calls, a decision and an outcome of each; one
process, one core. The {runs[0].rules} rules are the shipped ones, and calls come as they do there; the
{runs[-1].rules} are those of “What rules cost”, and calls fit any of them, each as likely, so that about half of the
rules are asked. The old rules decided the day; the new ones are the same with a longer head start for some. Records are
the desk's own, made for some thousand different calls and repeated with other callers, times and names. Memory is
the most that was resident, by the kernel's count. Start-up, checking the rules and the report are included.

{numbers}

Each was run once, the plain journal right after it was written: the kernel may have had much of it in memory."""


def _timed(timed: Timed) -> list[str]:
    return [
        f"**{median(timed.ours):,.2f}**",
        between(timed.ours),
        f"{median(timed.theirs):,.2f}",
        between(timed.theirs),
    ]
