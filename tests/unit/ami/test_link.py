from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from asterisk.ami import Event, SimpleAction
from structlog.testing import capture_logs

from router.ami import link as link_module
from router.ami.link import Link, LinkSettings, LinkState, TlsSettings
from router.errors import AmiLinkLost, AmiProtocolError, AmiRefused, AmiTimeout, AmiValueError

from .fake_asterisk import FakeAsterisk, Headers, error, hang_up, silence, success
from .wire import message

CONNECTING, LOGGING_IN, UP = LinkState.CONNECTING, LinkState.LOGGING_IN, LinkState.UP
WAITING, REFUSED, CLOSED = LinkState.WAITING, LinkState.REFUSED, LinkState.CLOSED
FLOOD = 20_000


class Owner:
    """What a link calls, recorded."""

    def __init__(self) -> None:
        self.states: list[LinkState] = []
        self.details: list[str] = []
        self.events: list[Event] = []
        self.ups = 0
        self.delays_begun = 0
        self.on_up: Callable[[], None] = lambda: None
        self.changed = asyncio.Condition()

    def _note(self) -> None:
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._notify())

    async def _notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    def take_state(self, state: LinkState, detail: str) -> None:
        self.states.append(state)
        self.details.append(detail)
        self._note()

    def take_event(self, event: Event) -> None:
        self.events.append(event)
        self._note()

    async def take_up(self) -> None:
        self.ups += 1
        self._note()
        self.on_up()

    def delays(self) -> Iterator[float]:
        self.delays_begun += 1
        return itertools.repeat(0.001)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(condition)

    async def until_state(self, state: LinkState, count: int = 1) -> None:
        await self.until(lambda: self.states.count(state) >= count)


@pytest.fixture
async def asterisk() -> AsyncIterator[FakeAsterisk]:
    async with FakeAsterisk() as fake:
        yield fake


@pytest.fixture
def owner() -> Owner:
    return Owner()


def settings_for(fake: FakeAsterisk) -> LinkSettings:
    return LinkSettings(name="pbx", host="127.0.0.1", port=fake.port, username="router", secret="secret5")


def link_of(owner: Owner, settings: LinkSettings) -> Link:
    return Link(
        settings,
        wanted_events={"UserEvent", "Status"},
        on_event=owner.take_event,
        on_up=owner.take_up,
        on_state=owner.take_state,
        delays=owner.delays,
        wall_clock=lambda: 1_700_000_000.0,
    )


@contextlib.asynccontextmanager
async def running(owner: Owner, settings: LinkSettings) -> AsyncIterator[Link]:
    link = link_of(owner, settings)
    task = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        await link.close()
        await task
        assert link.state is CLOSED


@contextlib.asynccontextmanager
async def up(owner: Owner, settings: LinkSettings) -> AsyncIterator[Link]:
    async with running(owner, settings) as link:
        await owner.until(lambda: owner.ups > 0)
        yield link


# Logging in


async def test_an_md5_login_brings_the_link_up_and_reads_asterisks_clock(asterisk: FakeAsterisk, owner: Owner) -> None:
    async with up(owner, settings_for(asterisk)) as link:
        assert owner.states == [CONNECTING, LOGGING_IN, UP]
        assert [action["Action"] for action in asterisk.actions] == ["Challenge", "Login", "Ping"]
        assert link.clock_offset_s == pytest.approx(0.25)
    assert "secret5" not in repr(asterisk.actions)
    assert owner.states[-1] is CLOSED


async def test_a_plain_login_brings_the_link_up(asterisk: FakeAsterisk, owner: Owner) -> None:
    async with up(owner, replace(settings_for(asterisk), auth="plain")):
        assert asterisk.named("Login")[0]["Secret"] == "secret5"


async def test_a_refused_login_is_retried_slowly_and_not_like_a_lost_link(asterisk: FakeAsterisk, owner: Owner) -> None:
    asterisk.secret = "another"
    async with running(owner, settings_for(asterisk)) as link:
        await owner.until_state(REFUSED)
        assert "Authentication failed" in owner.details[-1]
        assert len(asterisk.named("Login")) == 1
        with pytest.raises(AmiLinkLost, match="the link to pbx is refused"):
            await link.request(SimpleAction("Ping"))
    assert WAITING not in owner.states


async def test_a_login_put_right_is_taken_at_the_next_slow_attempt(asterisk: FakeAsterisk, owner: Owner) -> None:
    right, asterisk.secret = asterisk.secret, "another"
    async with running(owner, replace(settings_for(asterisk), refused_retry_s=0.01)):
        await owner.until_state(REFUSED, 2)
        asterisk.secret = right
        await owner.until_state(UP)


