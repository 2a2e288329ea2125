from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from router.errors import ConfigurationError
from router.settings import load_settings, load_speech
from router.speech.settings import (
    CommandVoice,
    DuringCallsSettings,
    EspeakVoice,
    HttpVoice,
    ServeSettings,
    SpeechSettings,
)
from router.speech.settings_file import DuringCallsEntry, ServeEntry, SpeechEntry, VoiceEntry

ROOT = Path(__file__).parents[2]
KEY = "sk-sesame-4711"
REST = """\
asterisk: [{name: pbx1, secret_file: ami.secret}]
rules: routing.yaml
journal: {file: journal.jsonl, secret_file: callers.key}
"""
SERVER = "url: 'http://127.0.0.1:8000/v1/audio/speech', model: kokoro, voice: bella"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "speech.key").write_text(f"{KEY}\n")
    return tmp_path


def loaded(folder: Path, section: str) -> SpeechSettings:
    file = folder / "elder-router.yaml"
    file.write_text(f"{section}\n{REST}")
    speech = load_speech(file)
    assert speech is not None
    return speech


def said(folder: Path, section: str) -> list[str]:
    """What is said of a section, without the folder's name."""
    with pytest.raises(ConfigurationError) as caught:
        loaded(folder, section)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


def test_without_the_section_there_is_no_speech(folder: Path) -> None:
    (folder / "elder-router.yaml").write_text(REST)
    assert load_speech(folder / "elder-router.yaml") is None


def test_an_empty_section_is_all_as_usual(folder: Path) -> None:
    speech = loaded(folder, "speech: {}")
    assert speech == SpeechSettings(prompts=folder / "prompts")
    assert (speech.formats, speech.voices, speech.sounds) == (("ulaw", "alaw"), {}, None)
    assert (speech.during_calls, speech.serve) == (None, None)


def test_everything_can_be_written(folder: Path) -> None:
    speech = loaded(
        folder,
        """\
speech:
  prompts: said
  sounds: /usr/share/asterisk/sounds
  formats: [sln16, ulaw, sln16]
  voices:
    en: {espeak: en-gb, words_per_minute: 150}
    zh: {command: [piper, "--length-scale={length_scale}", "--speaker={voice}"], voice: "3", raw_rate_hz: 22050}
    yue: {command: [./speak.sh], ssml: true}
    de:
      url: https://speech.example:8443/v1/audio/speech?version=2
      model: kokoro
      voice: anna
      key_file: speech.key
      format: pcm
      raw_rate_hz: 16000
      native_rate: false
      ssml: true
  during_calls: {folder: spoken, most_mb: 20, keep: 1h, at_once: 3, deadline: 900ms}
  serve: {address: 192.0.2.7, port: 9200, url: "http://router.example:9200/"}
""",
    )
    assert speech.prompts == folder / "said"
    assert speech.sounds == Path("/usr/share/asterisk/sounds")
    assert speech.formats == ("sln16", "ulaw")
    assert dict(speech.voices) == {
        "en": EspeakVoice("en-gb", 150),
        "zh": CommandVoice(("piper", "--length-scale={length_scale}", "--speaker={voice}"), "3", 22050),
        "yue": CommandVoice((str(folder / "speak.sh"),), ssml=True),
        "de": HttpVoice(
            *("https://speech.example:8443/v1/audio/speech?version=2", "kokoro", "anna", KEY, "pcm", 16000),
            ssml=True,
            native_rate=False,
        ),
    }
    assert speech.during_calls == DuringCallsSettings(folder / "spoken", 20, 3600.0, 3, 0.9)
    served = ServeSettings("192.0.2.7", 9200, "http://router.example:9200", str(folder / "elder-router.yaml"), 19, 37)
    assert speech.serve == served


def test_what_calls_need_is_as_usual_where_it_is_not_written(folder: Path) -> None:
    speech = loaded(folder, "speech: {during_calls: {folder: /var/spoken}, serve: {address: '::1'}}")
    assert speech.during_calls == DuringCallsSettings(Path("/var/spoken"), 500, 7 * 86_400, 2, 1.5)
    assert speech.serve is not None
    assert (speech.serve.port, speech.serve.url) == (9106, "http://[::1]:9106")
    assert str(speech.serve.wrong("taken")).endswith("elder-router.yaml:1:54: error: taken")


def test_the_whole_file_has_it_too(folder: Path) -> None:
    (folder / "ami.secret").write_text("open sesame\n")
    loaded(folder, "speech: {formats: [alaw]}")
    speech = load_settings(folder / "elder-router.yaml").speech
    assert speech is not None
    assert speech.formats == ("alaw",)


