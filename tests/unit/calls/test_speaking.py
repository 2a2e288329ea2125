"""Whatever the dialplan asks to be said, its caller gets an answer in time; nothing wrong with one holds up another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from asterisk.ami import Event, Response, SimpleAction
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from router.calls import speaking
from router.calls.events import LONGEST_TEXT, Answered, SpeechRequested
from router.calls.speaking import (
    CANNOT,
    MOST_IN_HAND,
    NOTHING,
    SpeechDesk,
    Voice,
    WrongRequestError,
    language_and_profile,
    values_of,
)
from router.errors import AmiTimeout, SpeechError
from router.speech.catalogue import Catalogue, load_catalogue
from router.speech.profile import SpokenProfile
from router.speech.sentence import Sentence

from .dialplan import ROOT
from .rig import BOOK, CALL, CHANNEL, NODE, soon

PROMPTS = load_catalogue(ROOT / "config" / "prompts")
REQUEST = SpeechRequested(CALL, CHANNEL, 1, "en")


class StandInSpeaker:
    """Remembers what it was to say."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, str]] = []
        self.fails: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def say(
        self,
        sentences: tuple[Sentence, ...],
        language: str,
        profile: SpokenProfile,
        *,
        until: float,  # noqa: ARG002 - the protocol's
    ) -> str:
        await self.open.wait()
        if self.fails is not None:
            raise self.fails
        self.said.append((" ".join(sentence.text for sentence in sentences), language, profile.name))
        return "0f"


@dataclass
class Rig:
    """A desk with a queue of two callers, of priorities 30 and 20, and a clock that a test moves."""

    speaker: StandInSpeaker = field(default_factory=StandInSpeaker)
    now: float = 100.0
    turn: int = 0
    agents_free: int = 0
    agents: int = 3
    waiting: tuple[int, ...] = (30, 20)
    catalogue: Catalogue = PROMPTS
    set: list[tuple[str, str, str]] = field(default_factory=list)
    breaks: Exception | None = None
    desk: SpeechDesk = field(init=False)

    async def send(self, actions: Sequence[SimpleAction]) -> list[Response]:
        if self.breaks is not None:
            raise self.breaks
        self.set += [(a.keys["Channel"], a.keys["Variable"], a.keys["Value"]) for a in actions]
        return [Response("Success", {}) for _ in actions]

    async def send_for_list(self, action: SimpleAction) -> list[Event]:
        queue = action.keys["Queue"]
        if action.name == "QueueSummary":
            free, there = str(self.agents_free), str(self.agents)
            return [Event("QueueSummary", {"Queue": queue, "Available": free, "LoggedIn": there})]
        return [Event("QueueParams", {"Queue": queue})] + [
            Event("QueueEntry", {"Queue": queue, "Position": str(n), "Uniqueid": f"{n}.0", "Priority": str(priority)})
            for n, priority in enumerate(self.waiting, 1)
        ]

    def answers(self, *at: float) -> None:
        for moment in at:
            self.now = moment
            self.desk.answered(Answered("9.9", "agents", "a", 1000))

    async def value(self, request: SpeechRequested) -> str:
        """What the request is answered with, as the call's next turn, a second after what was before."""
        before = len(self.set)
        self.turn += 1
        self.now += 1
        request = replace(request, turn=self.turn)
        self.desk.requested(request)
        await soon(lambda: len(self.set) > before)
        channel, name, value = self.set[-1]
        assert (channel, name) == (request.channel, f"ELDER_SPEECH_{request.turn}")
        return value


@asynccontextmanager
async def a_rig(*, voice: bool = True, deadline_s: float = 1.5) -> AsyncIterator[Rig]:
    rig = Rig()
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        rig.desk = SpeechDesk(
            NODE,
            Voice(rig.speaker, lambda: rig.catalogue, lambda name: f"/spoken/{name}", deadline_s) if voice else None,
            rules=lambda: BOOK,
            send=rig.send,
            send_for_list=rig.send_for_list,
            tasks=tasks,
            now=lambda: rig.now,
        )
        yield rig
        rig.speaker.open.set()


def a_prompt(prompt: str, values: str = "", language: str = "en") -> SpeechRequested:
    return replace(REQUEST, prompt=prompt, values=values, language=language)


def a_place(priority: str, about: str = "", call: str = CALL) -> SpeechRequested:
    return replace(REQUEST, uniqueid=call, place="agents", priority=priority, about=about)


async def test_a_prompt_is_said_with_its_values_in_the_channel_s_language_at_its_speed() -> None:
    async with a_rig() as rig:
        assert await rig.value(a_prompt("place-and-wait", "position=3&wait=240", "en_unhurried")) == "/spoken/0f"
        (said,) = rig.speaker.said
        assert said[1:] == ("en", "unhurried")
        assert "number 3" in said[0]
        assert "about 4 minutes" in said[0]
        await rig.value(a_prompt("place-next", language="zh"))
        assert rig.speaker.said[-1] == ("下一位就是您。", "zh", "standard")
        assert rig.desk.counts.said == 2


