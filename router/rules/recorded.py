"""A caller as the journal kept them: a masked number and a keyed hash.

Rules ask for whole numbers and for beginnings of numbers. Whoever has the key of the hashes can answer both without
the number having been written down: a listed number is the caller's if its hash is; a beginning is told from the
digits that the mask shows, or, where it is longer, by trying those digits that it leaves open.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import Final

from router.callers.number import MASK, PhoneNumber, digits_hidden, masked

# A tenth of a second for a caller. More are left open only by numbers of 14 digits and more, none of which is tried.
MAX_OPEN_DIGITS: Final = 5


class Recogniser:
    """Tells recorded callers apart by the key of their hashes.

    Args:
        key_of: Makes the keyed hash of an E.164 number, as the journal's `caller_key`.
    """

    def __init__(self, key_of: Callable[[str], str]) -> None:
        self._key_of = key_of
        self._listed: dict[Collection[str], dict[str, list[str]]] = {}
        self._begins = lru_cache(maxsize=200_000)(self._try_digits)
        self._by_head = lru_cache(maxsize=20_000)(_by_head)

    def is_listed(self, shown: str, key: str, numbers: Collection[str]) -> bool:
        """Whether a caller shown as `shown` with the hash `key` is one of `numbers`."""
        if (by_mask := self._listed.get(numbers)) is None:
            by_mask = self._listed[numbers] = {}
            for number in numbers:
                by_mask.setdefault(masked(PhoneNumber(number)), []).append(number)
        return any(self._key_of(number) == key for number in by_mask.get(shown, ()))

    def begins_with(self, shown: str, key: str, prefixes: frozenset[str]) -> bool:
        """Whether that caller's number begins with one of `prefixes`."""
        # What the mask shows decides nearly always; trying digits comes last.
        is_shown, to_try = self._by_head(shown.partition(MASK)[0], prefixes)
        return is_shown or any(self._begins(shown, key, prefix) for prefix in to_try)

    def _try_digits(self, shown: str, key: str, prefix: str) -> bool:
        return any(self._key_of(number) == key for number in _completions(shown, prefix))


def _by_head(head: str, prefixes: Iterable[str]) -> tuple[bool, tuple[str, ...]]:
    """Whether a number that begins with `head` begins with one of `prefixes` for sure; those that it may begin with."""
    possible = [prefix for prefix in prefixes if head.startswith(prefix[: len(head)])]
    return any(len(prefix) <= len(head) for prefix in possible), tuple(possible)


def _completions(shown: str, prefix: str) -> Iterator[str]:
    """Every number that begins with `prefix` and is masked as `shown`."""
    head, _, tail = shown.partition(MASK)
    for hidden in digits_hidden(head, tail):
        given = prefix[len(head) :][:hidden]
        beyond = prefix[len(head) + hidden :]
        still_open = hidden - len(given)
        if not tail.startswith(beyond) or still_open > MAX_OPEN_DIGITS:
            continue
        for digits in product("0123456789", repeat=still_open):
            yield f"{head}{given}{''.join(digits)}{tail}"


@dataclass(frozen=True, slots=True)
class RecordedCaller:
    """A caller who had a number: as it was shown (`+86139****0001`), and its keyed hash."""

    shown: str
    key: str
    recogniser: Recogniser = field(repr=False, compare=False)

    def is_one_of(self, lists: Iterable[Collection[str]], prefixes: frozenset[str]) -> bool:
        """Whether the number is in one of `lists`, none of which changes, or begins with one of `prefixes`."""
        return (bool(prefixes) and self.recogniser.begins_with(self.shown, self.key, prefixes)) or any(
            self.recogniser.is_listed(self.shown, self.key, numbers) for numbers in lists
        )
