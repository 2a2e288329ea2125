"""Where metrics and the wallboard are served, as the settings file tells it."""

from __future__ import annotations

from dataclasses import dataclass, field

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


@dataclass(frozen=True, slots=True)
class WallboardSettings:
    """The address and port to serve it at; `file`, `line` and `column` are where the settings file says so.

    Attributes:
        token: What whoever looks must have; None for anybody who reaches the address.
        hosts: Names, in lower case, under which browsers ask for it, beside localhost and addresses: those of a reverse
            proxy. Any other name is refused, or a page elsewhere could read the wallboard through its visitor's browser
            (DNS rebinding).
    """

    address: str
    port: int
    file: str
    line: int
    column: int
    token: str | None = field(default=None, repr=False)
    hosts: frozenset[str] = frozenset()

    def wrong(self, message: str) -> ConfigurationError:
        """It cannot be served there."""
        return ConfigurationError([Problem(self.file, self.line, self.column, message)])