async def test_a_refusal_is_loud_and_a_secret_is_in_no_log(asterisk: FakeAsterisk, owner: Owner) -> None:
    asterisk.secret = "another"
    with capture_logs() as logs:
        async with running(owner, settings_for(asterisk)):
            await owner.until_state(REFUSED)
    assert [entry["log_level"] for entry in logs if entry["event"] == "ami login refused"] == ["error"]
    assert "secret5" not in repr(logs)


async def test_a_peer_that_never_greets_is_given_up(asterisk: FakeAsterisk, owner: Owner) -> None:
    asterisk.greeting = b""
    async with running(owner, replace(settings_for(asterisk), connect_timeout_s=0.05)):
        await owner.until_state(WAITING)
    assert f"still connecting to 127.0.0.1:{asterisk.port} after 0.05 s" in owner.details


async def test_a_peer_that_never_answers_the_login_is_given_up(asterisk: FakeAsterisk, owner: Owner) -> None:
    asterisk.answers["Login"] = silence
    async with running(owner, replace(settings_for(asterisk), connect_timeout_s=0.05)):
        await owner.until_state(WAITING)
    assert LOGGING_IN in owner.states
    assert UP not in owner.states


async def test_a_peer_that_is_not_asterisk_is_named_as_such(asterisk: FakeAsterisk, owner: Owner) -> None:
    asterisk.greeting = b"HTTP/1.1 400 Bad Request\r\n"
    async with running(owner, settings_for(asterisk)):
        await owner.until_state(WAITING)
    assert any("did not greet" in detail for detail in owner.details)


# Coming back


async def test_a_lost_link_comes_back_and_reconciles_again(asterisk: FakeAsterisk, owner: Owner) -> None:
    async with up(owner, settings_for(asterisk)) as link:
        asterisk.hang_up()
        await owner.until(lambda: owner.ups == 2)
        assert owner.states == [CONNECTING, LOGGING_IN, UP, WAITING, CONNECTING, LOGGING_IN, UP]
        assert owner.details[3] == "Asterisk closed the connection"
        assert (await link.request(SimpleAction("Ping"))).status == "Success"


@pytest.mark.parametrize(("stable_s", "begun"), [(0.0, 4), (3600.0, 1)])
async def test_only_a_link_that_was_stable_starts_its_back_off_anew(
    asterisk: FakeAsterisk, owner: Owner, monkeypatch: pytest.MonkeyPatch, stable_s: float, begun: int
) -> None:
    monkeypatch.setattr(link_module, "STABLE_S", stable_s)
    async with running(owner, settings_for(asterisk)):
        for count in range(1, 4):
            await owner.until_state(UP, count)
            asterisk.hang_up()
            await owner.until_state(WAITING, count)
        assert owner.delays_begun == begun


async def test_a_port_nobody_listens_on_is_tried_again(owner: Owner) -> None:
    async with FakeAsterisk() as gone:
        settings = settings_for(gone)
    async with running(owner, settings):
        await owner.until_state(WAITING, 3)
    assert UP not in owner.states


async def test_an_unanswered_ping_drops_the_link(asterisk: FakeAsterisk, owner: Owner) -> None:
    async with up(owner, replace(settings_for(asterisk), ping_interval_s=0.02)):
        await asterisk.has_read("Ping", 3)
        asterisk.answers["Ping"] = silence
        await owner.until_state(WAITING)
    assert "a ping was not answered within 0.02 s" in owner.details


async def test_reconciling_that_fails_is_logged_and_the_link_stays(asterisk: FakeAsterisk, owner: Owner) -> None:
    def fail() -> None:
        raise AmiRefused("no Status") if owner.ups == 1 else RuntimeError("a bug in the owner")

    owner.on_up = fail
    with capture_logs() as logs:
        async with up(owner, settings_for(asterisk)) as link:
            asterisk.send(message("Event: FullyBooted"))
            await owner.until(lambda: owner.ups == 2)
            assert (await link.request(SimpleAction("Ping"))).status == "Success"
            assert link.state is UP
    assert [entry["log_level"] for entry in logs if entry["event"] == "reconciliation failed"] == ["error"] * 2


