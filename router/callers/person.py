"""A person's rights: all that is held of one caller, and forgetting it so that it can be seen to be gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any, Final, TypeAlias

from router.callers.buckets import Buckets, generation_of, key_of, keys_with
from router.callers.former import former_keys_of
from router.callers.generation import Generation
from router.callers.keys import IMPORT_KEY, OwnKeys
from router.callers.number import PhoneNumber
from router.callers.registry import Registry
from router.callers.stored import Fed, band_name, choice_name
from router.errors import RegistryError

_SCAN_COUNT: Final = 1000
_IN_ONE_ROUND_TRIP: Final = 1000


class Kind(StrEnum):
    """What is held of a caller, in words."""

    FED = "the band from the feed"
    OTHER_LOAD = "the band of a load that is not in force"
    SET = "the band set by hand"
    CHOICE = "the choice"
    CALLS = "the earlier calls"
    FORMER = "what an earlier version stored in clear"


@dataclass(frozen=True, slots=True)
class PastVisit:
    """An earlier call: Asterisk's name of it, when it came (epoch seconds)."""

    call: str
    at: float


@dataclass(frozen=True, slots=True)
class Held:
    """All that Redis holds of a caller.

    Attributes:
        set_band: The band that was set by hand, stronger than the feed.
        fed: What the feed says.
        generation: What the feed's band is of; None in the plain layout, or if nothing was ever loaded.
        choice: As `past` writes it; "" for nothing.
        choice_left_s: When the choice is forgotten if it is not made again; None for never, or for none.
        calls: The last calls, the newest first.
        keys: Where all that was found: key → what it is.
    """

    set_band: str | None
    fed: Fed | None
    generation: Generation | None
    choice: str
    choice_left_s: float | None
    calls: tuple[PastVisit, ...]
    keys: dict[str, Kind]

    @property
    def band(self) -> str | None:
        """The band that counts."""
        return self.set_band or (self.fed.band if self.fed else None)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What came of forgetting a caller.

    Attributes:
        removed: What was there.
        looked_at: In how many places it was looked for afterwards, of each kind.
        left: What is still there, or there again.
        importing: Whether callers were being loaded meanwhile.
        elsewhere: The other system's key, if that has the caller, in the plain layout.
    """

    removed: frozenset[Kind]
    looked_at: Counter[Kind]
    left: frozenset[Kind]
    importing: bool
    elsewhere: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to do."""
        return not (self.left or self.importing or self.elsewhere)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where something of a caller may lie: a key, or a field of it."""

    kind: Kind
    key: str | bytes
    field: bytes | None = None


@dataclass(slots=True)
class _Found:
    set_band: str | None = None
    choice: str = ""
    choice_left_s: float | None = None
    calls: set[PastVisit] = field(default_factory=set)
    keys: dict[str, Kind] = field(default_factory=dict)


_Replies: TypeAlias = Sequence[Any]


async def held(registry: Registry, number: PhoneNumber) -> Held:
    """All that Redis holds of a caller.

    Raises:
        RegistryError: Redis cannot be reached or refuses, or holds something that is none of ours.
    """
    buckets = await registry.in_force()
    reader = registry.plain or buckets
    found = _Found()
    with registry.raising():
        fed = None
        if reader is not None:
            key, *rest = reader.command(number)[1:]
            reply = await registry.admin().execute_command(*reader.command(number))
            try:
                fed = reader.read(reply)
            except ValueError as error:
                raise RegistryError(f"the band stored is not to be understood: {error}; load callers anew") from error
            if fed is not None:
                found.keys[" ".join([str(key), *(part.hex() for part in rest if isinstance(part, bytes))])] = Kind.FED
        for keys in registry.own_keys(number):
            pipeline = registry.admin().pipeline(transaction=False)
            pipeline.get(keys.set)
            pipeline.get(keys.choice)
            pipeline.ttl(keys.choice)
            pipeline.zrange(keys.calls, 0, -1, withscores=True)
            _add(found, keys, await pipeline.execute())
        for former in former_keys_of(number, registry.plain):
            if await registry.admin().exists(former):
                found.keys[former] = Kind.FORMER
    return Held(
        set_band=found.set_band,
        fed=fed,
        generation=buckets.generation if buckets else None,
        choice=found.choice,
        choice_left_s=found.choice_left_s,
        calls=tuple(sorted(found.calls, key=lambda call: -call.at)),
        keys=found.keys,
    )


def _add(found: _Found, keys: OwnKeys, replies: _Replies) -> None:
    """Take what stands under one secret; what stands under a newer one is stronger."""
    set_band, choice, left_s, calls = replies
    if set_band is not None:
        found.keys[keys.set] = Kind.SET
        found.set_band = found.set_band or band_name(set_band) or set_band.decode("ascii", "backslashreplace")
    if choice is not None:
        found.keys[keys.choice] = Kind.CHOICE
        if not found.choice and (name := choice_name(choice)):
            found.choice, found.choice_left_s = name, float(left_s) if left_s >= 0 else None
    if calls:
        found.keys[keys.calls] = Kind.CALLS
        found.calls |= {PastVisit(call.decode("utf-8", "replace"), float(at)) for call, at in calls}


async def forget(registry: Registry, number: PhoneNumber) -> Forgotten:
    """Remove all that is held of a number, under every secret and in every load that is still there, then look again.

    Doing so again does no harm.

    Raises:
        RegistryError: Redis cannot be reached or refuses; some of it may be gone.
    """
    buckets = await registry.in_force()
    with registry.raising():
        importing = bool(await registry.admin().exists(IMPORT_KEY))
        places = [place async for place in _places(registry, number, buckets)]
        removed = await _each(registry, places, remove=True)
        left = await _each(registry, places, remove=False)
        importing = importing or bool(await registry.admin().exists(IMPORT_KEY))
        elsewhere = ""
        if registry.plain is not None:
            reply = await registry.admin().execute_command(*registry.plain.command(number))
            elsewhere = registry.plain.key(number) if reply is not None else ""
    return Forgotten(removed, Counter(place.kind for place in places), left, importing, elsewhere)


async def _places(registry: Registry, number: PhoneNumber, buckets: Buckets | None) -> AsyncIterator[_Place]:
    """Everywhere that something of a number may lie."""
    for keys in registry.own_keys(number):
        for kind, key in zip((Kind.SET, Kind.CHOICE, Kind.CALLS), keys, strict=True):
            yield _Place(kind, key)
    for key in former_keys_of(number, registry.plain):
        yield _Place(Kind.FORMER, key)
    in_force = None
    if buckets is not None:
        who = buckets.secret.pseudonym(number)
        in_force = buckets.generation.generation
        yield _Place(Kind.FED, key_of(buckets.generation, who), who.field)
    for secret in registry.ring.secrets:
        who = secret.pseudonym(number)
        seen: set[bytes] = set()
        async for found in registry.admin().scan_iter(match=keys_with(who), count=_SCAN_COUNT):
            raw = found if isinstance(found, bytes) else found.encode()
            # How many buckets another load has is not known, so any of them with the caller's tag is looked into.
            if (generation := generation_of(raw)) is not None and generation != in_force and raw not in seen:
                seen.add(raw)
                yield _Place(Kind.OTHER_LOAD, raw, who.field)


async def _each(registry: Registry, places: Sequence[_Place], *, remove: bool) -> frozenset[Kind]:
    """Remove, or only look: the kinds of those places where something was."""
    found: set[Kind] = set()
    rest: Iterator[_Place] = iter(places)
    while some := list(islice(rest, _IN_ONE_ROUND_TRIP)):
        pipeline = registry.admin().pipeline(transaction=False)
        for place in some:
            if place.field is not None:
                command = "HDEL" if remove else "HEXISTS"
                pipeline.execute_command(command, place.key, place.field)
            else:
                pipeline.execute_command("DEL" if remove else "EXISTS", place.key)
        replies = await pipeline.execute()
        found |= {place.kind for place, reply in zip(some, replies, strict=True) if reply}
    return frozenset(found)
