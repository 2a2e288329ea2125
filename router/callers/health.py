"""What is wrong with the registry that no single call shows: told to the log once, to metrics and health all along.

    stale          its callers were last loaded or updated too long ago
    bands differ   a band means something else in the rules than when callers were loaded, see `meanings`
    empty          nothing was ever loaded, or Redis has lost it
    unusable       what is in force is not known, or cannot be used
    limits         Redis would keep the buckets in another form, of five times the size
    redis          a server does not answer

Whoever looks takes a snapshot that is a second old at most, from any thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Final

import structlog

from router.callers.bands import AgeBands
from router.callers.breaker import BreakerState
from router.callers.generation import Generation
from router.callers.meanings import MeaningDiffers, meanings_that_differ
from router.callers.registry import Registry
from router.errors import RegistryError

LOOK_EVERY_S: Final = 1.0

STALE: Final = "stale"
BANDS_DIFFER: Final = "bands differ"
EMPTY: Final = "empty"
UNUSABLE: Final = "unusable"
LIMITS: Final = "limits"
REDIS: Final = "redis"

NO_CALLERS: Final = "no callers are there: none were ever loaded, or Redis has lost them"
_DAYS_FROM_HOURS: Final = 72

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RegistryHealth:
    """How the registry is. `warnings` is by what is wrong, in words for the person who has to mend it."""

    generation: Generation | None = None
    stale_after_s: float = 0.0
    differing: tuple[MeaningDiffers, ...] = ()
    warnings: Mapping[str, str] = field(default_factory=dict)
    lookups: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    batches: int = 0
    breakers: Mapping[str, BreakerState] = field(default_factory=dict)


def age_in_words(seconds: float) -> str:
    """An age in hours, or in days from three of them on."""
    hours = seconds / 3600
    return f"{hours / 24:.1f} days" if hours >= _DAYS_FROM_HOURS else f"{hours:.1f} hours"


def stale_in_words(generation: Generation, stale_after_s: float, now: float) -> str | None:
    """What to say of callers that were last loaded too long ago, at `now` (epoch seconds); None if they were not."""
    age_s = now - generation.fresh_at
    if age_s <= stale_after_s:
        return None
    return (
        f"callers were last loaded or updated {age_in_words(age_s)} ago, and `stale_after` is "
        f"{age_in_words(stale_after_s)}: who came of age since is taken for younger; find out why the import fails"
    )


def differing_in_words(differing: tuple[MeaningDiffers, ...]) -> str:
    """What to say of bands that mean something else in the rules."""
    return f"{'; '.join(map(str, differing))}. Nobody is re-labelled by that: load callers anew under these rules"


class HealthWatch:
    """Looks every second how the registry is, and says in the log what changes.

    Args:
        registry: The registry.
        ruled: Gives the bands of the rules in force.
        limits: Finds out, for each generation that comes into force, what servers' limits are too small for it, in
            words; "" for none. Raises RegistryError where that cannot be found out.
        now: Epoch seconds.
    """

    def __init__(
        self,
        registry: Registry,
        ruled: Callable[[], AgeBands],
        limits: Callable[[Generation], Awaitable[str]],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.health = RegistryHealth(stale_after_s=registry.settings.stale_after_s)
        self._registry = registry
        self._ruled = ruled
        self._limits = limits
        self._limits_of: int | None = None
        self._too_small = ""
        self._now = now

    async def run(self) -> None:
        """Look every second, for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except Exception:  # noqa: BLE001 - the boundary of one look: calls have nothing to do with it
                _log.exception("registry not looked at")

    async def look(self) -> None:
        """Take a snapshot, and log what is wrong since the last one, or no longer."""
        registry, before = self._registry, self.health
        warnings: dict[str, str] = {}
        generation = None
        try:
            generation = registry.known_in_force()
        except RegistryError as error:
            warnings[UNUSABLE] = f"callers are routed as unknown: {error}"
        else:
            if generation is None and registry.plain is None:
                warnings[EMPTY] = f"{NO_CALLERS}: run `elder-router callers import`"
        differing: tuple[MeaningDiffers, ...] = ()
        if generation is not None:
            if differing := meanings_that_differ(generation.age_bands(), self._ruled()):
                warnings[BANDS_DIFFER] = differing_in_words(differing)
            if stale := stale_in_words(generation, registry.settings.stale_after_s, self._now()):
                warnings[STALE] = stale
            if too_small := await self._limits_for(generation):
                warnings[LIMITS] = too_small
        breakers = registry.servers.breakers
        if lost := sorted(server for server, state in breakers.items() if state is not BreakerState.CLOSED):
            warnings[REDIS] = f"Redis does not answer at {', '.join(lost)}"
        stats = registry.stats
        self.health = RegistryHealth(
            generation=generation,
            stale_after_s=registry.settings.stale_after_s,
            differing=differing,
            warnings=warnings,
            lookups={name: count for name, count in asdict(stats).items() if name in _RESULTS},
            failures={failure.value: count for failure, count in stats.failures.items()},
            batches=registry.servers.stats.batches,
            breakers=breakers,
        )
        _tell(before, self.health)

    async def _limits_for(self, generation: Generation) -> str:
        """What is too small for a generation; asked once for each."""
        if self._limits_of != generation.generation:
            self._limits_of = generation.generation
            self._too_small = ""
            try:
                self._too_small = await self._limits(generation)
            except RegistryError as error:  # most likely the router's user may not read them
                _log.debug("limits of redis not read", reason=str(error))
        return self._too_small


_RESULTS: Final = ("found", "not_found", "no_number")


def _tell(before: RegistryHealth, now: RegistryHealth) -> None:
    """Log what is wrong since the last look. The same with other words, such as a greater age, is no news."""
    for what, words in now.warnings.items():
        is_news = what not in before.warnings or (what == BANDS_DIFFER and before.differing != now.differing)
        if is_news and what not in _TOLD_BY_OTHERS:
            _log.warning("registry needs attention", what=what, why=words)
    for what in before.warnings:
        if what not in now.warnings and what not in _TOLD_BY_OTHERS:
            _log.info("registry needs no attention any more", what=what)


_TOLD_BY_OTHERS: Final = frozenset({REDIS})  # by whoever asks Redis, of each server
