"""A caller's key in the journal: a keyed hash of the number.

Without the secret nobody can find a number by trying all of them, which takes minutes with a plain hash:
there are only some billion telephone numbers.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from router.errors import ConfigurationError, Problem

SECRET_BYTES: Final = 32
# 64 bits: among 200 million callers two share a key with a chance of one in a thousand.
KEY_HEX_DIGITS: Final = 16


def caller_key(secret: bytes, e164: str) -> str:
    """The key of an E.164 number: the first 16 hexadecimal digits of its HMAC-SHA256."""
    return hmac.digest(secret, e164.encode(), "sha256").hex()[:KEY_HEX_DIGITS]


def rollout_place(key: str) -> float:
    """A caller's place in every roll-out, from 0 up to 100, out of their key: the same one as long as the secret is."""
    return int(key[:8], 16) / 2**32 * 100


def load_or_create_secret(path: Path) -> bytes:
    """The secret in a file, which is created, for its owner only, with 32 random bytes if it is missing.

    Raises:
        ConfigurationError: It cannot be read or created, is shorter than 32 bytes, or others may read it.
    """
    try:
        if not path.exists():
            _create(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    return read_secret(path)


def read_secret(path: Path) -> bytes:
    """The secret in a file that is there.

    Raises:
        ConfigurationError: It cannot be read, is shorter than 32 bytes, or others may read it.
    """
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            secret = stream.read()
    except OSError as error:
        raise _unreadable(path, error) from error
    if stat.S_IMODE(mode) & stat.S_IRWXO:
        raise _wrong(path, "everybody on this machine may use the secret for caller keys; run `chmod 600` on it")
    if len(secret) < SECRET_BYTES:
        raise _wrong(
            path,
            f"the secret for caller keys is shorter than {SECRET_BYTES} bytes; remove it, a new one is made",
        )
    return secret


def _unreadable(path: Path, error: OSError) -> ConfigurationError:
    return _wrong(path, f"the secret for caller keys cannot be read or created: {error.strerror}")


def _create(path: Path) -> None:
    # Written under another name and then linked: the name never stands for half a secret, and of two
    # routers that start together one wins and the other reads the winner's.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_bytes(SECRET_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink()


def _wrong(path: Path, message: str) -> ConfigurationError:
    return ConfigurationError([Problem(str(path), 0, 0, message)])