async def test_a_text_is_said() -> None:
    async with a_rig() as rig:
        assert await rig.value(replace(REQUEST, text="Hello, Mr. Smith. It is Tuesday.")) == "/spoken/0f"
        assert rig.speaker.said[0][0] == "Hello, Mr. Smith. It is Tuesday."


@pytest.mark.parametrize(
    ("priority", "said"),
    [("31", "You are next."), ("30", "number 2"), ("20", "number 3"), ("-1", "number 3"), ("junk", "number 3")],
)
async def test_the_place_is_that_which_the_priority_gives(priority: str, said: str) -> None:
    async with a_rig() as rig:
        await rig.value(a_place(priority))
        assert said in rig.speaker.said[0][0]
        assert "wait" not in rig.speaker.said[0][0], "nothing is known of it"


async def test_who_waits_already_hears_their_own_place() -> None:
    async with a_rig() as rig:
        await rig.value(a_place("99", call="2.0"))
        assert "number 2" in rig.speaker.said[0][0]


async def test_the_wait_is_told_once_it_is_known() -> None:
    async with a_rig() as rig:
        rig.answers(0, 60, 120, 180)
        await rig.value(a_place("25"))
        await rig.value(a_place("35"))
        assert "about 2 minutes" in rig.speaker.said[0][0]
        assert rig.speaker.said[1][0].startswith("You are next.")
        assert "about 1 minute" in rig.speaker.said[1][0]


async def test_what_a_caller_has_typed_is_not_logged() -> None:
    async with a_rig() as rig:
        with capture_logs() as logs:
            await rig.value(a_prompt("balance", "amount=6222 0000 1234"))
    (line,) = logs
    assert "amount of the prompt balance" in line["reason"]
    assert "6222" not in str(logs)


async def test_no_wait_is_promised_when_the_last_agent_has_gone() -> None:
    async with a_rig() as rig:
        rig.answers(0, 60, 120, 180)
        rig.agents = 0
        await rig.value(a_place("25"))
        assert "number 2" in rig.speaker.said[0][0]
        assert "wait" not in rig.speaker.said[0][0]


async def test_nobody_is_kept_from_a_free_agent_by_what_is_said() -> None:
    async with a_rig() as rig:
        rig.agents_free = 1
        assert await rig.value(a_place("35")) == NOTHING
        assert await rig.value(a_place("25")) == "/spoken/0f"
        assert rig.desk.counts.nothing == 1


async def test_who_only_asks_hears_how_many_wait_and_how_long_it_would_take() -> None:
    async with a_rig() as rig:
        await rig.value(a_place("0", "queue"))
        assert "people waiting is 2" in rig.speaker.said[-1][0]
        rig.answers(1000, 1060, 1120, 1180)
        await rig.value(a_place("0", "queue"))
        assert "about 3 minutes" in rig.speaker.said[-1][0]
        rig.waiting, rig.now = (), 1200.0
        await rig.value(a_place("0", "queue"))
        assert rig.speaker.said[-1][0].startswith("Nobody is waiting")


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (REQUEST, "one of the three"),
        (replace(REQUEST, prompt="place-next", text="Hello."), "one of the three"),
        (a_prompt("no-such"), "no prompt is called"),
        (a_prompt("../../etc/passwd"), "no prompt is called"),
        (a_prompt("place"), "needs a value for position"),
        (a_prompt("place", "position=-1"), "cannot be said"),
        (a_prompt("place", "position"), "name=value"),
        (a_prompt("place", "position=1&position=2"), "each name once"),
        (a_prompt("place", "&".join(f"v{n}=1" for n in range(20))), "at most"),
        (a_prompt("place-next", language="fr"), "is not in"),
        (a_prompt("place-next", language="../en"), "form of one"),
        (a_prompt("place-next", language=""), "form of one"),
        (replace(REQUEST, text="x" * (LONGEST_TEXT + 1)), "in two parts"),
        (replace(REQUEST, text="cut \ufffd"), "was cut"),
        (replace(REQUEST, text="\x01[[inpt]]"), "cannot be said"),
        (replace(REQUEST, text="..."), "no words"),
    ],
)
async def test_what_is_wrong_is_answered_at_once_and_logged(request_: SpeechRequested, why: str) -> None:
    async with a_rig() as rig:
        with capture_logs() as logs:
            assert await rig.value(request_) == CANNOT
        (line,) = logs
        assert line["event"] == "speech request is wrong"
        assert why in line["reason"]
        assert line["reason"].isprintable()
        assert (rig.desk.counts.wrong, rig.desk.counts.cannot) == (1, 1)
        assert rig.speaker.said == []


