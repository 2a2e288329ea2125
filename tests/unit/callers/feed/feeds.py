"""What the tests of feeds share: bands, a day, a secret, and feeds read to persons."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Final

from router.callers.bands import AgeBand, AgeBands
from router.callers.feed.rows import RowRules
from router.callers.feed.spool import Spool, SpoolProgress, row_rules, spool_feed
from router.callers.number import PhoneNumber
from router.callers.pseudonym import CallerSecret
from router.callers.settings import FeedSettings

BANDS: Final = AgeBands((AgeBand("minor", 0), AgeBand("adult", 18), AgeBand("senior", 60), AgeBand("elder", 75)))
MINOR, ADULT, SENIOR, ELDER = 1, 2, 3, 4
TODAY: Final = date(2025, 11, 23)
SECRET: Final = CallerSecret(bytes(range(32)))
PLAIN: Final = FeedSettings()
WITH_REMOVED: Final = FeedSettings(removed="removed")


def settings_with(**bands: str) -> FeedSettings:
    return FeedSettings(bands=MappingProxyType(bands))


def rules(home_region: str = "CN", feed: FeedSettings = PLAIN) -> RowRules:
    return row_rules(feed, BANDS, home_region, TODAY)


def written(folder: Path, content: bytes, name: str = "callers.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def spooled(
    path: Path,
    *,
    feed: FeedSettings = PLAIN,
    delta: bool = False,
    home_region: str = "CN",
    as_of: date = TODAY,
    workers: int = 0,
    secret: CallerSecret = SECRET,
    told: list[SpoolProgress] | None = None,
) -> Spool:
    """A feed, read into a folder beside it, with its rejected rows in `rejects.csv` beside it."""
    return spool_feed(
        path,
        feed=feed,
        bands=BANDS,
        home_region=home_region,
        as_of=as_of,
        secret=secret,
        folder=path.parent / "spool",
        rejects=path.parent / "rejects.csv",
        delta=delta,
        workers=workers,
        progress=(lambda _: None) if told is None else told.append,
    )


def rejected(path: Path) -> list[str]:
    """The lines of the file of rejected rows."""
    return (path.parent / "rejects.csv").read_text().splitlines()[1:]


def persons(spool: Spool) -> dict[str, int]:
    """All persons of a spool, by the hexadecimal digits of their pseudonyms."""
    return {
        f"{place:08x}{bytes(field).hex()}": value
        for part in spool.persons()
        for place, field, value in zip(part.place.tolist(), part.field.tolist(), part.value.tolist(), strict=True)
    }


def named(numbers: dict[str, int], secret: CallerSecret = SECRET) -> dict[str, int]:
    """The same from numbers."""
    return {secret.pseudonym(PhoneNumber(number)).hex: value for number, value in numbers.items()}
