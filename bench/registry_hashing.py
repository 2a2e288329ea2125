"""What finding out whose an entry is would cost somebody who has the secret: numbers hashed a second."""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from typing import Final

import numpy as np

from bench.registry_feed import numbers
from bench.registry_results import Hashed
from router.callers.number import PhoneNumber
from router.callers.pseudonym import SECRET_BYTES, CallerSecret

_NUMBERS: Final = 200_000
_ROUNDS: Final = 5
_NUMBER_BYTES: Final = 14
_SPEED: Final = re.compile(r"^hmac\(sha256\)\s+([0-9.]+)k", re.MULTILINE)


def measure_hashing() -> Hashed:
    """Ours in bulk and one by one, the best of some rounds; and what OpenSSL's own loop in C does."""
    secret = CallerSecret(secrets.token_bytes(SECRET_BYTES))
    texts = numbers(np.arange(_NUMBERS, dtype=np.uint64))
    as_bytes, parsed = [text.encode() for text in texts], [PhoneNumber(text) for text in texts]
    many, one = secret.many(), secret.pseudonym

    def one_by_one() -> None:
        for number in parsed:
            one(number)

    return Hashed(
        many_per_s=_per_s(lambda: many(as_bytes)), one_per_s=_per_s(one_by_one), openssl_per_s=_openssl_per_s()
    )


def _per_s(work: Callable[[], object]) -> float:
    took_s = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        work()
        took_s.append(time.perf_counter() - began)
    return _NUMBERS / min(took_s)


def _openssl_per_s() -> float | None:
    """Of OpenSSL 3; None where that is not installed."""
    if shutil.which("openssl") is None:
        return None
    command = ["openssl", "speed", "-hmac", "sha256", "-bytes", str(_NUMBER_BYTES), "-seconds", "2"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = _SPEED.search(said)
    return float(found[1]) * 1000 / _NUMBER_BYTES if found else None
