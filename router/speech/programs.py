"""Running the programs that make sound: found once, never through a shell, always with a deadline.

What is spoken and what is stretched goes in on standard input and comes out on standard output. No text and
no file name from outside becomes an argument: espeak-ng would read `-w/etc/x` as an option, and sox runs a
file name that begins with `|` as a command.

Each runs in a process group of its own. One that takes too long, or writes more than sound ever is, is killed
with all that it started. Of the environment each gets what programs need to run, and not the secrets that the
settings may have put there (`secret_env`, `key_env`).
"""

from __future__ import annotations

import fcntl
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from router.errors import SpeechError

# A minute-long prompt takes about 0.05 s; a program that takes a minute hangs.
DEADLINE_S: Final = 60.0
# Five minutes of 48 kHz, 16 bits: many times the longest prompt.
MOST_BYTES: Final = 32 * 1024 * 1024
_LONGEST_COMPLAINT_CHARACTERS: Final = 200
_KEPT_OF_STDERR_BYTES: Final = 8192
_CHUNK_BYTES: Final = 65_536
# espeak-ng writes a minute of sound in 600 pieces. Woken for each, the thread that reads would as often take Python's
# lock from the one that routes calls; so what comes within 2 ms is read at once, and the pipe has room for it.
_PIPE_BYTES: Final = 1024 * 1024
_GATHER_S: Final = 0.002

# Where programs, their libraries and data are, and in which language they complain.
_ENVIRONMENT: Final = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "ESPEAK_DATA_PATH"}
)

_ends_at: ContextVar[float] = ContextVar("ends_at", default=float("inf"))
_niceness: ContextVar[int] = ContextVar("niceness", default=0)


def find_program(name: str, *, purpose: str) -> Path:
    """Find an installed program.

    Raises:
        SpeechError: it is not there; the message says what to install.
    """
    found = shutil.which(name)
    if found is None and "/" in name:
        raise SpeechError(f"{name}, which {purpose}, is no program that this user can run: check its path and its mode")
    if found is None:
        raise SpeechError(
            f"{name}, which {purpose}, is not installed: install the package {name} (apt-get install {name}) "
            "and run this again"
        )
    return Path(found).absolute()


@contextmanager
def within(deadline_s: float | None) -> Iterator[None]:
    """Give all programs that run inside no more than this many seconds together.

    None gives them what they have anyway. It holds for this thread and for threads that copy its context.
    """
    if deadline_s is None:
        yield
        return
    token = _ends_at.set(min(_ends_at.get(), time.monotonic() + deadline_s))
    try:
        yield
    finally:
        _ends_at.reset(token)


@contextmanager
def gently(niceness: int = 10) -> Iterator[None]:
    """Let all programs that run inside have only the processor time that others leave (`nice`); holds as `within` does.

    It is the programs that are made to stand back, not this thread: a thread that holds Python's lock and is not given
    the processor would hold up all others.
    """
    token = _niceness.set(niceness)
    try:
        yield
    finally:
        _niceness.reset(token)


def remaining_s() -> float | None:
    """How long the innermost `within` still has; None outside of any.

    Raises:
        SpeechError: no time is left.
    """
    ends_at = _ends_at.get()
    if ends_at == float("inf"):
        return None
    left_s = ends_at - time.monotonic()
    if left_s <= 0:
        raise SpeechError("there was no time left to speak")
    return left_s


