from __future__ import annotations

import shutil
import stat
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from router.errors import SpeechError
from router.speech import programs
from router.speech.engines.command import Command
from router.speech.profile import BASE_PHRASE_PAUSE_S, SpokenProfile
from router.speech.sentence import Sentence
from router.speech.settings import CommandVoice
from router.speech.sound import Sox, seconds, trimmed
from router.speech.speaking import speak

ESPEAK = ("espeak-ng", "-b", "1", "-z", "-v", "{voice}", "--stdin", "--stdout")
# Any engine that takes SSML on standard input: espeak-ng itself.
SSML = CommandVoice((*ESPEAK, "-m", "-s", "160"), voice="en-us", ssml=True)


def script(folder: Path, text: str, *arguments: str, **of_voice: object) -> Command:
    """An engine that is a Python script."""
    file = folder / "speaker.py"
    file.write_text(f"#!{sys.executable}\nimport os, signal, subprocess, sys, time\n{text}\n")
    file.chmod(stat.S_IRWXU)
    return Command(CommandVoice((str(file), *arguments), **of_voice))  # type: ignore[arg-type] # the tests' own words


def refused(engine: Command, *, deadline_s: float | None = 10.0) -> str:
    with pytest.raises(SpeechError) as caught:
        engine.synthesise(["Hello."], "en", 1.0, deadline_s=deadline_s)
    return str(caught.value)


def heard_s(wav: bytes) -> float:
    return seconds(trimmed(Sox().samples(wav)))


def said_to(tmp_path: Path, *arguments: str, rate: float = 1.0, language: str = "en", **of_voice: object) -> str:
    """The arguments and the standard input of a program, which a script writes to a file."""
    seen = tmp_path / "seen"
    writes = f"open({str(seen)!r}, 'w').write(repr((sys.argv[1:], sys.stdin.read())))"
    engine = script(tmp_path, f"{writes}; sys.exit('seen')", *arguments, **of_voice)
    with pytest.raises(SpeechError, match="seen"):
        engine.synthesise(["Hello,\x01\n$(reboot)", "it is <me>."], language, rate, 0.25)
    return seen.read_text()


def test_text_goes_in_on_standard_input_as_one_line(tmp_path: Path) -> None:
    assert said_to(tmp_path, "-q") == "(['-q'], 'Hello,  $(reboot) it is <me>.\\n')"


def test_placeholders_are_filled_in_and_no_shell_reads_them(tmp_path: Path) -> None:
    arguments = ("{rate}", "x{percent}%", "--length_scale={length_scale}", "{language}", "-s{voice}", "{}", "$HOME;`")
    seen = said_to(tmp_path, *arguments, rate=0.7, language="zh_CN", voice="3")
    assert seen.startswith("(['0.7', 'x70%', '--length_scale=1.429', 'zh_CN', '-s3', '{}', '$HOME;`'], ")


def test_with_ssml_rate_and_pauses_are_in_the_text(tmp_path: Path) -> None:
    seen = said_to(tmp_path, rate=0.85, ssml=True)
    assert '<prosody rate="85%">Hello,  $(reboot)</prosody><break time="250ms"/><prosody rate="85%">' in seen
    assert "it is &lt;me&gt;." in seen


@pytest.mark.parametrize("language", ["-x", "en;x", "", "../en"])
def test_a_language_that_is_none_becomes_no_argument(tmp_path: Path, language: str) -> None:
    engine = script(tmp_path, "", "{language}")
    with pytest.raises(SpeechError, match="is not a language; write it like en"):
        engine.synthesise(["x"], language, 1.0)
    with pytest.raises(SpeechError, match="is not a language"):
        engine.identity(language)


def test_whether_it_slows_by_itself_is_seen_from_its_arguments() -> None:
    assert not Command(CommandVoice(ESPEAK, "en-us")).native_rate
    assert Command(CommandVoice((*ESPEAK, "{length_scale}"), "en-us")).native_rate
    assert Command(SSML).native_rate
    assert Command(SSML).takes_pauses


def test_a_program_that_is_not_installed_is_told() -> None:
    with pytest.raises(SpeechError, match="pipper, which is to speak as the settings say, is not installed"):
        Command(CommandVoice(("pipper",)))


def test_its_identity_changes_with_what_it_is_told_and_with_the_files_it_is_given(tmp_path: Path) -> None:
    model = tmp_path / "voice.onnx"
    model.write_bytes(b"one")
    program = str(shutil.which("espeak-ng"))
    voice = CommandVoice((program, "--model", str(model)))
    before = Command(voice).identity("en")
    assert before == Command(voice).identity("en")
    assert before != Command(voice).identity("zh")
    assert before != Command(CommandVoice((*voice.command, "-x"))).identity("en")
    model.write_bytes(b"another")
    assert Command(voice).identity("en") != before


def test_a_wav_is_heard() -> None:
    engine = Command(CommandVoice((*ESPEAK, "-s", "160"), "en-us"))
    assert heard_s(engine.synthesise(["Please stay on the line."], "en", 1.0)) > 0.8


def test_bare_samples_are_heard(tmp_path: Path) -> None:
    espeak = "['espeak-ng', '-z', '--stdin', '--stdout'], stdin=sys.stdin, stdout=subprocess.PIPE"
    text = f"sys.stdout.buffer.write(subprocess.run({espeak}).stdout[44:])"
    engine = script(tmp_path, text, raw_rate_hz=22_050)
    assert heard_s(engine.synthesise(["Please stay on the line."], "en", 1.0)) > 0.8


