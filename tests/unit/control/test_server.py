"""The listening end on a real Unix socket, by both event loops."""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import uvloop
from structlog.testing import capture_logs

from router.control import server as server_module
from router.control.protocol import MAX_REQUEST_BYTES, ErrorKind, Request, Unanswerable
from router.control.server import MOST_CONNECTIONS, ControlServer, Handler, Peer
from router.errors import ConfigurationError

ME = pwd.getpwuid(os.getuid()).pw_name
Answer = dict[str, Any]


async def echo(request: Request, peer: Peer) -> Mapping[str, object]:
    return {"do": request.do, "fields": dict(request.fields), "uid": peer.uid, "user": peer.user, "pid": peer.pid}


@asynccontextmanager
async def serving(path: Path, handlers: Mapping[str, Handler] | None = None) -> AsyncIterator[ControlServer]:
    server = ControlServer(path)
    try:
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            await server.serve(handlers or {"echo": echo}, tasks)
            yield server
            await server.stop()
    finally:
        server.remove()


async def say(path: Path, sent: bytes, *, end: bool = False) -> Answer:
    """Send some bytes; return what is answered."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(sent)
    if end:
        writer.write_eof()
    line = await reader.readline()
    assert await reader.read() == b""  # one answer, and it hangs up
    writer.close()
    await writer.wait_closed()
    answer: Answer = orjson.loads(line)
    return answer


def refused(kind: str, message: str) -> Answer:
    return {"ok": False, "error": kind, "message": message}


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_who_asks_is_told_by_the_kernel_on_either_event_loop(
    folder: Path, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def conversation() -> Answer:
        async with serving(folder / "s"):
            return await say(folder / "s", b'{"do": "echo", "uid": 0, "user": "root"}\n')

    with asyncio.Runner(loop_factory=loop) as runner:
        answer = runner.run(conversation())
    assert answer["answer"] == {
        "do": "echo",
        "fields": {"uid": 0, "user": "root"},
        "uid": os.getuid(),
        "user": ME,
        "pid": os.getpid(),
    }


async def test_a_user_who_has_no_name_goes_by_their_number(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    async with serving(folder / "s"):
        answer = await say(folder / "s", b'{"do": "echo"}\n')
    assert answer["answer"]["user"] == f"uid {os.getuid()}"


async def test_only_the_group_may_use_it(folder: Path) -> None:
    async with serving(folder / "s"):
        mode = (folder / "s").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"hello\n", 'the request is no JSON, like {"do": "promote", …}'),
        (
            b'{"do": "dance"}\n',
            "`do` must be one of echo; found 'dance': is the router older than the command?",
        ),
        (b"x" * (MAX_REQUEST_BYTES + 1) + b"\n", "the request is longer than 4096 bytes"),
        (b"x" * (2 * MAX_REQUEST_BYTES), "the request is longer than 4096 bytes"),
        (b'{"do": "echo"}', "the request must be a line that ends with a line end"),
        (b"", "the request must be a line that ends with a line end"),
    ],
)
async def test_what_is_no_request_is_answered_with_what_is_wrong(folder: Path, sent: bytes, message: str) -> None:
    async with serving(folder / "s"):
        assert await say(folder / "s", sent, end=True) == refused("bad_request", message)
        assert (await say(folder / "s", b'{"do": "echo"}\n'))["ok"]


async def test_a_request_of_the_full_length_is_taken(folder: Path) -> None:
    line = b'{"do": "echo", "x": "' + b"x" * (MAX_REQUEST_BYTES - 23) + b'"}\n'
    assert len(line) == MAX_REQUEST_BYTES + 1
    async with serving(folder / "s"):
        assert (await say(folder / "s", line))["ok"]


async def test_who_asks_nothing_is_hung_up_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "REQUEST_WITHIN_S", 0.02)
    async with serving(folder / "s"):
        answer = await say(folder / "s", b'{"do": ')
    assert answer == refused("bad_request", "no request came within 0.02 s; send one line of JSON")


async def test_a_handler_that_takes_too_long_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HANDLED_WITHIN_S", 0.02)

    async def never(_request: Request, _peer: Peer) -> Mapping[str, object]:
        await asyncio.Event().wait()
        return {}

    async with serving(folder / "s", {"never": never}):
        answer = await say(folder / "s", b'{"do": "never"}\n')
    assert answer == refused("failed", "it was not finished within 0.02 s; see the router's log")


@pytest.mark.parametrize(
    ("error", "answer", "logged"),
    [
        (Unanswerable(ErrorKind.REFUSED, "not now"), refused("refused", "not now"), None),
        (
            OSError(28, "No space left"),
            refused("failed", "it could not be done: [Errno 28] No space left"),
            "request failed",
        ),
        (RuntimeError("secret"), refused("failed", "an error in the router; see its log"), "request not answered"),
    ],
)
async def test_a_handler_that_fails_costs_its_own_request_only(
    folder: Path, error: Exception, answer: Answer, logged: str | None
) -> None:
    async def fails(_request: Request, _peer: Peer) -> Mapping[str, object]:
        raise error

    with capture_logs() as logs:
        async with serving(folder / "s", {"fail": fails, "echo": echo}):
            assert await say(folder / "s", b'{"do": "fail"}\n') == answer
            assert (await say(folder / "s", b'{"do": "echo"}\n'))["ok"]
    assert [entry["event"] for entry in logs if entry["log_level"] != "info"] == ([logged] if logged else [])


async def test_an_answer_that_is_no_json_costs_its_own_request_only(folder: Path) -> None:
    async def odd(_request: Request, _peer: Peer) -> Mapping[str, object]:
        return {"what": object()}

    async with serving(folder / "s", {"odd": odd}):
        assert (await say(folder / "s", b'{"do": "odd"}\n'))["error"] == "failed"


async def test_one_more_than_fit_is_told_so_and_the_others_are_answered(folder: Path) -> None:
    async with serving(folder / "s") as server:
        many = [await asyncio.open_unix_connection(folder / "s") for _ in range(MOST_CONNECTIONS)]
        while len(server._connections) < MOST_CONNECTIONS:  # noqa: ASYNC110 - being accepted signals nobody
            await asyncio.sleep(0)
        answer = await say(folder / "s", b"")
        assert answer == refused("busy", "16 requests are in hand already; try again")
        for reader, writer in many:
            writer.write(b'{"do": "echo"}\n')
            assert orjson.loads(await reader.readline())["ok"]
            writer.close()
            await writer.wait_closed()


async def test_who_goes_away_without_waiting_is_no_matter(folder: Path) -> None:
    arrived, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(_request: Request, _peer: Peer) -> Mapping[str, object]:
        arrived.set()
        await go_on.wait()
        ended.set()
        return {}

    async with serving(folder / "s", {"slow": slow, "echo": echo}):
        _, writer = await asyncio.open_unix_connection(folder / "s")
        writer.write(b'{"do": "slow"}\n')
        await arrived.wait()
        writer.transport.abort()
        go_on.set()
        await ended.wait()
        assert (await say(folder / "s", b'{"do": "echo"}\n'))["ok"]


async def test_a_request_in_hand_is_finished_before_the_end_and_one_that_has_not_come_is_not_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "REQUEST_WITHIN_S", 60)
    monkeypatch.setattr(server_module, "STOP_PATIENCE_S", 60)
    arrived = asyncio.Event()

    async def slow(_request: Request, _peer: Peer) -> Mapping[str, object]:
        arrived.set()
        await asyncio.sleep(0.05)
        return {"done": True}

    async with serving(folder / "s", {"slow": slow}):
        asking = asyncio.create_task(say(folder / "s", b'{"do": "slow"}\n'))
        idle_reader, idle_writer = await asyncio.open_unix_connection(folder / "s")
        await arrived.wait()
    assert await asking == {"ok": True, "answer": {"done": True}}
    assert await idle_reader.read() == b""
    idle_writer.close()


async def test_a_request_that_hangs_does_not_keep_the_router_from_ending(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "STOP_PATIENCE_S", 0.02)
    arrived = asyncio.Event()

    async def never(_request: Request, _peer: Peer) -> Mapping[str, object]:
        arrived.set()
        await asyncio.Event().wait()
        return {}

    async with serving(folder / "s", {"never": never}):
        _, writer = await asyncio.open_unix_connection(folder / "s")
        writer.write(b'{"do": "never"}\n')
        await arrived.wait()
    writer.close()


async def test_the_socket_is_removed_at_the_end(folder: Path) -> None:
    async with serving(folder / "s"):
        pass
    assert not (folder / "s").exists()


async def test_a_socket_that_another_router_has_put_there_is_not_removed(folder: Path) -> None:
    async with serving(folder / "s"):
        (folder / "s").unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(folder / "s"))
    assert (folder / "s").is_socket()


async def test_the_socket_of_a_dead_router_is_replaced(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "s"))
    async with serving(folder / "s"):
        assert (await say(folder / "s", b'{"do": "echo"}\n'))["ok"]


async def test_beside_a_router_that_answers_no_other_starts(folder: Path) -> None:
    async with serving(folder / "s"):
        with pytest.raises(ConfigurationError) as caught:
            ControlServer(folder / "s")
        assert str(caught.value) == (
            f"{folder}/s: error: another router answers on this socket; stop it first, "
            "two must not route the same calls"
        )
        assert (await say(folder / "s", b'{"do": "echo"}\n'))["ok"]


def test_a_router_with_too_much_to_do_to_answer_is_not_taken_for_a_dead_one(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as first:
        busy.bind(str(folder / "s"))
        busy.listen(0)
        first.connect(str(folder / "s"))
        with pytest.raises(ConfigurationError, match="another router answers"):
            ControlServer(folder / "s")


def test_what_is_no_socket_is_left_alone(folder: Path) -> None:
    (folder / "s").write_text("precious")
    with pytest.raises(ConfigurationError) as caught:
        ControlServer(folder / "s")
    assert str(caught.value) == (
        f"{folder}/s: error: there is something here already that is no socket; name another file as `control.socket`"
    )
    assert (folder / "s").read_text() == "precious"


async def test_where_no_socket_can_be_made_the_router_runs_without_and_says_so(folder: Path) -> None:
    with capture_logs() as logs:
        async with serving(folder / "no such folder" / "s"):
            pass
    assert logs == [
        {
            "event": "control socket not opened, commands such as promote cannot reach this router",
            "log_level": "error",
            "path": f"{folder}/no such folder/s",
            "reason": "[Errno 2] No such file or directory",
        }
    ]
