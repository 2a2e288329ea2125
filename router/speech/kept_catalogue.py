"""The catalogue of a running router: read at the start and when it is told to, kept where what it reads is wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from router.errors import ConfigurationError
from router.speech.catalogue import Catalogue, load_catalogue

log = structlog.get_logger(__name__)


class KeptCatalogue:
    """The catalogue in force.

    Args:
        folder: Where it is; None where the router needs none.
    """

    def __init__(self, folder: Path | None) -> None:
        self.catalogue = Catalogue(())
        self._folder = folder

    async def reload(self) -> None:
        """Read it anew. Nothing that is wrong with it keeps calls from being routed."""
        if self._folder is None:
            return
        try:
            self.catalogue = await asyncio.to_thread(load_catalogue, self._folder)
        except ConfigurationError as error:
            first, *others = error.problems
            # `elder-router prompts check` tells all of them.
            log.warning("prompts not taken", reason=str(first), others=len(others), kept=len(self.catalogue.prompts))
        else:
            log.info("prompts taken", prompts=len(self.catalogue.prompts))
