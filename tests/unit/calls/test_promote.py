"""Promotion against a queue that is played; `tests/integration/test_promote.py` asks a real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from asterisk.ami import Event, Response, SimpleAction
from structlog.testing import capture_logs

from router.ami.messages import to_event
from router.calls import promote as promote_module
from router.calls.promote import (
    HIGHEST_PRIORITY,
    Asker,
    Entry,
    NotPromoted,
    Place,
    Promoted,
    Promotions,
    entries,
    front_priority,
)
from router.errors import AmiError, AmiLinkLost, AmiTimeout
from router.journal.records import PromotionRecord
from router.rules.schema import MAX_HEAD_START_S

from .rig import Rig, asks, hangs_up, working_desk
from .wire import queue_event

ALICE = Asker("alice", 1001)
NOW = 1_763_888_645.5
UNKNOWN = (
    "no caller who waits goes by that name; give the uniqueid that the journal has, or the channel's name as "
    "Asterisk's `queue show` has it"
)
OLD = (
    "Asterisk raised their priority but left them at place 3: moving a caller who waits needs Asterisk 18.20, 20.5, "
    "21 or later"
)


@dataclass
class PlayedQueues:
    """Queues of one Asterisk: queue → (uniqueid, priority) of its callers, first the one who is next."""

    queues: dict[str, list[tuple[str, int]]]
    moves: bool = True
    broken: dict[str, AmiError] = field(default_factory=dict)
    after_change: Callable[[], object] = lambda: None
    asked: list[SimpleAction] = field(default_factory=list)
    tells_priority: bool = True

    async def send_for_list(self, action: SimpleAction) -> list[Event]:
        self._take(action)
        only = action.keys.get("Queue")
        listed = []
        for queue, callers in self.queues.items():
            if only not in (None, queue):
                continue
            listed.append(Event("QueueParams", {"Queue": queue}))
            for position, (uniqueid, priority) in enumerate(callers, start=1):
                keys: dict[str, str | list[str]] = {
                    "Queue": queue,
                    "Position": str(position),
                    "Channel": f"PJSIP/trunk-{uniqueid}",
                    "Uniqueid": uniqueid,
                    "CallerIDNum": "+8613900000001",
                    "Wait": "200",
                }
                if self.tells_priority:
                    keys["Priority"] = str(priority)
                listed.append(Event("QueueEntry", keys))
        return listed

    async def send(self, actions: Sequence[SimpleAction]) -> list[Response]:
        return [self._carry_out(action) for action in actions]

    def _take(self, action: SimpleAction) -> None:
        known = sum(before.name == action.name for before in self.asked)
        self.asked.append(action)
        if (error := self.broken.get(action.name) or self.broken.get(f"{action.name} {known + 1}")) is not None:
            raise error

    def _carry_out(self, action: SimpleAction) -> Response:
        self._take(action)
        if action.name == "Setvar":
            return Response("Success", {"Message": "Variable Set"})
        assert action.name == "QueueChangePriorityCaller"
        assert action.keys["Immediate"] == "yes"
        callers = self.queues[action.keys["Queue"]]
        mine = [entry for entry in callers if f"PJSIP/trunk-{entry[0]}" == action.keys["Caller"]]
        if not mine:
            return Response("Error", {"Message": "Unable to change priority caller on queue: No such caller"})
        if self.moves:
            callers.remove(mine[0])
            callers.append((mine[0][0], int(action.keys["Priority"])))
            callers.sort(key=lambda entry: -entry[1])
        self.after_change()
        return Response("Success", {"Message": "Priority change for caller on queue"})

    def named(self, name: str) -> list[SimpleAction]:
        return [action for action in self.asked if action.name == name]


class Floor:
    """One or more Asterisks with their queues, and what was written."""

    def __init__(self) -> None:
        self.places: list[Place] = []
        self.rigs: dict[str, Rig] = {}
        self.written: list[PromotionRecord] = []

    async def promote(self, call: str, why: str = "") -> Promoted | NotPromoted:
        async with asyncio.timeout(5):
            return await Promotions(self.places, self.written.append).promote(call, ALICE, why)

    def told(self) -> list[tuple[int | None, int | None, bool, str]]:
        return [(r.from_position, r.to_position, r.done, r.not_done_why) for r in self.written]


MakeFloor = Callable[..., Awaitable[Floor]]


@pytest_asyncio.fixture
async def floor_of(tmp_path: Path) -> AsyncIterator[MakeFloor]:
    async with AsyncExitStack() as stack:

        async def make(**queues: PlayedQueues) -> Floor:
            floor = Floor()
            for node, played in queues.items():
                (tmp_path / node).mkdir()
                rig = await stack.enter_async_context(working_desk(tmp_path / node))
                floor.rigs[node] = rig
                floor.places.append(Place(node, rig.desk, played.send, played.send_for_list, lambda: NOW))
            return floor

        yield make


def three() -> PlayedQueues:
    return PlayedQueues({"agents": [("1.1", 300), ("1.2", 200), ("1.3", 100)], "senior-care": [("1.4", 999_999_999)]})


async def test_a_caller_is_moved_to_the_front_of_their_queue(floor_of: MakeFloor) -> None:
    queues = three()
    floor = await floor_of(pbx1=queues)
    with capture_logs() as logs:
        outcome = await floor.promote("1.3", "has fallen")
    assert outcome == Promoted("pbx1", "1.3", "agents", 3, 1, 200)
    assert [uniqueid for uniqueid, _ in queues.queues["agents"]] == ["1.3", "1.1", "1.2"]
    (record,) = floor.written
    assert record.model_dump(exclude={"time", "run", "seq"}) == {
        "record": "promotion",
        "schema_version": 1,
        "node": "pbx1",
        "uniqueid": "1.3",
        "linkedid": "1.3",
        "queue": "agents",
        "from_position": 3,
        "to_position": 1,
        "by": "alice",
        "by_uid": 1001,
        "why": "has fallen",
        "done": True,
        "not_done_why": "",
    }
    assert logs == [
        {
            "event": "caller promoted",
            "log_level": "info",
            "node": "pbx1",
            "call": "1.3",
            "queue": "agents",
            "from_position": 3,
            "by": "alice",
            "uid": 1001,
            "why": "has fallen",
        }
    ]


async def test_the_channels_name_does_as_well(floor_of: MakeFloor) -> None:
    floor = await floor_of(pbx1=three())
    assert await floor.promote("PJSIP/trunk-1.2") == Promoted("pbx1", "1.2", "agents", 2, 1, 200)
    assert floor.written[0].uniqueid == "1.2"


async def test_the_number_is_one_more_than_any_in_that_queue_and_is_kept_for_the_next(floor_of: MakeFloor) -> None:
    queues = PlayedQueues({"agents": [("1.1", 2_000_000_000), ("1.2", 200)], "senior-care": [("1.4", 2_100_000_000)]})
    floor = await floor_of(pbx1=queues)
    await floor.promote("1.2")
    (change,) = queues.named("QueueChangePriorityCaller")
    assert change.keys == {
        "Queue": "agents",
        "Caller": "PJSIP/trunk-1.2",
        "Priority": "2000000001",
        "Immediate": "yes",
    }
    assert [action.keys for action in queues.named("Setvar")] == [
        {"Channel": "PJSIP/trunk-1.2", "Variable": name, "Value": "2000000001"} for name in ("QUEUE_PRIO", "ELDER_PRIO")
    ]


def entry(priority: int | None) -> Entry:
    return Entry("agents", 1, "PJSIP/trunk-1", "1.1", 0, priority)


def test_nobody_who_joins_later_gets_ahead() -> None:
    longest_head_start_now = 2_000_000_000 - int(NOW) + MAX_HEAD_START_S
    assert front_priority([entry(5), entry(7)], NOW) > longest_head_start_now
    assert front_priority([entry(longest_head_start_now + 5)], NOW) == longest_head_start_now + 6
    assert front_priority([entry(None)], NOW) == front_priority([], NOW) == longest_head_start_now + 1


def test_from_2033_on_the_numbers_are_negative() -> None:
    in_2040 = 2_208_988_800.0
    assert front_priority([entry(-208_988_800)], in_2040) == -208_988_800 + MAX_HEAD_START_S + 1


async def test_an_asterisk_that_does_not_tell_priorities_is_asked_for_the_arithmetics(floor_of: MakeFloor) -> None:
    queues = three()
    queues.tells_priority = False
    floor = await floor_of(pbx1=queues)
    assert isinstance(await floor.promote("1.3"), Promoted)
    (change,) = queues.named("QueueChangePriorityCaller")
    assert int(change.keys["Priority"]) == front_priority([], NOW)


async def test_who_is_at_the_front_stays_there_and_nothing_is_changed(floor_of: MakeFloor) -> None:
    queues = three()
    floor = await floor_of(pbx1=queues)
    assert await floor.promote("1.1") == Promoted("pbx1", "1.1", "agents", 1, 1, 200)
    assert {action.name for action in queues.asked} == {"QueueStatus"}
    assert floor.told() == [(1, 1, False, "already at the front")]


async def test_who_is_promoted_later_comes_first(floor_of: MakeFloor) -> None:
    queues = three()
    floor = await floor_of(pbx1=queues)
    for call in ("1.2", "1.3"):
        await floor.promote(call)
    assert [uniqueid for uniqueid, _ in queues.queues["agents"]] == ["1.3", "1.2", "1.1"]


async def test_two_at_once_are_made_one_after_the_other(floor_of: MakeFloor) -> None:
    queues = three()
    floor = await floor_of(pbx1=queues)
    promotions = Promotions(floor.places, floor.written.append)
    await asyncio.gather(promotions.promote("1.2", ALICE), promotions.promote("1.3", ALICE))
    priorities = [int(action.keys["Priority"]) for action in queues.named("QueueChangePriorityCaller")]
    assert priorities[1] == priorities[0] + 1


async def test_who_waits_too_long_for_their_turn_is_told(floor_of: MakeFloor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promote_module, "TURN_WITHIN_S", 0.01)
    floor = await floor_of(pbx1=three())
    promotions = Promotions(floor.places, floor.written.append)
    async with promotions._turn:
        outcome = await promotions.promote("1.2", ALICE)
    assert outcome == NotPromoted("others are being promoted, and Asterisk is slow to answer; try again")
    assert isinstance(await promotions.promote("1.2", ALICE), Promoted)


async def test_who_is_answered_as_soon_as_they_are_at_the_front_was_promoted(floor_of: MakeFloor) -> None:
    queues = three()
    queues.after_change = lambda: queues.queues["agents"].pop(0)
    floor = await floor_of(pbx1=queues)
    assert await floor.promote("1.3") == Promoted("pbx1", "1.3", "agents", 3, None, 200)
    assert floor.told() == [(3, None, True, "")]


async def test_an_asterisk_too_old_to_move_a_waiting_caller_is_told_of(floor_of: MakeFloor) -> None:
    queues = three()
    queues.moves = False
    floor = await floor_of(pbx1=queues)
    assert await floor.promote("1.3") == NotPromoted(OLD)
    assert floor.told() == [(3, None, False, OLD)]


async def test_who_hangs_up_in_between_is_not_promoted(floor_of: MakeFloor) -> None:
    queues = three()
    floor = await floor_of(pbx1=queues)
    found = queues.send_for_list

    async def then_hangs_up(action: SimpleAction) -> list[Event]:
        listed = await found(action)
        queues.queues["agents"].pop()
        return listed

    floor.places = [Place("pbx1", floor.places[0].desk, queues.send, then_hangs_up, lambda: NOW)]
    why = "Asterisk did not move them: Unable to change priority caller on queue: No such caller"
    assert await floor.promote("1.3") == NotPromoted(why)
    assert floor.told() == [(3, None, False, why)]
    assert queues.named("Setvar") == []


async def test_above_the_highest_number_there_is_none(floor_of: MakeFloor) -> None:
    queues = PlayedQueues({"agents": [("1.1", HIGHEST_PRIORITY), ("1.2", 200)]})
    floor = await floor_of(pbx1=queues)
    why = (
        "somebody in agents has the highest priority that Asterisk knows, 2147483647, so that nobody can be put ahead "
        "of them; see what sets QUEUE_PRIO in your dialplan"
    )
    assert await floor.promote("1.2") == NotPromoted(why)
    assert floor.told() == [(2, None, False, why)]
    assert queues.named("QueueChangePriorityCaller") == []


@pytest.mark.parametrize("broken", ["QueueChangePriorityCaller", "Setvar", "QueueStatus 2"])
async def test_a_link_that_breaks_in_between_leaves_it_open_whether_it_was_done(
    floor_of: MakeFloor, broken: str
) -> None:
    queues = three()
    queues.broken = {broken: AmiTimeout("no answer within 2 s")}
    floor = await floor_of(pbx1=queues)
    outcome = await floor.promote("1.3")
    assert outcome == NotPromoted(
        "it is not known whether they were moved: no answer within 2 s; look at the queue, and ask again"
    )
    ((_, _, done, why),) = floor.told()
    assert (done, why) == (False, outcome.why)


@pytest.mark.parametrize("silent", ["QueueChangePriorityCaller", "Setvar", "QueueStatus"])
async def test_a_promotion_that_is_given_up_once_it_was_asked_for_is_recorded(floor_of: MakeFloor, silent: str) -> None:
    queues = three()
    floor = await floor_of(pbx1=queues)
    reached = asyncio.Event()

    async def then_nothing(actions: Sequence[SimpleAction]) -> list[Response]:
        answers = await queues.send(actions)
        if actions[0].name == silent:
            reached.set()
            await asyncio.Event().wait()
        return answers

    async def then_no_list(action: SimpleAction) -> list[Event]:
        listed = await queues.send_for_list(action)
        if silent == action.name and queues.named("Setvar"):
            reached.set()
            await asyncio.Event().wait()
        return listed

    floor.places = [Place("pbx1", floor.places[0].desk, then_nothing, then_no_list, lambda: NOW)]
    promotions = Promotions(floor.places, floor.written.append)
    promotion = asyncio.create_task(promotions.promote("1.3", ALICE, "has fallen"))
    with capture_logs() as logs:
        async with asyncio.timeout(5):
            await reached.wait()
        promotion.cancel()
        with pytest.raises(asyncio.CancelledError):
            await promotion
    why = (
        "it is not known whether they were moved: given up before Asterisk had answered; look at the queue, and ask "
        "again"
    )
    assert floor.told() == [(3, None, False, why)]
    assert floor.written[0].why == "has fallen"
    assert [(entry["event"], entry["reason"]) for entry in logs] == [("caller not promoted", why)]
    floor.places[:] = [Place("pbx1", floor.places[0].desk, queues.send, queues.send_for_list, lambda: NOW)]
    assert isinstance(await floor.promote("1.2"), Promoted), "the turn is over"


async def test_an_answer_that_makes_no_sense_is_recorded_too(floor_of: MakeFloor) -> None:
    queues = three()
    floor = await floor_of(pbx1=queues)

    async def too_few(_actions: Sequence[SimpleAction]) -> list[Response]:
        return []

    floor.places = [Place("pbx1", floor.places[0].desk, too_few, queues.send_for_list, lambda: NOW)]
    with pytest.raises(ValueError, match="not enough values"):
        await floor.promote("1.3")
    assert [(record.uniqueid, record.done) for record in floor.written] == [("1.3", False)]


async def test_nobody_by_that_name_waits(floor_of: MakeFloor) -> None:
    queues = three()
    floor = await floor_of(pbx1=queues)
    with capture_logs() as logs:
        assert await floor.promote("9.9") == NotPromoted(UNKNOWN)
    assert floor.written == []  # no call, no node: the log alone has it
    assert [(entry["event"], entry["call"], entry["by"]) for entry in logs] == [("caller not promoted", "9.9", "alice")]
    assert await floor.promote("1") == NotPromoted(UNKNOWN)  # not by a part of it


async def test_every_asterisk_is_asked_and_the_one_that_has_the_caller_moves_them(floor_of: MakeFloor) -> None:
    first, second = three(), PlayedQueues({"agents": [("2.1", 2), ("2.2", 1)]})
    floor = await floor_of(pbx1=first, pbx2=second)
    assert await floor.promote("2.2") == Promoted("pbx2", "2.2", "agents", 2, 1, 200)
    assert first.named("QueueChangePriorityCaller") == []


async def test_an_asterisk_that_cannot_be_asked_is_named_where_nobody_was_found(floor_of: MakeFloor) -> None:
    first, second = three(), three()
    second.broken = {"QueueStatus": AmiLinkLost("the link to pbx2 is waiting")}
    floor = await floor_of(pbx1=first, pbx2=second)
    assert isinstance(await floor.promote("1.2"), Promoted)
    assert await floor.promote("9.9") == NotPromoted(
        f"{UNKNOWN}; pbx2 could not be asked (the link to pbx2 is waiting)"
    )


async def test_of_two_who_go_by_one_name_neither_is_moved(floor_of: MakeFloor) -> None:
    first, second = three(), three()
    floor = await floor_of(pbx1=first, pbx2=second)
    assert await floor.promote("PJSIP/trunk-1.3") == NotPromoted(
        "2 waiting callers go by that name: 1.3 on pbx1, 1.3 on pbx2; name the one you mean by uniqueid"
    )
    assert first.named("QueueChangePriorityCaller") == second.named("QueueChangePriorityCaller") == []


JOINED = queue_event("QueueCallerJoin", uniqueid="7.7")


@pytest.mark.parametrize(
    ("happened", "state"),
    [
        ([], "they have not joined one yet; ask again in some seconds"),
        ([JOINED], "they wait between two queues, and will join the next one in some seconds; ask again then"),
        ([JOINED, queue_event("AgentConnect", uniqueid="7.7", MemberName="agent1")], "agent1 answered 0 s ago"),
        ([JOINED, queue_event("AgentConnect", uniqueid="7.7", MemberName="")], "somebody answered 0 s ago"),
        ([JOINED, queue_event("QueueCallerAbandon", uniqueid="7.7")], "they have given up waiting"),
    ],
)
async def test_of_a_call_in_hand_that_waits_nowhere_it_is_said_where_it_is(
    floor_of: MakeFloor, happened: list[Event], state: str
) -> None:
    floor = await floor_of(pbx1=three())
    rig = floor.rigs["pbx1"]
    asks(rig, "7.7")
    await rig.settled()
    rig.desk.calls["7.7"].touched_assistant = False
    for event in happened:
        rig.desk.on_event(event)
    why = f"this caller waits in no queue: {state}"
    assert await floor.promote("7.7") == NotPromoted(why)
    (record,) = floor.written
    assert (record.uniqueid, record.from_position, record.done, record.not_done_why) == ("7.7", None, False, why)


async def test_who_is_with_the_assistant_is_said_to_be(floor_of: MakeFloor) -> None:
    floor = await floor_of(pbx1=three())
    asks(floor.rigs["pbx1"], "7.7")
    floor.rigs["pbx1"].desk.calls["7.7"].touched_assistant = True
    outcome = await floor.promote("7.7")
    assert isinstance(outcome, NotPromoted)
    assert outcome.why.endswith("they are with the assistant and have not asked for a person")


async def test_a_call_that_is_known_to_be_over_is_said_to_be(floor_of: MakeFloor) -> None:
    floor = await floor_of(pbx1=three())
    rig = floor.rigs["pbx1"]
    rig.desk.adopt([], frozenset({"6.6"}))
    assert await floor.promote("6.6") == NotPromoted(
        "this caller waits in no queue any more: the call is over, see its outcome in the journal"
    )
    asks(rig, "7.7")
    hangs_up(rig, "7.7")
    assert await floor.promote("7.7") == NotPromoted(UNKNOWN)


async def test_the_record_carries_the_linkedid_of_a_call_in_hand(floor_of: MakeFloor) -> None:
    floor = await floor_of(pbx1=three())
    asks(floor.rigs["pbx1"], "1.3")
    floor.rigs["pbx1"].desk.calls["1.3"].linkedid = "1.0"
    await floor.promote("1.3")
    assert floor.written[0].linkedid == "1.0"


def test_a_callers_name_forges_neither_whose_place_it_is_nor_their_priority() -> None:
    name = "x\r\nUniqueid: 6.6\r\nQueue: other\r\nChannel: PJSIP/agent1-1\r\nPosition: 1\r\nPriority: 2147483647"
    event = to_event(
        "Event: QueueEntry\r\nQueue: agents\r\nPosition: 2\r\nChannel: PJSIP/trunk-1\r\nUniqueid: 1.1\r\n"
        f"CallerIDNum: {name}\r\nWait: 20\r\nPriority: 100".encode()
    )
    assert entries([event]) == [Entry("agents", 2, "PJSIP/trunk-1", "1.1", 20, 100)]


@pytest.mark.parametrize(
    ("text", "priority"),
    [("0", 0), ("-1", -1), ("2147483647", 2_147_483_647), ("", None), ("-", None), ("1e3", None), ("9" * 99, None)],
)
def test_a_priority_that_is_no_number_is_none(text: str, priority: int | None) -> None:
    (read,) = entries([Event("QueueEntry", {"Queue": "q", "Priority": text})])
    assert read.priority == priority
