"""A desk with the shipped rules and a real journal; only Asterisk and the registry are stand-ins.

They cannot otherwise be made to refuse, hang or break at the moment that a test needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from asterisk.ami import Event, Response, SimpleAction

from router.callers.number import Caller, NoNumber, PhoneNumber
from router.callers.past import Chosen
from router.callers.registry import BandLookup, BandSource
from router.callers.stored import Visit
from router.calls.desk import CallDesk, DeskSettings, Journal, Send
from router.calls.reconcile import SendForList
from router.journal.records import DecisionRecord, OutcomeRecord
from router.journal.writer import JournalWriter
from router.rules.book import load_rules
from tests.unit.journal.reading import records_in

from .dialplan import ROOT
from .wire import TOKEN, user_event

BOOK = load_rules(ROOT / "config" / "routing.yaml")
NODE = "pbx1"
CALL = "1763888645.42"
CHANNEL = "PJSIP/trunk-00000001"
ELDER = "+8613912345678"
RecordT = TypeVar("RecordT", DecisionRecord, OutcomeRecord)


class Clock:
    now_s = 5000.0


class ClockedDesk(CallDesk):
    """A desk whose clock a test moves."""

    clock: Clock

    def now(self) -> float:
        return self.clock.now_s


class StandInRegistry:
    """Knows the bands it is told; a caller it does not know is unknown."""

    def __init__(self) -> None:
        self.bands: dict[str, str] = {}
        self.failure = ""
        self.breaks_on: str | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.asked: list[Caller] = []
        self.visits: list[Visit | None] = []
        self.earlier_calls_s: tuple[float, ...] | None = None
        self.choice: str | None = None
        self.age_s: float | None = None
        self.remembered: list[tuple[PhoneNumber, str]] = []
        self.remembers: Callable[[], Awaitable[None]] | None = None
        """What remembering waits for or fails by."""

    async def lookup(self, caller: Caller, visit: Visit | None = None) -> BandLookup:
        self.asked.append(caller)
        self.visits.append(visit)
        await self.open.wait()
        match caller:
            case NoNumber():
                return BandLookup(None, BandSource.NO_NUMBER, caller.reason.value, 0.0)
            case PhoneNumber(e164=e164) if e164 == self.breaks_on:
                raise RuntimeError("the registry promised never to raise")
            case PhoneNumber(e164=e164) if e164 in self.bands:
                return BandLookup(
                    *(self.bands[e164], BandSource.REGISTRY, "", 0.0, self.choice, self.earlier_calls_s, self.age_s)
                )
        if self.failure:
            return BandLookup(None, BandSource.LOOKUP_FAILED, self.failure, 0.0)
        return BandLookup(None, BandSource.NOT_FOUND, "", 0.0, age_s=self.age_s)

    async def remember(self, number: PhoneNumber, later: Chosen) -> None:
        if self.remembers is not None:
            await self.remembers()
        self.remembered.append((number, str(later)))


class StandInAsterisk:
    """Carries out Setvar and Getvar, remembers them, lists what it is told to."""

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        """Globals."""
        self.set_on: dict[str, list[tuple[str, str]]] = {}
        """What was set on each channel, in order."""
        self.refuses: frozenset[str] = frozenset()
        """Variables that it answers with an error."""
        self.breaks: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.reached = asyncio.Event()
        self.lists: dict[str, list[Event]] = {"Status": [], "QueueStatus": []}
        self.asked: list[SimpleAction] = []
        self.on_asked: Callable[[SimpleAction], None] = lambda _: None

    async def send(self, actions: Sequence[SimpleAction]) -> list[Response]:
        self.reached.set()
        await self.open.wait()
        if self.breaks is not None:
            raise self.breaks
        return [self._answer(action) for action in actions]

    async def send_for_list(self, action: SimpleAction) -> list[Event]:
        self.asked.append(action)
        self.on_asked(action)
        return self.lists[action.name]

    def _answer(self, action: SimpleAction) -> Response:
        self.asked.append(action)
        self.on_asked(action)
        name = action.keys["Variable"]
        if name in self.refuses:
            return Response("Error", {"Message": "No such channel"})
        if action.name == "Getvar":
            return Response("Success", {"Variable": name, "Value": self.variables.get(name, "")})
        assert action.name == "Setvar"
        if "Channel" in action.keys:
            self.set_on.setdefault(action.keys["Channel"], []).append((name, action.keys["Value"]))
        else:
            self.variables[name] = action.keys["Value"]
        return Response("Success", {"Message": "Variable Set"})


class Rig:
    """A working desk and all around it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Clock()
        self.registry = StandInRegistry()
        self.asterisk = StandInAsterisk()
        self.journal = JournalWriter(path)
        self.book = BOOK
        self.desk: CallDesk

    @property
    def send(self) -> Send:
        return self.asterisk.send

    @property
    def send_for_list(self) -> SendForList:
        return self.asterisk.send_for_list

    async def settled(self) -> None:
        """Wait until nothing is being routed, and every call that fell back has its record."""
        async with asyncio.timeout(5):
            while deciding := [*self.desk._routing.values(), *self.desk._unasked._pending.values()]:
                await asyncio.wait(deciding)

    def records(self) -> list[DecisionRecord | OutcomeRecord]:
        found = []
        for record in records_in(self.path):
            assert isinstance(record, DecisionRecord | OutcomeRecord), record
            found.append(record)
        return found

    def all_of(self, kind: type[RecordT]) -> list[RecordT]:
        return [record for record in self.records() if isinstance(record, kind)]

    def decision(self) -> DecisionRecord:
        """The one decision in the journal."""
        (record,) = self.all_of(DecisionRecord)
        return record

    def outcome(self) -> OutcomeRecord:
        """The one outcome in the journal."""
        (record,) = self.all_of(OutcomeRecord)
        return record


