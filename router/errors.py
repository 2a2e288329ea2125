"""Every exception the router raises on purpose.

RouterError
├── ConfigurationError     a file or an option is wrong; carries every problem found
├── AmiError
│   ├── AmiProtocolError   the peer broke the protocol or a size limit
│   ├── AmiValueError      we were asked to send what AMI cannot carry (a CR, an LF, a line too long)
│   ├── AmiRefused         Asterisk answered «Response: Error» to one action
│   ├── AmiLoginRefused    Asterisk refused the login: not retried like a lost link
│   ├── AmiLinkLost        the connection is not there, or went away while an action waited
│   └── AmiTimeout         no answer within the action's deadline
├── RegistryError          the registry of callers could not be read or written
├── SpeechError            a prompt could not be made
├── HistoryError           a version of the rules could not be kept, found or written back
├── JournalError           a record could not be read
└── ControlError           the running router could not be asked, or did not answer
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with a file, placed so that an editor can jump to it.

    `line` and `column` count from 1; 0 means the file as a whole.
    """

    file: str
    line: int
    column: int
    message: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.severity}: {self.message}"


class RouterError(Exception):
    """The root of the tree."""


class ConfigurationError(RouterError):
    """A file or an option is wrong. `problems` holds all that is wrong with it, in the file's order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class AmiError(RouterError):
    """Anything about the Asterisk Manager Interface."""


class AmiProtocolError(AmiError):
    """The peer broke the protocol or a size limit."""


class AmiValueError(AmiError, ValueError):
    """We were asked to send what AMI cannot carry."""


class AmiRefused(AmiError):
    """Asterisk answered `Response: Error` to one action."""


class AmiLoginRefused(AmiError):
    """Asterisk refused the login."""


class AmiLinkLost(AmiError):
    """The connection is not there, or went away while an action waited."""


class AmiTimeout(AmiError):
    """No answer within the action's deadline."""


class RegistryError(RouterError):
    """The registry of callers could not be read or written."""


class SpeechError(RouterError):
    """A prompt could not be made."""


class HistoryError(RouterError):
    """A version of the rules could not be kept, found or written back."""


class JournalError(RouterError):
    """A record could not be read."""


class ControlError(RouterError):
    """The running router could not be asked, or did not answer."""
