from __future__ import annotations

import asyncio
from typing import NoReturn

import pytest
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from router.callers.loading.lines import Lines
from router.callers.servers import LookupFailedError, LookupFailure
from router.errors import RegistryError


class Nowhere:
    """Servers that are never asked."""

    async def server_for(self, key: str, *, writing: bool) -> str:
        raise NotImplementedError

    async def connection(self, server: str, *, connect_s: float, answer_s: float | None) -> AbstractConnection:
        raise NotImplementedError

    async def primaries(self) -> list[str]:
        raise NotImplementedError


PASSING = [
    RedisConnectionError("gone"),
    BusyLoadingError("LOADING Redis is loading the dataset in memory"),
    MovedError("1 127.0.0.1:7000"),
    ReadOnlyError("READONLY You can't write against a read only replica."),
    ClusterDownError("CLUSTERDOWN The cluster is down"),
    ConnectionResetError(),
    TimeoutError(),
    LookupFailedError(LookupFailure.UNREACHABLE),
]
FINAL = [
    OutOfMemoryError("OOM command not allowed when used memory > 'maxmemory'."),
    NoPermissionError("NOPERM this user has no permissions"),
    AuthenticationError("WRONGPASS invalid username-password pair", status_code="WRONGPASS"),
    ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
]


@pytest.mark.parametrize("error", PASSING, ids=repr)
async def test_what_passes_is_waited_for(error: Exception) -> None:
    errors = [error, error]

    async def work() -> str:
        if errors:
            raise errors.pop()
        return "done"

    assert await Lines(Nowhere()).persistently(work) == "done"


@pytest.mark.parametrize("error", FINAL, ids=repr)
async def test_what_does_not_pass_is_told_at_once(error: Exception) -> None:
    tried = 0

    async def work() -> NoReturn:
        nonlocal tried
        tried += 1
        raise error

    with pytest.raises(RegistryError):
        await Lines(Nowhere()).persistently(work)
    assert tried == 1


async def test_patience_ends() -> None:
    async def work() -> NoReturn:
        raise ConnectionResetError

    began_s = asyncio.get_running_loop().time()
    with pytest.raises(RegistryError, match="Redis cannot be reached"):
        await Lines(Nowhere()).persistently(work, patience_s=0.3)
    assert 0.05 <= asyncio.get_running_loop().time() - began_s < 5.0
    with pytest.raises(RegistryError):
        await Lines(Nowhere()).persistently(work, patience_s=0.0)


async def test_what_went_well_for_long_has_all_its_patience_again() -> None:
    attempts = 0

    async def work() -> str:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            await asyncio.sleep(0.4)  # longer than the patience: a part at a low rate takes minutes
            raise ConnectionResetError
        return "done"

    assert await Lines(Nowhere()).persistently(work, patience_s=0.2) == "done"


async def test_out_of_memory_is_told_in_words_that_help() -> None:
    async def work() -> NoReturn:
        raise OutOfMemoryError("OOM command not allowed when used memory > 'maxmemory'.")

    with pytest.raises(RegistryError, match="raise maxmemory, then run the same command again, it goes on where"):
        await Lines(Nowhere()).persistently(work)
