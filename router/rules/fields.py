"""Kinds of values that the settings file's parts share. Every description completes the sentence "it must be …"."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


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
