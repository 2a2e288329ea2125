"""A real Asterisk of our own: the system's, or one in a root file system under the user's cache directory.

It runs with its own directories and loads only what is needed. In a root file system of its own it shares
the host's network; the mounts it needs live in a mount namespace that ends with it.
"""

from __future__ import annotations

import asyncio
import secrets
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from lab.places import PROJECT, ROOTFS, SOUNDS
from lab.ports import free_port, free_udp_port
from lab.processes import Child, LabError, Server
from lab.redis import wait_for_port

TEMPLATES = PROJECT / "lab" / "asterisk"
DIALPLANS = PROJECT / "dialplans"
WITNESS_USER = "witness"


def asterisk_root() -> Path:
    """The root of the file system that Asterisk lives in: `/` for the system's own."""
    if shutil.which("asterisk"):
        return Path("/")
    if (ROOTFS / "usr/sbin/asterisk").exists():
        return ROOTFS
    raise LabError("no Asterisk on this machine: run `make setup`")


class AsteriskServer(Server):
    """One Asterisk on free loopback ports, with what is in `dialplans/`.

    Args:
        directory: Where its files go; made if missing.
        agents: The agents' phones: name → UDP port on which each answers SIP.
        members: Queue → the agents in it. Queues that `dialplans/` does not define are added.
        extra_dialplan: Text appended to extensions.conf.
        extra_queues: Text appended to queues.conf.
        language: The language callers arrive with.
        name: Asterisk's system name, which its uniqueids begin with.
    """

    def __init__(
        self,
        directory: Path,
        *,
        agents: Mapping[str, int],
        members: Mapping[str, list[str]],
        extra_dialplan: str = "",
        extra_queues: str = "",
        language: str = "en",
        name: str = "pbx1",
    ) -> None:
        super().__init__()
        self.directory = directory
        self.agents = agents
        self.members = members
        self.extra_dialplan = extra_dialplan
        self.extra_queues = extra_queues
        self.language = language
        self.name = name
        self.ami_port = free_port()
        self.sip_port = free_udp_port()
        self.ami_secret = secrets.token_hex(16)
        self.witness_secret = secrets.token_hex(16)
        self.secret_file = directory / "ami.secret"
        self._root = asterisk_root()

    def write_configuration(self) -> None:
        """Write every file that Asterisk reads."""
        for sub in ("etc", "lib", "spool", "run", "log", "cache", "data"):
            (self.directory / sub).mkdir(parents=True, exist_ok=True)
        etc = self.directory / "etc"
        modules = next(self._root.glob("usr/lib/*/asterisk/modules"), None) or self._root / "usr/lib/asterisk/modules"
        values = {
            "WORK": str(self.directory),
            "MODULES": "/" + str(modules.relative_to(self._root)),
            "NAME": self.name,
            "SIP_PORT": str(self.sip_port),
            "AMI_PORT": str(self.ami_port),
            "WITNESS_SECRET": self.witness_secret,
            "LANGUAGE": self.language,
            "MOH": str(SOUNDS / "moh"),
        }
        for template in TEMPLATES.glob("*.conf"):
            if template.name != "agent.conf":
                (etc / template.name).write_text(_fill(template.read_text(), values))
        for shipped in DIALPLANS.glob("*.conf"):
            shutil.copy(shipped, etc / shipped.name)
        agent = (TEMPLATES / "agent.conf").read_text()
        with (etc / "pjsip.conf").open("a") as pjsip:
            for phone, port in self.agents.items():
                pjsip.write(_fill(agent, {"AGENT": phone, "PORT": str(port)}))
        shipped_queues = (DIALPLANS / "elder-router-queues.conf").read_text()
        with (etc / "queues.conf").open("a") as queues:
            for queue, names in self.members.items():
                # `(+)` adds to a queue that the included file has defined.
                queues.write(f"[{queue}](+)\n" if f"[{queue}]" in shipped_queues else f"[{queue}](elder-queue)\n")
                queues.writelines(f"member => PJSIP/{agent},0,{agent}\n" for agent in names)
            queues.write(self.extra_queues)
        with (etc / "extensions.conf").open("a") as dialplan:
            dialplan.write(self.extra_dialplan)
        (etc / "elder-router.secret").write_text(f"secret = {self.ami_secret}\n")
        self.secret_file.write_text(self.ami_secret)
        self.secret_file.chmod(0o600)
        for name, target in (("documentation", "/usr/share/asterisk/documentation"), ("sounds", str(SOUNDS))):
            link = self.directory / "data" / name
            link.unlink(missing_ok=True)
            link.symlink_to(target)

    def _command(self) -> list[str]:
        conf = str(self.directory / "etc" / "asterisk.conf")
        if self._root == Path("/"):
            return ["asterisk", "-f", "-C", conf]
        # exec all the way, so that the process id we hold is Asterisk's own.
        root, work, sounds = (shlex.quote(str(path)) for path in (self._root, self.directory, SOUNDS))
        script = (
            f"mkdir -p {root}{work} {root}{sounds} && "
            f"mount --bind /proc {root}/proc && mount --bind /dev {root}/dev && "
            f"mount --bind {work} {root}{work} && mount --bind {sounds} {root}{sounds} && "
            f"exec chroot {root} asterisk -f -C {shlex.quote(conf)}"
        )
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]

    async def start(self) -> None:
        """Start it and wait until the manager interface listens and it is fully booted."""
        self.write_configuration()
        self._child = await Child.start("asterisk", self._command(), self.directory / "asterisk.out")
        await wait_for_port(self.ami_port, self.child)
        deadline = asyncio.get_running_loop().time() + 20
        while "fully booted" not in (await self.cli("core waitfullybooted")):
            if asyncio.get_running_loop().time() > deadline:
                raise LabError(f"asterisk did not finish booting:\n{self.child.tail()}")

    async def cli(self, command: str) -> str:
        """Run one command on Asterisk's own console and return what it prints."""
        # Its control socket is seen through the root of the process itself, which has mounts of its own.
        chroot = [] if self._root == Path("/") else ["chroot", f"/proc/{self.child.pid}/root"]
        conf = str(self.directory / "etc" / "asterisk.conf")
        process = await asyncio.create_subprocess_exec(
            *chroot, "asterisk", "-C", conf, "-rx", command,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await process.communicate()
        return out.decode(errors="replace")


def _fill(text: str, values: Mapping[str, str]) -> str:
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text
