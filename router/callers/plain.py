"""The layout of one key a caller, which another system writes and the router only reads. Does no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from router.callers.number import PhoneNumber
from router.callers.pseudonym import Pseudonym
from router.callers.servers.wire import Command, Reply
from router.callers.settings import PlainLayout
from router.callers.stored import NOBODY, Fed, band_name, value_in


@dataclass(frozen=True, slots=True)
class PlainKeys:
    """The keys as the settings describe them."""

    layout: PlainLayout

    def key(self, number: PhoneNumber) -> str:
        """The key of a number."""
        return self.layout.key.format(e164=number.e164, digits=number.e164.removeprefix("+"))

    def command(self, number: PhoneNumber, known: Mapping[str, Pseudonym] = NOBODY) -> Command:  # noqa: ARG002
        """What asks for a caller's band; the number is in clear there."""
        key = self.key(number)
        return ("GET", key) if self.layout.hash_field is None else ("HGET", key, self.layout.hash_field)

    def read(self, reply: Reply) -> Fed | None:
        """The answer; None for a caller that is not there.

        Raises:
            RedisError: Redis refused, or answered something else.
            ValueError: The value stored is none that stands for a band.
        """
        if (value := value_in(reply, "a band")) is None:
            return None
        word = band_name(value)
        if word is not None and self.layout.bands:
            word = self.layout.bands.get(word)
        if word is None:
            raise ValueError("none of the words that stand for a band")
        return Fed(word)
