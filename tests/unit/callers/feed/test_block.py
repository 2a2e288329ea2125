"""Many rows at once come to the same as each by itself."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.callers.feed.block import BlockReader, FastNumbers, FastValues, Records
from router.callers.feed.rejects import reject_line
from router.callers.feed.rows import MAX_LINE_BYTES, Columns, RowError
from router.callers.number import PhoneNumber, parse_caller
from router.callers.settings import FeedSettings
from tests.unit.callers.feed.feeds import ELDER, PLAIN, SECRET, WITH_REMOVED, rules

COLUMNS = Columns(number=0, birth_date=1, age_band=3, removed=2)

_NUMBERS = st.one_of(
    st.from_regex(r"(\+86|86|0086|\+|0)?1[3-9][0-9]{9}", fullmatch=True),
    st.from_regex(r"(\+86 |)1[3-9][0-9] [0-9]{4}[- ][0-9]{4}", fullmatch=True),
    st.from_regex(r"\+[1-9][0-9]{0,16}", fullmatch=True),
    st.sampled_from(
        ["", "10086", "1.39E+10", "13900000001.0", "alice", "１３９００００００００１", "tel:+8613900000001"]
    ),
    st.text(alphabet="0123456789+-(). x#", max_size=20),
)
_DATES = st.one_of(
    st.dates().map(str), st.sampled_from(["", "1948-07-31", " 1948-07-31 ", "1948-02-30", "2030-01-01", "31/07/1948"])
)
_BANDS = st.sampled_from(["", "elder", " senior", "Elder", "young", "e\u0301lder"])
_REMOVED = st.sampled_from(["", "0", "1", "TRUE", " yes ", "é"])


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


@st.composite
def _lines(draw: st.DrawFn) -> bytes:
    fields = [draw(_NUMBERS), draw(_DATES), draw(_REMOVED), draw(_BANDS)]
    if draw(st.booleans()):
        fields = [_quoted(field) if draw(st.booleans()) else field for field in fields]
    fields += draw(st.lists(st.sampled_from(["", "x", '"a, b"', 'a"b']), max_size=1))
    line = ",".join(fields).encode()
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(line)))
        odd = draw(
            st.sampled_from([b"\x00", b"\r", b'"', b"\xff", b",", b"\xef\xbb\xbf", b"\t", b"\x85", b"\x7f", b"\x0b"])
        )
        line = line[:at] + odd + line[at:]
    return line + draw(st.sampled_from([b"\n", b"\r\n"]))


_ODD_LINES = st.one_of(
    st.sampled_from([b"\n", b"\r\n", b" \n", b"\t\n", b"\r\r\n", b",,,\n", b"\xef\xbb\xbf\n", b"x" * 5000 + b"\n"]),
    st.just(b"13900000001,,," + b"x" * (MAX_LINE_BYTES - 14) + b"\n"),
    st.just(b"13900000001,,,elder," + b" " * MAX_LINE_BYTES + b"\n"),
    st.binary(max_size=30).map(lambda raw: raw.replace(b"\n", b"") + b"\n"),
)
BLOCKS = st.lists(st.one_of(_lines(), _lines(), _lines(), _ODD_LINES), max_size=12).map(b"".join)


def one_by_one(
    data: bytes, columns: Columns, feed: FeedSettings, home_region: str, *, delta: bool
) -> dict[str, object]:
    """What a block holds, by the exact reading alone."""
    read = 0
    records, reasons, rejects = [], Counter[str](), ""
    left_out = 0
    for row, line in enumerate(data.split(b"\n")[:-1], 2):
        try:
            record = rules(home_region, feed).line(line + b"\n", columns, feed.separator)
        except RowError as error:
            reasons[error.reason] += 1
            rejects += reject_line(row, error.caller, error.reason)
            record = None
            read += 1
            continue
        if record is None:
            continue
        read += 1
        if record[1] == 0 and not delta:
            left_out += 1
        else:
            records.append((SECRET.pseudonym(record[0]).hex, record[1]))
    return {"read": read, "records": sorted(records), "reasons": reasons, "rejects": rejects, "left_out": left_out}


def at_once(records: Records) -> dict[str, object]:
    assert records.tally.records == len(records.key)
    assert records.tally.rejected == records.tally.reasons.total()
    assert records.key.tolist() == sorted(records.key.tolist())
    found = zip(records.key.tolist(), records.low.tolist(), records.value.tolist(), strict=True)
    return {
        "read": records.tally.read,
        "records": sorted((f"{key:016x}{low:04x}", value) for key, low, value in found),
        "reasons": records.tally.reasons,
        "rejects": records.rejects.decode(),
        "left_out": records.tally.left_out,
    }


@settings(max_examples=400)
@given(BLOCKS, st.booleans())
def test_a_block_holds_what_its_lines_hold_one_by_one(data: bytes, delta: bool) -> None:
    reader = BlockReader(rules(feed=WITH_REMOVED), SECRET.many(), delta=delta)
    assert at_once(reader.lines(data, COLUMNS, ",", 2)) == one_by_one(data, COLUMNS, WITH_REMOVED, "CN", delta=delta)


_GOOD = b"13900000001,1940-01-31,,\n"


@pytest.mark.parametrize(
    "data",
    [
        _GOOD + b"\n" + _GOOD,
        _GOOD + b"\r\n" + _GOOD,
        _GOOD + b" \n" + _GOOD,
        _GOOD + b",,,\n" + _GOOD,
        b"\n\n",
        b"\xef\xbb\xbf" + _GOOD,
        b"x,y\n\xef\xbb\xbf" + _GOOD + _GOOD,
        b"13900000001,\xff,,\n" + _GOOD,
        b'"13900000001,1940-01-31\n",,\n' + _GOOD,
        b'"139""00000001",1940-01-31,,\n' + _GOOD,
        b'"13900000001"x,1940-01-31,,\n' + _GOOD,
        b'13900000001,"1940-01-31,,\n' + _GOOD + b'x",,,\n',
        _GOOD.replace(b"\n", b"\r") + _GOOD,
        _GOOD.replace(b"\n", b",more\n") * 3 + _GOOD,
        _GOOD + _GOOD.replace(b"\n", b",more\n") * 3,
        b"13900000001\n" * 200 + _GOOD,
        (_GOOD.removesuffix(b"\n") + b"," * 1500 + b"\n") * 2 + b'"13900000001",,,elder\n',
        (_GOOD.removesuffix(b"\n") + b"," * 480 + b"\n") * 2 + b'"13900000001",,,elder' + b"," * 480 + b"\n",
        "13900000001,1940-01-31,,,李\n".encode() + _GOOD,
        "13900000001,1940-01-31,,\u2028\n".encode() + _GOOD,
    ],
)
def test_odd_lines_are_read_as_by_themselves(data: bytes) -> None:
    reader = BlockReader(rules(feed=WITH_REMOVED), SECRET.many(), delta=False)
    assert at_once(reader.lines(data, COLUMNS, ",", 2)) == one_by_one(data, COLUMNS, WITH_REMOVED, "CN", delta=False)


@settings(max_examples=100)
@given(st.sampled_from([";", "|", "\t"]), BLOCKS)
def test_the_same_with_another_separator(separator: str, block: bytes) -> None:
    feed = FeedSettings(separator=separator)
    columns = Columns(number=0, birth_date=1, age_band=3, removed=None)
    data = block.replace(b",", separator.encode())
    reader = BlockReader(rules(feed=feed), SECRET.many(), delta=False)
    assert at_once(reader.lines(data, columns, separator, 2)) == one_by_one(data, columns, feed, "CN", delta=False)


@settings(max_examples=100)
@given(st.lists(st.tuples(_NUMBERS, _DATES, _BANDS, _REMOVED), max_size=10))
def test_rows_in_columns_hold_what_each_holds_by_itself(table: list[tuple[str, str, str, str]]) -> None:
    names = ("number", "birth_date", "age_band", "removed")
    columns = {name: pa.array([row[at] for row in table], pa.string()) for at, name in enumerate(names)}
    records = BlockReader(rules(feed=WITH_REMOVED), SECRET.many(), delta=True).texts(columns, 1)
    expected, rejects = [], ""
    for at, row in enumerate(table, 1):
        try:
            number, value = rules(feed=WITH_REMOVED).row(*row)
            expected.append((SECRET.pseudonym(number).hex, value))
        except RowError as error:
            rejects += reject_line(at, error.caller, error.reason)
    assert at_once(records)["records"] == sorted(expected)
    assert records.rejects.decode() == rejects


@pytest.mark.parametrize(
    "line",
    [
        b"+8613900000001,1940-01-31,,\n",
        b"8613900000001,1940-01-31,,\n",
        b"13900000001,1940-01-31,,\r\n",
        b'"13900000001","1940-01-31","","elder"\n',
        b'+86 139-0000-0001,1940-01-31,0,"elder"\n',
        b"13900000001,,,elder\n",
        "13900000001,1940-01-31,,,张三\n".encode(),
    ],
)
def test_usual_rows_do_not_take_the_slow_way(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = BlockReader(rules(feed=WITH_REMOVED), SECRET.many(), delta=False)

    def slow(*_: object) -> None:
        raise AssertionError("the slow way was taken")

    monkeypatch.setattr("router.callers.feed.rows.RowRules.line", slow)
    records = reader.lines(line * 3, COLUMNS, ",", 2)
    assert (records.tally.records, set(records.value.tolist())) == (3, {ELDER})
    assert records.key.tolist() == [int(SECRET.pseudonym(PhoneNumber("+8613900000001")).hex[:16], 16)] * 3


def test_the_form_that_reads_most_is_tried_first() -> None:
    numbers = FastNumbers("CN")
    texts = pa.array(["13900000001", "13900000002", "+8613900000003"])
    numbers.read(texts)
    found, left = numbers.read(texts)
    assert not len(left)
    read = {
        place: text for places, e164 in found for place, text in zip(places.tolist(), e164.to_pylist(), strict=True)
    }
    assert read == {0: "+8613900000001", 1: "+8613900000002", 2: "+8613900000003"}
    assert found[0][0].tolist() == [0, 1]


def test_a_number_of_spaces_and_dots_is_left_to_the_exact_reading() -> None:
    texts = ["13900000001.0", "+86" + " " * 200 + "13900000001", "(0139) 0000 0001"]
    found, left = FastNumbers("CN").read(pa.array(texts))
    assert left.tolist()[:2] == [0, 1]
    assert not isinstance(parse_caller(texts[1], "CN"), PhoneNumber)
    assert len(found) <= 1


def test_more_distinct_texts_than_fit_a_table_are_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.callers.feed.block._MOST_COMBINED", 1)
    columns = {
        "birth_date": pa.array(["1940-01-31", "2000-01-31", "1940-01-31", "x"]),
        "age_band": pa.array(["elder", "", "adult", "elder"]),
    }
    values = FastValues(rules())
    assert values.read(columns, 4).tolist() == [4, 2, -1, -1]
    monkeypatch.setattr("router.callers.feed.block._MOST_KNOWN", 1)
    assert values.read(columns, 4).tolist() == [4, 2, -1, -1]


def test_an_empty_block_has_no_rows() -> None:
    records = BlockReader(rules(), SECRET.many(), delta=False).lines(b"", COLUMNS, ",", 2)
    assert (records.tally.read, len(records.key), records.rejects) == (0, 0, b"")
    assert records.value.dtype == np.uint8
    assert PLAIN.removed is None
