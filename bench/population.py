"""Made-up callers: ten thousand numbers, most of them in the registry."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.registry import load
from router.callers.number import PhoneNumber
from router.callers.secret_ring import load_or_create_ring

OLDER = frozenset({"senior", "elder"})
# A band (None: not in the registry) and its share of the callers, in percent.
SHARES: dict[str | None, int] = {"elder": 7, "senior": 15, "adult": 58, None: 20}
SEED = 60


@dataclass(frozen=True, slots=True)
class Resident:
    """One caller; `band` is None for one who is not in the registry."""

    e164: str
    band: str | None


def population() -> list[Resident]:
    """The numbers +861390000xxxx in random order, the same at each run, with their bands."""
    chance = random.Random(SEED)  # noqa: S311 - a benchmark's callers guard no secret
    bands = chance.choices(list(SHARES), list(SHARES.values()), k=10_000)
    residents = [Resident(f"+861390000{number:04d}", band) for number, band in enumerate(bands)]
    chance.shuffle(residents)
    return residents


def write_csv(residents: Sequence[Resident], file: Path) -> Path:
    """Write those with a band as a file for `elder-router callers import`."""
    rows = [f"{resident.e164},{resident.band}" for resident in residents if resident.band]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(["number,age_band", *rows]) + "\n")
    return file


async def store(residents: Sequence[Resident], redis_url: str, secrets: Path) -> None:
    """Put those with a band into the registry, hashed with the secrets in a file, which is made if it is missing."""
    secrets.parent.mkdir(parents=True, exist_ok=True)
    callers = {PhoneNumber(who.e164): who.band for who in residents if who.band}
    await load(redis_url, load_or_create_ring(secrets), callers)
