"""How everything is called in Redis. Nothing here holds a number.

    elder:registry                              what is in force, see `generation`
    elder:import                                who is importing, see `loading`
    elder:generations                           how many generations were begun: none has the number of another
    elder:{3f}:<generation>:<bucket>            a bucket of callers: field → band code and flags
    elder:{3f}:set:<secret>:<pseudonym>         a band that was set by hand, stronger than the bucket
    elder:{3f}:choice:<secret>:<pseudonym>      what the caller chose in a call and had remembered; expires
    elder:{3f}:calls:<secret>:<pseudonym>       the last calls, while a rule asks for them; expires

What stands in braces is Redis Cluster's hash tag: all that a lookup asks for one caller lies on one server. It is the
first of 64 parts of the places, so a bucket's tag is that of all callers in it, whatever the number of buckets, which
is a multiple of 64.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from router.callers.pseudonym import PLACES, Pseudonym

PREFIX: Final = "elder:"
REGISTRY_KEY: Final = "elder:registry"
IMPORT_KEY: Final = "elder:import"
GENERATIONS_KEY: Final = "elder:generations"
TAGS: Final = 64


def tag_of(place: int) -> str:
    """The hash tag of a place."""
    return f"{place * TAGS // PLACES:02x}"


def bucket_of(place: int, buckets: int) -> int:
    """The bucket of a place, of so many; the order of places is the order of buckets."""
    return place * buckets // PLACES


def bucket_key(generation: int, bucket: int, buckets: int) -> str:
    """The key of a bucket, of `buckets`, a multiple of 64."""
    return f"{PREFIX}{{{bucket * TAGS // buckets:02x}}}:{generation:x}:{bucket:x}"


class OwnKeys(NamedTuple):
    """The keys of one caller under one secret."""

    set: str
    """A band set by hand."""
    choice: str
    """What they chose."""
    calls: str
    """Their last calls."""


def own_keys(secret_name: str, who: Pseudonym) -> OwnKeys:
    """The keys of a caller under a secret."""
    head, tail = f"{PREFIX}{{{tag_of(who.place)}}}:", f":{secret_name}:{who.hex}"
    return OwnKeys(f"{head}set{tail}", f"{head}choice{tail}", f"{head}calls{tail}")
