"""The file of the secrets that callers are hashed with: one a line, the newest first.

More than one while a secret is being changed: new callers are stored under the newest, and what was stored under an
older one is still found. All routers and importers of one registry need the same file.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from router.callers.pseudonym import SECRET_BYTES, CallerSecret
from router.errors import ConfigurationError, Problem

MOST_SECRETS: Final = 4
"""Each older one costs every lookup another key."""
_MAX_FILE_BYTES: Final = 4096
_FIRST_LINES: Final = (
    "# What callers in the registry are hashed with, the newest first. Whoever has this file and a copy of Redis\n"
    "# can find out whose entries are whose. All routers and importers of one registry need the same file.\n"
)


@dataclass(frozen=True, slots=True)
class SecretRing:
    """One secret or more, the newest first."""

    secrets: tuple[CallerSecret, ...]

    @property
    def newest(self) -> CallerSecret:
        """What is stored from now on is stored under this one."""
        return self.secrets[0]

    def named(self, name: str) -> CallerSecret | None:
        """The secret of that name, if it is here."""
        return next((secret for secret in self.secrets if secret.name == name), None)


def load_or_create_ring(path: Path) -> SecretRing:
    """The secrets in a file, which is created with a random one, for its owner only, if it is missing.

    Raises:
        ConfigurationError: It cannot be read or created, others may read it, or a line is wrong.
    """
    try:
        if not path.exists():
            _write(path, SecretRing((CallerSecret(secrets.token_bytes(SECRET_BYTES)),)), replace=False)
    except OSError as error:
        raise _unreadable(path, error) from error
    return load_ring(path)


def load_ring(path: Path) -> SecretRing:
    """The secrets in a file that is there.

    Raises:
        ConfigurationError: It cannot be read, others may read it, or a line is wrong.
    """
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            raw = stream.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    if stat.S_IMODE(mode) & stat.S_IRWXO:
        raise _wrong(path, 0, "everybody on this machine may use the secrets of the registry; run `chmod 640` on it")
    found: list[CallerSecret] = []
    for number, line in enumerate(raw.decode("ascii", "replace").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            secret = CallerSecret(bytes.fromhex(text))
        except ValueError:
            # Without the cause: its text may quote the line, which is a secret.
            raise _wrong(path, number, f"a secret is a line of {2 * SECRET_BYTES} hexadecimal digits") from None
        if secret in found:
            raise _wrong(path, number, "this secret is there twice; remove one of the lines")
        found.append(secret)
    if len(raw) > _MAX_FILE_BYTES or not 1 <= len(found) <= MOST_SECRETS:
        raise _wrong(
            path, 0, f"it must hold 1 to {MOST_SECRETS} secrets, each a line; see `elder-router callers secret`"
        )
    return SecretRing(tuple(found))


def add_secret(path: Path) -> SecretRing:
    """Put a new random secret before those in a file, at once: readers find the old file or the new one.

    Raises:
        ConfigurationError: It cannot be read or written, or holds as many as it may.
    """
    ring = load_ring(path)
    if len(ring.secrets) >= MOST_SECRETS:
        raise _wrong(path, 0, f"it holds {MOST_SECRETS} secrets already; retire one that nothing is stored under")
    return _replaced(path, SecretRing((CallerSecret(secrets.token_bytes(SECRET_BYTES)), *ring.secrets)))


def retire_secret(path: Path, name: str) -> SecretRing:
    """Remove a secret from a file, at once; whether anything is stored under it is for whoever calls to know.

    Raises:
        ConfigurationError: It cannot be read or written, has no such secret, or no other.
    """
    ring = load_ring(path)
    left = tuple(secret for secret in ring.secrets if secret.name != name)
    if len(left) == len(ring.secrets):
        raise _wrong(path, 0, f"it has no secret named {name[:20]!r}, only {', '.join(secret.name for secret in left)}")
    if not left:
        raise _wrong(path, 0, "its only secret cannot be retired; add a new one first")
    return _replaced(path, SecretRing(left))


def _replaced(path: Path, ring: SecretRing) -> SecretRing:
    try:
        _write(path, ring, replace=True)
    except OSError as error:
        raise _unreadable(path, error) from error
    return ring


def _write(path: Path, ring: SecretRing, *, replace: bool) -> None:
    # Written under another name first: the name never stands for half a file. Of two who create it together one
    # wins, and the other reads the winner's.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(_FIRST_LINES + "".join(f"{secret.key.hex()}\n" for secret in ring.secrets))
            stream.flush()
            if replace:  # as it was: a group may have been let in
                was = path.stat()
                os.fchmod(stream.fileno(), stat.S_IMODE(was.st_mode))
                os.fchown(stream.fileno(), was.st_uid, was.st_gid)
            elif os.geteuid() == 0:  # made on the command line: it is for the router, whose the folder is
                folder = path.parent.stat()
                os.fchown(stream.fileno(), folder.st_uid, folder.st_gid)
            os.fsync(stream.fileno())
        if replace:
            temporary.replace(path)
        else:
            with suppress(FileExistsError):
                path.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)


def _unreadable(path: Path, error: OSError) -> ConfigurationError:
    why = f"the secrets of the registry cannot be read or written: {error.strerror}"
    if isinstance(error, PermissionError):
        why += "; do this as root, or as the router's user"
    elif isinstance(error, FileNotFoundError):
        why += "; the router makes it when it starts, if its folder is there"
    return _wrong(path, 0, why)


def _wrong(path: Path, line: int, message: str) -> ConfigurationError:
    return ConfigurationError([Problem(str(path), line, 1 if line else 0, message)])
