from __future__ import annotations

import os
import wave
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from router.cli import main
from router.cli.prompts import prompts
from router.speech.sound import wav_of
from tests.unit.speech.voice_like import voice_like_wav

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "config" / "prompts"
RULES = """\
timezone: Asia/Shanghai
age_bands:
  - {name: adult, from: 0}
  - {name: senior, from: 60}
protected: [senior]
speech:
  standard: {rate: 1.0}
  unhurried: {rate: 0.85, sentence_pause: 400ms, digit_timeout: 8s, gain_db: 3}
targets:
  people: {queue: agents}
rules:
  - name: everyone
    then: {to: people}
fallback: {to: people}
"""
PROMPTS = """\
hello:
  use: the first words
  text:
    en: ["Hello."]
    zh: ["您好。"]
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "sounds").mkdir()
    (tmp_path / "core" / "digits").mkdir(parents=True)
    (tmp_path / "core" / "digits" / "1.wav").write_bytes(voice_like_wav(0.4))
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "all.yaml").write_text(PROMPTS)
    return tmp_path


def build(place: Path, *more: str) -> Result:
    options = [f"--sounds={place / 'sounds'}", f"--prompts={place / 'prompts'}", f"--rules={place / 'rules.yaml'}"]
    options += [] if any(word.startswith("--format") for word in more) else ["--format=wav"]
    return CliRunner().invoke(prompts, ["build", *options, *more])


def test_build_makes_each_speech_profile_of_the_rules_and_sums_up(place: Path) -> None:
    result = build(place, f"--core=en={place / 'core'}")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "made 5, kept 0, removed 0, failed 0"
    for name in ("en/elder/hello", "en_unhurried/elder/hello", "en_unhurried/digits/1", "zh_unhurried/elder/hello"):
        assert (place / "sounds" / f"{name}.wav").exists()


def test_without_a_terminal_progress_is_plain_lines(place: Path) -> None:
    result = build(place)
    assert "4 of 4 sounds" in result.stdout
    assert "\x1b" not in result.output


def test_building_again_makes_nothing(place: Path) -> None:
    build(place)
    assert build(place).output.splitlines()[-1] == "made 0, kept 4, removed 0, failed 0"


def test_only_the_languages_asked_for_are_built(place: Path) -> None:
    assert build(place, "--language", "zh").exit_code == 0
    assert not (place / "sounds" / "en").exists()


def test_one_failure_exits_1_and_is_told_on_standard_error(place: Path) -> None:
    (place / "core" / "broken.wav").write_bytes(b"no sound")
    result = build(place, f"--core=en={place / 'core'}")
    assert result.exit_code == 1
    assert "failed: en_unhurried/broken: sox failed" in result.stderr
    assert result.stdout.splitlines()[-1] == "made 5, kept 0, removed 0, failed 1"


def test_a_name_that_is_no_text_is_refused_and_no_name_commands_the_terminal(place: Path) -> None:
    sound = (place / "core" / "digits" / "1.wav").read_bytes()
    for name in (b"\xff", b"-a&b, c\n"):
        (place / "core" / os.fsdecode(name + b".wav")).write_bytes(sound)
    (place / "core" / "\x1b[2J.wav").write_bytes(b"no sound")
    for counts in ("made 6, kept 0, removed 0, failed 2", "made 0, kept 6, removed 0, failed 2"):
        result = build(place, f"--core=en={place / 'core'}")
        assert "failed: en_unhurried/\\udcff: its name is not in UTF-8: give it another" in result.stderr
        assert "failed: en_unhurried/\\u001b[2J: sox failed" in result.stderr
        assert result.stdout.splitlines()[-1] == counts


def test_many_failures_do_not_scroll_away(place: Path) -> None:
    for number in range(30):
        (place / "core" / f"broken-{number}.wav").write_bytes(b"no sound")
    result = build(place, f"--core=en={place / 'core'}")
    assert result.stderr.splitlines()[-1] == "failed: and 10 more"


def test_a_mistake_in_the_catalogue_exits_2_with_its_line(place: Path) -> None:
    (place / "prompts" / "all.yaml").write_text("hello:\n  use: x\n  text:\n    en: Hello.\n")
    result = build(place)
    assert result.exit_code == 2
    assert "all.yaml:4:9: error: `en` must be a list of sentences" in result.stderr


def test_a_mistake_in_the_rules_exits_2(place: Path) -> None:
    (place / "rules.yaml").write_text("nonsense: 1\n")
    result = build(place)
    assert result.exit_code == 2
    assert "rules.yaml:" in result.stderr


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--core=/usr/share/sounds", "write it like en=/usr"),
        ("--core=../x=/usr", "write it like en=/usr"),
        ("--language=fr", "no prompt is in 'fr'; there are en, zh"),
    ],
)
def test_a_wrong_option_exits_2_and_says_what_to_write(place: Path, option: str, said: str) -> None:
    result = build(place, option)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_missing_directory_exits_2(place: Path) -> None:
    result = build(place, f"--core=en={place / 'nowhere'}")
    assert result.exit_code == 2
    assert "is not a directory" in result.stderr


def test_a_format_can_be_chosen(place: Path) -> None:
    assert build(place, "--format", "sln16", "--format=alaw", "--language", "en").exit_code == 0
    made = {path.name for path in (place / "sounds" / "en" / "elder").iterdir()}
    assert made == {"hello.sln16", "hello.alaw"}


def test_a_language_that_is_only_installed_can_be_built(place: Path) -> None:
    (place / "sounds" / "fr" / "digits").mkdir(parents=True)
    (place / "sounds" / "fr" / "digits" / "1.wav").write_bytes(voice_like_wav(0.4))
    assert build(place, "--language=fr").exit_code == 0
    assert (place / "sounds" / "fr_unhurried" / "digits" / "1.wav").exists()


SETTINGS = """\
asterisk: [{name: pbx1, secret_file: not-there}]
rules: rules.yaml
journal: {file: journal.jsonl, secret_file: callers.key}
"""


def run(place: Path, speech: str, *words: str) -> Result:
    (place / "settings.yaml").write_text(SETTINGS + speech)
    return CliRunner().invoke(main, ["--config", str(place / "settings.yaml"), "prompts", *words])


def test_the_settings_file_says_where_prompts_and_sounds_are_and_in_which_formats(place: Path) -> None:
    (place / "prompts").rename(place / "said")
    result = run(place, "speech: {prompts: said, sounds: sounds, formats: [sln]}\n", "build")
    assert result.exit_code == 0, result.output
    assert (place / "sounds" / "en_unhurried" / "elder" / "hello.sln").exists()
    assert not list((place / "sounds").rglob("*.ulaw"))


def test_options_are_stronger_than_the_settings_file(place: Path) -> None:
    (place / "other").mkdir()
    speech = "speech: {sounds: sounds, formats: [sln]}\n"
    result = run(place, speech, "build", f"--sounds={place / 'other'}", "--format=alaw", "--language=zh")
    assert result.exit_code == 0, result.output
    assert (place / "other" / "zh" / "elder" / "hello.alaw").exists()
    assert not list((place / "sounds").iterdir())


def test_without_a_word_of_speech_the_prompts_are_beside_the_settings_file(place: Path) -> None:
    assert "hello" in run(place, "", "list").output
    needs_sounds = run(place, "", "build")
    assert needs_sounds.exit_code == 2
    assert "Missing option '--sounds'" in needs_sounds.output


def test_the_voices_of_the_settings_file_speak(place: Path) -> None:
    voice = place / "voice.wav"
    voice.write_bytes(voice_like_wav(1.5))
    speech = f"speech: {{voices: {{en: {{command: [/bin/cat, {voice}]}}}}}}\n"
    result = run(place, speech, "play", "hello", f"--output={place / 'out.wav'}")
    assert result.exit_code == 0, result.output
    assert "hello, en, standard: 1.5 s" in result.output


def test_the_voices_of_the_settings_file_build(place: Path) -> None:
    speech = f"speech: {{sounds: sounds, voices: {{zh: {{command: [/bin/cat, {place / 'nowhere.wav'}]}}}}}}\n"
    result = run(place, speech, "build")
    assert result.exit_code == 1
    assert "failed: zh/elder/hello: " in result.stderr
    assert "failed: en/" not in result.stderr


def test_list_shows_each_prompt_with_its_use_values_and_text() -> None:
    result = CliRunner().invoke(prompts, ["list", f"--prompts={SHIPPED}"])
    assert result.exit_code == 0
    assert "greeting  [en, zh]  the first words of every call" in result.output
    assert "    en: Welcome, and thank you for calling." in result.output
    assert "    zh: 您好，感谢您的来电。" in result.output
    assert "place-and-wait  [en, zh]  {position: number, wait: wait}  to waiting callers" in result.output
    assert "core-digit-1  [zh]  (played as digits/1)  Asterisk's numbers and digits" in result.output


def test_list_of_one_language_has_no_other() -> None:
    result = CliRunner().invoke(prompts, ["list", f"--prompts={SHIPPED}", "--language=en"])
    assert "    en: Welcome" in result.output
    assert "zh:" not in result.output
    assert "core-digit-1" not in result.output
    assert CliRunner().invoke(prompts, ["list", f"--prompts={SHIPPED}", "--language=fr"]).exit_code == 2


def play(place: Path, *words: str) -> Result:
    options = [f"--prompts={SHIPPED}", f"--rules={place / 'rules.yaml'}", f"--output={place / 'out.wav'}"]
    return CliRunner().invoke(prompts, ["play", *options, *words])


def test_play_writes_what_a_caller_hears_and_tells_its_phrases_and_length(place: Path) -> None:
    words = ("place-and-wait", "--language=zh", "--value=position=3", "--value=wait=240")
    usual = play(place, *words)
    assert usual.exit_code == 0, usual.output
    usual_s = seconds_of(place / "out.wav")
    slowed = play(place, *words, "--profile=unhurried")
    assert slowed.exit_code == 0, slowed.output
    slowed_s = seconds_of(place / "out.wav")
    assert slowed.output.splitlines() == [
        f"place-and-wait, zh, unhurried: {slowed_s:.1f} s",
        "    您现在排在 | 第三位。",
        "    还需要等待 | 大约四分钟。",
        f"written: {place / 'out.wav'}",
    ]
    # The pause between its two sentences grows by 0.4 s; what is spoken takes 1/0.85 as long.
    assert slowed_s > usual_s / 0.9


def test_play_says_which_sentence_is_said_again(place: Path) -> None:
    rules = RULES.replace("gain_db: 3}", "gain_db: 3, repeat_essential: true}")
    (place / "rules.yaml").write_text(rules)
    said = play(place, "connecting-person", "--profile=unhurried").output
    assert "    Please stay on the line.  (said again at the end)" in said


def test_play_takes_the_studio_recording_and_slows_it(place: Path) -> None:
    (place / "prompts" / "all.yaml").write_text(PROMPTS + "  recording: {zh: hello.wav}\n")
    (place / "prompts" / "hello.wav").write_bytes(voice_like_wav(1.7))
    options = [f"--prompts={place / 'prompts'}", f"--rules={place / 'rules.yaml'}", f"--output={place / 'out.wav'}"]
    result = CliRunner().invoke(prompts, ["play", *options, "hello", "--language=zh", "--profile=unhurried"])
    assert "hello, zh, unhurried: 2.0 s" in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("greetign",), 'no prompt is called "greetign"; did you mean `greeting`?'),
        (("greeting", "--language=fr"), 'the prompt greeting is not in "fr"; it is in en, zh'),
        (("greeting", "--profile=unhuried"), "no speech profile 'unhuried'; did you mean `unhurried`?"),
        (("place", "--value=position"), "write it like position=3"),
        (("place", "--value=positon=3"), "place has no value 'positon'; did you mean `position`?"),
        (("greeting", "--value=position=3"), "greeting has no value 'position'; it has none"),
        (("place",), "the prompt place needs a value for position (number); send position=…"),
        (("place", "--value=position=x"), 'position of the prompt place: "x" cannot be said; give a whole number'),
    ],
)
def test_what_cannot_be_played_exits_2_and_says_why(place: Path, words: tuple[str, ...], said: str) -> None:
    result = play(place, *words)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


def test_play_without_output_hands_the_sound_to_a_program_that_plays(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = place / "played.wav"
    player = place / "bin" / "aplay"
    player.parent.mkdir()
    player.write_text(f"#!/bin/sh\ncat > {played}\n")
    player.chmod(0o755)
    monkeypatch.setenv("PATH", f"{player.parent}:{os.environ['PATH']}")
    result = CliRunner().invoke(prompts, ["play", f"--prompts={SHIPPED}", "greeting"])
    assert result.exit_code == 0, result.output
    assert f"greeting, en, standard: {seconds_of(played):.1f} s" in result.output
    player.write_text("#!/bin/sh\necho no sound card >&2; exit 1\n")
    failed = CliRunner().invoke(prompts, ["play", f"--prompts={SHIPPED}", "greeting"])
    assert failed.exit_code == 2
    assert "aplay could not play it: no sound card; give --output FILE instead" in failed.stderr


def test_check_finds_nothing_wrong_with_what_is_shipped() -> None:
    result = CliRunner().invoke(prompts, ["check", f"--prompts={SHIPPED}", "--text-only"])
    assert (result.exit_code, result.output) == (0, "the prompts are well\n")


def test_check_tells_each_problem_with_its_line_and_exits_1(place: Path) -> None:
    file = place / "prompts" / "all.yaml"
    file.write_text(PROMPTS + 'bye:\n  use: x\n  text: {en: ["Bye ☎"]}\n')
    result = CliRunner().invoke(prompts, ["check", f"--prompts={place / 'prompts'}", "--text-only"])
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"{file}:6:1: error: `bye` is not in zh; add it under `text`",
        f"{file}:8:15: error: voices stumble over ☎; write words instead",
    ]
    assert result.stdout == "2 problems\n"


def test_check_of_a_catalogue_that_cannot_be_read_exits_2(place: Path) -> None:
    result = CliRunner().invoke(prompts, ["check", f"--prompts={place / 'nowhere'}", "--text-only"])
    assert result.exit_code == 2
    assert "nowhere: error: there is no such file" in result.stderr


def test_check_has_the_voices_speak_every_sentence(place: Path) -> None:
    (place / "mute.wav").write_bytes(wav_of(bytes(8000)))
    speech = f"speech: {{voices: {{en: {{command: [/bin/cat, {place / 'mute.wav'}]}}}}}}\n"
    result = run(place, speech, "check")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{place / 'prompts' / 'all.yaml'}:4:10: error: nothing is heard of 'Hello.'")
    assert result.stdout.splitlines()[-2:] == ["2 of 2 sentences", "1 problem"]


def seconds_of(file: Path) -> float:
    with wave.open(str(file)) as opened:
        frames: int = opened.getnframes()
        rate_hz: int = opened.getframerate()
    return frames / rate_hz
