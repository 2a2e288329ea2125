from __future__ import annotations

from typing import Literal

import pytest
from asterisk.ami import Event, Response, SimpleAction

from router.ami import session as session_module
from router.ami.session import Exchange, Greeting, Happening, Session, challenge_key, login_steps
from router.errors import AmiLoginRefused, AmiProtocolError, AmiTimeout, AmiValueError

from .wire import GREETING, chunkings, message

PING = SimpleAction("Ping")


def greeted(*wanted: str) -> Session:
    session = Session(wanted, prefix="p")
    assert session.receive(GREETING) == [Greeting("Asterisk Call Manager/11.0.0")]
    return session


def success(action_id: str, *more: str) -> bytes:
    return message("Response: Success", f"ActionID: {action_id}", *more)


def statuses(exchange: Exchange) -> list[str]:
    return [response.status for response in exchange.responses]


def test_an_answer_is_told_by_its_action_id_not_by_its_place() -> None:
    session = greeted()
    first, sent = session.ask([PING])
    assert sent == b"Action: Ping\r\nActionID: p-1\r\n\r\n"
    second, _ = session.ask([PING])
    assert session.receive(success("p-2")) == [second]
    assert session.receive(message("Response: Error", "ActionID: p-1", "Message: no")) == [first]
    assert statuses(first) == ["Error"]
    assert statuses(second) == ["Success"]


def test_a_batch_happens_once_with_its_answers_in_the_order_of_its_actions() -> None:
    session = greeted()
    batch, sent = session.ask([SimpleAction("Setvar", Variable=f"V{i}", Value="x") for i in range(3)])
    assert [line for line in sent.split(b"\r\n") if line.startswith(b"Variable")] == [
        b"Variable: V0",
        b"Variable: V1",
        b"Variable: V2",
    ]
    assert session.receive(success("p-3", "N: 3") + success("p-1", "N: 1")) == []
    assert session.receive(message("Response: Error", "ActionID: p-2", "N: 2")) == [batch]
    assert [response.keys["N"] for response in batch.responses] == ["1", "2", "3"]
    assert statuses(batch) == ["Success", "Error", "Success"]


def test_an_answer_to_nobodys_action_is_nobodys() -> None:
    session = greeted()
    exchange, _ = session.ask([PING])
    strange = [
        success("p-7"),
        success("1"),
        success(""),
        message("Response: Success", "Message: without an id"),
        message("Response: Success", "Message: ActionID: p-1"),
    ]
    for raw in strange:
        assert session.receive(raw) == []
    assert session.counts.unknown_responses == len(strange)
    assert session.receive(success("p-1")) == [exchange]


def test_a_second_answer_to_one_action_is_dropped() -> None:
    session = greeted()
    exchange, _ = session.ask([PING, PING])
    assert session.receive(success("p-1", "N: first") + success("p-1", "N: again")) == []
    assert session.receive(success("p-2") + success("p-2")) == [exchange]
    assert exchange.responses[0].keys["N"] == "first"
    assert session.counts.unknown_responses == 2


def test_a_late_answer_is_not_taken_for_that_of_the_next_action() -> None:
    session = greeted()
    given_up, _ = session.ask([PING, PING])
    session.receive(success("p-1"))
    session.forget(given_up)
    following, _ = session.ask([PING])
    assert session.receive(success("p-2")) == []
    assert session.receive(success("p-3")) == [following]
    assert session.counts.unknown_responses == 1


def test_nothing_of_a_forgotten_exchange_stays() -> None:
    session = greeted()
    for is_list in (False, True):
        exchange, _ = session.ask([PING], is_list=is_list)
        session.forget(exchange)
    assert session._awaiting == {}
    assert session._listing == {}


