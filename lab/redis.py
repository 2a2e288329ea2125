"""A real redis-server of our own."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

from lab.ports import free_port
from lab.processes import Child, LabError, Server


class RedisServer(Server):
    """One redis-server on a free loopback port, nothing kept on disk.

    Args:
        directory: For what it writes.
        port: Of its own; a free one without.
        program: How it is run, see `redis_versions`; without, the machine's own.
        options: Always given, before those given to `start`.
    """

    name = "redis"

    def __init__(
        self,
        directory: Path,
        port: int | None = None,
        *,
        program: Sequence[str | Path] = (),
        options: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.directory = directory
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.server = f"127.0.0.1:{self.port}"
        self._program = tuple(str(part) for part in program)
        self._options = tuple(options)

    async def start(self, *options: str) -> None:
        """Start it, with further options, and wait until it accepts connections. May be called again after `stop`."""
        self.directory.mkdir(parents=True, exist_ok=True)
        command = [*(self._program or own_redis()), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no", "--dir", str(self.directory), "--daemonize", "no"]
        command += [*self._options, *options]
        self._child = await Child.start("redis", command, self.directory / "redis.log")
        await wait_for_port(self.port, self.child)


def own_redis() -> tuple[str, ...]:
    """The machine's own redis-server; LabError without one."""
    program = shutil.which("redis-server")
    if program is None:
        raise LabError("redis-server is not installed: run `make setup`")
    return (program,)


async def wait_for_port(port: int, child: Child, patience_s: float = 20.0) -> None:
    """Wait until something accepts connections at 127.0.0.1:`port`; LabError if `child` ends or time is up."""
    deadline = asyncio.get_running_loop().time() + patience_s
    while asyncio.get_running_loop().time() < deadline:
        if not child.running:
            raise LabError(f"{child.name} ended while starting; its last words:\n{child.tail()}")
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)  # a poll with a deadline, not a nap for luck
            continue
        writer.close()
        await writer.wait_closed()
        return
    raise LabError(f"{child.name} did not listen on port {port} within {patience_s:.0f} s:\n{child.tail()}")