async def test_reconciling_is_cancelled_when_the_link_is_lost(asterisk: FakeAsterisk, owner: Owner) -> None:
    ended = asyncio.Event()

    async def for_ever() -> None:
        owner.ups += 1
        try:
            asterisk.hang_up()
            await asyncio.Event().wait()
        finally:
            ended.set()

    owner.take_up = for_ever  # type: ignore[method-assign]  # this test's owner never finishes
    async with running(owner, settings_for(asterisk)):
        async with asyncio.timeout(5):
            await ended.wait()


async def test_booting_finished_after_the_login_reconciles_again(asterisk: FakeAsterisk, owner: Owner) -> None:
    asterisk.answers["Login"] = lambda action: success(action) + message("Event: FullyBooted", "Uptime: 9000")
    async with up(owner, settings_for(asterisk)) as link:
        await link.request(SimpleAction("Ping"))
        assert owner.ups == 1  # that one belonged to the login
        asterisk.send(message("Event: FullyBooted", "Uptime: 1"))
        await owner.until(lambda: owner.ups == 2)
    assert owner.events == []


# Actions


async def test_a_refused_action_says_why(asterisk: FakeAsterisk, owner: Owner) -> None:
    asterisk.answers["Setvar"] = lambda action: error(action, "No such channel\x07")
    async with up(owner, settings_for(asterisk)) as link:
        with pytest.raises(AmiRefused, match=r"Asterisk refused Setvar: No such channel\\u0007"):
            await link.request(SimpleAction("Setvar", Channel="x"))


async def test_a_batch_returns_its_errors_in_place(asterisk: FakeAsterisk, owner: Owner) -> None:
    def setvar(action: Headers) -> bytes:
        return error(action, "no") if action["Variable"] == "V1" else success(action)

    asterisk.answers["Setvar"] = setvar
    async with up(owner, settings_for(asterisk)) as link:
        actions = [SimpleAction("Setvar", Variable=f"V{i}", Value="x") for i in range(3)]
        responses = await link.request_all(actions)
        assert [response.is_error() for response in responses] == [False, True, False]
        assert [action["Variable"] for action in asterisk.named("Setvar")] == ["V0", "V1", "V2"]
        assert await link.request_all([]) == []


async def test_an_action_without_an_answer_times_out_and_the_link_stays(asterisk: FakeAsterisk, owner: Owner) -> None:
    late: list[Headers] = []

    def never(action: Headers) -> bytes:
        late.append(action)
        return b""

    asterisk.answers["Slow"] = never
    async with up(owner, replace(settings_for(asterisk), action_timeout_s=0.1)) as link:
        with pytest.raises(AmiTimeout, match="Slow was not answered within"):
            await link.request(SimpleAction("Slow"))
        asterisk.send(success(late[0], "Late: yes"))
        assert "Late" not in (await link.request(SimpleAction("Ping"))).keys
        assert link.state is UP


async def test_a_connection_dropped_mid_action_fails_it_at_once(asterisk: FakeAsterisk, owner: Owner) -> None:
    asterisk.answers["Setvar"] = hang_up
    async with up(owner, replace(settings_for(asterisk), action_timeout_s=60)) as link:
        async with asyncio.timeout(5):
            with pytest.raises(AmiLinkLost, match="Asterisk closed the connection"):
                await link.request(SimpleAction("Setvar"))


async def test_an_action_that_cannot_be_sent_does_not_touch_the_link(asterisk: FakeAsterisk, owner: Owner) -> None:
    async with up(owner, settings_for(asterisk)) as link:
        with pytest.raises(AmiValueError):
            await link.request(SimpleAction("Setvar", Value="x\r\n\r\nAction: Hangup"))
        assert link.state is UP
    assert {action["Action"] for action in asterisk.actions} == {"Challenge", "Login", "Ping", "Logoff"}


async def test_a_list_is_returned_without_its_end(asterisk: FakeAsterisk, owner: Owner) -> None:
    def status(action: Headers) -> bytes:
        mine = f"ActionID: {action['ActionID']}"
        channels = [message("Event: Status", mine, f"Channel: {name}") for name in "ab"]
        end = message("Event: StatusComplete", mine, "EventList: Complete")
        return success(action, "EventList: start") + b"".join(channels) + end

    asterisk.answers["Status"] = status
    async with up(owner, settings_for(asterisk)) as link:
        channels = await link.request_list(SimpleAction("Status"))
        assert [event.keys["Channel"] for event in channels] == ["a", "b"]
    assert owner.events == []


