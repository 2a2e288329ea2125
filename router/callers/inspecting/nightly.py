"""What the nightly job finds on the disk: the feed, and its work folder. Looks at no content."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from router.callers.inspecting.findings import Finding, warning
from router.callers.settings import RegistrySettings

_ROOT: Final = 0


def nightly_findings(registry: RegistrySettings) -> Iterator[Finding]:
    """What would keep the job from working, or lets others read the feed; as far as this user may see."""
    folder = registry.work_folder
    with suppress(OSError):
        if folder.stat().st_uid == _ROOT != folder.parent.stat().st_uid:
            do = f"chown -R --reference={folder.parent} {folder}"
            yield warning("work folder", f"{folder} is root's, and loads by the router's user fail", do)
    feed = registry.feed.file
    if feed is None:
        return
    try:
        found = feed.stat()
    except OSError as error:
        do = "see that it is delivered there, and that the router's user may look into the folders above it"
        yield warning("feed", f"{feed}: {error.strerror}; the nightly job fails", do)
        return
    if stat.S_IMODE(found.st_mode) & stat.S_IROTH:
        do = f"have it delivered so that only the router's user reads it: chgrp elder-router {feed}; chmod 640 {feed}"
        yield warning("feed", f"{feed} holds numbers, and everybody on this machine may read it", do)
    elif not os.access(feed, os.R_OK):
        yield warning("feed", f"{feed} may not be read by this user", "run this as root, or as the router's user")
