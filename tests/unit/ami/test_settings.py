from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from router.ami.settings import LinkSettings, TlsSettings
from router.errors import ConfigurationError


def test_the_secret_is_in_no_repr() -> None:
    assert "hunter2" not in repr(LinkSettings(name="pbx", host="h", username="u", secret="hunter2"))


def test_certificates_are_verified_unless_that_is_turned_off() -> None:
    verifying = TlsSettings().context()
    assert verifying.verify_mode is ssl.CERT_REQUIRED
    assert verifying.check_hostname
    trusting = TlsSettings(verify=False).context()
    assert trusting.verify_mode is ssl.CERT_NONE
    assert not trusting.check_hostname


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_an_authority_file_that_cannot_be_used_is_named(tmp_path: Path, text: str | None) -> None:
    ca_file = tmp_path / "ca.pem"
    if text is not None:
        ca_file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"ca\.pem: error: no certificates can be read from it"):
        TlsSettings(ca_file=ca_file).context()
