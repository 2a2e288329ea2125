"""`make speech-report`: measures what callers hear, and writes it into docs/speech.md; fails where it is out of bounds.

    python -m lab speech-report             all of it
    python -m lab speech-report --example   only the example of `elder-router report speech`

Real calls of each language and speech profile, see `heard`. What docs/speech.md says between its marks is written
anew; the rest of it is left alone.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console

from lab import heard
from lab.asterisk_server import asterisk_root
from lab.centre import ELDER_ROUTER
from lab.heard import Bounds, Heard, Measured
from lab.listening import write_wav
from lab.places import PROJECT
from lab.processes import LabError
from lab.trial import RULES, write_trial
from lab.walk import on_a_terminal

PAGE: Final = PROJECT / "docs" / "speech.md"
PICTURES: Final = PROJECT / "docs" / "speech"
LANGUAGES: Final = {"en": "English", "zh": "Mandarin"}
PROFILES: Final = ("unhurried", "slow")
BOUNDS: Final = Bounds()
_PICTURED: Final = heard.GREETING
_LARGEST_PICTURE_BYTES: Final = 150_000
_COLUMNS: Final = 100
# A bar is drawn on the terminal of errors, which is the same one here.
_AS_PRINTED: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|reading calls[^\n]*\n")


async def main() -> int:
    """Measure, write, and say what is out of bounds; 1 if anything is."""
    console = Console(highlight=False, soft_wrap=True)
    if "--example" in sys.argv:
        _write(console, {"trial": example()})
        return 0
    every = heard.asked_for(tuple(LANGUAGES), PROFILES)
    console.print(f"[bold]==>[/] {len(every)} calls, one of each language and profile; this takes two minutes")
    with tempfile.TemporaryDirectory(prefix="elder-heard-") as scratch:
        recordings = await heard.listen(Path(scratch), every, heard.EVERYTHING)
        found = heard.heard_in(every, recordings, heard.EVERYTHING)
        measured = heard.measured(found)
        _draw([one for one in found if one.thing is _PICTURED and one.asked.language == "en"], Path(scratch))
    _write(console, {"heard": _tables(measured), "trial": example()})
    broken = [line for one in measured for line in BOUNDS.broken_by(one)]
    for line in broken:
        console.print(f"[red]out of bounds:[/] {line}", markup=True)
    return 1 if broken else 0


def _write(console: Console, made: Mapping[str, str]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    for mark, part in made.items():
        text = replaced(text, mark, part)
    PAGE.write_text(text, encoding="utf-8")
    console.print(f"[bold]==>[/] written: {PAGE.relative_to(PROJECT)}")


def replaced(text: str, mark: str, made: str) -> str:
    """A page with what is between two marks written anew.

    Raises:
        LabError: The marks are not there.
    """
    begin, end = f"<!-- {mark}: written by make speech-report -->", f"<!-- end of {mark} -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise LabError(f"{PAGE}: the marks {begin} and {end} must stand in it once each")
    return f"{text.partition(begin)[0]}{begin}\n\n{made.strip()}\n\n{end}{text.partition(end)[2]}"


def _tables(measured: Sequence[Measured]) -> str:
    late_s = sum(one.heard.late_s for one in measured)
    usual = [one for one in measured if one.heard.asked.profile.name == heard.USUAL]
    others = [one for one in measured if one.heard.asked.profile.name != heard.USUAL]
    parts = [
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {_asterisk()}. Packets came late by {late_s:.1f} s in all, which "
        "was cut out (see “How”).",
        *(_table(language, name, others) for language, name in LANGUAGES.items()),
        _usual(usual),
    ]
    return "\n\n".join(parts)


def _table(language: str, name: str, measured: Sequence[Measured]) -> str:
    lines = [
        f"**{name}**",
        "",
        "| what is heard | profile | speech lasts × | asked | off | pitch × | louder, dB | asked | pauses "
        "| worst off, ms | clipped |",
        "| :--- | :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for thing in heard.EVERYTHING:
        lines += [_row(one) for one in measured if one.heard.thing is thing and one.heard.asked.language == language]
    return "\n".join(lines)


def _row(one: Measured) -> str:
    asked = one.heard.asked.profile
    off = one.length / one.length_asked - 1
    cells = [
        *(one.heard.thing.name, asked.name, f"{one.length:.3f}", f"{one.length_asked:.3f}", f"{off:+.1%}"),
        *(f"{one.pitch:.3f}", f"{one.level_db:+.1f}", f"{asked.gain_db:+.1f}"),
        *(str(len(one.heard.pauses_s)), _pause(one), str(one.clipped)),
    ]
    return f"| {' | '.join(cells)} |"


def _pause(one: Measured) -> str:
    return "" if one.worst_pause_s is None else f"{one.worst_pause_s * 1000:+.0f}"


def _usual(measured: Sequence[Measured]) -> str:
    pauses = [one.worst_pause_s for one in measured if one.worst_pause_s is not None]
    worst = max(pauses, key=abs)
    clipped = sum(one.clipped for one in measured)
    return (
        f"At the usual speed, which is the measure for the others: {sum(len(one.heard.pauses_s) for one in measured)} "
        f"pauses, the worst {worst * 1000:+.0f} ms off; {clipped} samples clipped."
    )


def _draw(greetings: Sequence[Heard], scratch: Path) -> None:
    """The spectrogram of one prompt at each speed, all on the same scales."""
    PICTURES.mkdir(exist_ok=True)
    for one in greetings:
        profile = one.asked.profile
        wav, picture = scratch / f"{profile.name}.wav", PICTURES / f"greeting-{profile.name}.png"
        write_wav(one.sound, wav)
        title = f"the greeting as heard, {profile.name}: rate {profile.rate:g}"
        command = ["sox", str(wav), "-n", "spectrogram", "-X", "110", "-y", "200", "-z", "70", "-Z", "-10"]
        command += ["-t", title, "-c", "made by make speech-report", "-o", str(picture)]
        subprocess.run(command, check=True)
        if picture.stat().st_size > _LARGEST_PICTURE_BYTES:
            raise LabError(f"{picture} is larger than {_LARGEST_PICTURE_BYTES} bytes; draw less")


def example() -> str:
    """The trial's rules, the command, and what it prints.

    Raises:
        LabError: It could not be made.
    """
    with tempfile.TemporaryDirectory(prefix="elder-trial-") as scratch:
        rules, journal = write_trial(Path(scratch))
        command = [ELDER_ROUTER, "report", "speech", "--rules", rules.name, "--journal", journal.name]
        printed, status = on_a_terminal(command, Path(scratch), _COLUMNS)
    if status:
        raise LabError(f"the example could not be made:\n{printed}")
    part = re.search(r"(?ms)^  - name: trial.*?^    then: [^\n]*\n", RULES)
    shown = part[0] if part else RULES
    lines = [
        "$ elder-router report speech --journal journal.jsonl",
        *_AS_PRINTED.sub("", printed).strip("\n").split("\n"),
    ]
    return f"```yaml\n{shown}```\n\n" + "\n".join(f"    {line}".rstrip() for line in lines)


def _asterisk() -> str:
    root = asterisk_root()
    chroot = [] if root == Path("/") else ["chroot", str(root)]
    command = [*chroot, "asterisk", "-V"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
