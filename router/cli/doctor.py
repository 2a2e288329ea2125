"""`elder-router doctor`: what an installer, or who is woken at night, wants to know first. It changes nothing."""

from __future__ import annotations

import asyncio
import os
import secrets
import stat
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from router.ami.settings import LinkSettings
from router.callers.bands import AgeBands
from router.callers.generation import Generation
from router.callers.health import NO_CALLERS
from router.callers.inspecting.contents import (
    encoding_finding,
    generation_findings,
    import_under_way,
    keys_findings,
    keys_seen,
)
from router.callers.inspecting.findings import Finding, Level, ok, warning, wrong
from router.callers.inspecting.limits import USUAL_LARGEST
from router.callers.inspecting.nightly import nightly_findings
from router.callers.inspecting.servers import server_findings
from router.callers.inspecting.teller import teller
from router.callers.inspecting.topology import cluster_finding, sentinel_findings
from router.callers.inspecting.way import is_loopback, way_finding
from router.callers.number import PhoneNumber
from router.callers.pseudonym import SECRET_BYTES, CallerSecret
from router.callers.registry import Registry, open_registry
from router.callers.secret_ring import SecretRing, load_ring
from router.callers.settings import PlainLayout
from router.cli.live import linked
from router.cli.tracing import counted, printable
from router.errors import AmiError, ConfigurationError, RegistryError
from router.rules.book import check_file
from router.settings import Settings, load_settings, read_settings

_PATIENCE_S: Final = 8.0
_ANSWER_S: Final = 2.0
_ROOT: Final = 0
_NOBODY: Final = PhoneNumber("+8600000000000")  # no network has it
_ARROW: Final = "→"
_WORDS: Final = {Level.OK: "ok", Level.WARNING: "warning", Level.WRONG: "wrong"}


@click.command("doctor")
@click.pass_context
def doctor(context: click.Context) -> None:
    """Check settings, secrets, rules, the registry in Redis and Asterisk; say what to do about what is not well.

    It changes nothing, and calls go on meanwhile. Exits 0 when all is well, 1 with warnings, 2 when something is
    wrong.
    """
    found = asyncio.run(_report(context.obj))
    levels = [finding.level for finding in found]
    warnings, errors = levels.count(Level.WARNING), levels.count(Level.WRONG)
    click.echo(f"{counted(len(found), 'check')}: {errors} wrong, {counted(warnings, 'warning')}", err=True)
    context.exit(max(levels))


async def _report(settings_file: Path) -> list[Finding]:
    found = []
    async for finding in _findings(settings_file):
        found.append(finding)
        click.echo(printable(f"{_WORDS[finding.level]:<8} {finding.about}: {finding.says}"))
        if finding.do:
            click.echo(printable(f"         {_ARROW} {finding.do}"))
    return found


async def _findings(settings_file: Path) -> AsyncIterator[Finding]:
    try:
        settings = load_settings(settings_file)
    except ConfigurationError as error:
        for problem in error.problems:
            yield wrong("settings", str(problem), "mend that line; the router does not start with it")
        return
    yield ok("settings", str(settings_file))
    for finding in _secret_files(settings_file, settings):
        yield finding
    bands = None
    for finding, of_rules in _rules(settings.rules_file):
        bands = of_rules or bands
        yield finding
    ring, finding = _ring(settings.registry.secret_file)
    yield finding
    for finding in nightly_findings(settings.registry):
        yield finding
    async for finding in _registry(settings, ring, bands):
        yield finding
    for link in settings.links:
        for finding in await _asterisk(link):
            yield finding


