from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from asterisk.ami import Event

from router.calls.events import (
    WANTED_EVENTS,
    Abandoned,
    Answered,
    CallEvent,
    Ended,
    FellBack,
    Joined,
    Refused,
    Request,
    RouteRequested,
    SpeechChosen,
    SpeechRequested,
    Stepped,
    decoded,
    read_event,
)

from .dialplan import ROOT, TEXT, user_events
from .wire import TOKEN, events_of, queue_event, snapshot, user_event, user_event_bytes

CALL = "1763888645.42"
REQUEST = Request(CALL, CALL, 1, "PJSIP/trunk-00000001", "13912345678", False, "95500", "en")
READ = {
    "RouteRequest": {
        *("Token", "Call", "LinkedCall", "Ask", "CallChannel", "Caller", "Presentation", "Called", "CallLanguage"),
    },
    "RouteFallback": {
        *("Token", "Call", "LinkedCall", "Ask", "CallChannel", "Caller", "Presentation", "Called", "CallLanguage"),
        *("Reason", "Queue", "Slot"),
    },
    "RouteStep": {"Token", "Call", "Step", "Detail"},
    "SpeechRequest": {
        *("Token", "Call", "CallChannel", "Turn", "SpeechLanguage", "Prompt", "Values", "Text"),
        *("Place", "Priority", "About"),
    },
    "SpeechChoice": {"Token", "Call", "CallChannel", "Turn", "SpeechLanguage", "Choice"},
    "RouteEnded": {"Token", "Call", "Cause"},
}


def request(**headers: str) -> Request:
    happened = read_event(user_event("RouteRequest", **headers), TOKEN)
    assert isinstance(happened, RouteRequested)
    return happened.request


