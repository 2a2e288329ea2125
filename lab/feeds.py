"""Feeds of made-up persons as the loading takes them, without a file: for tests and benchmarks of what loads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from router.callers.keys import TAGS
from router.callers.pseudonym import PLACES, Pseudonym


@dataclass(frozen=True, slots=True)
class MadePart:
    """All persons of one hash tag."""

    place: NDArray[np.uint32]
    field: NDArray[np.void]
    value: NDArray[np.uint8]
    repeated: int = 0


class MadeFeed:
    """Persons by place and field, each once."""

    def __init__(
        self, place: NDArray[np.uint32], field: NDArray[np.void], value: NDArray[np.uint8], *, identity: str = "made"
    ) -> None:
        order = np.argsort(place, kind="stable")
        self._place, self._field, self._value = place[order], field[order], value[order]
        self.identity = identity
        self.removed = False

    @classmethod
    def of(cls, values: Mapping[Pseudonym, int], *, identity: str = "made") -> MadeFeed:
        """Those persons and no others."""
        who = sorted(values, key=lambda one: (one.place, one.field))
        return cls(
            np.array([one.place for one in who], np.uint32),
            np.frombuffer(b"".join(one.field for one in who), "V6"),
            np.array([values[one] for one in who], np.uint8),
            identity=identity,
        )

    @classmethod
    def random(cls, count: int, *, bands: int = 4, seed: int = 1, identity: str = "made") -> MadeFeed:
        """So many persons of so many bands."""
        random = np.random.default_rng(seed)
        return cls(
            random.integers(0, PLACES, count, dtype=np.uint32),
            np.frombuffer(random.bytes(6 * count), "V6"),
            random.integers(1, bands + 1, count).astype(np.uint8),
            identity=identity,
        )

    def __len__(self) -> int:
        return len(self._place)

    def persons(self) -> Iterator[MadePart]:
        """The 64 parts."""
        bounds = np.arange(TAGS + 1, dtype=np.uint64) * np.uint64(PLACES // TAGS)
        edges = np.searchsorted(self._place, bounds).tolist()
        for begin, end in pairwise(edges):
            yield MadePart(self._place[begin:end], self._field[begin:end], self._value[begin:end])

    def remove(self) -> None:
        """Nothing lies anywhere."""
        self.removed = True
