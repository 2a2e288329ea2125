"""Phrases that were spoken a while ago: of «The amount is 12.50 yuan», no more is synthesised than is new."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

MOST_BYTES: Final = 32 * 1024 * 1024
"""35 minutes at 8 kHz: each place and each wait, in two languages and at three speeds."""


class Remembered:
    """Samples by whatever decides them, the latest used, up to a number of bytes. For many threads."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._samples: OrderedDict[Hashable, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> bytes | None:
        """What is remembered under `key`."""
        with self._lock:
            if key in self._samples:
                self._samples.move_to_end(key)
            return self._samples.get(key)

    def put(self, key: Hashable, samples: bytes) -> None:
        """Remember samples, and forget those that were not used for longest where there is no room."""
        with self._lock:
            self._bytes += len(samples) - len(self._samples.pop(key, b""))
            self._samples[key] = samples
            while self._bytes > self._most_bytes:
                _, forgotten = self._samples.popitem(last=False)
                self._bytes -= len(forgotten)
