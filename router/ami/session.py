"""Who is answered by what: one AMI conversation as bytes in, happenings out.

Each action carries an ActionID of ours; only a message that repeats it is taken for its answer. A list action
(Status, QueueStatus) is answered by a response and by events with its ActionID, up to the one that completes
it. Deadlines and sockets are left to `connection`. Does no I/O.

Source: https://docs.asterisk.org/Configuration/Interfaces/Asterisk-Manager-Interface-AMI/AMI-v2-Specification/
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from asterisk.ami import Event, Response, SimpleAction

from router.ami.framing import Framer
from router.ami.messages import (
    action_id,
    encode,
    event_name,
    for_log,
    is_response,
    one,
    to_event,
    to_response,
)
from router.errors import AmiError, AmiLoginRefused, AmiProtocolError, AmiTimeout

MAX_PENDING_ACTIONS = 20_000
"""At 245 calls/s and seven Setvars each, eleven seconds without any answer: no deadline in use is that long,
so more than these is a peer that has stopped answering, not a busy one."""
MAX_LIST_EVENTS = 20_000
"""Ten times the channels a 2-core Asterisk carries; parsed they take some 60 MB, while their owner
looks at them."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """The peer said what it is, e.g. `Asterisk Call Manager/11.0.0`. The first of all happenings."""

    line: str


@dataclass(slots=True, eq=False)
class Exchange:
    """Some actions sent together, and what came back. It happens when everything expected is here.

    Attributes:
        names: the actions' names, for messages to people.
        responses: one for each action, in the order of the actions; complete once the exchange has happened.
        events: for a list action what it listed, without the event that completes it.
        failure: why the list could not be taken whole, if so.
    """

    names: tuple[str, ...]
    action_ids: list[bytes]
    is_list: bool
    missing: int
    responses: list[Response] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    failure: AmiError | None = None
    _by_id: dict[bytes, Response] = field(default_factory=dict)

    def take(self, answered_id: bytes, response: Response) -> bool:
        """Keep one response; return whether it was the last one missing."""
        self._by_id[answered_id] = response
        self.missing -= 1
        if self.missing:
            return False
        self.responses = [self._by_id[known] for known in self.action_ids]
        return True


Happening = Greeting | Event | Exchange
"""What `Session.receive` reports: an Event stands for one that no action asked for."""


@dataclass(slots=True)
class Counts:
    """How many messages of each kind that lead to nothing have come."""

    unwanted_events: int = 0
    unknown_responses: int = 0
    late_list_events: int = 0
    neither: int = 0


class Session:
    """One conversation, from the greeting to the end of the connection.

    Args:
        wanted: names of the events that are to be parsed and reported; others are counted and dropped unread.
        prefix: begins every ActionID. A random one by default, so that nothing meant for an earlier
            connection and nothing a caller can guess is taken for an answer.
    """

    def __init__(self, wanted: Iterable[str], *, prefix: str = "") -> None:
        self.counts = Counts()
        self._framer = Framer()
        self._wanted = frozenset(name.encode() for name in wanted)
        self._prefix = f"{prefix or secrets.token_hex(4)}-"
        self._prefix_bytes = self._prefix.encode()
        self._serial = 0
        self._greeted = False
        self._awaiting: dict[bytes, Exchange] = {}  # whose response has not come
        self._listing: dict[bytes, Exchange] = {}  # whose list is not complete

    def ask(self, actions: Sequence[SimpleAction], *, is_list: bool = False) -> tuple[Exchange, bytes]:
        """Prepare actions to be sent together; return their exchange and the bytes to write.

        A list action goes alone.

        Raises:
            AmiValueError: one of them cannot be sent; none is then expected to be answered.
            AmiTimeout: too many actions wait for an answer already.
        """
        if is_list and len(actions) != 1:
            raise ValueError("a list action is asked alone")
        if len(self._awaiting) + len(actions) > MAX_PENDING_ACTIONS:
            raise AmiTimeout(f"Asterisk owes answers to {len(self._awaiting)} actions already")
        action_ids: list[bytes] = []
        payload: list[bytes] = []
        for action in actions:
            self._serial += 1
            chosen = f"{self._prefix}{self._serial}"
            payload.append(encode(action, chosen))
            action_ids.append(chosen.encode())
        exchange = Exchange(tuple([action.name for action in actions]), action_ids, is_list, len(actions))
        for chosen_bytes in action_ids:
            self._awaiting[chosen_bytes] = exchange
        if is_list:
            self._listing[action_ids[0]] = exchange
        return exchange, b"".join(payload)

    def forget(self, exchange: Exchange) -> None:
        """Expect nothing more of an exchange; what still comes is counted as late."""
        for known in exchange.action_ids:
            self._awaiting.pop(known, None)
            self._listing.pop(known, None)

    def receive(self, data: bytes) -> list[Happening]:
        """Take what one read gave; return what happened, in order.

        Raises:
            AmiProtocolError: the peer is not Asterisk or broke a cap; drop the connection.
        """
        messages = self._framer.feed(data)
        happenings: list[Happening] = []
        if not self._greeted and self._framer.greeting is not None:
            self._greeted = True
            happenings.append(Greeting(self._framer.greeting))
        wanted = self._wanted
        unwanted = 0
        for raw in messages:
            name = event_name(raw)
            if name is None:
                happening: Happening | None = self._respond(raw)
            elif self._listing and (exchange := self._listing.get(asked := action_id(raw))) is not None:
                happening = self._list(exchange, asked, name, raw)
            elif name in wanted:
                happening = self._report(raw)
            else:
                unwanted += 1
                continue
            if happening is not None:
                happenings.append(happening)
        self.counts.unwanted_events += unwanted
        return happenings

    def _report(self, raw: bytes) -> Event | None:
        """Parse an event nobody asked for; one of a list that was given up is not taken for such."""
        if action_id(raw).startswith(self._prefix_bytes):
            self.counts.late_list_events += 1
            return None
        return to_event(raw)

    def _respond(self, raw: bytes) -> Exchange | None:
        if not is_response(raw):
            self.counts.neither += 1
            return None
        answered = action_id(raw)
        exchange = self._awaiting.pop(answered, None)
        if exchange is None:
            self.counts.unknown_responses += 1
            return None
        response = to_response(raw)
        if not exchange.take(answered, response):
            return None
        # A list action that was refused lists nothing; one that was not is complete only with its last event.
        if exchange.is_list and self._listing.get(answered) is exchange:
            if not response.is_error():
                return None
            del self._listing[answered]
        return exchange

    def _list(self, exchange: Exchange, asked: bytes, name: bytes, raw: bytes) -> Exchange | None:
        event = to_event(raw)
        ending = one(event, "EventList").lower()
        if ending == "complete" or (not ending and name.endswith(b"Complete")):
            pass
        elif ending == "cancelled":
            exchange.failure = AmiProtocolError(f"Asterisk broke off its answer to {exchange.names[0]}")
        elif len(exchange.events) >= MAX_LIST_EVENTS:
            exchange.failure = AmiProtocolError(
                f"Asterisk lists more than {MAX_LIST_EVENTS} events for {exchange.names[0]}"
            )
        else:
            exchange.events.append(event)
            return None
        del self._listing[asked]
        # The response comes first; without one the completed list waits for it until its deadline.
        return None if exchange.missing else exchange


def login_steps(username: str, secret: str, auth: Literal["md5", "plain"]) -> Generator[SimpleAction, Response, None]:
    """The actions of a login: yields each, is sent its response, returns when the login was accepted.

    With `md5` the secret itself is not sent: the Key is the hex MD5 of the challenge followed by the secret.

    Raises:
        AmiLoginRefused: Asterisk refused one of the steps.
    """
    if auth == "md5":
        challenge = yield SimpleAction("Challenge", AuthType="MD5")
        text = one(challenge, "Challenge")
        if challenge.is_error() or not text:
            raise _refused(username, challenge)
        response = yield SimpleAction(
            "Login", AuthType="MD5", Username=username, Key=challenge_key(text, secret), Events="on"
        )
    else:
        response = yield SimpleAction("Login", Username=username, Secret=secret, Events="on")
    if response.is_error():
        raise _refused(username, response)


def challenge_key(challenge: str, secret: str) -> str:
    """The Key that answers an MD5 challenge (authenticate() in Asterisk's manager.c), as lower-case hex."""
    return hashlib.md5((challenge + secret).encode(), usedforsecurity=False).hexdigest()


def _refused(username: str, response: Response) -> AmiLoginRefused:
    said = for_log(one(response, "Message")) or "no reason given"
    return AmiLoginRefused(
        f"Asterisk refused the login of {for_log(username)} ({said}): check user, secret, permit and deny in "
        "its manager.conf"
    )
