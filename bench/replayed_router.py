"""The real daemon, logged in to the stand-in for Asterisk."""

from __future__ import annotations

import sys
from pathlib import Path

from lab.centre import ELDER_ROUTER, Router
from lab.processes import Child


class ReplayedRouter(Router):
    """`elder-router run` with the shipped rules, or others; under a profiler if `profile` names a file for it."""

    def __init__(
        self, directory: Path, rules: Path, redis_url: str, ami_port: int, *, profile: Path | None = None
    ) -> None:
        super().__init__(directory, rules, redis_url, [])
        self._ami_port = ami_port
        self._profile = profile

    @property
    def pid(self) -> int:
        """The running daemon's process id."""
        return self.child.pid

    def write_settings(self) -> Path:
        file = super().write_settings()
        secret = self.directory / "ami.secret"
        secret.write_text("whatever: the stand-in takes any\n")
        link = f"asterisk:\n  - {{name: pbx1, port: {self._ami_port}, secret_file: {secret}}}"
        file.write_text(file.read_text().replace("asterisk:", link, 1))
        return file

    async def start(self) -> None:
        command = [ELDER_ROUTER]
        if self._profile is not None:
            command = [sys.executable, "-m", "cProfile", "-o", str(self._profile), ELDER_ROUTER]
        command += ["--config", str(self.write_settings()), "run"]
        self._child = await Child.start("elder-router", command, self.log)
        await self.wait_for_log('"reconciled"')