def test_wanted_events_are_reported_in_order_and_others_counted() -> None:
    session = greeted("UserEvent", "Hangup")
    stream = (
        message("Event: UserEvent", "UserEvent: RouteRequest")
        + message("Event: VarSet", "Variable: x")
        + message("Event: Hangup", "Cause: 16")
        + message("Event: userevent", "Cause: 16")
        + message("Garbage")
    )
    events = session.receive(stream)
    assert [event.name for event in events if isinstance(event, Event)] == ["UserEvent", "Hangup"]
    assert len(events) == 2
    assert session.counts.unwanted_events == 2
    assert session.counts.neither == 1


def test_unwanted_events_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    session = greeted("UserEvent")
    parsed: list[bytes] = []
    monkeypatch.setattr(session_module, "to_event", parsed.append)
    session.receive(message("Event: VarSet") * 1000)
    assert parsed == []
    session.receive(message("Event: UserEvent"))
    assert parsed == [b"Event: UserEvent"]


STATUS = SimpleAction("Status")
LISTED = message("Event: Status", "ActionID: p-1", "Channel: a") + message(
    "Event: Status", "ActionID: p-1", "Channel: b"
)
ENDS = [
    message("Event: StatusComplete", "ActionID: p-1", "EventList: Complete", "ListItems: 2"),
    message("Event: StatusComplete", "ActionID: p-1", "Items: 2"),
    message("Event: Done", "EventList: Complete", "ActionID: p-1"),
]


@pytest.mark.parametrize("end", ENDS)
def test_a_list_is_collected_up_to_its_completing_event(end: bytes) -> None:
    session = greeted("Status", "Hangup")
    exchange, _ = session.ask([STATUS], is_list=True)
    assert session.receive(success("p-1", "EventList: start") + LISTED) == []
    unasked = session.receive(message("Event: Hangup", "Cause: 16") + message("Event: Status", "Channel: c"))
    assert [event.name for event in unasked if isinstance(event, Event)] == ["Hangup", "Status"]
    assert session.receive(end) == [exchange]
    assert [event.keys["Channel"] for event in exchange.events] == ["a", "b"]
    assert exchange.failure is None
    assert session._listing == {}


def test_a_list_is_the_same_however_the_stream_is_cut() -> None:
    for chunks in chunkings(GREETING + success("p-1") + LISTED + ENDS[0]):
        session = Session((), prefix="p")
        exchange, _ = session.ask([STATUS], is_list=True)
        happened = [happening for chunk in chunks for happening in session.receive(chunk)]
        assert happened == [Greeting("Asterisk Call Manager/11.0.0"), exchange]
        assert len(exchange.events) == 2


def test_a_list_waits_for_its_response_too() -> None:
    session = greeted()
    exchange, _ = session.ask([STATUS], is_list=True)
    assert session.receive(LISTED + ENDS[0]) == []
    assert session.receive(success("p-1")) == [exchange]
    assert len(exchange.events) == 2


def test_a_refused_list_is_over_at_once() -> None:
    session = greeted()
    exchange, _ = session.ask([STATUS], is_list=True)
    assert session.receive(message("Response: Error", "ActionID: p-1", "Message: Permission denied")) == [exchange]
    assert statuses(exchange) == ["Error"]
    assert session._listing == {}


def test_two_lists_at_once_are_kept_apart() -> None:
    session = greeted()
    first, _ = session.ask([STATUS], is_list=True)
    second, _ = session.ask([SimpleAction("QueueStatus")], is_list=True)
    session.receive(success("p-1") + success("p-2"))
    session.receive(message("Event: QueueParams", "ActionID: p-2") + LISTED)
    done = message("Event: QueueStatusComplete", "EventList: Complete", "ActionID: p-2")
    assert session.receive(done) == [second]
    assert session.receive(ENDS[0]) == [first]
    assert [len(first.events), len(second.events)] == [2, 1]


def test_late_events_of_a_list_given_up_are_not_reported_as_unasked() -> None:
    session = greeted("Status")
    exchange, _ = session.ask([STATUS], is_list=True)
    session.forget(exchange)
    assert session.receive(LISTED + ENDS[0]) == []
    assert session.counts.late_list_events == 2


