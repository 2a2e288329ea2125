from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from router.cli.prompts import prompts
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
    (tmp_path / "prompts.yaml").write_text(PROMPTS)
    return tmp_path


def build(place: Path, *more: str) -> Result:
    options = [f"--sounds={place / 'sounds'}", f"--prompts={place / 'prompts.yaml'}", f"--rules={place / 'rules.yaml'}"]
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
    assert "failed: en_unhurried/broken.wav: sox failed" in result.stderr
    assert result.stdout.splitlines()[-1] == "made 5, kept 0, removed 0, failed 1"


def test_many_failures_do_not_scroll_away(place: Path) -> None:
    for number in range(30):
        (place / "core" / f"broken-{number}.wav").write_bytes(b"no sound")
    result = build(place, f"--core=en={place / 'core'}")
    assert result.stderr.splitlines()[-1] == "failed: and 10 more"


def test_a_mistake_in_the_catalogue_exits_2_with_its_line(place: Path) -> None:
    (place / "prompts.yaml").write_text("hello:\n  use: x\n  text:\n    en: Hello.\n")
    result = build(place)
    assert result.exit_code == 2
    assert "prompts.yaml:4:5: error: this must be a list of sentences" in result.stderr


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


def test_list_shows_each_prompt_with_its_use_and_text() -> None:
    result = CliRunner().invoke(prompts, ["list", f"--prompts={SHIPPED}"])
    assert result.exit_code == 0
    assert "greeting  [en, zh]  the first words of every call" in result.output
    assert "    en: Welcome, and thank you for calling." in result.output
    assert "    zh: 您好，感谢您的来电。" in result.output
