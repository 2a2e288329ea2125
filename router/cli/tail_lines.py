"""One line for each call, for `elder-router tail`: its columns, and what stands in them.

Where lines go and when they are shown is for `tail` and `tail_screen`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from rich.cells import cell_len, set_cell_size

from router.cli.tracing import printable
from router.journal.joining import JoinedCall
from router.journal.records import ConditionRecord, Ending, PromotionRecord
from router.rules.book import RuleBook
from router.rules.schema import UNKNOWN_BAND

TROUBLE: Final = "bold red"
OVER: Final = "bold green"
_GAP: Final = 2
_SMALL_GAP: Final = 1
_NARROW: Final = 100
_LONGEST_NAME: Final = 40
# From the last of the protected bands, the eldest, to the first.
_PROTECTED_STYLES: Final = ("bold magenta", "bold cyan", "bold blue")
_UNKNOWN_STYLE: Final = "dim"


class Cell(NamedTuple):
    """A piece of a line and its style; empty for the terminal's own colours."""

    text: str
    style: str = ""


@dataclass(slots=True)
class _Column:
    """`narrow` and `wide` are cells: less than the one it is not shown, more than the other it does not need."""

    title: str
    narrow: int
    wide: int


_TROUBLE_CELLS: Final = len("! fallback: heartbeat")  # what is to be seen whole
_ONWARD: Final = " > "
# Which go first where there is no room for all of them.
_GIVEN_UP: Final = ("call", "speech", "ms", "rule", "to", "caller")
# Which have what room is left, in turn.
_GROWING: Final = ("outcome", "rule", "to", "call", "speech")


@dataclass(slots=True)
class CallLines:
    """Lines in the rules' time zone, their columns as wide as the rules' names.

    Args:
        book: The rules in force; None where they are not to be had: times are in UTC then.
    """

    book: RuleBook | None
    zone: ZoneInfo = field(init=False)
    _columns: dict[str, _Column] = field(init=False)
    _band_styles: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        book = self.book
        self.zone = ZoneInfo(book.timezone if book else "UTC")
        bands = (*(book.bands.names if book else ("minor", "adult", "senior", "elder")), UNKNOWN_BAND)
        band = max(map(cell_len, bands)) + 1
        rule = _widest([rule.name for rule in book.rules] if book else [], 24)
        speech = _widest(book.speech if book else [], 9)
        target = _widest(book.targets if book else [], 12)
        queue = _widest(book.queues if book else [], 12)
        self._columns = {
            column.title: column
            for column in (
                _Column("time", 8, 8),
                _Column("caller", 14, 14),
                _Column("band", band, band),
                _Column("rule", min(rule, _TROUBLE_CELLS), rule),
                _Column("to", min(target, 12), target + len(_ONWARD) + queue),
                _Column("speech", speech, speech),
                _Column("ms", 6, 6),
                _Column("call", 20, 26),
                _Column("outcome", 22, 36),
            )
        }
        protected = [name for name in (book.bands.names if book else ()) if book and name in book.protected]
        styles = (*_PROTECTED_STYLES[: len(protected)], *[_PROTECTED_STYLES[-1]] * len(protected))
        self._band_styles = dict(zip(reversed(protected), styles, strict=False))

    def titles(self, width: int) -> str:
        """The names of the columns, on a terminal so many cells wide."""
        titles = [_fitted(title, cells, right=title == "ms") for title, cells in self._widths(width).items()]
        return (" " * _gap(width)).join(titles).rstrip()

    def call(self, call: JoinedCall, width: int) -> list[Cell]:
        """A call's line on a terminal so many cells wide."""
        cells: list[Cell] = []
        texts = self._texts(call, f"{self.local(call.decided_at):%H:%M:%S}")
        widths = self._widths(width)
        if is_trouble(call) and "rule" not in widths:
            said = f"{texts['rule'].text}; {texts['outcome'].text}"
            texts["outcome"] = Cell(said, TROUBLE)
        onward = texts["to"].text.rpartition(_ONWARD)[2]
        if "to" in widths and cell_len(texts["to"].text) > widths["to"] and onward != texts["to"].text:
            texts["to"] = Cell(f"{_ONWARD.lstrip()}{onward}")
        for title, room in widths.items():
            text, style = texts[title]
            cells.append(Cell(_fitted(text, room, right=title == "ms"), style))
            cells.append(Cell(" " * _gap(width)))
        return cells[:-1]

    def call_in_full(self, call: JoinedCall) -> str:
        """A call's line for a pipe: every column, nothing cut off, the date with the time."""
        texts = self._texts(call, f"{self.local(call.decided_at):%Y-%m-%d %H:%M:%S}")
        padded = [_padded(text, self._columns[title].wide, right=title == "ms") for title, (text, _) in texts.items()]
        return (" " * _GAP).join(padded).rstrip()

    def condition(self, record: ConditionRecord, *, with_date: bool) -> Cell:
        """That something began to be wrong with our systems, or no longer is."""
        where = f" ({record.node})" if record.node else ""
        why = f": {record.why}" if record.why else ""
        began = record.state == "began"
        said = f"! began: {record.what}{where}{why}" if began else f"over: {record.what}{where}{why}"
        return Cell(printable(f"{self._stamp(record.time, with_date=with_date)}  {said}"), TROUBLE if began else OVER)

    def promotion(self, record: PromotionRecord, *, with_date: bool) -> Cell:
        """That somebody asked for a caller to be moved to the front."""
        queue = f" in {record.queue}" if record.queue else ""
        place = f" from place {record.from_position}" if record.from_position else ""
        place += f" to {record.to_position}" if record.to_position else ""
        why = f": {record.why}" if record.why else ""
        done = "promoted" if record.done else f"! not promoted ({record.not_done_why or 'not known why'})"
        said = f"{done}: call {record.uniqueid}{queue}{place}, by {record.by}{why}"
        stamp = self._stamp(record.time, with_date=with_date)
        return Cell(printable(f"{stamp}  {said}"), "bold" if record.done else TROUBLE)

    def local(self, time: datetime) -> datetime:
        """A moment in the zone that lines are in."""
        return time.astimezone(self.zone)

    def _stamp(self, time: datetime, *, with_date: bool) -> str:
        local = self.local(time)
        return f"{local:%Y-%m-%d %H:%M:%S}" if with_date else f"{local:%H:%M:%S}"

    def _texts(self, call: JoinedCall, stamp: str) -> dict[str, Cell]:
        why_there = why_it_went_there(call)
        took = "" if call.took_ms is None else f"{call.took_ms:.1f}"
        texts = {
            "time": Cell(stamp),
            "caller": Cell(call.caller),
            "band": self._band(call),
            "rule": Cell(why_there, TROUBLE if is_trouble(call) else ""),
            "to": Cell(_where_to(call)),
            "speech": Cell(call.speech),
            "ms": Cell(took),
            "call": Cell(call.uniqueid, "dim"),
            "outcome": Cell(outcome_in_words(call), self._outcome_style(call)),
        }
        return {title: Cell(printable(text), style) for title, (text, style) in texts.items()}

    def _band(self, call: JoinedCall) -> Cell:
        if call.age_band is None:
            return Cell(UNKNOWN_BAND, _UNKNOWN_STYLE)
        if not self._is_protected(call):
            return Cell(call.age_band)
        return Cell(f"{call.age_band}*", self._band_styles.get(call.age_band, _PROTECTED_STYLES[0]))

    def _is_protected(self, call: JoinedCall) -> bool:
        if call.is_protected is None:  # of an older router, which did not write it
            return self.book is not None and call.age_band in self.book.protected
        return call.is_protected

    def _outcome_style(self, call: JoinedCall) -> str:
        match call.outcome.ended if call.outcome else None:
            case Ending.ANSWERED:
                return "green"
            case Ending.ABANDONED:
                return TROUBLE if self._is_protected(call) else "yellow"
            case None:
                return "bold"
            case _:
                return "dim"

    def _widths(self, width: int) -> dict[str, int]:
        """How many cells each column has that is shown."""
        shown = dict(self._columns)
        for title in _GIVEN_UP:
            if _room(shown.values(), width) <= width:
                break
            del shown[title]
        widths = {title: column.narrow for title, column in shown.items()}
        left = width - _room(shown.values(), width)
        for title in _GROWING:
            if title in widths:
                more = max(0, min(left, shown[title].wide - widths[title]))
                widths[title] += more
                left -= more
        widths["outcome"] = max(1, widths["outcome"] + left)
        return widths


