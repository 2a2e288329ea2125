"""`elder-router run`: the daemon."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from pathlib import Path

import click
import structlog

from router.daemon import Daemon
from router.errors import ConfigurationError
from router.settings import Settings, load_settings


@click.command("run")
@click.pass_obj
def run(file: Path) -> None:
    """Run the router until SIGTERM or Ctrl-C. Rules are taken when their file changes, or at once on SIGHUP.

    The log goes to standard error: lines for people on a terminal, JSON otherwise. Exits 0 when told to stop,
    1 when the configuration cannot be used; it then says everything that is wrong with it.
    """
    set_up_logging()
    try:
        settings = load_settings(file)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_main(settings))
    except ConfigurationError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        click.echo("elder-router: not started; mend what is said above and start it again", err=True)
        sys.exit(1)


async def _main(settings: Settings) -> None:
    daemon = Daemon(settings)
    # What start-up made lives as long as the process: looking through it again and again is wasted, and a call is
    # a few hundred short-lived objects. Together 7 % of the processor time of a decision.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    # While new rules are checked in a thread, each step of a call waits for it: about 1 ms, and with a list of half a
    # million callers 5 ms at the worst, on two cores of which one is free; without this 5 and 11 ms.
    sys.setswitchinterval(0.001)
    await daemon.run()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The event loop of uvloop where it is installed; it exists for CPython on Linux only."""
    try:
        import uvloop  # noqa: PLC0415 - absent on other platforms
    except ImportError:
        return None
    return uvloop.new_event_loop


def set_up_logging() -> None:
    """Log to standard error: JSON lines, or for people if a terminal is there."""
    people = sys.stderr.isatty()
    # Not its usual tracebacks, which show variables: numbers and passwords are among them.
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    renderer = console if people else structlog.processors.JSONRenderer(ensure_ascii=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if people else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