async def test_a_list_refused_unfinished_or_broken_off_is_an_error(asterisk: FakeAsterisk, owner: Owner) -> None:
    asterisk.answers["Status"] = lambda action: error(action, "Permission denied")
    asterisk.answers["Unfinished"] = success
    asterisk.answers["Broken"] = lambda action: (
        success(action) + message("Event: BrokenComplete", f"ActionID: {action['ActionID']}", "EventList: cancelled")
    )
    async with up(owner, replace(settings_for(asterisk), action_timeout_s=0.1)) as link:
        with pytest.raises(AmiRefused, match="Permission denied"):
            await link.request_list(SimpleAction("Status"))
        with pytest.raises(AmiTimeout):
            await link.request_list(SimpleAction("Unfinished"))
        with pytest.raises(AmiProtocolError, match="broke off"):
            await link.request_list(SimpleAction("Broken"))


async def test_requests_before_the_link_is_up_fail_at_once(asterisk: FakeAsterisk, owner: Owner) -> None:
    link = Link(settings_for(asterisk), wanted_events=(), on_event=owner.take_event)
    with pytest.raises(AmiLinkLost, match="the link to pbx is idle"):
        await link.request(SimpleAction("Ping"))


async def test_an_event_behind_the_login_can_be_answered_at_once(asterisk: FakeAsterisk, owner: Owner) -> None:
    asterisk.answers["Login"] = lambda action: success(action) + message("Event: UserEvent")
    answers: list[asyncio.Task[object]] = []
    link = Link(
        settings_for(asterisk),
        wanted_events={"UserEvent"},
        on_event=lambda _: answers.append(asyncio.create_task(link.request(SimpleAction("Setvar")))),
        on_state=owner.take_state,
    )
    task = asyncio.create_task(link.run())
    await owner.until_state(UP)
    assert len(answers) == 1
    await answers[0]
    await link.close()
    await task


# Events


async def test_a_flood_is_read_to_its_end_and_a_failing_callback_loses_nothing(
    asterisk: FakeAsterisk, owner: Owner
) -> None:
    seen: list[str] = []

    def take(event: Event) -> None:
        seen.append(str(event.keys["N"]))
        owner.take_event(event)
        if len(seen) % 5_000 == 0:
            raise RuntimeError("a bug in the owner")

    settings = settings_for(asterisk)
    link = Link(settings, wanted_events={"UserEvent"}, on_event=take, on_state=owner.take_state)
    with capture_logs() as logs:
        task = asyncio.create_task(link.run())
        await owner.until_state(UP)
        noise = message("Event: VarSet", "Variable: x")
        asterisk.send(b"".join(message("Event: UserEvent", f"N: {i}") + noise for i in range(FLOOD)))
        await owner.until(lambda: len(seen) == FLOOD)
        assert (await link.request(SimpleAction("Ping"))).status == "Success"
        await link.close()
        await task
    assert seen == [str(i) for i in range(FLOOD)]
    assert [entry["event"] for entry in logs].count("event callback failed") == FLOOD // 5_000


async def test_asterisk_shutting_down_is_told_and_not_handed_on(asterisk: FakeAsterisk, owner: Owner) -> None:
    with capture_logs() as logs:
        async with up(owner, settings_for(asterisk)):
            asterisk.send(message("Event: Shutdown", "Shutdown: Cleanly", "Restart: True"))
            asterisk.hang_up()
            await owner.until_state(WAITING)
    told = [entry for entry in logs if entry["event"] == "asterisk is shutting down"]
    assert [entry["restart"] for entry in told] == ["True"]
    assert owner.events == []


async def test_a_failing_state_callback_does_not_stop_the_link(asterisk: FakeAsterisk, owner: Owner) -> None:
    def fail(state: LinkState, detail: str) -> None:
        owner.take_state(state, detail)
        raise RuntimeError("a bug in the owner")

    link = Link(settings_for(asterisk), wanted_events=(), on_event=owner.take_event, on_state=fail)
    task = asyncio.create_task(link.run())
    await owner.until_state(UP)
    await link.close()
    await task


# Ending


async def test_closing_logs_off(asterisk: FakeAsterisk, owner: Owner) -> None:
    async with up(owner, settings_for(asterisk)) as link:
        await link.close()
        assert len(asterisk.named("Logoff")) == 1
        assert owner.states == [CONNECTING, LOGGING_IN, UP, CLOSED]
        with pytest.raises(AmiLinkLost, match="the link to pbx is closed"):
            await link.request(SimpleAction("Ping"))


async def test_closing_ends_when_asterisk_does_not_say_goodbye(asterisk: FakeAsterisk, owner: Owner) -> None:
    asterisk.answers["Logoff"] = silence
    async with up(owner, replace(settings_for(asterisk), action_timeout_s=0.05)) as link:
        async with asyncio.timeout(5):
            await link.close()


