"""The machine and the versions of what runs on it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from lab.asterisk_server import asterisk_root

PACKAGES = (
    "elder-router",
    "uvloop",
    "hiredis",
    "redis",
    "pyarrow",
    "numpy",
    "pydantic",
    "asterisk-ami",
    "pyst2",
    "panoramisk",
    "rule-engine",
)


@dataclass(frozen=True, slots=True)
class Machine:
    """What the numbers were measured on. `load_1m` is the load average of the minute before."""

    when: str
    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    load_1m: float
    versions: dict[str, str]

    @classmethod
    def look(cls) -> Machine:
        """Look at this machine."""
        versions = {"CPython": platform.python_version()}
        versions |= {package: version(package) for package in PACKAGES}
        root = [] if asterisk_root() == Path("/") else ["chroot", str(asterisk_root())]
        versions["Asterisk"] = _first_line([*root, "asterisk", "-V"]).removeprefix("Asterisk ")
        versions["Redis"] = _word(_first_line(["redis-server", "--version"]), "v=")
        versions["SIPp"] = _first_line(["sipp", "-v"]).strip(" .").removeprefix("SIPp ")
        return cls(
            when=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            cpu=_cpu_model(),
            cores=os.cpu_count() or 1,
            memory_gib=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30,
            kernel=f"{platform.system()} {platform.release()}",
            load_1m=os.getloadavg()[0],
            versions=versions,
        )

    def described(self) -> str:
        """When and on what, as a sentence that "Measured" begins."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return (
            f"{self.when} on {self.cores} cores of {self.cpu}, {self.memory_gib:.0f} GiB, {self.kernel}; "
            f"load average of the minute before: {self.load_1m:.2f}. {versions}."
        )


def pin(pid: int, core: int) -> None:
    """Keep a process on one core, where there is more than one."""
    if len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(pid, {core})


def cpu_s(pid: int) -> float:
    """Seconds of processor time that a process and its threads have used, good to a ns.

    The clock's number is what clock_getcpuclockid(3) makes of a process id on Linux.
    """
    return time.clock_gettime((~pid << 3) | 2)


def rss_bytes(pid: int) -> int:
    """Resident memory of a process, shared pages included (proc(5), statm)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _first_line(command: list[str]) -> str:
    if command[0] != "chroot" and shutil.which(command[0]) is None:
        return "not found"
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return said.splitlines()[0] if said else "unknown"


def _word(text: str, beginning: str) -> str:
    return next((word.removeprefix(beginning) for word in text.split() if word.startswith(beginning)), text)