def test_a_list_too_long_fails_and_what_follows_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "MAX_LIST_EVENTS", 1)
    session = greeted("Status")
    exchange, _ = session.ask([STATUS], is_list=True)
    assert session.receive(success("p-1") + LISTED) == [exchange]
    assert isinstance(exchange.failure, AmiProtocolError)
    assert session.receive(LISTED + ENDS[0]) == []


def test_a_list_broken_off_fails() -> None:
    session = greeted()
    exchange, _ = session.ask([STATUS], is_list=True)
    broken = message("Event: StatusComplete", "ActionID: p-1", "EventList: cancelled")
    assert session.receive(success("p-1") + LISTED + broken) == [exchange]
    assert isinstance(exchange.failure, AmiProtocolError)


def test_a_batch_with_a_value_that_cannot_be_sent_leaves_nothing_waiting() -> None:
    session = greeted()
    with pytest.raises(AmiValueError):
        session.ask([PING, SimpleAction("Setvar", Value="a\r\n")])
    assert session._awaiting == {}


def test_list_actions_go_alone() -> None:
    with pytest.raises(ValueError, match="alone"):
        greeted().ask([STATUS, STATUS], is_list=True)


def test_no_more_actions_wait_than_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "MAX_PENDING_ACTIONS", 2)
    session = greeted()
    session.ask([PING])
    with pytest.raises(AmiTimeout, match="owes answers"):
        session.ask([PING, PING])
    session.ask([PING])


def test_two_sessions_do_not_share_action_ids() -> None:
    assert Session(()).ask([PING])[1] != Session(()).ask([PING])[1]


def test_the_md5_key_is_that_of_a_known_vector() -> None:
    # printf 840415273secret5 | md5sum
    assert challenge_key("840415273", "secret5") == "d15b2e54ff3de8fb69f468f6fc9f8a60"


def answer_all(auth: Literal["md5", "plain"], *responses: Response) -> list[dict[str, str]]:
    steps = login_steps("router", "secret5", auth)
    action = next(steps)
    sent = [{"Action": action.name, **action.keys}]
    for response in responses:
        try:
            action = steps.send(response)
        except StopIteration:
            return sent
        sent.append({"Action": action.name, **action.keys})
    pytest.fail("the login asks for more")


ACCEPTED = Response("Success", {"Message": "Authentication accepted"})
CHALLENGE = Response("Success", {"Challenge": "840415273"})
REFUSED = Response("Error", {"Message": "Authentication failed\x1b[2J"})


def test_an_md5_login_answers_the_challenge_and_never_sends_the_secret() -> None:
    sent = answer_all("md5", CHALLENGE, ACCEPTED)
    assert sent == [
        {"Action": "Challenge", "AuthType": "MD5"},
        {
            "Action": "Login",
            "AuthType": "MD5",
            "Username": "router",
            "Key": "d15b2e54ff3de8fb69f468f6fc9f8a60",
            "Events": "on",
        },
    ]
    assert "secret5" not in repr(sent)


def test_a_plain_login_sends_the_secret() -> None:
    assert answer_all("plain", ACCEPTED) == [
        {"Action": "Login", "Username": "router", "Secret": "secret5", "Events": "on"}
    ]


@pytest.mark.parametrize(
    ("auth", "responses"),
    [
        ("plain", [REFUSED]),
        ("md5", [REFUSED]),
        ("md5", [CHALLENGE, REFUSED]),
        ("md5", [Response("Success", {})]),
    ],
)
def test_a_refused_login_says_why_and_what_to_do(auth: Literal["md5", "plain"], responses: list[Response]) -> None:
    with pytest.raises(AmiLoginRefused, match=r"router .*check user, secret, permit") as caught:
        answer_all(auth, *responses)
    assert str(caught.value).isprintable()
    assert "secret5" not in str(caught.value)


def test_happenings_are_what_the_type_says() -> None:
    session = greeted("Hangup")
    session.ask([PING])
    happened: list[Happening] = session.receive(message("Event: Hangup") + success("p-1"))
    assert [type(happening) for happening in happened] == [Event, Exchange]