def test_one_that_cannot_slow_is_stretched() -> None:
    engine = Command(CommandVoice((*ESPEAK, "-s", "160"), "en-us"))
    usual = speak(engine, Sox(), [Sentence(("Please stay on the line.",))], "en", SpokenProfile("standard"))
    slow = speak(engine, Sox(), [Sentence(("Please stay on the line.",))], "en", SpokenProfile("slow", 0.7))
    assert seconds(slow) == pytest.approx(seconds(usual) / 0.7, rel=0.015)


@pytest.mark.parametrize("rate", [1.0, 0.85, 0.7])
def test_an_engine_that_takes_ssml_slows_its_words_and_not_its_pauses(rate: float) -> None:
    sentence = [Sentence(("Your balance is", "one thousand two hundred yuan."))]

    def spoken_s(rate: float, value_pause_s: float) -> float:
        profile = SpokenProfile("p", rate, value_pause_s=value_pause_s)
        return seconds(speak(Command(SSML), Sox(), sentence, "en", profile))

    pause_s = BASE_PHRASE_PAUSE_S + 0.5
    words_s = spoken_s(1.0, 0.5) - pause_s
    assert spoken_s(rate, 0.5) == pytest.approx(words_s / rate + pause_s, rel=0.015)
    assert spoken_s(rate, 0.5) - spoken_s(rate, 0.0) == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "sys.exit('no such model: x.onnx')",
            "speaker.py could not speak en: speaker.py failed: no such model: x.onnx",
        ),
        ("raise SystemExit(3)", "speaker.py failed: status 3"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "speaker.py failed: it was killed (SIGKILL)"),
        ("print('RIFF'); sys.stdout.flush(); os.kill(os.getpid(), signal.SIGSEGV)", "it was killed (SIGSEGV)"),
        ("print('garbage')", "it gave no WAV but 'garbage '"),
        ("pass", "it gave no sound at all"),
        ("sys.stdin.close(); os.close(0)", "it gave no sound at all"),
    ],
)
def test_what_goes_wrong_is_told(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(script(tmp_path, text))


def test_whose_voice_failed_is_told(tmp_path: Path) -> None:
    engine = script(tmp_path, "sys.exit('no')", "{voice}", voice="mei")
    assert refused(engine) == "the voice mei could not speak en: speaker.py failed: no"


def test_bare_samples_with_half_a_sample_are_refused(tmp_path: Path) -> None:
    engine = script(tmp_path, "sys.stdout.write('abc')", raw_rate_hz=22_050)
    assert "it gave half a 16-bit sample" in refused(engine)


def test_a_wav_where_bare_samples_were_told_of_is_refused(tmp_path: Path) -> None:
    engine = script(tmp_path, "sys.stdout.write('RIFF....')", raw_rate_hz=22_050)
    assert "it gave a WAV and not bare samples: say so in the settings" in refused(engine)


def is_alive(process: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_dead(processes: Sequence[int]) -> None:
    until = time.monotonic() + 5
    while any(map(is_alive, processes)):
        assert time.monotonic() < until, "it still runs"
        time.sleep(0.01)


@pytest.mark.parametrize("then", ["time.sleep(60)", "sys.stdout.close(); os.close(1); time.sleep(60)"])
def test_one_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path, then: str) -> None:
    pids = tmp_path / "pids"
    child = "child = subprocess.Popen(['sleep', '60'])"
    # The child does not hold the outputs open; nobody but the killer of the whole group would find it.
    text = f"{child}; open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n{then}"
    begun = time.monotonic()
    assert "speaker.py did not end within 1 s and was stopped" in refused(script(tmp_path, text), deadline_s=1.0)
    assert time.monotonic() - begun < 5
    wait_until_dead([int(word) for word in pids.read_text().split()])


def test_one_that_writes_without_end_is_stopped_before_it_fills_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "MOST_BYTES", 1_000_000)
    begun = time.monotonic()
    message = refused(script(tmp_path, "while True: sys.stdout.write('x' * 65536)"), deadline_s=30.0)
    assert "wrote more than 976 KiB and was stopped: that is no sound" in message
    assert time.monotonic() - begun < 10


def test_one_that_writes_a_little_for_ever_is_stopped_in_time(tmp_path: Path) -> None:
    text = "while True: sys.stdout.write('x'); sys.stdout.flush(); time.sleep(0.01)"
    begun = time.monotonic()
    assert "did not end within 0.5 s" in refused(script(tmp_path, text), deadline_s=0.5)
    assert time.monotonic() - begun < 5


def test_a_long_text_to_one_that_does_not_read_it_hangs_nobody(tmp_path: Path) -> None:
    engine = script(tmp_path, "sys.exit('did not read')")
    with pytest.raises(SpeechError, match="did not read"):
        engine.synthesise(["x" * 1_000_000], "en", 1.0, deadline_s=10.0)
    waits = script(tmp_path, "time.sleep(60)")
    with pytest.raises(SpeechError, match=r"did not end within 0\.5 s"):
        waits.synthesise(["x" * 1_000_000], "en", 1.0, deadline_s=0.5)


def test_one_that_complains_without_end_is_heard_out_to_its_last_line(tmp_path: Path) -> None:
    assert "failed: last" in refused(script(tmp_path, "sys.stderr.write('x\\n' * 1000000); sys.exit('last')"))


def test_open_files_are_closed_again(tmp_path: Path) -> None:
    engine = script(tmp_path, "print('x')")
    refused(engine)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        refused(engine)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
