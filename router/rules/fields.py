"""What the settings file's parts share: kinds of values, and who reads them.

Every description completes the sentence "it must be …".
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

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
