"""Speech during the call: from the request to the first sound at the caller, and what that does to routing.

Real calls on one Asterisk: each is answered, asks for something to be said with `elder-say`, and hears it. Beside them,
as many calls a second are routed as in `added_latency`. Callers are older ones: everything is said at rate
0.85.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.added_latency import DIALPLAN as ROUTED_DIALPLAN
from bench.added_latency import HOLD_MS, ROUTED, RULES, quantile
from bench.journal_tally import JournalTally
from bench.machine import cpu_s
from bench.markdown import table
from bench.plan import Plan
from bench.population import Resident, population, write_csv
from bench.sound_clock import VOICE_PORTS, SoundClock
from lab.centre import Centre
from lab.phones import Call, place

RATE = 50
SELDOM = 4
"""Calls a second that say something new on a machine that has little else to do."""

FOUND, JOINED, FIGURES, PLAIN, AMOUNT = "96711", "96712", "96713", "96714", "96715"
WAITS_MIN, PLACES = range(1, 31), range(2, 100)
FOUND_PLACES, FOUND_WAITS_MIN = range(2, 12), range(1, 6)

_PLACE = "place-and-wait,position=${EXTEN:5:2}&wait=$[${EXTEN:7:2} * 60]"
_ASKS = {
    FOUND: _PLACE,
    JOINED: _PLACE,
    FIGURES: "reference,digits=${EXTEN:5}",
    AMOUNT: "balance,amount=${EXTEN:5:-2}.${EXTEN:-2} CNY",
}
_HEARS = """
exten => _{prefix}!,1,Set(CHANNEL(language)=en_unhurried)
 same => n,Answer(,i)
 same => n,{first}
 same => n,GotoIf($["${{ELDER_SAY}}" = ""]?over)
 same => n,Set(TIMEOUT(absolute)=1)
 same => n,Playback(${{ELDER_SAY}})
 same => n(over),Hangup()
