from __future__ import annotations

import email.utils
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.errors import SpeechError
from router.speech.engines import SpeechServer, Voices
from router.speech.engines import http as engine_module
from router.speech.engines.answers import wait_s
from router.speech.profile import SpokenProfile
from router.speech.sentence import Sentence
from router.speech.settings import HttpVoice
from router.speech.sound import Sox, seconds, trimmed
from router.speech.speaking import speak
from tests.unit.speech.engines.speech_server import Server, speech_server

KEY = "sk-sesame-4711"


@pytest.fixture
def server() -> Iterator[Server]:
    with speech_server(KEY) as running:
        yield running


def voice(server: Server, **changes: object) -> HttpVoice:
    chosen: dict[str, object] = {"url": server.url, "model": server.model, "voice": "alice", "key": KEY} | changes
    return HttpVoice(**chosen)  # type: ignore[arg-type] # the tests' own words


def engine(server: Server, **changes: object) -> SpeechServer:
    return SpeechServer(voice(server, **changes))


def refused(speaker: SpeechServer, *, deadline_s: float = 5.0) -> str:
    with pytest.raises(SpeechError) as caught:
        speaker.synthesise(["Hello."], "en", 1.0, deadline_s=deadline_s)
    assert KEY not in str(caught.value)
    return str(caught.value)


def heard_s(wav: bytes) -> float:
    return seconds(trimmed(Sox().samples(wav)))


def test_it_asks_as_the_interface_says(server: Server) -> None:
    engine(server).synthesise(["You are", "number three."], "en", 0.85)
    (asked,) = server.requests
    assert asked.path == "/v1/audio/speech"
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.body == {
        "model": "tts-1",
        "input": "You are number three.",
        "voice": "alice",
        "response_format": "wav",
        "speed": 0.85,
    }


def test_it_is_heard_and_slower_when_asked(server: Server) -> None:
    speaker = engine(server)
    usual_s = heard_s(speaker.synthesise(["Please stay on the line."], "en", 1.0))
    assert usual_s > 0.8
    assert heard_s(speaker.synthesise(["Please stay on the line."], "en", 0.7)) > 1.3 * usual_s


def test_bare_samples_are_heard_as_a_wav_is(server: Server) -> None:
    wav = engine(server).synthesise(["Hello there."], "en", 1.0)
    raw = engine(server, format="pcm", raw_rate_hz=22_050).synthesise(["Hello there."], "en", 1.0)
    assert server.requests[1].body["response_format"] == "pcm"
    assert heard_s(raw) == pytest.approx(heard_s(wav), abs=0.001)


def test_speed_stays_within_what_the_interface_takes(server: Server) -> None:
    engine(server).synthesise(["Hello."], "en", 0.1)
    engine(server).synthesise(["Hello."], "en", 9.0)
    assert [asked.body["speed"] for asked in server.requests] == [0.25, 4.0]


def test_ssml_holds_rate_and_pauses_and_speed_is_left_out(server: Server) -> None:
    speaker = engine(server, ssml=True)
    assert speaker.takes_pauses
    wav = speaker.synthesise(["You are", "number <3>."], "en", 0.85, 0.25)
    (asked,) = server.requests
    assert "speed" not in asked.body
    assert '<prosody rate="85%">You are</prosody><break time="250ms"/>' in asked.body["input"]
    assert "number &lt;3&gt;." in asked.body["input"]
    assert heard_s(wav) > 1


def test_without_a_native_rate_no_speed_is_asked_for(server: Server) -> None:
    speaker = engine(server, native_rate=False)
    spoken = speak(speaker, Sox(), [Sentence(("Hello there.",))], "en", SpokenProfile("slow", 0.7))
    usual = speak(speaker, Sox(), [Sentence(("Hello there.",))], "en", SpokenProfile("standard"))
    assert seconds(spoken) == pytest.approx(seconds(usual) / 0.7, rel=0.015)
    assert all("speed" not in asked.body for asked in server.requests)


def test_a_missing_voice_is_told_with_the_language_and_what_the_server_said(server: Server) -> None:
    assert refused(engine(server, voice="nova")) == (
        f"the voice nova of {server.url.removesuffix('/v1/audio/speech')} could not speak en: it answered 400: "
        "Voice 'nova' not found. Available voices: alice, mei; check `voice`, `model` and `url` "
        "of this language (model tts-1)"
    )
    assert len(server.requests) == 1


def test_a_missing_model_is_told(server: Server) -> None:
    message = refused(engine(server, model="tts-9"))
    assert "it answered 404: The model 'tts-9' does not exist; check `voice`, `model` and `url`" in message


def test_a_wrong_key_is_told_but_not_shown(server: Server) -> None:
    server.key = "another"
    message = refused(engine(server))
    assert "it answered 401: Incorrect API key provided: Bearer <secret>; check the key" in message
    assert len(server.requests) == 1


