"""What was measured is kept by size, and the page's section shows all of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.machine import Machine
from bench.plan import QUICK
from bench.registry_asker import Samples, Way
from bench.registry_load import MASS_INSERTION, REDIS_PY
from bench.registry_lookups import summary
from bench.registry_results import (
    Asked,
    Loaded,
    LoadedDirectly,
    RegistryResults,
    read_results,
    write_results,
)
from bench.report import Results, write_registry_section, write_report
from lab.processes import LabError

MILLION = 1_000_000
PAGE = """\
# Benchmarks

The head.

## Something else

Its text.

## How cost grows with size

- **Rules.** They cost.
"""


def loaded(callers: int, *, bytes_a_caller: float = 11.5, per_s: float = 600_000) -> Loaded:
    return Loaded(
        callers=callers,
        feed_bytes=26 * callers,
        feed_s=callers / 7e6,
        gzip_s=None,
        took_s=callers / per_s,
        least_s=1.5,
        reading_s=callers / 2e6,
        whole_s=callers / per_s + 1,
        importer_cpu_s=1.0,
        redis_cpu_s=0.5,
        peak_pss_bytes=400 << 20,
        peak_anonymous_bytes=300 << 20,
        spool_bytes=11 * callers,
        redis_bytes=round(bytes_a_caller * callers),
        redis_rss_bytes=12 * callers,
        rdb_bytes=10 * callers,
        rdb_s=0.5,
        buckets=callers // 160,
        largest_bucket=220,
    )


def directly(callers: int) -> list[LoadedDirectly]:
    return [
        LoadedDirectly(
            way=way,
            callers=callers,
            took_s=callers / per_s,
            client_cpu_s=1.0,
            redis_cpu_s=1.0,
            redis_bytes=77 * callers,
            redis_rss_bytes=80 * callers,
        )
        for way, per_s in ((REDIS_PY, 200_000), (MASS_INSERTION, 1_200_000))
    ]


def asked(way: str, rate: int, p50_us: float = 200.0) -> Asked:
    return Asked(
        way=way,
        rate=rate,
        lookups=1_000,
        p50_us=p50_us,
        p99_us=700.0,
        p999_us=900.0,
        slowest_us=1_000.0,
        failed=0,
        late=0,
    )


def test_a_size_measured_anew_leaves_the_others_and_its_own_other_parts() -> None:
    results = RegistryResults()
    results.put(10 * MILLION, load=loaded(10 * MILLION), measured="then")
    results.put(MILLION, load=loaded(MILLION), directly=directly(MILLION), measured="then")
    results.put(MILLION, load=loaded(MILLION, per_s=700_000), measured="now")
    assert list(results.sizes) == [MILLION, 10 * MILLION]
    assert results.at(10 * MILLION).measured == "then"
    assert results.at(MILLION).measured == "now"
    assert results.at(MILLION).directly == directly(MILLION)
    assert results.at(MILLION).load == loaded(MILLION, per_s=700_000)


def test_results_are_kept_as_they_were(tmp_path: Path) -> None:
    results = RegistryResults()
    results.put(MILLION, load=loaded(MILLION), asked=[asked(Way.REGISTRY, 245)])
    write_results(results, tmp_path / "results" / "registry.json")
    assert read_results(tmp_path / "results" / "registry.json") == results
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["registry.json"]


def test_results_of_another_version_are_not_taken_for_ours(tmp_path: Path) -> None:
    file = tmp_path / "registry.json"
    file.write_text('{"sizes": {"1000": {"lode": 3}}}')
    with pytest.raises(LabError, match=r"registry\.json is not of this version of the bench; remove it"):
        read_results(file)


def test_only_the_registrys_section_and_line_of_the_page_change(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(PAGE)
    results = RegistryResults()
    results.put(MILLION, load=loaded(MILLION), directly=directly(MILLION), measured="once.")
    write_registry_section(results, page)
    first = page.read_text()
    assert first.startswith(PAGE.partition("## How")[0])
    assert first.endswith(PAGE[PAGE.index("## How") :])
    results.put(200 * MILLION, load=loaded(200 * MILLION, bytes_a_caller=14.0), measured="again.")
    write_registry_section(results, page)
    text = page.read_text()
    assert text.count("## A registry of 200 million callers") == 1
    assert text.index("A registry of") < text.index("## How cost grows")
    assert "- **Rules.** They cost.\n- **Callers.** From 1,000,000 to 200,000,000 callers (200 times" in text
    assert "not quite proportional to the number of callers (one costs 1.22" in " ".join(text.split())


def test_the_whole_page_written_anew_keeps_the_registrys_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = RegistryResults()
    results.put(MILLION, load=loaded(MILLION), measured="once.")
    results.put(2 * MILLION, load=loaded(2 * MILLION), measured="once.")
    monkeypatch.setattr("bench.report.read_results", lambda: results)
    machine = Machine("today", "a processor", 2, 24.0, "Linux", 0.1, {"Redis": "7"})
    write_report(Results(machine, QUICK), tmp_path / "benchmarks.md")
    text = (tmp_path / "benchmarks.md").read_text()
    assert text.index("## A registry of 200 million callers") < text.index("## How cost grows with size")
    assert text.count("- **Callers.**") == 1


def test_reasons_of_failures_are_told_once_each_with_who_had_them(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(PAGE)
    results = RegistryResults()
    failing = asked(Way.GET, 10_000).model_copy(update={"failed": 3, "late": 5, "why": "Too many connections"})
    results.put(MILLION, asked=[asked(Way.REGISTRY, 10_000), failing, failing])
    write_registry_section(results, page)
    text = page.read_text()
    assert "What failed most often: “Too many connections” (redis-py, GET of a plain key)." in text.replace("\n", " ")
    assert "3 / 5 of 1,000" in text


def test_what_was_not_measured_at_a_size_is_worked_out_and_slanted(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(PAGE)
    results = RegistryResults()
    results.put(10 * MILLION, load=loaded(10 * MILLION), directly=directly(10 * MILLION))
    results.put(200 * MILLION, load=loaded(200 * MILLION))
    write_registry_section(results, page)
    text = page.read_text()
    assert "| 10,000,000 | redis-py, pipelines of 1,000 SET | 50.0 |  | 200,000 | 3.00 |" in text
    assert "| 200,000,000 | redis-py, pipelines of 1,000 SET | *1,000.0* |  | *200,000* | *3.00* |" in text
    assert "| 200,000,000 | **11.50** | *77.0* |" in text


def test_a_summary_tells_failed_from_late_and_takes_quantiles_of_answers_only() -> None:
    rows = np.array([[245, 0.0, 0.001, 0]] * 98 + [[245, 0.0, 0.06, 0], [245, 0.0, 2.0, 2]])
    found = summary(Way.REGISTRY, 245, [Samples(rows, ("of another time", "breaker open"))])
    assert (found.lookups, found.failed, found.late, found.why) == (100, 1, 2, "breaker open")
    assert found.p50_us == pytest.approx(1_000)
    assert found.slowest_us == pytest.approx(2e6)
    assert found.p999_us is not None
    assert found.p999_us < 60_001


def test_a_summary_of_nothing_but_failures_has_no_quantiles() -> None:
    found = summary(Way.GET, 10_000, [Samples(np.array([[10_000, 0.0, 0.001, 1]]), ("no",))])
    assert (found.p50_us, found.p99_us, found.p999_us) == (None, None, None)
    assert (found.failed, found.late) == (1, 1)
