"""A generation: one full load of the registry, and what its band codes mean. Does no I/O.

What is in force is one JSON text under `elder:registry`; writing it is the switch from one generation to the next.
The buckets of a generation that is no longer in force stay for `KEPT_AFTER_SWITCH_S`, so that whoever read the text
before the switch still finds all callers there.

A caller's value is a whole number from 1 to 127, which takes two bytes in a listpack: the band's code, 1 to 31, plus
`SHARED` for a number that the feed gives to people of different bands. The bands are stored with the data, by code,
so that editing the rules re-labels nobody.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from router.callers.bands import AgeBand, AgeBands
from router.callers.keys import TAGS
from router.errors import RegistryError

FORMAT: Final = 1
SHARED: Final = 32
MOST_BANDS: Final = SHARED - 1
MAX_TEXT_BYTES: Final = 64 * 1024
_EXACT: Final = 1 << 53  # as metrics are floating-point numbers, which hold no larger ones exactly
KEPT_AFTER_SWITCH_S: Final = 60.0
"""How long the buckets of the generation before stay."""
TRUSTED_S: Final = 30.0
"""How long after it was last read the text is relied on: less than the buckets stay, by more than clocks differ."""


class StoredBand(BaseModel):
    """A band as it was when callers were loaded."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    name: Annotated[str, Field(min_length=1, max_length=64)]
    from_years: Annotated[int, Field(ge=0, le=200)]


class Generation(BaseModel):
    """What is in force. Times are epoch seconds.

    Attributes:
        generation: Counts full loads.
        secret: The name of the secret that callers are hashed with.
        buckets: How many, a multiple of 64.
        bands: By code, from code 1.
        callers: How many are stored, since the last load or delta.
        by_band: How many of each band, by name.
        as_of: The day on which ages counted.
        loaded_at: When the full load began to read its feed.
        fresh_at: The same of the last load or delta: the data is as old as that.
        feed: Tells the file of the full load from others, without naming it.
        largest_bucket: How many callers the fullest bucket holds, to be held against the server's limits.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Literal[1] = FORMAT
    generation: Annotated[int, Field(ge=1)]
    secret: Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]
    buckets: Annotated[int, Field(ge=TAGS, le=1 << 31, multiple_of=TAGS)]
    bands: Annotated[tuple[StoredBand, ...], Field(min_length=1, max_length=MOST_BANDS)]
    callers: Annotated[int, Field(ge=0, lt=_EXACT)]
    by_band: dict[str, Annotated[int, Field(gt=-_EXACT, lt=_EXACT)]]
    as_of: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    loaded_at: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    fresh_at: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    feed: Annotated[str, Field(max_length=200)] = ""
    largest_bucket: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _bands_make_sense(self) -> Self:
        self.age_bands()
        return self

    def age_bands(self) -> AgeBands:
        """The bands as they were when callers were loaded."""
        return AgeBands(tuple(AgeBand(band.name, band.from_years) for band in self.bands))

    def band_of(self, value: bytes) -> tuple[str, bool] | None:
        """The band's name behind a stored value, and whether the number is shared; None for what is no such value."""
        if not (value.isdigit() and len(value) <= 3):  # noqa: PLR2004 - up to 127
            return None
        code = int(value)
        shared, code = bool(code & SHARED), code & ~SHARED
        return (self.bands[code - 1].name, shared) if 1 <= code <= len(self.bands) else None

    def text(self) -> bytes:
        """As it is stored."""
        return self.model_dump_json().encode()


def stored_bands(bands: AgeBands) -> tuple[StoredBand, ...]:
    """The bands of the rules, as they are stored."""
    return tuple(StoredBand(name=band.name, from_years=band.from_years) for band in bands.bands)


# A load does not write over what may be of a newer version, which others can read.
_WHAT_TO_DO: Final = (
    "update this program if a newer one wrote that; if none did, remove it (`redis-cli DEL elder:registry`) and load "
    "callers anew"
)


def read_generation(text: bytes) -> Generation:
    """Read what is stored under `elder:registry`.

    Raises:
        RegistryError: It is not ours, or of a newer format.
    """
    if len(text) > MAX_TEXT_BYTES:
        raise RegistryError(f"what Redis holds under elder:registry is too long to be the registry's; {_WHAT_TO_DO}")
    try:
        return Generation.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise RegistryError(
            f"what Redis holds under elder:registry cannot be used ({where}: {first['msg']}); {_WHAT_TO_DO}"
        ) from None
