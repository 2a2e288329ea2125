"""Calls a function at given times, good to some 50 µs; event loops keep time in steps of 1 ms.

A timer of the kernel, timerfd_create(2), which Python has of its own from 3.13 on.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from collections.abc import Callable, Sequence
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_ABSOLUTE: Final = 1


class _Spec(ctypes.Structure):
    """struct itimerspec."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


async def at_each(times: Sequence[float], call: Callable[[int], None]) -> None:
    """Call `call(i)` when `times[i]` has come, by `time.monotonic`, rising; those that are overdue all at once.

    Cancelled, it calls no more.
    """
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    descriptor = _LIBC.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "no timer can be had")
    following = 0

    def look() -> None:
        nonlocal following
        while following < len(times) and times[following] <= time.monotonic():
            call(following)
            following += 1
        if following == len(times):
            if not done.done():
                done.set_result(None)
            return
        seconds, rest = divmod(times[following], 1.0)
        # A time of 0 would switch the timer off.
        spec = _Spec(0, 0, int(seconds), max(1, int(rest * 1e9)))
        if _LIBC.timerfd_settime(descriptor, _ABSOLUTE, ctypes.byref(spec), None) < 0:
            done.set_exception(OSError(ctypes.get_errno(), "the timer cannot be set"))

    def rang() -> None:
        os.read(descriptor, 8)
        look()

    try:
        loop.add_reader(descriptor, rang)
        look()
        await done
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
