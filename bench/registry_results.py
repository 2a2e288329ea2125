"""What was measured of the registry, kept between runs: one run measures some sizes, the section shows all."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lab.places import PROJECT
from lab.processes import LabError

RESULTS: Final = PROJECT / "bench" / "results" / "registry.json"


class Measured(BaseModel):
    """One measurement; frozen, and with no field that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Loaded(Measured):
    """One full load with `elder-router callers import` into an empty Redis.

    Attributes:
        callers: In the feed.
        feed_bytes: The feed's size.
        feed_s: What it took to make the feed.
        gzip_s: Seconds to the switch from the same feed as .gz; None where that was not measured.
        took_s: From the command to the switch: lookups see all callers from here on.
        least_s: The same for a feed of a thousand callers.
        reading_s: Of these, until the first callers came to Redis.
        whole_s: To the command's end.
        importer_cpu_s: Processor time of the importer with its workers.
        redis_cpu_s: The same of Redis.
        peak_pss_bytes: The most memory of the importer with its workers, shared pages counted once.
        peak_anonymous_bytes: Of these, the most that is not the page cache's.
        spool_bytes: The most that lay in the work folder.
        redis_bytes: By how much Redis's `used_memory` grew.
        redis_rss_bytes: What the system gave to Redis.
        rdb_bytes: The size of a dump.
        rdb_s: How long the dump took.
        buckets: How many hashes the callers lie in.
        largest_bucket: How many callers lie in the fullest.
    """

    callers: int
    feed_bytes: int
    feed_s: float
    gzip_s: float | None
    took_s: float
    least_s: float
    reading_s: float
    whole_s: float
    importer_cpu_s: float
    redis_cpu_s: float
    peak_pss_bytes: int
    peak_anonymous_bytes: int
    spool_bytes: int
    redis_bytes: int
    redis_rss_bytes: int
    rdb_bytes: int
    rdb_s: float
    buckets: int
    largest_bucket: int

    @property
    def per_s(self) -> float:
        """Callers a second, from the command to the switch."""
        return self.callers / self.took_s


class LoadedDirectly(Measured):
    """One key a caller, loaded without the router.

    Attributes:
        way: How, in words.
        callers: How many.
        took_s: From the command to its end.
        client_cpu_s: Processor time of the client.
        redis_cpu_s: The same of Redis.
        redis_bytes: By how much Redis's `used_memory` grew.
        redis_rss_bytes: What the system gave to Redis.
    """

    way: str
    callers: int
    took_s: float
    client_cpu_s: float
    redis_cpu_s: float
    redis_bytes: int
    redis_rss_bytes: int


class Asked(Measured):
    """Lookups in one way at one rate. Times are in µs, from when the lookup was due.

    Attributes:
        way: How, in words.
        rate: Lookups a second; 0 for one after the other.
        lookups: How many were due.
        p50_us, p99_us, p999_us: Of those that were answered; None if none was.
        slowest_us: The longest that one took, answered or not.
        failed: How many got no answer.
        late: How many got none, or got it after 50 ms.
        why: The most frequent reason for failing.
    """

    way: str
    rate: int
    lookups: int
    p50_us: float | None
    p99_us: float | None
    p999_us: float | None
    slowest_us: float
    failed: int
    late: int
    why: str = ""


class AtSize(Measured):
    """Everything at one number of callers.

    Attributes:
        load: The load with the importer.
        directly: Loads without it.
        asked: Lookups at rest.
        asked_during: Lookups during loads, from the command to the switch,
        during_s: which took so long together.
        after_lookups, after_late: Lookups from the switch to the importer's end, and how many had no answer in time.
        plain_keys: How many keys those lookups chose from that ask for plain keys.
        measured: When and on what, in words.
    """

    load: Loaded | None = None
    directly: list[LoadedDirectly] = Field(default_factory=list)
    asked: list[Asked] = Field(default_factory=list)
    asked_during: list[Asked] = Field(default_factory=list)
    during_s: float = 0.0
    after_lookups: int = 0
    after_late: int = 0
    plain_keys: int = 0
    measured: str = ""


class FailedOver(Measured):
    """A primary killed while lookups came.

    Attributes:
        kind: `Cluster` or `Sentinel`.
        rate: Lookups a second.
        lookups: How many were asked.
        failed: How many returned without an answer; such a call is routed as that of an unknown caller.
        outage_s: From the kill to the last of these.
        slowest_ms: The longest that a lookup took to return, with or without an answer.
    """

    kind: str
    rate: int
    lookups: int
    failed: int
    outage_s: float
    slowest_ms: float


class Hashed(Measured):
    """HMAC-SHA256 of numbers a second on one core: ours in bulk, ours one by one, OpenSSL's own loop."""

    many_per_s: float
    one_per_s: float
    openssl_per_s: float | None


class RegistryResults(BaseModel):
    """All that is kept."""

    model_config = ConfigDict(extra="forbid")

    sizes: dict[int, AtSize] = Field(default_factory=dict)
    failovers: list[FailedOver] = Field(default_factory=list)
    failovers_measured: str = ""
    hashed: Hashed | None = None
    hashed_measured: str = ""

    def at(self, callers: int) -> AtSize:
        """What is known at a size."""
        return self.sizes.get(callers, AtSize())

    def put(self, callers: int, **found: object) -> None:
        """Replace what was measured anew at a size, and leave the rest of it."""
        self.sizes[callers] = self.at(callers).model_copy(update=found)
        self.sizes = dict(sorted(self.sizes.items()))


def read_results(file: Path = RESULTS) -> RegistryResults:
    """What earlier runs measured; nothing if there was none.

    Raises:
        LabError: The file is of another version of the bench.
    """
    if not file.exists():
        return RegistryResults()
    try:
        return RegistryResults.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise LabError(f"{file} is not of this version of the bench; remove it and measure anew ({error})") from error


def write_results(results: RegistryResults, file: Path = RESULTS) -> None:
    """Keep them; at once, so that a run that is cut off leaves the file of before or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".new")
    temporary.write_text(results.model_dump_json(indent=1) + "\n")
    temporary.replace(file)
