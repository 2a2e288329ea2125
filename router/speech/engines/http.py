"""A server with the `/v1/audio/speech` interface as an engine.

The request is JSON (`model`, `input`, `voice`, `speed` from 0.25 to 4.0, `response_format`), the answer is sound:
https://platform.openai.com/docs/api-reference/audio/createSpeech, which many servers that run on one's own
machine speak too. With `ssml`, `input` is SSML, and the speed is in it.

Redirects are not followed: the key is for the server that the settings name.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from urllib3 import BaseHTTPResponse, Timeout
from urllib3.exceptions import HTTPError

from router.errors import SpeechError
from router.speech.engines.answers import advice, is_worth_asking_again, said_in, wait_s
from router.speech.engines.cutting import connections, cut_after
from router.speech.engines.ssml import ssml_of
from router.speech.engines.text import plain
from router.speech.engines.wav import checked_wav, wav_of_raw
from router.speech.programs import MOST_BYTES
from router.speech.settings import HttpVoice

# What the interface lets `speed` be.
SLOWEST_SPEED: Final = 0.25
FASTEST_SPEED: Final = 4.0
# For building prompts; a model on a slow machine takes seconds for a sentence. Calls set their own.
USUAL_DEADLINE_S: Final = 60.0
_MOST_ATTEMPTS: Final = 4
_LONGEST_CONNECT_S: Final = 3.0
_MOST_COMPLAINT_BYTES: Final = 8192
_CHUNK_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    content: bytes
    is_sound: bool  # as far as its Content-Type tells
    retry_after: str | None


class SpeechServer:
    """One voice of one server.

    Raises:
        SpeechError: the key cannot be sent, or the file of certificates cannot be read.
    """

    # Waiting for another machine costs this one nothing.
    side_by_side = 4

    def __init__(self, voice: HttpVoice) -> None:
        self.native_rate = voice.native_rate
        self.takes_pauses = voice.ssml
        self._voice = voice
        url = urlsplit(voice.url)
        self._server = f"{url.scheme}://{url.netloc.rpartition('@')[2]}"
        self._target = f"{url.path or '/'}?{url.query}" if url.query else url.path or "/"
        self._headers = {"Content-Type": "application/json", "Accept": "audio/*", "User-Agent": "elder-router"}
        if voice.key is not None:
            if not (voice.key.isascii() and voice.key.isprintable()):
                raise SpeechError(f"the key for {self._server} holds characters that no key has: write it anew")
            self._headers["Authorization"] = f"Bearer {voice.key}"
        if voice.ca_file is not None and not voice.ca_file.is_file():
            raise SpeechError(f"{voice.ca_file} is not there: name the file with the server's certificates")
        ca_file = str(voice.ca_file) if voice.ca_file else None
        self._connections = connections(url.scheme, url.hostname or "", url.port, ca_file)

    def identity(self, language: str) -> str:
        """See `Engine.identity`. Where the server is, and its key, change nothing about how it sounds."""
        voice = self._voice
        raw = f" {voice.raw_rate_hz}" if voice.format == "pcm" else ""
        how = f"{' ssml' if voice.ssml else ''}{'' if voice.native_rate else ' stretched'}"
        return f"speech-server {voice.model} {voice.voice} {voice.format}{raw}{how} {language}"

    def synthesise(
        self,
        phrases: Sequence[str],
        language: str,
        rate: float,
        pause_s: float = 0.0,
        *,
        deadline_s: float | None = None,
    ) -> bytes:
        """See `Engine.synthesise`; `speed` is met as well as the server meets it."""
        body: dict[str, object] = {
            "model": self._voice.model,
            "input": ssml_of(phrases, rate, pause_s) if self._voice.ssml else plain(" ".join(phrases)),
            "voice": self._voice.voice,
            "response_format": self._voice.format,
        }
        if self._voice.native_rate and not self._voice.ssml:
            body["speed"] = round(min(max(rate, SLOWEST_SPEED), FASTEST_SPEED), 4)
        try:
            answer = self._asked(json.dumps(body).encode(), USUAL_DEADLINE_S if deadline_s is None else deadline_s)
            return self._sound(answer)
        except SpeechError as error:
            raise SpeechError(
                f"the voice {self._voice.voice} of {self._server} could not speak {language}: {error}"
            ) from error

    def _asked(self, body: bytes, deadline_s: float) -> _Answer:
        """Ask until there is an answer worth having, or it is too late."""
        ends_at = time.monotonic() + deadline_s
        for attempt in range(1, _MOST_ATTEMPTS + 1):
            retry_after = None
            try:
                answer = self._once(body, ends_at)
            except (HTTPError, OSError) as error:
                problem, again = _lost(error, self._voice.key)
            else:
                if answer.status == HTTPStatus.OK and time.monotonic() < ends_at:
                    return answer
                problem, again = self._refusal(answer), is_worth_asking_again(answer.status)
                retry_after = answer.retry_after
            # Whatever came after that came of cutting the connection: to http.client, headers that were cut off are
            # the headers of an empty answer.
            if time.monotonic() >= ends_at:
                break
            if not again or attempt == _MOST_ATTEMPTS:
                raise SpeechError(problem)
            pause_s = wait_s(attempt, retry_after)
            if time.monotonic() + pause_s >= ends_at:
                raise SpeechError(f"{problem} (asking again in {pause_s:.1f} s would be too late)")
            time.sleep(pause_s)
        raise SpeechError(f"it did not answer within {deadline_s:.3g} s")

    def _once(self, body: bytes, ends_at: float) -> _Answer:
        left_s = max(ends_at - time.monotonic(), 0.001)
        response = self._connections.urlopen(
            "POST",
            self._target,
            body=body,
            headers=self._headers,
            timeout=Timeout(connect=min(_LONGEST_CONNECT_S, left_s), read=left_s),
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
        try:
            with cut_after(max(ends_at - time.monotonic(), 0.001), response.shutdown):
                return _read(response)
        except BaseException:
            response.close()
            raise
        finally:
            response.release_conn()

    def _refusal(self, answer: _Answer) -> str:
        said = said_in(answer.content, self._voice.key)
        what = f"it answered {answer.status}{f': {said}' if said else ''}"
        return f"{what}; {advice(answer.status)} (model {self._voice.model})"

    def _sound(self, answer: _Answer) -> bytes:
        if not answer.is_sound:
            raise SpeechError(f"it gave no sound but said: {said_in(answer.content, self._voice.key)}")
        if self._voice.format == "pcm":
            return wav_of_raw(answer.content, self._voice.raw_rate_hz)
        content = answer.content
        if self._voice.key and not content.startswith(b"RIFF"):
            # It will be shown as no WAV, and may repeat the key like any complaint.
            content = content.replace(self._voice.key.encode(), b"<secret>")
        return checked_wav(content)


def _read(response: BaseHTTPResponse) -> _Answer:
    is_refused = response.status != HTTPStatus.OK
    most_bytes = _MOST_COMPLAINT_BYTES if is_refused else MOST_BYTES
    content = bytearray()
    for chunk in response.stream(_CHUNK_BYTES, decode_content=False):
        content += chunk
        if len(content) > most_bytes:
            response.close()
            if not is_refused:
                raise SpeechError(f"it sent more than {MOST_BYTES // 1024} KiB: that is no sound")
            break
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    is_sound = not kind.startswith("text/") and not kind.endswith(("json", "xml"))
    return _Answer(response.status, bytes(content), is_sound, response.headers.get("Retry-After"))


def _lost(error: Exception, secret: str | None) -> tuple[str, bool]:
    """A lost connection in few words, without urllib3's names of objects; and whether another may be better.

    http.client shows what came in place of an answer, in which `secret` may be.
    """
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({cause.verify_message}); check `ca_file` and `url`", False
    said = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    shown = said_in(said.encode(), secret)[:120]
    return f"the connection failed ({shown}); check `url`, and that the server runs", True