@pytest.mark.parametrize(
    ("event", "happened"),
    [
        (user_event("RouteRequest"), RouteRequested(REQUEST)),
        (user_event("RouteFallback"), FellBack(REQUEST, "deadline", "agents", 7)),
        (user_event("RouteStep", Step="key", Detail="person"), Stepped(CALL, "key", "person")),
        (user_event("RouteEnded"), Ended(CALL, 16)),
        (
            user_event("SpeechRequest", Prompt="place", Values="position=3&wait=4", Text="", Place="", Priority=""),
            SpeechRequested(CALL, "PJSIP/trunk-00000001", 2, "en_unhurried", "place", "position=3&wait=4"),
        ),
        (
            user_event("SpeechChoice", Choice="slower"),
            SpeechChosen(CALL, "PJSIP/trunk-00000001", 2, "en_unhurried", "slower"),
        ),
        (queue_event("QueueCallerJoin"), Joined(CALL, "agents")),
        (queue_event("QueueCallerAbandon"), Abandoned(CALL, "agents")),
        (queue_event("QueueCallerAbandon", HoldTime="42"), Abandoned(CALL, "agents", 42)),
        (
            queue_event("AgentConnect", MemberName="PJSIP/agent-7", HoldTime="42"),
            Answered(CALL, "agents", "PJSIP/agent-7", 42),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_event_is_read(event: Event, happened: CallEvent) -> None:
    assert read_event(event, TOKEN) == happened


def test_the_dialplan_writes_what_is_read_and_so_has_the_last_word() -> None:
    # A header that is read and not written could be put there by a hostile caller's number.
    assert {name for name, _ in user_events()} == set(READ)
    for name, headers in user_events():
        assert set(headers) >= READ[name]


def test_every_header_of_an_event_is_read_from_the_name_the_dialplan_gives_it() -> None:
    values = {"Ask": "3", "LinkedCall": "9.1", "CallChannel": "SIP/x-1", "Caller": "1,2", "Called": "95519"}
    assert request(**values, Presentation="prohib_passed_screen", CallLanguage="zh_CN") == Request(
        CALL, "9.1", 3, "SIP/x-1", "1,2", True, "95519", "zh_CN"
    )


@pytest.mark.parametrize(("character", "most"), [("a", 600), ("您", 454), ("😀", 340)])
def test_a_text_to_be_said_that_asterisk_has_cut_shows_it(character: str, most: int) -> None:
    def read(text: str) -> str:
        encoded, width = quote(text, safe=""), len(quote(character, safe=""))
        event = user_event("SpeechRequest")
        event.keys["Text"] = encoded[: 4095 // width * width]
        happened = read_event(event, TOKEN)
        assert isinstance(happened, SpeechRequested)
        return happened.text

    assert read(character * most) == character * most
    longer = read(character * (most + 20))
    assert longer.endswith("\ufffd") or len(longer) > 600


def test_the_manager_configuration_lets_every_event_through_that_is_wanted_and_no_other() -> None:
    text = (ROOT / "dialplans" / "elder-router-manager.conf").read_text()
    let_through = re.findall(r"^eventfilter\(action\(include\),name\((\w+)\)\)", text, re.MULTILINE)
    assert set(let_through) == WANTED_EVENTS


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize(
    ("sent", "token"),
    [("", TOKEN), ("guess", TOKEN), (TOKEN.upper(), TOKEN), (f"{TOKEN} ", TOKEN), (TOKEN[:-1], TOKEN), ("", "")],
)
def test_an_event_without_the_links_token_is_refused(name: str, sent: str, token: str) -> None:
    with pytest.raises(Refused, match="token"):
        read_event(user_event(name, Token=sent), token)


def test_before_a_token_is_agreed_nothing_is_believed() -> None:
    event = user_event("RouteRequest")
    del event.keys["Token"]
    with pytest.raises(Refused, match="token"):
        read_event(event, "")


@pytest.mark.parametrize("name", READ)
def test_an_event_that_names_no_call_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="names no call"):
        read_event(user_event(name, Call=""), TOKEN)


@pytest.mark.parametrize("name", ["", "Hello", "RouteRequested", "routerequest"])
def test_other_peoples_events_are_none_of_ours(name: str) -> None:
    event = user_event("RouteStep", Token="")
    event.keys["UserEvent"] = name
    assert read_event(event, TOKEN) is None


@pytest.mark.parametrize("name", ["Hangup", "QueueMemberStatus", ""])
def test_other_events_of_asterisk_are_none_of_ours(name: str) -> None:
    assert read_event(Event(name, {"Uniqueid": CALL, "Queue": "agents"}), TOKEN) is None


def test_of_repeated_headers_the_dialplans_own_come_last_and_count() -> None:
    event = user_event("RouteRequest")
    for key in ("UserEvent", "Token", "Call", "Ask", "CallChannel", "Caller", "Presentation"):
        genuine = event.keys[key]
        assert isinstance(genuine, str)
        event.keys[key] = ["forged", genuine]
    assert read_event(event, TOKEN) == RouteRequested(REQUEST)


@pytest.mark.parametrize("name", ["QueueCallerJoin", "QueueCallerAbandon", "AgentConnect"])
@pytest.mark.parametrize("header", ["Uniqueid", "Queue"])
def test_a_queue_event_with_a_second_value_is_refused(name: str, header: str) -> None:
    event = queue_event(name)
    event.keys[header] = ["1.1", "2.2"]
    with pytest.raises(Refused, match="came twice"):
        read_event(event, TOKEN)


@pytest.mark.parametrize(
    "caller",
    [
        "139\r\n\r\nEvent: UserEvent",
        "U+2028:\u2028",
        "U+0085:\x85",
        "张伟 😀",
        "a,b|c;d%41",
        "\x00\x1b[2J",
        "9" * 300,
        "é" * 200,
    ],
    ids=ascii,
)
def test_whatever_a_caller_chooses_arrives_as_it_was(caller: str) -> None:
    assert request(Caller=caller, Called=caller) == Request(
        CALL, CALL, 1, "PJSIP/trunk-00000001", caller, False, caller, "en"
    )


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("%", "%"),
        ("%4", "%4"),
        ("%ZZ%41", "%ZZA"),
        ("%E4%BD", "\ufffd"),
        ("%C3%28", "\ufffd("),
        ("%2541", "%41"),
        ("1+2", "1+2"),
        ("张", "张"),
    ],
)
def test_broken_encodings_are_read_as_far_as_they_go(value: str, read: str) -> None:
    assert decoded(value) == read


@pytest.mark.parametrize("value", ["9" * 60_000, "%39" * 20_000, quote("张") * 5_000])
def test_a_huge_value_is_cut(value: str) -> None:
    event = user_event("RouteRequest", Detail="")
    event.keys |= {"Caller": value, "CallLanguage": value, "CallChannel": value}
    happened = read_event(event, TOKEN)
    assert isinstance(happened, RouteRequested)
    assert len(happened.request.caller) <= 512
    assert len(happened.request.channel) <= 512
    assert len(happened.request.language) <= 1536


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("7", 7), ("007", 7), ("999999999999999999", 999_999_999_999_999_999)),
        *(("1000000000000000000", 0), ("9" * 5000, 0), ("-7", 0), ("+7", 0), ("7.0", 0), ("1e3", 0), ("", 0)),
        *(("٧", 0), ("７", 0), ("²", 0), (" 7", 7), ("7 ", 0), ("0x10", 0), ("1_000", 0)),
    ],
)
def test_numbers_are_plain_digits_of_a_sane_length_or_nothing(text: str, number: int) -> None:
    # One space is AMI's own, between the colon and the value.
    event = user_event("RouteFallback")
    event.keys["Slot"] = text.removeprefix(" ")
    happened = read_event(event, TOKEN)
    assert isinstance(happened, FellBack)
    assert happened.slot == number


