from __future__ import annotations
from dataclasses import dataclass
from pathlib import Path
from typing import Any
@dataclass
class Results:
    machine: Any
    plan: Any
    latency: Any = None
    recorded: Any = None
    replay: Any = None
    readers: Any = None
    memory: Any = None
def write_report(r: Results, p: Path) -> None: pass
