"""Whatever a feed holds: it is refused as a whole, or every row is a record or stands in the file of rejected rows."""

from __future__ import annotations

import gzip
import random
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from router.callers.feed.spool import Spool
from router.callers.settings import FeedSettings
from router.errors import ConfigurationError
from tests.unit.callers.feed.feeds import PLAIN, WITH_REMOVED, persons, spooled, written

HEADER = b"number,birth_date,age_band,removed\n"
_LIKE_ROWS = st.text(alphabet='0123456789-+,"\n\r\x00ae é\t;', max_size=300).map(str.encode)
_ROWS = st.one_of(st.binary(max_size=300), _LIKE_ROWS)


def checked(content: bytes, feed: FeedSettings, *, delta: bool) -> tuple[Spool, list[str]] | None:
    """Read a feed; None if it is refused. What it counts must add up."""
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), content)
        try:
            spool = spooled(path, feed=feed, delta=delta)
        except ConfigurationError:
            return None
        rejects = (path.parent / "rejects.csv").read_bytes().decode().split("\n")
        counts = spool.counts
        assert rejects[0].endswith(",caller,reason")
        assert rejects[-1] == ""
        assert len(rejects) - 2 == counts.rejected == sum(counts.reasons.values())
        assert counts.read == counts.records + counts.rejected + counts.left_out
        assert counts.left_out == 0 or not delta
        found = persons(spool)
        assert len(found) + sum(part.repeated for part in spool.persons()) == counts.records
        return spool, rejects[1:-1]


@settings(max_examples=300)
@given(_ROWS, st.booleans(), st.booleans())
def test_any_bytes_after_a_header(rows: bytes, delta: bool, packed: bool) -> None:
    content = HEADER + rows
    result = checked(gzip.compress(content) if packed else content, WITH_REMOVED, delta=delta)
    assert result is not None
    spool, rejects = result
    lines = content.split(b"\n")
    told = [int(reject.partition(",")[0]) for reject in rejects]
    assert told == sorted(set(told))
    assert all(lines[line - 1].strip() for line in told)
    assert spool.counts.read == sum(1 for line in lines[1:] if line.strip())


@settings(max_examples=200)
@given(st.one_of(st.binary(max_size=400), _LIKE_ROWS), st.sampled_from([",", ";", "\t", "|"]))
def test_any_bytes_as_a_whole_file(content: bytes, separator: str) -> None:
    checked(content, FeedSettings(separator=separator), delta=False)


@settings(max_examples=200)
@given(
    st.binary(max_size=400),
    st.sampled_from(
        [b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"PK\x03\x04", b"PAR1"]
    ),
)
def test_any_bytes_behind_the_mark_of_a_kind_of_file(content: bytes, mark: bytes) -> None:
    checked(mark + content, PLAIN, delta=False)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=6), st.booleans())
def test_a_damaged_gzip(damage: list[tuple[int, int]], cut: bool) -> None:
    packed = bytearray(gzip.compress(HEADER + b"".join(b"139%08d,,elder,\n" % n for n in range(50))))
    for place, value in damage:
        packed[place % len(packed)] = value
    if cut:
        del packed[damage[0][0] % len(packed) :]
    checked(bytes(packed), PLAIN, delta=False)


def _parquet(seed: int) -> bytes:
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    count = chance.randrange(0, 60)
    numbers = [chance.choice(["13900000001", "+8613900000002", "10086", "", "x"]) for _ in range(count)]
    table = pa.table({"number": pa.array(numbers, pa.string()), "age_band": pa.array(["elder"] * count, pa.string())})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=20, use_dictionary=chance.random() < 0.5, write_page_checksum=True)
    return bytes(sink.getvalue())


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 50), st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=4))
def test_damaged_parquet(seed: int, damage: list[tuple[int, int]]) -> None:
    content = bytearray(_parquet(seed))
    for place, value in damage:
        content[place % len(content)] = value
    checked(bytes(content), PLAIN, delta=False)


@settings(max_examples=300)
@given(st.lists(st.one_of(st.text(max_size=30), st.from_regex(r"\+?[0-9 ()./-]{3,20}", fullmatch=True)), max_size=20))
def test_any_numbers(numbers: list[str]) -> None:
    rows = ['"' + number.replace('"', '""').replace("\n", " ").replace("\r", " ") + '",,elder,' for number in numbers]
    content = HEADER + "\n".join(rows).encode(errors="surrogatepass")
    result = checked(content, WITH_REMOVED, delta=True)
    assert result is not None
    assert result[0].counts.read == len(numbers)