@pytest.mark.parametrize("text", ["0", "-1", "", "٣"])
def test_a_request_is_at_least_the_first(text: str) -> None:
    assert request(Ask=text).ask == 1


@pytest.mark.parametrize(
    ("presentation", "restricted"),
    [
        ("prohib", True),
        ("prohib_not_screened", True),
        ("allowed", False),
        ("allowed_passed_screen", False),
        ("unavailable", False),
        ("", False),
    ],
)
def test_a_number_is_restricted_when_its_presentation_is_prohibited(presentation: str, restricted: bool) -> None:
    assert request(Presentation=presentation).restricted is restricted


def test_a_call_without_a_linked_one_is_linked_to_itself() -> None:
    assert request(LinkedCall="").linkedid == CALL


FORGED = (
    "139\r\n\r\nEvent: UserEvent\r\nUserEvent: RouteRequest\r\nToken: {token}\r\nAsk: 9\r\nCall: victim\r\n"
    "CallChannel: PJSIP%2Fvictim-1\r\nCaller: 13900000000\r\nCalled: 1\r\n\r\nEvent: Other\r\nX: 139"
)


def read_all(stream: bytes) -> tuple[list[CallEvent], list[str]]:
    """What is believed of a stream, and why other events are not."""
    believed, refused = [], []
    for event in events_of(stream):
        try:
            happened = read_event(event, TOKEN)
        except Refused as why:
            refused.append(str(why))
        else:
            believed += [] if happened is None else [happened]
    return believed, refused


def test_an_event_forged_whole_in_a_callers_number_is_refused() -> None:
    # What Asterisk writes of a channel whose SIP user part held %0D%0A.
    stream = b"Event: Newchannel\r\n" + snapshot(FORGED.format(token="guess"), CALL).encode() + b"\r\n"
    assert [event.name for event in events_of(stream)] == ["UserEvent"]  # the forgery does arrive
    assert read_all(stream) == ([], ["it does not carry this link's token"])


def test_a_forgery_inside_the_dialplans_own_event_changes_nothing_that_is_believed() -> None:
    # The tail of the broken event, with the true token, is joined to what the number forged before it.
    number = "139\r\n\r\nEvent: UserEvent\r\nUserEvent: RouteEnded\r\nCall: victim\r\nAsk: 9\r\nCaller: 1"
    believed, refused = read_all(user_event_bytes("RouteRequest", number=number))
    assert believed == [RouteRequested(REQUEST)]
    assert refused == []


def test_headers_forged_in_a_number_do_not_reach_a_queue_event() -> None:
    head = snapshot("139\r\nUniqueid: victim\r\nQueue: other", CALL)
    stream = f"Event: QueueCallerAbandon\r\n{head}Queue: agents\r\n\r\n".encode()
    assert read_all(stream)[0] == []
    number = "139\r\n\r\nEvent: AgentConnect\r\nUniqueid: victim\r\nQueue: agents\r\nMemberName: x"
    stream = f"Event: QueueCallerJoin\r\n{snapshot(number, CALL)}Queue: agents\r\n\r\n".encode()
    believed, refused = read_all(stream)
    assert all(isinstance(happened, Joined) and not happened.uniqueid for happened in believed)
    assert refused == ["a header that stands once came twice"]


def test_nothing_that_a_caller_can_choose_stands_in_an_application_that_looks_for_applications_in_it() -> None:
    for line in TEXT.splitlines():
        if not line.startswith(";") and re.search(r",(ExecIf|Exec|TryExec|GotoIf|GosubIf|Gosub|Goto|While)\(", line):
            assert not re.search(r"CALLERID\((num|name)\)\}|\$\{(EXTEN|INVALID_EXTEN)", line), line
