"""A picture of `elder-router tail` on a terminal, for docs/tail.md: the real command, on a made-up minute of calls."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from lab.centre import ELDER_ROUTER
from lab.places import PROJECT
from lab.terminal import on_terminal
from router.journal.records import ConditionRecord, DecisionRecord, Ending, OutcomeRecord, Record

PICTURE: Final = "tail.svg"
COLUMNS: Final = 128
LINES: Final = 20
_BEGAN: Final = datetime(2026, 11, 25, 1, 30, tzinfo=UTC)
_CLOCK: Final = re.compile(r"\d\d:\d\d:\d\d CST")
_CLOCK_SHOWN: Final = "09:31:22 CST"
# Letters that are on every machine; rich would have them fetched from a host.
_FONT_FACE: Final = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)
_COLOURS: Final = TerminalTheme(
    (24, 26, 31),
    (222, 224, 228),
    [(24, 26, 31), (255, 107, 107), (126, 211, 133), (240, 200, 90),
     (110, 168, 254), (223, 140, 240), (90, 210, 220), (222, 224, 228)],
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Seen:
    """A call of the picture: when, so many seconds after its beginning, by whom, and how it ended."""

    at_s: int
    band: str | None
    caller: str
    ending: Ending | None
    by: str = ""
    wait_s: float | None = None
    fallback: str = ""
    queue: str = ""


_CALLS: Final = (
    _Seen(1, "adult", "+86139****0004", Ending.SELF_SERVED),
    _Seen(5, "elder", "+86139****0001", Ending.ANSWERED, "PJSIP/1003", 4.0),
    _Seen(11, None, "anonymous", Ending.HUNG_UP_EARLY),
    _Seen(14, "senior", "+86139****0002", Ending.ANSWERED, "PJSIP/1001", 9.0),
    _Seen(22, "adult", "+86139****0016", Ending.ANSWERED, "PJSIP/1007", 12.0, queue="agents"),
    _Seen(27, "elder", "+86139****0009", Ending.ABANDONED, wait_s=41.0),
    _Seen(33, "adult", "+86139****0021", Ending.SELF_SERVED),
    _Seen(41, "senior", "+86139****0012", Ending.ANSWERED, "PJSIP/1007", 6.0, fallback="deadline"),
    _Seen(52, "adult", "+86139****0005", Ending.ABANDONED, wait_s=18.0, queue="agents"),
    _Seen(58, "senior", "+86139****0020", Ending.ANSWERED, "PJSIP/1002", 71.0, queue="agents"),
    _Seen(66, "adult", "+86139****0033", None),
    _Seen(70, "elder", "+86139****0017", None),
    _Seen(74, None, "+86139****0040", None),
    _Seen(79, "senior", "+86139****0025", None),
)
_NOT_LINKED: Final = (38, 47)


async def make(folder: Path) -> list[Path]:
    """Make the picture in a folder; which file that is."""
    picture = folder / PICTURE
    await asyncio.to_thread(draw, picture)
    return [picture]


def draw(picture: Path) -> None:
    """Run the command on the made-up calls and draw what its terminal shows, as SVG."""
    with tempfile.TemporaryDirectory(prefix="elder-tail-") as name:
        folder = Path(name)
        shutil.copy(PROJECT / "config" / "routing.yaml", folder)
        journal = folder / "journal.jsonl"
        journal.write_bytes(b"".join(record.model_dump_json().encode() + b"\n" for record in _records()))
        command = [str(ELDER_ROUTER), "tail", "--journal", str(journal), "--rules", str(folder / "routing.yaml")]
        with on_terminal(command, columns=COLUMNS, lines=LINES) as terminal:
            terminal.until(lambda shown: any(line.startswith("09:31:19") for line in shown))
            rows = terminal.rows()
    picture.parent.mkdir(exist_ok=True)
    picture.write_text(_as_svg(rows), encoding="utf-8")


def _as_svg(rows: list[Text]) -> str:
    console = Console(record=True, width=COLUMNS, file=open("/dev/null", "w"), force_terminal=True)  # noqa: PTH123,SIM115
    for row in rows:
        if match := _CLOCK.search(row.plain):
            shown = row.copy()
            row = Text.assemble(shown[: match.start()], (_CLOCK_SHOWN, "reverse"), shown[match.end() :])  # noqa: PLW2901
        console.print(row, no_wrap=True, crop=True, end="\n")
    form = _FONT_FACE.sub("", CONSOLE_SVG_FORMAT).replace("Fira Code", "DejaVu Sans Mono")
    return console.export_svg(title="elder-router tail", theme=_COLOURS, code_format=form, unique_id="tail")


def _records() -> Iterator[Record]:
    """What the journal holds, in the order of its times."""
    records: list[Record] = []
    for number, seen in enumerate(_CALLS):
        records.append(_decided(number, seen))
        if seen.ending is not None:
            records.append(_ended(number, seen, seen.ending))
    for state, at_s in zip(("began", "ended"), _NOT_LINKED, strict=True):
        began = state == "began"
        records.append(
            ConditionRecord(
                time=_BEGAN + timedelta(seconds=at_s),
                node="pbx1",
                what="asterisk not linked",
                state="began" if began else "ended",
                why="the connection was lost" if began else "",
            )
        )
    yield from sorted(records, key=lambda record: record.time)


def _decided(number: int, seen: _Seen) -> DecisionRecord:
    is_old = seen.band in {"senior", "elder"}
    rule = {
        "elder": "callers of 75 and over reach a person first",
        "senior": "callers of 60 and over reach a person",
    }.get(seen.band or "", "everyone else meets the assistant")
    took = {} if seen.fallback else {"lookup_ms": 0.3, "decide_ms": 0.04, "apply_ms": 0.9 + number % 5 / 10}
    return DecisionRecord(
        time=_BEGAN + timedelta(seconds=seen.at_s),
        node="pbx1",
        uniqueid=_uniqueid(number),
        linkedid=_uniqueid(number),
        ask=1,
        caller=seen.caller,
        caller_key=f"{number:016x}",
        called="95519",
        language="zh",
        age_band=seen.band,
        band_source="registry" if seen.band else "unknown",
        rule="" if seen.fallback else rule,
        target="people" if seen.fallback else "senior-care" if is_old else "assistant",
        queue="agents" if seen.fallback else "senior-care" if is_old else "",
        context="" if is_old else "router-assistant",
        speech="" if seen.fallback else "unhurried" if is_old else "standard",
        rules_version="5f3a9c01d2e4",
        applied=not seen.fallback,
        fallback=seen.fallback,
        protected=is_old,
        **took,
    )


def _ended(number: int, seen: _Seen, ending: Ending) -> OutcomeRecord:
    waited = ending in {Ending.ANSWERED, Ending.ABANDONED}
    return OutcomeRecord(
        time=_BEGAN + timedelta(seconds=seen.at_s + 15),
        node="pbx1",
        uniqueid=_uniqueid(number),
        linkedid=_uniqueid(number),
        ask=1,
        ended=ending,
        answered_by=seen.by,
        queue=(seen.queue or ("agents" if seen.fallback else "senior-care")) if waited else "",
        wait_s=seen.wait_s,
        touched_assistant=seen.band not in {"senior", "elder"},
    )


def _uniqueid(number: int) -> str:
    return f"pbx1-1795570200.{number}"