def key_of(number: PhoneNumber) -> str:
    return f"{int(number.e164[-4:]):016x}"


@asynccontextmanager
async def working_desk(
    directory: Path,
    *,
    full_numbers: bool = False,
    journal: Journal | None = None,
    caller_key: Callable[[PhoneNumber], str] = key_of,
) -> AsyncIterator[Rig]:
    """A desk at work until the block ends; all that it still routes is then finished."""
    rig = Rig(directory / "journal.jsonl")
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        rig.desk = ClockedDesk(
            DeskSettings(NODE, "CN", caller_key, full_numbers),
            registry=rig.registry,
            rules=lambda: rig.book,  # a test may put another one in
            journal=journal or rig.journal,
            send=rig.send,
            tasks=tasks,
        )
        rig.desk.clock = rig.clock
        rig.desk.token = TOKEN
        try:
            yield rig
        finally:
            rig.registry.open.set()
            rig.asterisk.open.set()
    rig.journal.close()


async def soon(condition: Callable[[], bool]) -> None:
    """Let the loop run until something holds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for signals nobody; a turn of the loop is no polling
            await asyncio.sleep(0)


def asks(rig: Rig, call: str = CALL, channel: str = CHANNEL, **headers: str) -> None:
    rig.desk.on_event(user_event("RouteRequest", Call=call, LinkedCall=call, CallChannel=channel, **headers))


def hangs_up(rig: Rig, call: str = CALL, cause: str = "16") -> None:
    rig.desk.on_event(user_event("RouteEnded", Call=call, Cause=cause))


def earlier(uniqueid: str, age: timedelta = timedelta(seconds=30)) -> DecisionRecord:
    return DecisionRecord(
        time=datetime.now(UTC) - age,
        node=NODE,
        uniqueid=uniqueid,
        linkedid=uniqueid,
        ask=1,
        caller="",
        caller_key="",
        called="95500",
        language="en",
        age_band=None,
        band_source="unknown",
        rule="r",
        target="people",
        queue="agents",
        rules_version="v",
        applied=True,
        fallback="deadline",
    )
