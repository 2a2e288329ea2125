"""Changing the secret without an hour in which callers are not found: what is stored under which, and removing it.

1. `add_secret` makes a new newest secret. What is set, chosen and called from now on is stored under it, what stands
   under the older ones is still found.
2. A full load stores all callers under the newest.
3. The older secret is retired: what is left under it is removed, and it is taken out of the file. Choices that were
   not made again since step 1 are lost with it, so that may wait until they have expired.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from router.callers.keys import IMPORT_KEY, PREFIX
from router.callers.registry import Registry

_OWN_KEY: Final = re.compile(rf"{PREFIX}\{{[0-9a-f]{{2}}\}}:(set|choice|calls):([0-9a-f]{{8}}):[0-9a-f]{{20}}".encode())
# A bucket's key has a colon less.
_OWN_KEYS: Final = f"{PREFIX}{{??}}:*:*:*"
_SCAN_COUNT: Final = 1000


@dataclass(slots=True)
class Under:
    """What is stored under one secret: how many bands set by hand, choices, and callers' last calls."""

    counts: Counter[str] = field(default_factory=Counter)

    @property
    def set(self) -> int:
        """Bands set by hand."""
        return self.counts["set"]

    @property
    def choices(self) -> int:
        """Choices remembered."""
        return self.counts["choice"]

    @property
    def calls(self) -> int:
        """Callers whose last calls are kept."""
        return self.counts["calls"]


@dataclass(frozen=True, slots=True)
class UnderSecrets:
    """What is stored under which secret.

    Attributes:
        by_name: Of every secret in the file, and of others that something is left of.
        in_force: The name of the secret that the feed's callers are hashed with; None if none are loaded.
        importing: Whether callers are being loaded, with a secret that is not known here.
    """

    by_name: dict[str, Under]
    in_force: str | None
    importing: bool


async def stored_under(registry: Registry) -> UnderSecrets:
    """Count what is stored under which secret: looks at all keys.

    Raises:
        RegistryError: Redis cannot be reached or refuses, or what is in force cannot be used.
    """
    buckets = await registry.in_force()
    found = {secret.name: Under() for secret in registry.ring.secrets}
    seen: set[bytes] = set()
    with registry.raising():
        async for key in registry.admin().scan_iter(match=_OWN_KEYS, count=_SCAN_COUNT):
            raw = key if isinstance(key, bytes) else key.encode()
            if (match := _OWN_KEY.fullmatch(raw)) and raw not in seen:
                seen.add(raw)
                found.setdefault(match[2].decode(), Under()).counts[match[1].decode()] += 1
        importing = bool(await registry.admin().exists(IMPORT_KEY))
    return UnderSecrets(found, buckets.secret.name if buckets else None, importing)


async def remove_under(registry: Registry, name: str) -> int:
    """Remove what was set, chosen and called under a secret; doing so again does no harm. Returns how many keys.

    Raises:
        RegistryError: Redis cannot be reached or refuses; some of them may be gone.
    """
    with registry.raising():
        match = f"{PREFIX}{{??}}:*:{name}:*"
        found = {key async for key in registry.admin().scan_iter(match=match, count=_SCAN_COUNT)}
    return await registry.unlink(
        [key for key in found if _OWN_KEY.fullmatch(key if isinstance(key, bytes) else key.encode())]
    )