def _secret_files(settings_file: Path, settings: Settings) -> Iterator[Finding]:
    """Whether others than who needs them may read the files with secrets."""
    file, _ = read_settings(settings_file)
    base = settings_file.resolve().parent
    callers = file.callers
    named = [entry.secret_file for entry in file.asterisk]
    named += [callers.password_file, callers.sentinel.password_file if callers.sentinel else None]
    files = [base / name for name in named if name]
    files += [settings.journal_secret_file, settings.registry.secret_file]
    seen, is_well = 0, True
    for path in files:
        try:
            found = path.stat()
        except FileNotFoundError:
            continue  # two are made at the first start; of the others the settings say so
        except OSError as error:
            is_well = False
            yield warning("secrets", f"{path}: {error.strerror}", "run this as root, or as the router's user")
            continue
        seen += 1
        if stat.S_IMODE(found.st_mode) & stat.S_IRWXO:
            is_well = False
            yield warning("secrets", f"{path} may be read by everybody on this machine", f"chmod 640 {path}")
        elif os.geteuid() == _ROOT == found.st_uid and not found.st_mode & stat.S_IRGRP:
            is_well = False
            do = f"chown elder-router {path}, if that is the router's user"
            yield warning("secrets", f"{path} may be read by root only, and the router runs as another user", do)
    if is_well:
        yield ok("secrets", f"{counted(seen, 'file')}, for their owners only")


def _ring(path: Path) -> tuple[SecretRing, Finding]:
    """The secrets of the registry; where there are none to be had, one that nobody was hashed with, to look on with."""
    nobodys = SecretRing((CallerSecret(secrets.token_bytes(SECRET_BYTES)),))
    if _is_missing(path):
        do = "copy it from where callers are loaded; if they never were, the first import or start makes it"
        return nobodys, warning("registry secrets", f"{path} is not there", do)
    try:
        ring = load_ring(path)
    except ConfigurationError as error:
        do = "mend that, or copy the file from where callers are loaded"
        return nobodys, wrong("registry secrets", str(error), do)
    names = ", ".join(secret.name for secret in ring.secrets)
    if len(ring.secrets) > 1:
        do = "once callers are loaded under the newest, retire the older: `elder-router callers secret retire`"
        return ring, warning("registry secrets", f"{len(ring.secrets)}, the newest first: {names}", do)
    return ring, ok("registry secrets", names)


def _is_missing(path: Path) -> bool:
    try:
        return not path.exists()
    except OSError:
        return False  # it may be there; reading it says why it cannot be read


def _rules(file: Path) -> Iterator[tuple[Finding, AgeBands | None]]:
    book, problems = check_file(file)
    if book is None:
        errors = [problem for problem in problems if problem.severity == "error"]
        for problem in errors[:5]:
            yield wrong("rules", str(problem), "mend that; until then the rules of before stay in force"), None
        if len(errors) > 5:  # noqa: PLR2004 - enough to begin with
            yield wrong("rules", f"{len(errors) - 5} more problems", "run `elder-router check`"), None
        return
    if problems:
        yield warning("rules", f"{file}: {counted(len(problems), 'warning')}", "run `elder-router check`"), book.bands
    else:
        yield ok("rules", f"{file}, version {book.version}"), book.bands


async def _registry(settings: Settings, ring: SecretRing, bands: AgeBands | None) -> AsyncIterator[Finding]:
    patient = replace(settings.registry, deadline_s=_ANSWER_S)
    async with open_registry(patient, ring, connect_s=_ANSWER_S) as registry:
        generation, unusable = await _in_force(registry)
        try:
            names = await registry.servers.primaries()
        except RegistryError as error:
            yield wrong("redis", str(error), "see that the servers run and that `callers:` in the settings names them")
            return
        for finding in await _together(registry, names):
            yield finding
        importing, of_import = await _import(registry)
        reached = False
        for name in names:
            async for finding in _server(registry, name, generation, servers=len(names), importing=importing):
                reached = reached or finding.level < Level.WRONG
                yield finding
        if reached:
            if registry.plain is None:
                yield of_import
            async for finding in _contents(registry, generation, unusable, bands):
                yield finding


async def _together(registry: Registry, names: Sequence[str]) -> list[Finding]:
    """What is to be said of servers that belong together."""
    redis = registry.settings.redis
    if redis.sentinels and not redis.cluster:
        return await sentinel_findings(redis)
    if redis.cluster:
        for name in names:
            with suppress(RegistryError):  # said of that server by itself
                async with teller(registry.servers, name) as server:
                    return [cluster_finding(await server.ask("CLUSTER", "SLOTS"))]
    return []


