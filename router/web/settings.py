"""Where metrics are served, as the settings file tells it."""

from __future__ import annotations

from dataclasses import dataclass

from router.errors import ConfigurationError, Problem


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """The address and port to serve them at; `file`, `line` and `column` are where the settings file says so."""

    address: str
    port: int
    file: str
    line: int
    column: int

    def wrong(self, message: str) -> ConfigurationError:
        """They cannot be served there."""
        return ConfigurationError([Problem(self.file, self.line, self.column, message)])
