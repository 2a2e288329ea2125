"""What this program made in a directory of sounds, so that it never touches what it did not make.

`<sounds>/.elder-prompts.json` lists each file made: the key of what it was made from, and the digest of what
was written. A file that is not listed, or whose content is not what was written, is somebody else's.

Files about to be written are listed first, without a digest: after a crash they are known as ours, and made
again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from router.errors import SpeechError

MANIFEST_NAME: Final = ".elder-prompts.json"


def _inside(path: str) -> str:
    """Refuse what would lead out of the directory of sounds: listed files may be removed."""
    parts = PurePosixPath(path).parts
    if not parts or ".." in parts or parts[0] == "/":
        raise ValueError("leads out of the directory of sounds")
    return path


class Made(BaseModel):
    """One file that was made, or is about to be.

    Attributes:
        language: Its base language, such as `en`.
        key: The digest of all that decides its content.
        sha256: The digest of its content; empty until it is written.
        link: Where it leads, if it is a link and no file.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    language: str
    key: str
    sha256: str = ""
    link: str = ""


class _File(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    version: Literal[1] = 1
    files: dict[Annotated[str, AfterValidator(_inside)], Made]


def load_manifest(sounds_dir: Path) -> dict[str, Made]:
    """Read which files are ours, by their path relative to `sounds_dir`.

    A listed file that is gone, or that somebody replaced, is no longer ours. An empty file is: it is what a
    power cut leaves, not a recording.

    Raises:
        SpeechError: the manifest cannot be read.
    """
    found = {name: _as_found(sounds_dir / name, made) for name, made in _listed(sounds_dir).items()}
    return {name: made for name, made in found.items() if made is not None}


def remove_unfinished(sounds_dir: Path) -> None:
    """Remove what a build that was killed has left half written.

    Raises:
        SpeechError: the manifest cannot be read.
        OSError: something cannot be removed.
    """
    for name, made in _listed(sounds_dir).items():
        if not made.sha256 and not made.link:
            _temporary(sounds_dir / name).unlink(missing_ok=True)


def _listed(sounds_dir: Path) -> dict[str, Made]:
    path = sounds_dir / MANIFEST_NAME
    try:
        return _File.model_validate_json(path.read_bytes()).files
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SpeechError(f"{path} cannot be read: {error.strerror}; let this user read it") from error
    except ValidationError as error:
        raise SpeechError(
            f"{path} is damaged, so it is not known which sounds were made here: restore it from a backup, "
            f"or remove it together with the prompts that were built ({error.error_count()} mistakes)"
        ) from error


def _as_found(path: Path, made: Made) -> Made | None:
    """`made`, without its digest where it must be made again; None where the file is no longer ours."""
    if made.link:
        return made if path.is_symlink() and str(path.readlink()) == made.link else None
    try:
        content = path.read_bytes() if path.is_file() else None
    except OSError:
        content = None
    if content is None:
        return None
    if not content:
        return made.model_copy(update={"sha256": ""})
    return made if not made.sha256 or digest(content) == made.sha256 else None


def save_manifest(sounds_dir: Path, files: Mapping[str, Made]) -> None:
    """Write the manifest in one step.

    Raises:
        OSError: it cannot be written.
    """
    ordered = _File(files=dict(sorted(files.items())))
    replace_file(sounds_dir / MANIFEST_NAME, ordered.model_dump_json(indent=0).encode())


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that a reader meets the old one or the new one, whole, and make its directory.

    Everybody may read it: Asterisk runs as a user of its own, whatever the umask of whoever builds.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    _make_directory(path.parent)
    temporary = _temporary(path)
    try:
        # Never through a link: what others may write to is no place from which to overwrite a file of ours.
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644), "wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(content)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def replace_link(path: Path, target: str) -> None:
    """Make a link, in the place of a link that may be there.

    Raises:
        OSError: it cannot be made.
    """
    temporary = _temporary(path)
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(path)


def _temporary(path: Path) -> Path:
    """Always the same name, so that one left by a crash is written over; a lock keeps a second build away."""
    return path.with_name(f".{path.name}.elder-tmp")


def _make_directory(path: Path) -> None:
    if not path.is_dir():
        _make_directory(path.parent)
        path.mkdir(exist_ok=True)
        path.chmod(0o755)


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