async def _in_force(registry: Registry) -> tuple[Generation | None, str]:
    """What is in force, or why that is not known; neither, if nothing was ever loaded."""
    try:
        in_force = await registry.in_force()
    except RegistryError as error:
        return None, str(error)
    return (None if in_force is None else in_force.generation), ""


async def _contents(
    registry: Registry, generation: Generation | None, unusable: str, bands: AgeBands | None
) -> AsyncIterator[Finding]:
    layout = registry.settings.layout
    if isinstance(layout, PlainLayout):
        for finding in _plain(layout, bands):
            yield finding
        return
    if generation is not None:
        for finding in generation_findings(generation, bands, registry.settings.stale_after_s, time.time()):
            yield finding
    elif unusable:
        yield wrong("registry", f"callers are routed as unknown: {unusable}", "mend what is said, or load callers anew")
    else:
        yield warning("registry", NO_CALLERS, "run `elder-router callers import`")


async def _server(
    registry: Registry, name: str, generation: Generation | None, *, servers: int, importing: bool
) -> AsyncIterator[Finding]:
    callers = generation.callers // servers if generation else 0
    largest: int | None = generation.largest_bucket if generation else USUAL_LARGEST
    theirs = None
    if registry.plain is not None:
        largest, theirs = None, registry.plain.command(_NOBODY)
    try:
        async with teller(registry.servers, name) as server:
            yield way_finding(registry.settings.redis, name)
            for finding in await server_findings(server, largest, callers, theirs):
                yield Finding(finding.level, f"{finding.about} of {name}", finding.says, finding.do)
            if registry.plain is None:
                seen = await keys_seen(server)
                every = keys_findings(seen, generation, importing=importing)
                if generation is not None and (form := await encoding_finding(server, generation)):
                    every.append(form)
                for finding in every:
                    yield Finding(finding.level, f"{finding.about} of {name}", finding.says, finding.do)
    except RegistryError as error:
        do = "see that it runs, that its firewall lets this machine in, and that user and password are right"
        yield wrong(f"redis {name}", str(error), do)


async def _import(registry: Registry) -> tuple[bool, Finding]:
    """Whether somebody is importing, and what to say of it."""
    try:
        under_way = await import_under_way(registry.servers)
    except RegistryError as error:
        do = "give this user the right to GET elder:import"
        return False, warning("import", f"whether one is under way is not known: {error}", do)
    return under_way is not None, ok("import", under_way or "none is under way")


def _plain(layout: PlainLayout, bands: AgeBands | None) -> Iterator[Finding]:
    where = f"{layout.key}, field {layout.hash_field}" if layout.hash_field else layout.key
    yield ok("registry", f"written by another system: {where}; how old it is cannot be told")
    if bands is not None and (unknown := sorted(set(layout.bands.values()) - set(bands.names))):
        do = "write a name that the rules define into `plain: {bands: …}`"
        yield warning("age bands", f"the rules do not define {', '.join(unknown)}: these callers count as unknown", do)


async def _asterisk(link: LinkSettings) -> list[Finding]:
    about = f"asterisk {link.name}"
    place = f"{link.host}:{link.port}"
    try:
        async with asyncio.timeout(_PATIENCE_S), linked(link):
            pass
    except (AmiError, OSError, TimeoutError) as error:
        do = "see that Asterisk runs, and its manager.conf: enabled, port, bindaddr, the router's user"
        return [wrong(about, f"{place}: {str(error) or 'no answer'}", do)]
    found = [ok(about, f"the login works at {place}")]
    if link.tls is None and not is_loopback(link.host):
        do = "use `tls:` in the settings and `tlsenable` in manager.conf, or a tunnel"
        found.append(warning(about, "callers' numbers go over the network in plain text", do))
    return found
