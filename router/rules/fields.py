"""What the settings file's parts share: kinds of values, and who reads them.

Every description completes the sentence "it must be …".
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Protocol

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from router.rules.document import Document, DocumentPath


class SettingsModel(BaseModel):
    """A group of settings: nothing is converted, and a key that is not known is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _address(value: str) -> str:
    try:
        return str(ip_address(value))
    except ValueError as error:
        raise ValueError(f"{value[:40]!r} is no IP address; write one of this machine, like 127.0.0.1") from error


Address = Annotated[str, AfterValidator(_address), Field(description="an IP address of this machine, like 127.0.0.1")]
Port = Annotated[int, Field(ge=1, le=65535, description="a port number from 1 to 65535")]
Text = Annotated[str, Field(min_length=1, max_length=4096, description="a text that is not empty")]
FilePath = Annotated[str, Field(min_length=1, max_length=4096, description="a file's path, from this file's folder")]
TrueFalse = Annotated[bool, Field(description="true or false")]
EnvironmentName = Annotated[
    str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="the name of an environment variable")
]


_SIZE: Final = re.compile(r"([1-9][0-9]{0,5})(MB|GB)")
_BYTES: Final = {"MB": 1_000_000, "GB": 1_000_000_000}


def _size_bytes(value: object) -> int:
    if not isinstance(value, str) or not (match := _SIZE.fullmatch(value)):
        raise ValueError(f"{str(value)[:40]!r} is no size; write a whole number and its unit, like 500MB or 1GB")
    return int(match[1]) * _BYTES[match[2]]


Size = Annotated[int, BeforeValidator(_size_bytes), Field(description="a size like 500MB or 1GB")]


class SettingsReader(Protocol):
    """Whoever reads the whole settings file."""

    @property
    def document(self) -> Document:
        """The file as read."""
        ...

    @property
    def base(self) -> Path:
        """What its paths are relative to."""
        ...

    def secret(self, place: DocumentPath, word: str, file: str | None, env: str | None) -> str | None:
        """The secret that `<word>_file` or `<word>_env` names; None where neither does."""
        ...

    def wrong(self, place: DocumentPath, message: str) -> None:
        """Something at `place` is wrong."""
        ...