def run(
    program: Path,
    arguments: Sequence[str],
    *,
    stdin: bytes = b"",
    deadline_s: float | None = None,
) -> bytes:
    """Run a program to its end.

    Args:
        program: Which; a path.
        arguments: Handed over as they are.
        stdin: What it reads; a program that does not read it all is no worse for it.
        deadline_s: Takes the place of `DEADLINE_S`. The time that `within` leaves holds in any case.

    Returns:
        Its standard output.

    Raises:
        SpeechError: it could not be started, failed, took too long, or wrote too much.
    """
    allowed_s = DEADLINE_S if deadline_s is None else deadline_s
    left_s = remaining_s()
    allowed_s = allowed_s if left_s is None else min(allowed_s, left_s)
    try:
        process = subprocess.Popen(  # noqa: S603 - an argument list without a shell; see the module's docstring
            [str(program), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=_environment(),
        )
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise SpeechError(f"{program} could not be started: {said}") from error
    with process:
        if niceness := _niceness.get():
            with suppress(OSError):  # it has ended already
                # On top of the router's own, which the system may have made to stand back already; 19 is the most.
                own = os.getpriority(os.PRIO_PROCESS, process.pid)
                os.setpriority(os.PRIO_PROCESS, process.pid, own + niceness)
        try:
            talk = _Talk(process, stdin, time.monotonic() + allowed_s)
            talk.hold()
            process.wait(talk.left_s())
        except (_TooLongError, subprocess.TimeoutExpired) as error:
            raise SpeechError(f"{program.name} did not end within {allowed_s:.3g} s and was stopped") from error
        except _TooMuchError as error:
            raise SpeechError(
                f"{program.name} wrote more than {MOST_BYTES // 1024} KiB and was stopped: that is no sound"
            ) from error
        finally:
            if process.returncode is None:
                # Not reaped yet, so the group's number is still its own.
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode != 0:
        how = _complaint(bytes(talk.stderr)) or _ended_with(process.returncode)
        raise SpeechError(f"{program.name} failed: {how}")
    return bytes(talk.stdout)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in _ENVIRONMENT or name.startswith("LC_")}


class _TooLongError(Exception):
    pass


class _TooMuchError(Exception):
    pass


@dataclass(slots=True)
class _Talk:
    """What goes into a program and comes out of it, until it has closed both its outputs."""

    process: subprocess.Popen[bytes]
    stdin: bytes
    ends_at: float
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)

    def left_s(self) -> float:
        return max(0.0, self.ends_at - time.monotonic())

    def hold(self) -> None:
        into, out, complaints = self.process.stdin, self.process.stdout, self.process.stderr
        if into is None or out is None or complaints is None:
            raise AssertionError("all three are pipes")
        to_write = memoryview(self.stdin)
        with selectors.DefaultSelector() as selector:
            with suppress(OSError):  # a user may have only so much in pipes; then it is read in smaller pieces
                fcntl.fcntl(out.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            for pipe in (into, out, complaints):
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_WRITE if pipe is into else selectors.EVENT_READ, pipe)
            while selector.get_map():
                ready = selector.select(self.left_s())
                if self.left_s() == 0.0:
                    raise _TooLongError
                for key, _ in ready:
                    if key.data is into:
                        to_write = self._written(key.fd, to_write)
                        is_done = not to_write
                    else:
                        is_done = not self._read(key.fd, is_sound=key.data is out)
                        if not is_done:
                            time.sleep(_GATHER_S)
                    if is_done:
                        selector.unregister(key.data)
                        key.data.close()

    def _written(self, descriptor: int, rest: memoryview) -> memoryview:
        try:
            return rest[os.write(descriptor, rest[:_CHUNK_BYTES]) :] if rest else rest
        except BlockingIOError:
            return rest
        except BrokenPipeError:
            return rest[:0]

    def _read(self, descriptor: int, *, is_sound: bool) -> bool:
        """Whether there may be more."""
        try:
            chunk = os.read(descriptor, _PIPE_BYTES)
        except BlockingIOError:
            return True
        if is_sound:
            self.stdout += chunk
            if len(self.stdout) > MOST_BYTES:
                raise _TooMuchError
        else:
            self.stderr += chunk
            del self.stderr[:-_KEPT_OF_STDERR_BYTES]
        return bool(chunk)


def _ended_with(status: int) -> str:
    if status >= 0:
        return f"status {status}"
    try:
        return f"it was killed ({signal.Signals(-status).name})"
    except ValueError:
        return f"it was killed (signal {-status})"


def _complaint(stderr: bytes) -> str:
    """The last line a program wrote, fit for a message."""
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    last = lines[-1].partition(" FAIL ")[2] or lines[-1] if lines else ""
    return "".join(c if c.isprintable() else " " for c in last)[:_LONGEST_COMPLAINT_CHARACTERS]