def test_a_key_may_come_from_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEECH_KEY", KEY)
    voice = loaded(folder, f"speech: {{voices: {{en: {{{SERVER}, key_env: SPEECH_KEY}}}}}}").voices["en"]
    assert isinstance(voice, HttpVoice)
    assert voice.key == KEY


def test_the_key_is_in_no_repr(folder: Path) -> None:
    speech = loaded(folder, f"speech: {{voices: {{en: {{{SERVER}, key_file: speech.key}}}}}}")
    assert KEY not in repr(speech) + str(speech)
    assert KEY not in repr(speech.voices["en"])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.8.8.8"])
def test_a_key_may_go_unencrypted_to_this_machine_only(folder: Path, host: str) -> None:
    voice = f"url: 'http://{host}:8000/v1/audio/speech', model: m, voice: v, key_file: speech.key"
    assert loaded(folder, f"speech: {{voices: {{en: {{{voice}}}}}}}").voices


@pytest.mark.parametrize(
    ("voice", "message"),
    [
        ("voice: x", "no engine is named; add `espeak: en-us`, `command: [PROGRAM, ARGUMENT]` or `url: ADDRESS`"),
        ("espeak: en, command: [x]", "`espeak` and `command` are given; keep one"),
        (
            "espeak: en, ssml: true",
            "`ssml` is for a voice with `command` or `url`, not for one with `espeak`; remove it",
        ),
        ("espeak: '-w/etc/x'", "`espeak` must be the name of a voice that espeak-ng --voices lists, like en-us; found"),
        ("espeak: en, words_per_minute: 30", "`words_per_minute` must be a number from 80 to 450; found 30"),
        ("espeek: en", "unknown key `espeek`; did you mean `espeak`?"),
        ("command: []", "`command` must be a list of a program and its arguments"),
        ("command: [x, '{text}']", "the text goes to the program's standard input, and never into an argument; remove"),
        ("command: [x, '{speed}']", "nothing is put in for {speed} here; in arguments these are: {language}, "),
        ("command: ['{voice}'], voice: x", "nothing is put in for {voice} here"),
        ("command: [x, '{voice}']", "{voice} stands in `command`; add `voice: NAME`"),
        ("command: [x], raw_rate_hz: 44", "`raw_rate_hz` must be samples a second, from 4000 to 192000; found 44"),
        ("command: [x], key_file: speech.key", "`key_file` is for a voice with `url`, not for one with `command`"),
        ("url: 'http://127.0.0.1/v1/audio/speech', voice: v", "`model` is missing; write one that the server has"),
        ("url: 'http://127.0.0.1/v1/audio/speech', model: m", "`voice` is missing; write one that the server has"),
        (
            "url: 'ftp://127.0.0.1/x', model: m, voice: v",
            "`url` is not an address; write it like http://127.0.0.1:8000/",
        ),
        ("url: 'http://h:x/y', model: m, voice: v", "`url` is not an address"),
        ("url: 'http://h/a b', model: m, voice: v", "`url` is not an address"),
        ("url: 'http://127.0.0.1:80', model: m, voice: v", "`url` has no path; write http://127.0.0.1:80/v1/audio/sp"),
        ("url: 'http://a:b@h/x', model: m, voice: v", "`url` holds a name or password; use `key_file` or `key_env`"),
        (f"{SERVER}, key_file: speech.key, key_env: K", "both `key_file` and `key_env` are given; keep one"),
        (f"{SERVER}, key_file: none.key", "the secret cannot be read from none.key: No such file or directory"),
        (f"{SERVER}, key_file: pipe", "the secret cannot be read from pipe: this is no ordinary file but a pipe, a"),
        (f"{SERVER}, key_env: UNSET_KEY", "the environment variable UNSET_KEY is not set, or is empty"),
        (f"{SERVER}, key_file: bad.key", "the key holds characters that no key has; write it anew, as one line of AS"),
        (f"{SERVER}, key: {KEY}", "unknown key `key`; did you mean `key_env`? "),
        (f"{SERVER}, format: mp3", "`format` must be one of wav, pcm"),
        (f"{SERVER}, raw_rate_hz: 24000", "`raw_rate_hz` is for `format: pcm`; a wav tells its own"),
        (f"{SERVER}, ca_file: speech.key", "`ca_file` is for https://; use that, or remove it"),
        (
            "url: 'https://h/x', model: m, voice: v, ca_file: speech.key",
            "speech.key: no certificates can be read from it: ",
        ),
        (
            "url: 'HTTPS://h/x', model: m, voice: v, ca_file: pipe",
            "pipe: no certificates can be read from it: ",
        ),
        (
            "url: 'http://192.0.2.7/x', model: m, voice: v, key_file: speech.key",
            "over http:// everybody on the way can read the key; use https://",
        ),
    ],
)
def test_a_wrong_voice_is_told_with_what_to_write(folder: Path, voice: str, message: str) -> None:
    (folder / "bad.key").write_text("schlüssel\n")
    os.mkfifo(folder / "pipe")
    problems = said(folder, f"speech:\n  voices:\n    en: {{{voice}}}")
    assert any(re.match(r"elder-router\.yaml:3:\d+: error: ", problem) for problem in problems)
    assert message in problems[0]
    assert not any(KEY in problem for problem in problems)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("formats: []", "`formats` must be a list of sound formats, like [ulaw, alaw]"),
        ("formats: [ulaw, ulow]", "'ulow' cannot be made; did you mean `ulaw`? choose among"),
        ("voices: {-x: {espeak: en}}", "`-x` is not a language; write it like en, zh or en_GB"),
        ("during_calls: {most_mb: 3}", "`folder` is missing"),
        ("during_calls: {folder: f, deadline: 2s}", "a time from 100ms to 1900ms, as the dialplan waits 2s"),
        ("during_calls: {folder: f, keep: 7}", "7 has no unit; write 7s for seconds, or ms, m, h, d"),
        ("during_calls: {folder: f, at_once: 0}", "`at_once` must be a number from 1 to 32"),
        ("during_calls: {folder: 'a&b'}", "a&b has '&' in it, which means something else in Asterisk's dialplan"),
        ("serve: {port: 9106}", "only what is spoken during calls is served; add `during_calls`, or remove `serve`"),
        ("during_calls: {folder: f}, serve: {address: 0.0.0.0}", "add the `url` that Asterisk uses"),
        ("during_calls: {folder: f}, serve: {address: here}", "'here' is no IP address"),
        ("during_calls: {folder: f}, serve: {url: 'http://h/?a=b&c'}", "`url` is not an address; write it like http"),
        ("prompt: x", "unknown key `prompt`; did you mean `prompts`?"),
    ],
)
def test_a_wrong_section_is_told_with_what_to_write(folder: Path, section: str, message: str) -> None:
    problems = said(folder, f"speech: {{{section}}}")
    assert re.match(r"elder-router\.yaml:1:\d+: error: ", problems[0])
    assert message in problems[0]


