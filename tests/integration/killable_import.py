"""Imports one feed again and again, each time in a process that may be killed: forked, so that it begins at once.

Reads `go` lines; for each it prints the process id, and `ended STATUS` when that is over. Runs, parts and waits are
small, so that little is enough to be killed in any of them.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import structlog

from router.callers.feed import source
from router.callers.settings import RedisSettings
from tests.integration.feeds import order_for, run

KEPT_S = 0.3
RATE = 80_000.0


def main(feed: str, folder: str, *servers: str) -> None:
    """Serve until the end of standard input."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # standard output is for the answers
    source.BLOCK_BYTES = 1 << 15  # type: ignore[misc]  # final, but for this
    redis = RedisSettings(cluster=servers) if len(servers) > 1 else RedisSettings(url=servers[0])
    order = order_for(Path(feed), Path(folder), kept_s=KEPT_S, rate=RATE)
    for _ in sys.stdin:
        if (child := os.fork()) == 0:
            asyncio.run(run(redis, order))
            os._exit(0)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"ended {os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
