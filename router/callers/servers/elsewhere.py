"""Answers that say: not here. Redis Cluster's MOVED and ASK, and a primary of old that follows another now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from redis.exceptions import AskError, ClusterDownError, ReadOnlyError, ResponseError

from router.callers.servers.wire import Command, Reply

ELSEWHERE: Final = (AskError, ReadOnlyError, ClusterDownError)
"""To redis-py a MovedError is an AskError, and a MasterDownError a ClusterDownError."""


def sent_after_ask(commands: Sequence[Command]) -> list[Command]:
    """What to send to the server that ASK named, where each command needs a word of its own to be let in.

    Several keys in one command are asked for one by one: while a slot is on its way, Redis answers TRYAGAIN to
    whoever asks for several of which one is absent, and most callers have neither choice nor correction.
    """
    return [part for command in commands for single in _singles(command) for part in (("ASKING",), single)]


def read_after_ask(commands: Sequence[Command], replies: Sequence[Reply]) -> list[Reply]:
    """The answers to `commands`, from those to what `sent_after_ask` made of them."""
    answers = iter(replies[1::2])
    read: list[Reply] = []
    for command in commands:
        singles = [next(answers) for _ in _singles(command)]
        if command[0] != "MGET":
            read += singles
        else:
            read.append(next((one for one in singles if isinstance(one, ResponseError)), singles))
    return read


def _singles(command: Command) -> list[Command]:
    return [("GET", key) for key in command[1:]] if command[0] == "MGET" else [command]