async def test_closing_does_not_wait_out_a_pause(asterisk: FakeAsterisk, owner: Owner) -> None:
    asterisk.secret = "another"
    async with running(owner, settings_for(asterisk)) as link:
        await owner.until_state(REFUSED)
        async with asyncio.timeout(5):
            await link.close()


async def test_closing_before_running_ends_the_run_at_once(asterisk: FakeAsterisk, owner: Owner) -> None:
    link = Link(settings_for(asterisk), wanted_events=(), on_event=owner.take_event)
    await link.close()
    async with asyncio.timeout(5):
        await link.run()
    assert asterisk.actions == []
    with pytest.raises(RuntimeError, match="make a new one"):
        await link.run()


@pytest.mark.parametrize("at", [CONNECTING, LOGGING_IN, UP, WAITING, REFUSED])
async def test_cancellation_ends_the_run_from_every_state_and_leaves_no_task(
    asterisk: FakeAsterisk, owner: Owner, at: LinkState
) -> None:
    settings = settings_for(asterisk)
    if at is CONNECTING:
        asterisk.greeting = b""
    elif at is LOGGING_IN:
        asterisk.answers["Login"] = silence
    elif at is REFUSED:
        asterisk.secret = "another"
    elif at is WAITING:
        asterisk.greeting = b"SSH-2.0\r\n"
        owner.delays = lambda: itertools.repeat(60.0)  # type: ignore[method-assign]  # to be met waiting
    asterisk.answers["Slow"] = silence
    link = link_of(owner, replace(settings, action_timeout_s=60))
    others = asyncio.all_tasks()
    run = asyncio.create_task(link.run())
    await owner.until_state(at)
    waiting = None
    if at is UP:
        waiting = asyncio.create_task(link.request(SimpleAction("Slow")))
        await asterisk.has_read("Slow")
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert link.state is CLOSED
    if waiting is not None:
        with pytest.raises(AmiLinkLost):
            await waiting
    left = {task.get_name() for task in asyncio.all_tasks() - others if "Link." in repr(task.get_coro())}
    assert left == set()


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of `pbx.example` with its key, in one PEM file."""
    openssl = shutil.which("openssl")
    assert openssl, "openssl makes the certificate of this test: run `make setup`"
    folder = tmp_path_factory.mktemp("tls")
    made = folder / "asterisk.pem"
    key = folder / "key.pem"
    request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=pbx.example"]
    named = ["-addext", "subjectAltName=DNS:pbx.example"]
    subprocess.run([openssl, *request, *named, "-keyout", str(key), "-out", str(made)], check=True, capture_output=True)
    made.write_bytes(made.read_bytes() + key.read_bytes())
    return made


@pytest.fixture
async def tls_asterisk(certificate: Path) -> AsyncIterator[FakeAsterisk]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with FakeAsterisk(tls=context) as fake:
        yield fake


@pytest.mark.parametrize("verify", [True, False])
async def test_a_link_comes_up_over_tls(
    tls_asterisk: FakeAsterisk, owner: Owner, certificate: Path, verify: bool
) -> None:
    tls = TlsSettings(ca_file=certificate, server_name="pbx.example") if verify else TlsSettings(verify=False)
    async with up(owner, replace(settings_for(tls_asterisk), tls=tls)) as link:
        assert (await link.request(SimpleAction("Ping"))).status == "Success"


@pytest.mark.parametrize("wrong", ["authority", "name"])
async def test_a_certificate_that_does_not_verify_is_a_refusal_and_nothing_is_sent(
    tls_asterisk: FakeAsterisk, owner: Owner, certificate: Path, wrong: str
) -> None:
    tls = TlsSettings(server_name="pbx.example") if wrong == "authority" else TlsSettings(ca_file=certificate)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    async with running(owner, replace(settings_for(tls_asterisk), tls=tls)):
        await owner.until_state(REFUSED)
    assert "certificate" in owner.details[owner.states.index(REFUSED)].lower()
    assert tls_asterisk.actions == []


async def test_tls_towards_a_plain_port_is_not_taken_for_a_link(asterisk: FakeAsterisk, owner: Owner) -> None:
    tls = TlsSettings(verify=False)
    async with running(owner, replace(settings_for(asterisk), tls=tls, connect_timeout_s=2)):
        await owner.until_state(WAITING)
    assert LOGGING_IN not in owner.states
