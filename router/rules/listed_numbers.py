"""The whole numbers of a list of callers, half a million perhaps, such that no step with them takes long.

Python builds, sorts, copies and frees a set of so many texts in steps of up to 200 ms that no thread can break off, so
that every call waits for them. Here numbers are in shares of a thousandth, and in each share eight bytes a number.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final

# A prime, so that numbers given out by the hundred or by the thousand spread over all shares.
SHARES: Final = 1021


class ListedNumbers:
    """A set of numbers like `+8613900000001`, of 15 digits at most.

    Args:
        numbers: They may come several times.
    """

    __slots__ = ("_shares", "_size")

    def __init__(self, numbers: Iterable[str]) -> None:
        shares: list[array[int]] = [array("Q") for _ in range(SHARES)]
        for number in numbers:
            value = _value(number[1:])
            shares[value % SHARES].append(value)
        self._shares = tuple(array("Q", sorted(set(share))) for share in shares)
        self._size = sum(map(len, self._shares))

    def __contains__(self, number: object) -> bool:
        if not (isinstance(number, str) and number[:1] == "+" and number.isascii() and number[1:].isdigit()):
            return False
        value = _value(number[1:])
        share = self._shares[value % SHARES]
        place = bisect_left(share, value)
        return place < len(share) and share[place] == value

    def __iter__(self) -> Iterator[str]:
        for share in self.shares():
            yield from share

    def __len__(self) -> int:
        return self._size

    def __eq__(self, other: object) -> bool:
        return self._shares == other._shares if isinstance(other, ListedNumbers) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._size)  # few lists are as long as another

    def shares(self) -> Iterator[list[str]]:
        """All numbers in `SHARES` parts: the same number is in the same part of every list."""
        for share in self._shares:
            yield [f"+{value}".replace("+1", "+", 1) for value in share]


def _value(digits: str) -> int:
    return int(f"1{digits}")  # so that zeros in front count
