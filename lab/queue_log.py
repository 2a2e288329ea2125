"""Asterisk's own queue log: `epoch|uniqueid|queue|agent|event|…`, a witness that is not the router."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class QueueLog:
    """By uniqueid: the queue entered first, and the agent who answered; and the order of the answers."""

    entered: dict[str, str] = field(default_factory=dict)
    answered_by: dict[str, str] = field(default_factory=dict)


def read_queue_log(file: Path) -> QueueLog:
    """Read the queue log; one that is not there is empty."""
    log = QueueLog()
    for line in file.read_text(errors="replace").splitlines() if file.exists() else ():
        match line.split("|"):
            case [_, uniqueid, queue, _, "ENTERQUEUE", *_]:
                log.entered.setdefault(uniqueid, queue)
            case [_, uniqueid, _, agent, "CONNECT", *_]:
                log.answered_by.setdefault(uniqueid, agent)
    return log