def test_all_mistakes_are_told_at_once_in_the_files_order(folder: Path) -> None:
    problems = said(
        folder,
        """\
speech:
  voices:
    en: {espeak: en, model: x}
    zh: {url: "http://127.0.0.1", model: m}
    yue: {command: [x, "{nothing}"]}
  during_calls: {folder: "a b"}
  serve: {address: 0.0.0.0}
""",
    )
    assert [problem.partition(": error")[0].removeprefix("elder-router.yaml:") for problem in problems] == [
        *("3:29", "4:9", "4:15", "5:24", "6:26", "7:10"),
    ]


@pytest.fixture
def own_certificates(folder: Path) -> None:
    files = ("-keyout", folder / "tls.key", "-out", folder / "speech-ca.pem")
    request = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=speech.example.com")
    subprocess.run(["openssl", *request, *files], check=True, capture_output=True)


@pytest.mark.usefixtures("own_certificates")
def test_what_the_shipped_file_shows_in_comments_is_right_and_is_all_there_is(folder: Path) -> None:
    shipped = (ROOT / "config" / "elder-router.yaml").read_text()
    section = shipped[shipped.index("\nspeech:") :]
    uncommented = re.sub(r"(?m)^( +)# (?=[ a-z])", r"\1", section)
    speech = loaded(folder, uncommented)
    assert {type(voice) for voice in speech.voices.values()} == {EspeakVoice, CommandVoice, HttpVoice}
    assert speech.serve is not None
    for model in (SpeechEntry, VoiceEntry, DuringCallsEntry, ServeEntry):
        for key in model.model_fields:
            assert re.search(rf"\b{key}:|or  {key}:", section), key


def test_the_shipped_file_shows_the_usual_values_in_comments(folder: Path) -> None:
    shipped = (ROOT / "config" / "elder-router.yaml").read_text()
    section = shipped[shipped.index("\nspeech:") :]
    told = re.sub(
        r"(?m)^( +)# (?=(formats|  most_mb|  keep|  at_once|  deadline|most_mb|keep|at_once|deadline):)", r"\1", section
    )
    bare = loaded(folder, "speech: {during_calls: {folder: /var/cache/elder-router/spoken}}")
    assert loaded(folder, told) == loaded(folder, section) == bare


def test_every_example_of_the_page_on_voices_is_right(folder: Path) -> None:
    (folder / "flite.sh").write_text("")
    examples = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "voices.md").read_text(), re.DOTALL)
    voices = [voice for example in examples for voice in loaded(folder, example).voices.values()]
    assert len(voices) == 5