"""
DIALPLAN = (
    ROUTED_DIALPLAN
    + "\n[from-callers](+)"
    + "".join(_HEARS.format(prefix=prefix, first=f"Gosub(elder-say,get,1({asks}))") for prefix, asks in _ASKS.items())
    + _HEARS.format(prefix=PLAIN, first="Set(ELDER_SAY=elder/greeting)")
)


@dataclass(frozen=True, slots=True)
class Spoken:
    """One block: `what` was said, `rate` times a second, with `RATE` routed calls a second beside it.

    Times are sorted: from 200 OK to the first sound, and of the routed calls from INVITE to 200 OK. Of `asked` calls,
    those without a sound hear what the dialplan says by itself, which here is nothing.
    """

    what: str
    rate: int
    asked: int
    to_sound_ms: list[float]
    routed_ms: list[float]
    router_cpu_s: float
    took_s: float


async def measure_speech(directory: Path, plan: Plan, console: Console) -> list[Spoken]:
    """Place all blocks."""
    rules = directory / "routing.yaml"
    residents = population()
    callers = write_csv(residents, directory / "callers.csv")
    rules.write_text(RULES)
    centre = Centre(
        directory / "centre",
        rules=rules,
        callers=callers,
        extra_dialplan=DIALPLAN,
        # With the deadline as it is shipped: the lab's is longer.
        speech={"during_calls": f"{{folder: {directory / 'centre' / 'asterisk' / 'spoken'}}}"},
    )
    async with centre:
        bench = _Bench(centre, itertools.cycle(residents), directory, plan.speech_s)
        console.print("[bold]==>[/] speech during calls: saying everything once")
        await bench.warm_up()
        found = []
        for what, rate, numbers in bench.blocks():
            found.append(await bench.block(what, rate, numbers))
            console.print(_line(found[-1]))
        return found


class _Bench:
    def __init__(self, centre: Centre, callers: Iterator[Resident], directory: Path, block_s: float) -> None:
        self._centre = centre
        self._callers = callers
        self._directory = directory
        self._block_s = block_s
        self._tally = JournalTally(centre.router.journal)
        self._ports = itertools.cycle(VOICE_PORTS)
        self._runs = itertools.count(1)
        # Every place and every wait stands in one of these, so that each sentence is known; the rest are new answers.
        self._warm = [f"{place:02d}{WAITS_MIN[place % len(WAITS_MIN)]:02d}" for place in PLACES]
        every = {f"{place:02d}{wait:02d}" for place in PLACES for wait in WAITS_MIN} - set(self._warm)
        self._found = [f"{place:02d}{wait:02d}" for place in FOUND_PLACES for wait in FOUND_WAITS_MIN]
        self._joined = sorted(every - set(self._found))
        random.Random(4).shuffle(self._joined)  # noqa: S311 - the same at each run
        self._figures = itertools.count(10_000_001, 7919)
        self._cents = itertools.count(123_450, 7919)

    async def warm_up(self) -> None:
        """Have everything said that is to be known, as slowly as it takes."""
        for values in (self._warm, self._found):
            await self._place([f"{FOUND}{value}" for value in values], rate=SELDOM)

    def blocks(self) -> list[tuple[str, int, Callable[[], str] | None]]:
        """What is measured, in order; each gives the next number to call."""
        found = itertools.cycle(self._found)
        joined = iter(self._joined)
        return [
            ("nothing", RATE, None),
            ("a built prompt, asked of nobody", RATE, lambda: PLAIN),
            ("said before", RATE, lambda: FOUND + next(found)),
            ("new, of sentences said before", RATE, lambda: JOINED + next(joined)),
            ("a new amount", SELDOM, lambda: f"{AMOUNT}{next(self._cents)}"),
            ("a new amount", RATE, lambda: f"{AMOUNT}{next(self._cents)}"),
            ("eight new figures", RATE, lambda: f"{FIGURES}{next(self._figures)}"),
            ("nothing", RATE, None),
        ]

    async def block(self, what: str, rate: int, number: Callable[[], str] | None) -> Spoken:
        """Place routed calls, and those that hear something beside them."""
        numbers = [number() for _ in range(round(rate * self._block_s))] if number else []
        routed = [ROUTED] * round(RATE * self._block_s)
        router = self._centre.router.child.pid
        outcomes, cpu_before = self._tally.outcomes + len(routed), cpu_s(router)
        loop = asyncio.get_running_loop()
        began = loop.time()
        with SoundClock(self._centre.asterisk.sip_port) as clock:
            await asyncio.gather(self._place(routed, rate=RATE), self._place(numbers, rate=rate))
            await self._tally.wait_for(outcomes=outcomes)
        return Spoken(
            what=what,
            rate=rate if numbers else 0,
            asked=len(numbers),
            to_sound_ms=clock.to_sound_ms("9671"),
            routed_ms=clock.to_answer_ms(ROUTED),
            router_cpu_s=cpu_s(router) - cpu_before,
            took_s=loop.time() - began,
        )

    async def _place(self, numbers: list[str], rate: int) -> None:
        calls = [Call(next(self._callers).e164, number, media_port=next(self._ports)) for number in numbers]
        if calls:
            run = self._directory / f"speech{next(self._runs)}"
            await place(run, self._centre.asterisk.sip_port, calls, hold_ms=HOLD_MS, rate_per_s=rate)


def _line(block: Spoken) -> str:
    sound, routed = (
        f"p50 {quantile(times, 0.5):.2f} ms, p99 {quantile(times, 0.99):.2f} ms"
        for times in (block.to_sound_ms, block.routed_ms)
    )
    said = f"{block.what}, {block.rate}/s: {len(block.to_sound_ms)} of {block.asked} heard it, {sound}; "
    return f"    {said if block.asked else ''}routed {len(block.routed_ms)}: {routed}"


def section(found: list[Spoken]) -> str:
    """Speech during the call."""
    numbers = table(
        (
            "what is said", "calls/s", "calls", "heard it in time", "first sound p50", "first sound p99",
            "routing p50", "routing p99", "router, of one core",
        ),
        [
            (
                block.what,
                str(block.rate) if block.asked else "–",
                f"{block.asked:,}" if block.asked else "–",
                f"{len(block.to_sound_ms) / block.asked:.1%}" if block.asked else "–",
                *(f"**{quantile(block.to_sound_ms, share):.1f}**" if block.asked else "–" for share in (0.5, 0.99)),
                *(f"{quantile(block.routed_ms, share):.2f}" for share in (0.5, 0.99)),
                f"{block.router_cpu_s / block.took_s:.1%}",
            )
            for block in found
        ],
    )  # fmt: skip
    return f"""\
## Speech during the call

From the request to the first sound at the caller, in ms, and what that does to routing. Real calls: each is answered,
asks at once, and hears one second of it; the 200 OK, behind which the request is sent, and the first packet of the
sound are timed by the kernel. The dialplan looks every 10 ms for 0.2 s, then every 50 ms, and goes on by itself after
2 s (the router gives up after 1.5 s); who did not hear it in time heard that instead. All is spoken by espeak-ng at
rate 0.85. Beside all of it, {RATE} calls a second are routed to a context that answers, as in “What the router adds to
a call”: their time from INVITE to 200 OK is that of routing. The first and the last block have those alone; the second
shows what as many calls do to routing that only play a prompt and ask nothing.

{numbers}

“Said before” is a file that is there already. “Of sentences said before” is joined, made louder and written, without
the engine: a place in the queue and a wait that were each said, but not together. “A new amount” is what is
usually new: of «The amount is 1234.50 yuan», the amount, for which espeak-ng runs once. “Eight new figures” are two new
phrases, a run for each. Two answers are made at once. Where that is more than the machine can speak, those beyond it
are told so at once and hear Asterisk's own words, and routing goes on."""