async def test_a_flood_of_wrong_requests_does_not_fill_the_log() -> None:
    async with a_rig() as rig:
        with capture_logs() as logs:
            for _ in range(8):
                await rig.value(a_prompt("no-such"))
            rig.now += speaking.COMPLAIN_EVERY_S
            await rig.value(a_prompt("no-such"))
        assert [line["so_far"] for line in logs] == [0, 8]


async def test_where_nothing_is_spoken_during_calls_the_dialplan_is_told_at_once() -> None:
    async with a_rig(voice=False) as rig:
        assert await rig.value(a_prompt("place-next")) == CANNOT


@pytest.mark.parametrize("error", [SpeechError("the engine was killed"), RuntimeError("a mistake of ours")])
async def test_when_the_engine_fails_the_dialplan_is_told_and_others_are_served(error: Exception) -> None:
    async with a_rig() as rig:
        rig.speaker.fails = error
        assert await rig.value(a_prompt("place-next")) == CANNOT
        rig.speaker.fails = None
        assert await rig.value(a_prompt("place-next")) == "/spoken/0f"


async def test_when_it_hangs_the_dialplan_is_told_by_the_deadline() -> None:
    async with a_rig(deadline_s=0.02) as rig:
        rig.speaker.open.clear()
        assert await rig.value(a_prompt("place-next")) == CANNOT


async def test_when_asterisk_cannot_be_asked_for_the_queue_the_dialplan_is_told() -> None:
    async with a_rig() as rig:

        async def fails(_: SimpleAction) -> list[Event]:
            raise AmiTimeout("no answer")

        rig.desk._listings._send_for_list = fails
        assert await rig.value(a_place("1")) == CANNOT


async def test_what_comes_after_the_dialplan_went_on_is_not_sent() -> None:
    async with a_rig() as rig:
        rig.speaker.open.clear()
        rig.desk.requested(a_prompt("place-next"))
        await asyncio.sleep(0)
        rig.now += 5
        rig.speaker.open.set()
        await soon(lambda: rig.desk.counts.said == 1)
        assert rig.set == []


async def test_the_same_request_twice_is_answered_once() -> None:
    async with a_rig() as rig:
        rig.desk.requested(a_prompt("place-next"))
        rig.desk.requested(a_prompt("place-next"))
        await soon(lambda: bool(rig.set))
        assert rig.desk.counts.requests == 1


async def test_only_so_many_are_in_hand() -> None:
    async with a_rig() as rig:
        rig.speaker.open.clear()
        for n in range(MOST_IN_HAND + 3):
            rig.desk.requested(replace(a_prompt("place-next"), uniqueid=f"{n}.1"))
        assert rig.desk.counts.turned_away == 3
        rig.speaker.open.set()
        await soon(lambda: not rig.desk._in_hand)
        assert len(rig.set) == MOST_IN_HAND
        assert await rig.value(a_prompt("place-next")) == "/spoken/0f"


@pytest.mark.parametrize("odd", [replace(REQUEST, turn=0), replace(REQUEST, turn=10**7), replace(REQUEST, channel="")])
async def test_a_request_that_cannot_be_answered_is_left_alone(odd: SpeechRequested) -> None:
    async with a_rig() as rig:
        rig.desk.requested(odd)
        assert rig.desk.counts.requests == 0


async def test_a_channel_that_is_gone_or_a_lost_link_is_no_matter() -> None:
    async with a_rig() as rig:
        rig.breaks = AmiTimeout("no answer")
        rig.desk.requested(a_prompt("place-next"))
        await soon(lambda: rig.desk.counts.said == 1)
        rig.breaks, rig.turn = None, 1
        assert await rig.value(a_prompt("place-next")) == "/spoken/0f"


def test_a_language_keeps_what_is_no_profile() -> None:
    def read(language: str) -> tuple[str, str]:
        base, profile = language_and_profile(language, BOOK)
        return base, profile.name

    assert read("en_unhurried") == ("en", "unhurried")
    assert read("zh_CN_unhurried") == ("zh_CN", "unhurried")
    assert read("en_GB") == ("en_GB", "standard")
    assert read("zh") == ("zh", "standard")


@given(st.dictionaries(st.text("abcdefgh_-", min_size=1, max_size=8), st.text(max_size=20), max_size=8))
def test_values_come_through_as_they_were_encoded(values: dict[str, str]) -> None:
    from urllib.parse import quote  # noqa: PLC0415 - as Asterisk's URIENCODE does

    assert values_of("&".join(f"{name}={quote(value, safe='')}" for name, value in values.items())) == values


@given(st.text(max_size=200))
def test_any_values_are_read_or_refused(text: str) -> None:
    try:
        read = values_of(text)
    except SpeechError:
        return
    assert all("=" not in name and "&" not in name for name in read)


@given(st.text(max_size=40))
def test_any_language_is_read_or_refused(language: str) -> None:
    try:
        base, _ = language_and_profile(language, BOOK)
    except WrongRequestError:
        return
    assert "/" not in base
    assert base.isascii()
