"""What a link needs to know about its Asterisk."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from router.errors import ConfigurationError, Problem


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """TLS towards Asterisk (`tlsenable`, port 5039).

    Attributes:
        ca_file: PEM file of the authority, or of Asterisk's own self-signed certificate. None: the system's
            authorities.
        verify: False takes any certificate, which keeps out listeners but not impostors.
        server_name: the name the certificate bears, where it is not the host connected to.
    """

    ca_file: Path | None = None
    verify: bool = True
    server_name: str | None = None

    def context(self) -> ssl.SSLContext:
        """Build the client context.

        Raises:
            ConfigurationError: ca_file cannot be read as PEM certificates.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            problem = Problem(str(self.ca_file), 0, 0, f"no certificates can be read from it: {error}")
            raise ConfigurationError([problem]) from error
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """One Asterisk and how to log in to it. All times are in seconds.

    Attributes:
        name: what logs and metrics call this Asterisk.
        auth: `md5` answers a challenge; `plain` sends the secret, for where TLS carries it.
        connect_timeout_s: from opening the socket to being logged in. Asterisk takes 1 s to refuse a login.
        action_timeout_s: for one action, or one batch of them.
        ping_interval_s: between pings; a ping not answered when the next is due means the link is lost.
        refused_retry_s: pause after a refused login, which a person has to put right.
    """

    name: str
    host: str
    username: str
    secret: str = field(repr=False)
    port: int = 5038
    auth: Literal["md5", "plain"] = "md5"
    tls: TlsSettings | None = None
    connect_timeout_s: float = 5.0
    action_timeout_s: float = 2.0
    ping_interval_s: float = 5.0
    refused_retry_s: float = 60.0
