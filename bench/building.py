"""How long it takes to build all prompts: the shipped catalogue and Asterisk's core sounds, at every speech profile."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from bench.plan import Plan
from lab.places import PROJECT, SOUNDS
from router.calls.verdict import spoken_profile
from router.rules.book import load_rules
from router.speech.build import BuildReport, build_prompts
from router.speech.catalogue import load_catalogue

LANGUAGES: Final = ("en", "zh")


@dataclass(frozen=True, slots=True)
class Built:
    """One build.

    Attributes:
        what: `all`, or `again` where nothing had changed.
        workers: How many sounds were made at once.
        sounds: How many it made, each in every format.
        kept: How many files were as they should be.
        took_s: How long it took.
        cpu_s: Processor time, that of sox and espeak-ng included.
        made_mb: The size of the files, in MB.
        profiles: How many speech profiles there are.
    """

    what: str
    workers: int
    sounds: int
    kept: int
    took_s: float
    cpu_s: float
    made_mb: float
    profiles: int


def measure_building(scratch: Path, plan: Plan, console: Console) -> list[Built]:
    """Build everything from nothing, with one worker and with many; and again, with nothing changed."""
    found: list[Built] = []
    for number, way in enumerate(plan.builds):
        root = scratch / str(number)
        _core_sounds(root, plan.built_one_in)
        workers = 1 if way == "1" else os.cpu_count() or 1
        console.print(f"[bold]==>[/] building all prompts, {workers} at once")
        found.append(_build(root, "all", workers))
        found.append(_build(root, "again", workers))
        shutil.rmtree(root)
    return found


def _core_sounds(root: Path, one_in: int) -> None:
    recorded = sorted(path for path in (SOUNDS / "en").rglob("*.wav") if path.parent.name != "elder")
    for path in recorded[::one_in]:
        copy = root / path.relative_to(SOUNDS)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)


def _build(root: Path, what: str, workers: int) -> Built:
    config = PROJECT / "config"
    started, used = time.perf_counter(), _cpu_s()
    # Reading the catalogue and the rules is part of what whoever builds waits for.
    profiles = [spoken_profile(speech) for speech in load_rules(config / "routing.yaml").speech.values()]
    report: BuildReport = build_prompts(load_catalogue(config / "prompts"), profiles, LANGUAGES, root, workers=workers)
    took_s, cpu_s = time.perf_counter() - started, _cpu_s() - used
    assert not report.failed, report.failed[0]
    made_mb = sum((root / path).stat().st_size for path in report.made) / 1e6
    sounds = {path.rpartition(".")[0] for path in report.made}
    return Built(what, workers, len(sounds), len(report.kept), took_s, cpu_s, made_mb, len(profiles))


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