def test_a_key_that_comes_back_as_sound_is_not_shown(server: Server) -> None:
    server.misbehave("key as wav")
    assert "it gave no WAV but 'Wrong key: <secret>'" in refused(engine(server))


def test_a_key_that_comes_back_in_place_of_an_answer_is_not_shown(server: Server) -> None:
    server.always = "key as status"
    assert "the connection failed (Authorization: Bearer <secret>); check `url`" in refused(engine(server))


def test_no_key_is_sent_where_there_is_none() -> None:
    with speech_server() as open_server:
        engine(open_server, key=None).synthesise(["Hello."], "en", 1.0)
        assert "Authorization" not in open_server.requests[0].headers


def test_the_key_is_in_no_repr_and_no_identity(server: Server) -> None:
    speaker = engine(server)
    assert KEY not in repr(speaker) + repr(voice(server)) + speaker.identity("en")


def test_a_key_that_no_header_can_carry_is_refused_unseen() -> None:
    with pytest.raises(SpeechError, match="holds characters that no key has") as caught:
        SpeechServer(HttpVoice("http://127.0.0.1:1/x", "m", "v", key="sesame\r\nX: y"))
    assert "sesame" not in str(caught.value)


def test_the_identity_tells_apart_what_sounds_different_and_nothing_else(server: Server) -> None:
    usual = engine(server).identity("en")
    assert usual == engine(server, url="http://127.0.0.1:1/other", key=None).identity("en")
    for change in (*({"voice": "mei"}, {"model": "tts-2"}, {"format": "pcm"}, {"ssml": True}, {"native_rate": False}),):
        assert engine(server, **change).identity("en") != usual
    assert "speech-server tts-1 alice" in usual


@pytest.mark.parametrize("ways", [["429"], ["500"], ["503"], ["reset"], ["500", "429", "reset"]])
def test_what_may_pass_is_asked_again(server: Server, ways: list[str]) -> None:
    server.misbehave(*ways)
    assert heard_s(engine(server).synthesise(["Hello."], "en", 1.0)) > 0.2
    assert len(server.requests) == len(ways) + 1


def test_it_gives_up_after_four_times(server: Server) -> None:
    server.always = "500"
    assert "it answered 500: out of memory; look into the server's own log" in refused(engine(server))
    assert len(server.requests) == 4


def test_what_the_server_refuses_is_not_asked_again(server: Server) -> None:
    server.misbehave("400")
    assert "it answered 400: input is too long" in refused(engine(server))
    assert len(server.requests) == 1


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_waited_for(server: Server, *, as_date: bool) -> None:
    server.retry_after = email.utils.formatdate(time.time() + 2, usegmt=True) if as_date else "1"
    server.misbehave("429")
    begun = time.monotonic()
    engine(server).synthesise(["Hello."], "en", 1.0, deadline_s=5.0)
    assert time.monotonic() - begun >= 0.95
    assert len(server.requests) == 2


def test_each_wait_is_longer_than_the_last_and_never_quite_the_same() -> None:
    shortest = [wait_s(attempt, None, uniform=lambda low, _high: low) for attempt in range(1, 8)]
    longest = [wait_s(attempt, None, uniform=lambda _low, high: high) for attempt in range(1, 8)]
    assert shortest == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.5, 2.5])
    assert longest == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])
    assert wait_s(1, "99999") == 99999.0
    assert wait_s(1, "soon", uniform=lambda _low, high: high) == 0.2


def test_a_wait_beyond_the_deadline_is_not_begun(server: Server) -> None:
    server.retry_after = "30"
    server.misbehave("503")
    begun = time.monotonic()
    message = refused(engine(server), deadline_s=5.0)
    assert time.monotonic() - begun < 3
    assert "it answered 503: a page of HTML" in message
    assert "asking again in 30.0 s would be too late" in message


@pytest.mark.parametrize("way", ["hang", "drip", "drip headers"])
def test_the_deadline_holds_however_slowly_it_answers(server: Server, way: str) -> None:
    server.misbehave(way)
    begun = time.monotonic()
    message = refused(engine(server), deadline_s=0.4)
    assert 0.35 <= time.monotonic() - begun < 2
    assert "it did not answer within 0.4 s" in message
    assert heard_s(engine(server).synthesise(["Hello."], "en", 1.0)) > 0.2


def test_the_deadline_holds_while_connecting() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        # What fills the queue of connections that nobody accepts.
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        begun = time.monotonic()
        speaker = SpeechServer(HttpVoice(f"http://127.0.0.1:{address[1]}/v1/audio/speech", "m", "v"))
        assert "did not answer within 0.5 s" in refused(speaker, deadline_s=0.5)
        assert time.monotonic() - begun < 2
        for each in waiting:
            each.close()


