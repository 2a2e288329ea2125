from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import threading
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from router.errors import JournalError
from router.journal import stream
from router.journal.reader import MAX_LINE_BYTES
from router.journal.records import PromotionRecord
from router.journal.stream import DecisionStream
from tests.unit.journal.samples import DECISION, decision, outcome

NOTHING = io.BytesIO()
PROMOTION = PromotionRecord(
    time=DECISION.time, node="pbx1", uniqueid="1", linkedid="1", by="alice", by_uid=1000, done=False
)


def line(record: object) -> bytes:
    return orjson.dumps(record.model_dump(mode="json")) + b"\n"  # type: ignore[attr-defined]


def journal(count: int, first: int = 0) -> bytes:
    return b"".join(line(decision(f"{n}.0")) + line(outcome(f"{n}.0")) for n in range(first, first + count))


def read(*files: Path, stdin: io.BytesIO = NOTHING) -> tuple[list[str], DecisionStream]:
    decisions = DecisionStream(files, stdin=stdin)
    return [fields["uniqueid"] for fields in decisions], decisions


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("packed", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_journal_is_known_by_its_first_bytes_whatever_its_name(
    tmp_path: Path, packed: Callable[[bytes], bytes]
) -> None:
    # Two of them in one file, as `cat` and appending make them.
    file = written(tmp_path / "journal.anything", packed(journal(3)) + packed(journal(2, 3)))
    found, decisions = read(file)
    assert found == ["0.0", "1.0", "2.0", "3.0", "4.0"]
    assert (decisions.read.others, decisions.read.bad, decisions.read.warnings) == (5, 0, [])
    assert decisions.read.bytes_read == decisions.bytes_total == file.stat().st_size


def test_the_files_are_read_in_the_order_given_and_dash_is_standard_input(tmp_path: Path) -> None:
    first = written(tmp_path / "b.jsonl", journal(1, 7))
    second = written(tmp_path / "a.gz", gzip.compress(journal(1, 8)))
    found, decisions = read(first, Path("-"), second, stdin=io.BytesIO(gzip.compress(journal(2))))
    assert found == ["7.0", "0.0", "1.0", "8.0"]
    assert decisions.bytes_total is None, "nobody knows how long standard input is"


def test_files_that_were_compressed_since_they_were_listed_are_read_under_their_new_names(tmp_path: Path) -> None:
    files = [tmp_path / f"j.{number}" for number in (1, 2, 3)]
    for number, file in enumerate(files):
        written(file, journal(1, number))

    def compressed(file: Path) -> None:
        written(file.with_name(f"{file.name}.gz"), gzip.compress(file.read_bytes()))
        file.unlink()

    compressed(files[0])
    decisions = DecisionStream(files, stdin=NOTHING)
    compressed(files[2])  # when its turn has not come yet
    assert [fields["uniqueid"] for fields in decisions] == ["0.0", "1.0", "2.0"]


def test_a_journal_that_is_rotated_while_those_before_are_read_is_the_one_that_was_named(tmp_path: Path) -> None:
    older = written(tmp_path / "j.20261125T000000Z", journal(1, 0))
    newest = written(tmp_path / "j", journal(1, 1))
    decisions = DecisionStream([older, newest], stdin=NOTHING)
    newest.rename(tmp_path / "j.20261126T000000Z")
    written(newest, journal(1, 2))
    assert [fields["uniqueid"] for fields in decisions] == ["0.0", "1.0"]


def test_a_name_that_a_router_has_just_taken_for_its_journal_brings_nothing_twice(tmp_path: Path) -> None:
    taken, newest = written(tmp_path / "j.20261126T000000Z", b""), written(tmp_path / "j", journal(1, 1))
    decisions = DecisionStream([taken, newest], stdin=NOTHING)
    newest.replace(taken)
    written(newest, journal(1, 2))
    assert [fields["uniqueid"] for fields in decisions] == ["1.0"]


def test_a_file_that_was_written_anew_under_its_name_is_read(tmp_path: Path) -> None:
    file = written(tmp_path / "j.1", journal(1, 0))
    decisions = DecisionStream([file], stdin=NOTHING)
    written(tmp_path / "part", journal(1, 1)).replace(file)
    assert [fields["uniqueid"] for fields in decisions] == ["1.0"]


def test_decisions_come_whole_but_for_their_trace(tmp_path: Path) -> None:
    (fields,) = DecisionStream([written(tmp_path / "j", line(DECISION))], stdin=NOTHING)
    whole = DECISION.model_dump(mode="json")
    del whole["trace"]
    assert fields == orjson.loads(orjson.dumps(whole))


@pytest.mark.parametrize("text", ['],"target":', '","trace":[', '\\"],"target":"\\', ',"trace":[],"target":'])
def test_a_trace_is_cut_out_whatever_texts_say(tmp_path: Path, text: str) -> None:
    step = DECISION.trace[0].model_copy(update={"saw": text, "wanted": text})
    record = DECISION.model_copy(
        update={"trace": (step, DECISION.trace[1]), "called": text, "rule": text, "note": text, "band_detail": text}
    )
    (fields,) = DecisionStream([written(tmp_path / "j", line(record))], stdin=NOTHING)
    assert "trace" not in fields
    assert [fields[name] for name in ("called", "rule", "note", "band_detail")] == [text] * 4
    assert fields["target"] == "senior-care"


def test_a_decision_that_another_program_wrote_anew_is_read(tmp_path: Path) -> None:
    fields = DECISION.model_dump(mode="json")
    spaced = orjson.dumps(dict(sorted(fields.items())), option=orjson.OPT_INDENT_2).replace(b"\n", b" ")
    found, decisions = read(written(tmp_path / "j", spaced + b"\r\n" + line(outcome("1.0")).replace(b":", b": ")))
    assert found == [DECISION.uniqueid]
    assert (decisions.read.others, decisions.read.bad) == (1, 0)


def test_a_decision_without_a_trace_is_read(tmp_path: Path) -> None:
    fields = DECISION.model_dump(mode="json")
    del fields["trace"]
    # A queue may have any name; after the place of a trace, its state is none.
    fields["queues"] = {"a": [1, 2, 3], "trace": [4, 5, 6], "target": [7, 8, 9]}
    (found,) = DecisionStream([written(tmp_path / "j", orjson.dumps(fields) + b"\n")], stdin=NOTHING)
    assert found == fields


def test_other_records_are_passed_over_known_or_not(tmp_path: Path) -> None:
    content = line(outcome("1.0")) + line(PROMOTION) + b'{"record":"survey","stars":5}\n'
    found, decisions = read(written(tmp_path / "j", content))
    assert found == []
    assert (decisions.read.others, decisions.read.bad) == (3, 0)


def test_bad_lines_are_counted_and_the_first_told_by_file_and_line(tmp_path: Path) -> None:
    newer = orjson.dumps({**DECISION.model_dump(mode="json"), "schema_version": 2})
    bad = [b"{", b"[]", b'{"a":1}', newer, b"\xff\xfe", b"no", b'{"record":"decision",']
    file = written(tmp_path / "j", journal(2) + b"\n".join([*bad, b"", b"  ", b""]) + journal(1, 2))
    found, decisions = read(file)
    assert found == ["0.0", "1.0", "2.0"]
    assert decisions.read.bad == len(bad)
    assert [str(each).replace(str(tmp_path), "") for each in decisions.read.bad_lines] == [
        "/j:5: is no JSON: unexpected end of data",
        "/j:6: is no record of a journal",
        "/j:7: is no record of a journal",
        "/j:8: has the schema_version 2; here 1 is read",
        "/j:9: is no JSON: str is not valid UTF-8: surrogates not allowed",
    ]
    assert decisions.read.complaints()[0] == "7 lines are no records and do not count; the first 5:"


def test_a_decision_that_cannot_be_used_counts_as_a_bad_line(tmp_path: Path) -> None:
    decisions = DecisionStream([written(tmp_path / "j", journal(2))], stdin=NOTHING)
    for fields in decisions:
        if fields["uniqueid"] == "1.0":
            decisions.refuse("is strange")
    assert (decisions.read.decisions, decisions.read.bad) == (1, 1)
    assert decisions.read.complaints() == ["1 line is no record and does not count:", f"{tmp_path}/j:3: is strange"]


def test_lines_longer_than_any_record_are_bad_and_take_no_memory(tmp_path: Path) -> None:
    long = b'{"record":"decision",' + b"x" * (3 * MAX_LINE_BYTES) + b"\n"
    found, decisions = read(written(tmp_path / "j", journal(1) + long + journal(1, 1)))
    assert found == ["0.0", "1.0"]
    assert [str(bad) for bad in decisions.read.bad_lines] == [f"{tmp_path}/j:3: is longer than {MAX_LINE_BYTES} bytes"]


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_lines_are_put_together_from_any_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(stream, "CHUNK_BYTES", chunk)
    assert read(written(tmp_path / "j", journal(3)))[0] == ["0.0", "1.0", "2.0"]
    assert read(written(tmp_path / "j.gz", gzip.compress(journal(3))))[0] == ["0.0", "1.0", "2.0"]


@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_half_a_line_at_the_end_is_being_written(tmp_path: Path, packed: Callable[[bytes], bytes]) -> None:
    found, decisions = read(written(tmp_path / "j", packed(journal(2) + line(DECISION)[:300])))
    assert found == ["0.0", "1.0"]
    assert decisions.read.complaints() == []


def test_a_whole_line_at_the_end_counts_without_its_line_end(tmp_path: Path) -> None:
    assert read(written(tmp_path / "j", journal(1) + line(decision("9.0"))[:-1]))[0] == ["0.0", "9.0"]


@pytest.mark.parametrize("packed", [gzip.compress, bz2.compress, lzma.compress])
def test_of_a_compressed_journal_cut_short_what_comes_before_counts(
    tmp_path: Path, packed: Callable[[bytes], bytes]
) -> None:
    # Of random digits, so that the compressed data are long and end somewhere in the middle.
    lines = [line(decision(os.urandom(600).hex())) for _ in range(2_000)]
    whole = packed(b"".join(lines))
    found, decisions = read(written(tmp_path / "j", whole[: len(whole) * 3 // 4]))
    assert 300 < len(found) < 1900
    assert decisions.read.bad == 0
    assert decisions.read.complaints() == [
        f"{tmp_path}/j: its compressed data end too soon, as while it is being written; what comes before that counts"
    ]


@pytest.mark.parametrize("packed", [gzip.compress, bz2.compress, lzma.compress])
def test_a_damaged_journal_is_no_journal(tmp_path: Path, packed: Callable[[bytes], bytes]) -> None:
    whole = bytearray(packed(b"".join(line(decision(os.urandom(600).hex())) for _ in range(2_000))))
    middle = len(whole) // 2
    whole[middle : middle + 64] = bytes(64)
    with pytest.raises(JournalError, match=r"j: its compressed data are damaged after line \d+ \(.+\); take a good"):
        # Of a line with damaged data that is JSON still, any field may be missing.
        list(DecisionStream([written(tmp_path / "j", bytes(whole))], stdin=NOTHING))


def test_what_cannot_be_read_is_told_before_anything_is(tmp_path: Path) -> None:
    good = written(tmp_path / "good", journal(1))
    for bad, why in ((tmp_path / "none", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(JournalError) as caught:
            DecisionStream([good, bad], stdin=NOTHING)
        assert str(caught.value) == f"{bad}: cannot be read: {why}"


def test_no_file_is_read_twice_by_whatever_name(tmp_path: Path) -> None:
    first, link = written(tmp_path / "a", journal(1)), tmp_path / "b"
    link.symlink_to(first)
    for files, why in (
        ([first, link], f"{link}: is the same file as {first}"),
        ([first, first], f"{first}: is named twice"),
        ([Path("-"), Path("-")], "-: is named twice"),
    ):
        with pytest.raises(JournalError) as caught:
            DecisionStream(files, stdin=NOTHING)
        assert str(caught.value) == f"{why}; its calls would count twice, so name it once"


def test_zstd_is_not_read_and_the_way_around_is_told(tmp_path: Path) -> None:
    file = written(tmp_path / "j.zst", b"\x28\xb5\x2f\xfd\x00\x00\x00\x00")
    with pytest.raises(JournalError, match="zstd, which is not read here; pipe it: zstdcat FILE"):
        read(file)


def test_an_empty_journal_holds_nothing(tmp_path: Path) -> None:
    found, decisions = read(written(tmp_path / "j", b""), written(tmp_path / "k.gz", gzip.compress(b"")))
    assert (found, decisions.read.complaints()) == ([], [])


def test_a_named_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(gzip.compress(journal(2))))
    decisions = DecisionStream([pipe], stdin=NOTHING)
    writer.start()
    assert [fields["uniqueid"] for fields in decisions] == ["0.0", "1.0"]
    writer.join(5)
    assert decisions.bytes_total is None


def test_progress_counts_bytes_as_they_lie_on_disk(tmp_path: Path) -> None:
    told: list[int] = []
    files = [written(tmp_path / "a.gz", gzip.compress(journal(500))), written(tmp_path / "b", journal(1))]
    assert len(list(DecisionStream(files, stdin=NOTHING, on_read=told.append))) == 501
    assert told == sorted(told)
    assert told[-1] == sum(file.stat().st_size for file in files)
