"""Prometheus' own checker of rules: the machine's, or the one that `lab/setup.sh tests` unpacked."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from lab.places import CACHE
from lab.processes import LabError

WITHIN_S = 60.0


def promtool(*arguments: str | Path, stdin: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run it; its exit status is the caller's to look at.

    Raises:
        LabError: It is not here.
    """
    own = CACHE / "prometheus" / "promtool"
    program = shutil.which("promtool") or (str(own) if own.exists() else None)
    if program is None:
        raise LabError(f"promtool is neither installed nor at {own}: run `lab/setup.sh tests`")
    command = [program, *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=WITHIN_S, cwd=cwd, check=False)