def test_a_server_that_is_not_there_is_told() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    speaker = SpeechServer(HttpVoice(f"http://127.0.0.1:{port}/v1/audio/speech", "m", "v"))
    message = refused(speaker)
    assert f"the voice v of http://127.0.0.1:{port} could not speak en" in message
    assert "the connection failed (Connection refused); check `url`, and that the server runs" in message


@pytest.mark.parametrize(
    ("way", "message"),
    [
        ("garbage", "it gave no WAV but '"),
        ("html", "it gave no sound but said: a page of HTML"),
        ("html as wav", "it gave no WAV but '<!DOCTYPE html>"),
        ("json", "it gave no sound but said: busy"),
        ("empty", "it gave no sound at all"),
        ("half", "its WAV was cut off: 3957 of "),
        ("redirect", "it answered 307; write the address that it redirects to as `url`"),
    ],
)
def test_what_is_no_sound_is_never_taken_for_it(server: Server, way: str, message: str) -> None:
    server.misbehave(way)
    assert message in refused(engine(server))
    assert len(server.requests) == 1


@pytest.mark.parametrize("way", ["html as pcm", "json", "empty"])
def test_what_is_no_sound_is_never_taken_for_bare_samples(server: Server, way: str) -> None:
    server.misbehave(way)
    assert "it gave no sound" in refused(engine(server, format="pcm"))


@pytest.mark.parametrize("way", ["cut", "cut chunked"])
def test_an_answer_that_breaks_off_is_asked_for_again_and_never_half_used(server: Server, way: str) -> None:
    whole_s = heard_s(engine(server).synthesise(["Hello."], "en", 1.0))
    server.misbehave(way)
    assert heard_s(engine(server).synthesise(["Hello."], "en", 1.0)) == pytest.approx(whole_s)
    server.always = way
    assert "the connection failed (" in refused(engine(server))


def test_sound_without_end_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "MOST_BYTES", 1_000_000)
    server.misbehave("endless")
    assert "it sent more than 976 KiB: that is no sound" in refused(engine(server))


def test_a_redirect_is_not_followed_with_the_key(server: Server) -> None:
    server.misbehave("redirect")
    refused(engine(server))
    assert [asked.path for asked in server.requests] == ["/v1/audio/speech"]


def test_one_connection_serves_many_requests(server: Server) -> None:
    speaker = engine(server)
    for _ in range(3):
        speaker.synthesise(["Hello."], "en", 1.0)
    assert server.connections == 1


def test_a_connection_that_was_closed_meanwhile_is_opened_again(server: Server) -> None:
    speaker = engine(server)
    speaker.synthesise(["Hello."], "en", 1.0)
    server.misbehave("reset")
    assert heard_s(speaker.synthesise(["Hello."], "en", 1.0)) > 0.2


def test_a_proxy_in_the_environment_gets_nothing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert heard_s(engine(server).synthesise(["Hello."], "en", 1.0)) > 0.2


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    key, made = folder / "key.pem", folder / "made.pem"
    named = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    subprocess.run(["openssl", *request, *named, "-keyout", key, "-out", made], check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes(key.read_bytes() + made.read_bytes())
    return both


def test_over_tls_it_is_heard_and_the_deadline_holds(certificate: Path) -> None:
    with speech_server(KEY, certificate=certificate) as server:
        speaker = engine(server, ca_file=certificate)
        assert heard_s(speaker.synthesise(["Hello."], "en", 1.0)) > 0.2
        for way in ("drip headers", "drip", "hang"):
            server.misbehave(way)
            assert "it did not answer within 0.4 s" in refused(speaker, deadline_s=0.4)


def test_a_certificate_that_nobody_vouches_for_is_refused_before_the_key_is_sent(certificate: Path) -> None:
    with speech_server(KEY, certificate=certificate) as server:
        message = refused(engine(server))
        assert "its certificate is not trusted (self-signed certificate); check `ca_file` and `url`" in message
        assert server.requests == []


def test_a_file_of_certificates_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpeechError, match=r"none\.pem is not there: name the file"):
        SpeechServer(HttpVoice("https://127.0.0.1:1/x", "m", "v", ca_file=tmp_path / "none.pem"))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_whole_prompt_is_spoken_by_it_at_the_profiles_rate(server: Server, language: str) -> None:
    spoken = {"en": ("Your balance is", "one thousand two hundred yuan."), "zh": ("您前面还有", "三位。")}[language]
    voices = Voices({"en": engine(server), "zh": engine(server, voice="mei")})
    sentences = [Sentence(spoken)]
    usual = speak(voices, Sox(), sentences, language, SpokenProfile("standard"))
    slow = speak(voices, Sox(), sentences, language, SpokenProfile("slow", 0.7), quick=True)
    assert seconds(slow) - 0.1 == pytest.approx((seconds(usual) - 0.1) / 0.7, rel=0.015)
    assert not re.search("speed=None", str(server.requests))
