"""`make run`: the call centre until Ctrl-C, to be called with a softphone."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from pathlib import Path

from rich.console import Console

from lab.centre import ELDER_ROUTER, Centre
from lab.places import PROJECT


async def main() -> int:
    """Stay until Ctrl-C."""
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="elder-run-") as scratch:
        console.print("[bold]==>[/] starting Redis, Asterisk, two agents' phones and the router")
        centre = Centre(
            Path(scratch),
            callers=PROJECT / "config" / "callers.sample.csv",
            agents={"agent1": 30_000, "agent2": 30_000},
            supervised=True,
        )
        async with centre:
            port = centre.asterisk.sip_port
            console.print(
                f"""
The call centre is up, on loopback only.

  Call it       with a softphone on this machine: SIP over UDP to 127.0.0.1:{port}, no password.
                The account's user name is the number you call from:
                  [bold]13900000001[/] is over 75, [bold]13900000005[/] over 60, [bold]13900000008[/] an adult.
                Call any number, such as [bold]sip:95500@127.0.0.1:{port}[/].
                Without a softphone:  sipp -sn uac -s 95500 -m 1 -d 5000 -i 127.0.0.1 127.0.0.1:{port}
  The wallboard http://127.0.0.1:{centre.router.wallboard_port}/
  The calls     {ELDER_ROUTER} --config {centre.router.directory}/elder-router.yaml tail
  Metrics       http://127.0.0.1:{centre.router.metrics_port}/metrics
  The journal   {centre.router.journal}
  The log       tail -f {centre.router.log}
  Asterisk      {centre.asterisk.directory}/log/messages.log, manager interface on port {centre.asterisk.ami_port}
  The rules     {centre.router.rules}; after a change:  kill -HUP {centre.router.child.pid}

Two agents' phones answer by themselves and hang up after 30 s. Ctrl-C ends it all.""",
                soft_wrap=True,
            )
            stop = asyncio.Event()
            for sig in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(sig, stop.set)
            await stop.wait()
            console.print("[bold]==>[/] stopping")
    return 0
