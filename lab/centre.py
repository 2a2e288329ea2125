"""The whole call centre: Redis, Asterisk, agents' phones and the router, with rules and callers of one's choice."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lab.asterisk_server import AsteriskServer
from lab.phones import AgentPhone
from lab.places import PROJECT, SOUNDS
from lab.ports import free_port
from lab.processes import Child, LabError, Server
from lab.redis import RedisServer

ELDER_ROUTER = str(Path(sys.executable).with_name("elder-router"))
Record = dict[str, Any]


class Router(Server):
    """The daemon, as a process of its own with a settings file of its own."""

    name = "elder-router"

    def __init__(
        self,
        directory: Path,
        rules: Path,
        redis_url: str,
        asterisks: Sequence[AsteriskServer],
        speech: Mapping[str, str] | None = None,
        *,
        supervised: bool = False,
    ) -> None:
        super().__init__()
        self.speech = speech
        self.supervised = supervised
        self.directory = directory
        self.rules = rules
        self.redis_url = redis_url
        self.asterisks = asterisks
        self.journal = directory / "journal.jsonl"
        self.log = directory / "router.log"
        self.metrics_port = free_port()
        self.wallboard_port = free_port()
        # A socket's path is short, and a test's own folder may be deep.
        self.control = Path(tempfile.gettempdir()) / f"elder-router-{secrets.token_hex(4)}.sock"

    @property
    def spoken(self) -> Path:
        """Where what is spoken during calls is kept: Asterisk sees it at the same path, a root of its own or not."""
        return self.asterisks[0].directory / "spoken"

    def write_settings(self) -> Path:
        """Write the settings file and return it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        links = [
            f"  - {{name: {pbx.name}, port: {pbx.ami_port}, secret_file: {pbx.secret_file}}}" for pbx in self.asterisks
        ]
        lines = ["asterisk:", *links, "callers:", f"  redis: {self.redis_url}", f"rules: {self.rules}"]
        lines += ["journal:", f"  file: {self.journal}", f"  secret_file: {self.directory / 'callers.key'}"]
        lines += ["control:", f"  socket: {self.control}"]
        if self.supervised:
            lines += [f"metrics: {{port: {self.metrics_port}}}", f"wallboard: {{port: {self.wallboard_port}}}"]
        if self.speech is not None:
            usual = {
                "prompts": str(PROJECT / "config" / "prompts"),
                "sounds": str(SOUNDS),
                "during_calls": f"{{folder: {self.spoken}, deadline: 1900ms}}",
            }
            lines += ["speech:", *(f"  {key}: {value}" for key, value in (usual | dict(self.speech)).items())]
        file = self.directory / "elder-router.yaml"
        file.write_text("\n".join(lines) + "\n")
        return file

    async def start(self) -> None:
        """Start it and wait until it has reconciled with every Asterisk."""
        reconciled = self._log_text().count('"reconciled"') + len(self.asterisks)
        command = [ELDER_ROUTER, "--config", str(self.write_settings()), "run"]
        self._child = await Child.start("elder-router", command, self.log)
        await self.wait_for_log('"reconciled"', times=reconciled)

    async def __aexit__(self, *exit_details: object) -> None:
        """Stop it; if it was killed, its socket is still there."""
        await super().__aexit__(*exit_details)
        self.control.unlink(missing_ok=True)

    async def wait_for_log(self, text: str, times: int = 1, patience_s: float = 20.0) -> None:
        """Wait until its log holds `text` so many times."""
        deadline = asyncio.get_running_loop().time() + patience_s
        while self._log_text().count(text) < times:
            if not self.child.running:
                raise LabError(f"the router ended:\n{self.child.tail()}")
            if asyncio.get_running_loop().time() > deadline:
                raise LabError(f"the router did not say {text} within {patience_s:.0f} s:\n{self._log_text()[-3000:]}")
            await asyncio.sleep(0.02)

    def records(self, kind: str = "") -> list[Record]:
        """The journal's records so far; of one kind, if asked."""
        if not self.journal.exists():
            return []
        lines = self.journal.read_bytes().splitlines()
        records: list[Record] = [json.loads(line) for line in lines]
        return [record for record in records if not kind or record["record"] == kind]

    async def wait_for_records(self, kind: str, count: int, patience_s: float = 30.0) -> list[Record]:
        """Wait until the journal holds `count` records of a kind; return them."""
        deadline = asyncio.get_running_loop().time() + patience_s
        while len(found := self.records(kind)) < count:
            if asyncio.get_running_loop().time() > deadline:
                what = f"{len(found)} of {count} {kind} records after {patience_s:.0f} s"
                raise LabError(f"{what}; the router's log ends:\n{self._log_text()[-3000:]}")
            await asyncio.sleep(0.05)
        return found

    def _log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Centre:
    """Everything together; an async context manager.

    Args:
        directory: For all files.
        rules: The routing rules.
        callers: A CSV file to import before the router starts; None leaves the registry empty.
        agents: The agents' phones, by name → talk time in ms.
        members: Queue → agents in it; all of them in `agents` and `senior-care` unless given.
        extra_dialplan: Text appended to extensions.conf.
        extra_queues: Text appended to queues.conf.
        one_phone: All agents answer on one phone, which takes any number of calls.
        router: Whether to start the router.
        speech: What the settings say of speech other than usual, each key's value as YAML; None leaves it out.
        supervised: Whether the router serves its wallboard and metrics.
    """

    def __init__(
        self,
        directory: Path,
        *,
        rules: Path = PROJECT / "config" / "routing.yaml",
        callers: Path | None = None,
        agents: Mapping[str, int] | None = None,
        members: Mapping[str, list[str]] | None = None,
        extra_dialplan: str = "",
        extra_queues: str = "",
        one_phone: bool = False,
        router: bool = True,
        speech: Mapping[str, str] | None = MappingProxyType({}),
        supervised: bool = False,
    ) -> None:
        self.directory = directory
        talk_ms = dict(agents or {"agent1": 2000, "agent2": 2000})
        names = list(talk_ms)
        self.phones = [
            AgentPhone(directory / "phones", name, talk_ms=talk_ms[name])
            for name in (names[:1] if one_phone else names)
        ]
        ports = [phone.port for phone in self.phones] * (len(names) if one_phone else 1)
        self.redis = RedisServer(directory / "redis")
        self.asterisk = AsteriskServer(
            directory / "asterisk",
            agents=dict(zip(names, ports, strict=True)),
            members=members or {"agents": names, "senior-care": names},
            extra_dialplan=extra_dialplan,
            extra_queues=extra_queues,
        )
        self.router = Router(
            directory / "router", rules, self.redis.url, [self.asterisk], speech, supervised=supervised
        )
        self._callers = callers
        self._with_router = router
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Centre:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def _start(self) -> None:
        for phone in self.phones:
            await self._stack.enter_async_context(phone)
        await self._stack.enter_async_context(self.redis)
        await self._stack.enter_async_context(self.asterisk)
        if self._callers:
            status, said = await self.command(
                "callers", "import", str(self._callers), "--rules", str(self.router.rules)
            )
            if status != 0:
                raise LabError(f"the callers could not be imported:\n{said}")
        if self._with_router:
            await self._stack.enter_async_context(self.router)

    async def command(self, *words: str) -> tuple[int, str]:
        """Run `elder-router WORDS` against this centre's Redis; returns its exit status and what it printed.

        What looks after callers has the router's settings: where the secrets are that callers are hashed with.
        """
        if words[:1] == ("callers",):
            words = ("--config", str(self.router.write_settings()), *words)
        process = await asyncio.create_subprocess_exec(
            ELDER_ROUTER,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=os.environ | {"ELDER_REDIS_URL": self.redis.url},
        )
        out, _ = await process.communicate()
        return process.returncode or 0, out.decode(errors="replace")

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
