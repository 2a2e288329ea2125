"""Certificates for servers of the lab, made by openssl: an authority, what it signs, and a stranger."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lab.processes import LabError


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority in a folder of its own."""

    folder: Path

    @classmethod
    def made(cls, folder: Path, name: str = "lab authority") -> Self:
        """A new one."""
        folder.mkdir(parents=True)
        made = cls(folder)
        _openssl("req", "-x509", *_new_key(made.folder / "ca.key"), "-out", made.ca, "-subj", f"/CN={name}")
        return made

    @property
    def ca(self) -> Path:
        """Its own certificate: whoever trusts it trusts what it signed."""
        return self.folder / "ca.crt"

    def signed(self, name: str, subject_alternative: str = "IP:127.0.0.1,DNS:localhost") -> tuple[Path, Path]:
        """A certificate and its key."""
        key, request, certificate = (self.folder / f"{name}.{kind}" for kind in ("key", "csr", "crt"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={subject_alternative}\n")
        _openssl("req", *_new_key(key), "-out", request, "-subj", f"/CN={name}")
        signing: list[str | Path] = [
            "-CA",
            self.ca,
            "-CAkey",
            self.folder / "ca.key",
            "-CAcreateserial",
            "-extfile",
            extensions,
        ]
        _openssl("x509", "-req", "-in", request, "-out", certificate, "-days", "2", *signing)
        return certificate, key


def _new_key(file: Path) -> list[str | Path]:
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", file]


def _openssl(*arguments: str | Path) -> None:
    try:
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError:
        raise LabError("openssl is not installed: run `make setup`") from None
    if done.returncode:
        raise LabError(f"openssl {arguments[0]} failed: {done.stderr.strip()}")
