"""Which columns a feed has: found by the names that the settings give them, in large or small letters."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from router.callers.feed.rows import Columns, RowError, line_fields
from router.callers.settings import FeedSettings
from router.errors import ConfigurationError, Problem

UTF8_BOM: Final = b"\xef\xbb\xbf"
_SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "|"}


def header_line(path: Path, raw: bytes, feed: FeedSettings, *, delta: bool) -> Columns:
    """The columns that the first line of a CSV file names.

    Raises:
        ConfigurationError: It does not name what is needed.
    """
    hint = f"the first line must name the columns, like {feed.number}{feed.separator}{feed.birth_date}"
    raw = raw.removeprefix(UTF8_BOM)
    try:
        names = line_fields(raw, feed.separator)
    except RowError as error:
        raise wrong_feed(path, f"the header row {error.reason}", line=1) from error
    if not names:
        raise wrong_feed(path, f"the file is empty, or begins with an empty line; {hint}", line=1)
    return named_columns(path, names, feed, delta=delta, hint=f"; {hint}")


def named_columns(path: Path, names: Sequence[str], feed: FeedSettings, *, delta: bool, hint: str) -> Columns:
    """Where the columns stand among `names`. `hint` is what is said of a header that looks like nothing known.

    Raises:
        ConfigurationError: One is missing, or there twice.
    """
    found = [name.strip().casefold() for name in names]
    wanted = {"number": feed.number, "birth_date": feed.birth_date, "age_band": feed.age_band}
    if feed.removed is not None:
        wanted["removed"] = feed.removed
    places = {use: found.index(name.casefold()) for use, name in wanted.items() if name.casefold() in found}
    if any(found.count(wanted[use].casefold()) > 1 for use in places):
        raise wrong_feed(path, "a column is there twice; keep one of each name", line=1)
    if "number" not in places:
        nearest = _nearest(feed.number, found, feed.separator) or hint
        raise wrong_feed(path, f"there is no column `{feed.number}`{nearest}", line=1)
    if delta and feed.removed is not None and "removed" not in places:
        nearest = _nearest(feed.removed, found, feed.separator) or "; add it, or take it out of the settings"
        raise wrong_feed(path, f"there is no column `{feed.removed}`{nearest}", line=1)
    if not {"birth_date", "age_band"} & set(places) and not (delta and "removed" in places):
        nearest = _nearest(feed.birth_date, found, feed.separator) or _nearest(feed.age_band, found, feed.separator)
        raise wrong_feed(
            path, f"there is neither a column `{feed.birth_date}` nor one `{feed.age_band}`{nearest}", line=1
        )
    return Columns(places["number"], places.get("birth_date"), places.get("age_band"), places.get("removed"))


def wrong_feed(path: Path, message: str, *, line: int = 0) -> ConfigurationError:
    """That a file cannot be used, and why."""
    return ConfigurationError([Problem(str(path), line, 1 if line else 0, message)])


def _nearest(wanted: str, names: list[str], separator: str) -> str:
    if len(names) == 1 and any(other in names[0] for other in _SEPARATORS if other != separator):
        return f"; separate the columns by {_SEPARATORS.get(separator, separator)}"
    close = get_close_matches(wanted.casefold(), names, 1)
    return f"; rename `{close[0]}` to it" if close and close[0].isprintable() else ""
