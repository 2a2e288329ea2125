"""Files are what their content says; blocks are whole lines; what cannot be read is told of."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.callers.feed import source
from router.callers.feed.manifest import feed_identity
from router.callers.feed.rows import MAX_LINE_BYTES
from router.callers.feed.source import Block, open_source, reading
from router.callers.settings import FeedSettings
from router.errors import ConfigurationError
from tests.unit.callers.feed.feeds import ELDER, PLAIN, WITH_REMOVED, named, persons, rejected, spooled, written

FEED = b"number,age_band\n13900000001,elder\n10086,elder\n13900000002,elder\n"
LARGE = b"number,age_band\n" + b"".join(b"139%08d,elder\n" % index for index in range(20_000))


def _zip(content: bytes, *more: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/", "")
        archive.writestr("folder/callers.csv", content)
        for name in more:
            archive.writestr(name, b"x")
    return buffer.getvalue()


def _arrow(compression: str) -> Callable[[bytes], bytes]:
    def compress(content: bytes) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, compression) as stream:
            stream.write(content)
        return bytes(sink.getvalue())

    return compress


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "gzip in two members": lambda content: gzip.compress(content[:100]) + gzip.compress(content[100:]),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": _arrow("zstd"),
    "lz4": _arrow("lz4"),
    "zip": _zip,
}


@pytest.mark.parametrize("compressed", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_a_compressed_feed_is_known_by_its_content(tmp_path: Path, compressed: Callable[[bytes], bytes]) -> None:
    path = written(tmp_path, compressed(FEED), "callers.txt")
    assert persons(spooled(path)) == named({"+8613900000001": ELDER, "+8613900000002": ELDER})
    assert rejected(path) == ["3,,is a service number or lacks its area code"]


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz", "zstd", "lz4", "zip"])
def test_a_compressed_feed_that_ends_too_early_is_refused(tmp_path: Path, name: str) -> None:
    whole = COMPRESSIONS[name](LARGE)
    for cut in (len(whole) // 2, len(whole) - 1):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            spooled(written(tmp_path, whole[:cut]))


def test_a_gzip_with_a_wrong_check_sum_is_refused(tmp_path: Path) -> None:
    whole = bytearray(gzip.compress(LARGE))
    whole[-6] ^= 1
    with pytest.raises(ConfigurationError, match="CRC check failed"):
        spooled(written(tmp_path, bytes(whole)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ":1:1: error: the file is empty, or begins with an empty line; the first line must name the columns"),
        (b"\n13900000001,elder\n", ":1:1: error: the file is empty, or begins with an empty line"),
        (b"13900000001,1938-05-17\n", "`number`; the first line must name the columns, like number,birth_date"),
        (_zip(FEED, "[Content_Types].xml"), "this is a spreadsheet's own format; save it as CSV UTF-8"),
        (_zip(FEED, "mimetype"), "this is a spreadsheet's own format; save it as CSV UTF-8"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "this is a spreadsheet's own format; save it as CSV UTF-8"),
        (_zip(FEED, "other.csv"), "the ZIP holds 2 files; it must hold one CSV file and nothing else"),
        (b"PK\x03\x04\x14\x00", "cannot be read: File is not a zip file"),
        (b"PAR1", "cannot be read: Parquet"),
        (b"nummer,age_band\n", ":1:1: error: there is no column `number`; rename `nummer` to it"),
        (b"number,birthdate\n", "neither a column `birth_date` nor one `age_band`; rename `birthdate` to it"),
        (b"number,age-band\n", "neither a column `birth_date` nor one `age_band`; rename `age-band` to it"),
        (b"number;age_band\n", "there is no column `number`; separate the columns by commas"),
        (b"number,age_band,Number\n", "a column is there twice; keep one of each name"),
        ("number,age_band\n".encode("utf-16"), "the file is UTF-16; save it as CSV UTF-8"),
        (gzip.compress("number,age_band\n".encode("utf-16"), mtime=0), "the file is UTF-16; save it as CSV UTF-8"),
        ("number,age_band\n".encode("utf-16-le"), "the header row holds a control character"),
        (b"\xc0\xc0\n", "the header row is not UTF-8"),
        (b"x" * 10_000, "the header row is longer than 4096 bytes"),
        (b"number\x00,age_band\n", "the header row holds a control character"),
    ],
)
def test_a_file_that_is_no_feed_is_refused_and_told_how_to_be_one(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        spooled(written(tmp_path, content))
    assert message in str(raised.value)


def test_a_first_column_named_like_the_beginning_of_a_zip_is_a_column(tmp_path: Path) -> None:
    path = written(tmp_path, b"PK,number,age_band\n1,13900000001,elder\n")
    assert persons(spooled(path)) == named({"+8613900000001": ELDER})


def test_a_zip_compressed_as_nobody_knows_is_refused(tmp_path: Path) -> None:
    content = bytearray(_zip(FEED))
    for begins, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        content[content.rfind(begins) + offset] = 97
    with pytest.raises(ConfigurationError, match="cannot be read: That compression method is not supported"):
        spooled(written(tmp_path, bytes(content)))


def test_the_columns_named_in_the_settings_are_the_ones_asked_for(tmp_path: Path) -> None:
    feed = FeedSettings(number="MSISDN", birth_date="Born", separator=";")
    for header, message in (
        (b"msisd;born\n", "there is no column `MSISDN`; rename `msisd` to it"),
        (b"msisdn,born\n", "there is no column `MSISDN`; separate the columns by semicolons"),
        (b"a;b\n", "`MSISDN`; the first line must name the columns, like MSISDN;Born"),
    ):
        with pytest.raises(ConfigurationError) as raised:
            spooled(written(tmp_path, header), feed=feed)
        assert message in str(raised.value)


def test_a_delta_has_the_column_of_removals_that_the_settings_name(tmp_path: Path) -> None:
    for header, message in (
        (b"number,age_band,remove\n", "; rename `remove` to it"),
        (b"number,age_band\n", "; add it"),
    ):
        with pytest.raises(ConfigurationError) as raised:
            spooled(written(tmp_path, header), feed=WITH_REMOVED, delta=True)
        assert f"there is no column `removed`{message}" in str(raised.value)
    assert spooled(written(tmp_path, b"number,age_band\n"), feed=WITH_REMOVED).counts.read == 0


def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path, "this is a directory; name a file of callers"),
        (tmp_path / "pipe", "this is no regular file; name a file of callers"),
        (tmp_path / "missing.csv", "cannot be read: No such file or directory"),
    ):
        with pytest.raises(ConfigurationError) as raised, closing(open_source(path, PLAIN, delta=False)):
            pass
        assert message in str(raised.value)
        with pytest.raises(ConfigurationError, match=message), reading(path):
            feed_identity(path)


def blocks_of(path: Path, start: int = 0, first: int = 0) -> list[Block]:
    with closing(open_source(path, PLAIN, delta=False)) as opened:
        return list(opened.blocks(start, first))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    st.lists(st.sampled_from([b"", b"x", b"y" * 7, b"z" * (MAX_LINE_BYTES + 9), b"\r"]), max_size=12),
    st.sampled_from([b"", b"\n"]),
    st.sampled_from([1, 3, 8, 64, 9000]),
    st.booleans(),
)
def test_blocks_are_all_lines_whatever_their_size_and_can_be_gone_on_from(
    tmp_path: Path, lines: list[bytes], end: bytes, block_bytes: int, packed: bool
) -> None:
    content = b"\n".join(lines) + end
    whole = b"number,age_band\n" + content
    path = written(tmp_path, gzip.compress(whole) if packed else whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "BLOCK_BYTES", block_bytes)
        blocks = blocks_of(path)
        expected = content.split(b"\n")
        expected = expected[:-1] if not expected[-1] else expected
        assert _lines(blocks) == [line[: MAX_LINE_BYTES + 1] for line in expected]
        assert [block.first for block in blocks] == [2 + sum(b.rows for b in blocks[:at]) for at in range(len(blocks))]
        for block in blocks:
            behind = block.first + block.rows
            rest = blocks_of(path, block.end, behind)
            assert _lines(rest) == [line[: MAX_LINE_BYTES + 1] for line in expected[behind - 2 :]]
            assert not rest or rest[0].first == behind


def _lines(blocks: list[Block]) -> list[bytes]:
    return [line[: MAX_LINE_BYTES + 1] for line in b"".join(block.data for block in blocks).split(b"\n")[:-1]]


def test_a_line_without_an_end_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BLOCK_BYTES", 64 * 1024)
    path = written(tmp_path, b"number,age_band\n" + b"x" * 20_000_000 + b"\n13900000001,elder\n")
    tracemalloc.start()
    try:
        spool = spooled(path)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
    assert rejected(path) == ["2,,is longer than 4096 bytes"]
    assert persons(spool) == named({"+8613900000001": ELDER})


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BLOCK_BYTES", 64 * 1024)

    def peak_bytes(rows: int) -> int:
        path = written(tmp_path, b"number,age_band\n" + b"".join(b"139%08d,elder\n" % index for index in range(rows)))
        tracemalloc.start()
        try:
            assert spooled(path).counts.records == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak_bytes(10)
    assert peak_bytes(60_000) < 1.3 * peak_bytes(20_000)


def test_progress_comes_to_the_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BLOCK_BYTES", 8 * 1024)
    for content in (LARGE, gzip.compress(LARGE)):
        told: list[object] = []
        path = written(tmp_path, content)
        spooled(path, told=told)  # type: ignore[arg-type]
        done = [progress.done_bytes for progress in told]  # type: ignore[attr-defined]
        assert done == sorted(done)
        assert done[-1] <= path.stat().st_size
        assert told[-1].rows == 20_000  # type: ignore[attr-defined]