def is_trouble(call: JoinedCall) -> bool:
    """Whether a call did not go as the rules would have it."""
    return bool(call.fallback or call.not_applied_why)


def why_it_went_there(call: JoinedCall) -> str:
    """The rule, or what kept it from being followed."""
    if call.fallback:
        return f"! fallback: {call.fallback}"
    if call.not_applied_why:
        return f"! not applied: {call.not_applied_why}"
    return call.rule


def outcome_in_words(call: JoinedCall) -> str:
    """How a call ended; `under way` while it has not."""
    outcome = call.outcome
    if outcome is None:
        return f"under way, then to {call.sent_on}" if call.sent_on else "under way"
    wait = "" if outcome.wait_s is None else f" after {_seconds(outcome.wait_s)}"
    match outcome.ended:
        case Ending.ANSWERED:
            return f"answered{wait}" + (f" by {outcome.answered_by}" if outcome.answered_by else "")
        case Ending.ABANDONED:
            return f"abandoned{wait}"
        case Ending.SELF_SERVED:
            return "self-served"
        case Ending.HUNG_UP_EARLY:
            return "hung up early"
        case Ending.UNSEEN:
            return "end unseen"


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"  # noqa: PLR2004


def _where_to(call: JoinedCall) -> str:
    planned = call.target or call.queue
    ended_in = call.outcome.queue if call.outcome else ""
    if ended_in and ended_in not in {call.queue, planned}:
        return f"{planned}{_ONWARD}{ended_in}" if planned else ended_in
    return planned


def _widest(names: Iterable[str], usual: int) -> int:
    widths = [cell_len(printable(name)) for name in names]
    return min(_LONGEST_NAME, max(widths)) if widths else usual


def _room(columns: Iterable[_Column], width: int) -> int:
    narrow = [column.narrow for column in columns]
    return sum(narrow) + _gap(width) * (len(narrow) - 1)


def _gap(width: int) -> int:
    return _SMALL_GAP if width < _NARROW else _GAP


def shortened(text: str, cells: int) -> str:
    """A text in so many cells at most, cut with a sign of it where it is longer."""
    if cell_len(text) <= cells:
        return text
    return set_cell_size(set_cell_size(text, max(0, cells - 1)).rstrip() + "…", cells).rstrip()


def _fitted(text: str, cells: int, *, right: bool = False) -> str:
    """The same in so many cells, no fewer."""
    return _padded(shortened(text, cells), cells, right=right)


def _padded(text: str, cells: int, *, right: bool = False) -> str:
    blanks = " " * max(0, cells - cell_len(text))
    return blanks + text if right else text + blanks
