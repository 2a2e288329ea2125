"""Servers that hold what a lookup asks for in a dictionary, and misbehave when told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from redis.exceptions import ResponseError

from router.callers.servers import LookupFailedError, LookupFailure, Servers
from router.callers.servers.wire import Command, Reply

WRONG_TYPE = ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")


@dataclass
class Asked:
    """One question."""

    key: str
    commands: list[Command]
    writing: bool


@dataclass
class PlayedServers:
    """Answers from `texts`, `hashes` and `calls`; `refused` commands are, `fails` raises what it returns."""

    texts: dict[str, bytes] = field(default_factory=dict)
    hashes: dict[tuple[str, str | bytes], bytes] = field(default_factory=dict)
    calls: dict[str, dict[bytes, float]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    fails: Callable[[Asked], LookupFailure | Exception | None] = lambda _: None
    hangs: bool = False
    asked: list[Asked] = field(default_factory=list)

    async def ask(self, key: str, commands: Sequence[Command], *, writing: bool = False) -> list[Reply]:
        asked = Asked(key, list(commands), writing)
        self.asked.append(asked)
        if self.hangs:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        if isinstance(failure := self.fails(asked), LookupFailure):
            raise LookupFailedError(failure)
        if failure is not None:
            raise failure
        return [WRONG_TYPE if command[0] in self.refused else self._answer(command) for command in commands]

    async def close(self) -> None:
        self.fails = lambda _: LookupFailure.CLOSED

    def names(self) -> list[list[object]]:
        """The names of all commands, by question."""
        return [[command[0] for command in asked.commands] for asked in self.asked]

    def as_servers(self) -> Servers:
        return cast("Servers", self)

    def _answer(self, command: Command) -> Reply:
        match command:
            case ("GET", str(key)):
                return self.texts.get(key)
            case ("HGET", str(key), str() | bytes() as place):
                return self.hashes.get((key, place))
            case ("MGET", *keys):
                return [self.texts.get(str(key)) for key in keys]
            case ("ZADD", str(key), float(at), str(call)):
                self.calls.setdefault(key, {})[call.encode()] = at
                return 1
            case ("ZRANGE", str(key), *_):
                return [part for call, at in self.calls.get(key, {}).items() for part in (call, str(at).encode())]
            case _:
                return 0
