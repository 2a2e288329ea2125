"""A real server of the `/v1/audio/speech` interface for tests: it speaks by espeak-ng, and misbehaves when told to.

with speech_server(key="k") as server:
    voice = HttpVoice(server.url, server.model, "alice", key="k")
    server.misbehave("hang")          # the next request; several names, the next several
    ...
    server.requests                   # what it was asked
"""

from __future__ import annotations

import io
import json
import socket
import ssl
import subprocess
import threading
import wave
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# By name, the voice of espeak-ng and its words a minute at speed 1.
VOICES: Mapping[str, tuple[str, int]] = {"alice": ("en-us", 160), "mei": ("cmn-latn-pinyin", 180)}
HTML = b"<!DOCTYPE html>\n<html><title>502 Bad Gateway</title></html>"


@dataclass(slots=True)
class Asked:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass(slots=True)
class Server:
    url: str
    key: str | None
    model: str = "tts-1"
    requests: list[Asked] = field(default_factory=list)
    pending: deque[str] = field(default_factory=deque)
    always: str | None = None
    retry_after: str = "0"
    stopped: threading.Event = field(default_factory=threading.Event)
    connections: int = 0
    before_answering: Callable[[], object] = lambda: None

    def misbehave(self, *ways: str) -> None:
        """In each of the next requests, one of the ways of `_Handler`."""
        self.pending.extend(ways)


@contextmanager
def speech_server(key: str | None = None, *, certificate: Path | None = None) -> Iterator[Server]:
    """Serve on a free port until the block ends; over TLS with a file of certificate and key."""
    state = Server(url="", key=key)

    class Handler(_Handler):
        server_state = state

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hung up is what some tests are about."""

    httpd = Quiet(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    state.url = f"http{'s' if certificate else ''}://127.0.0.1:{httpd.server_address[1]}/v1/audio/speech"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.stopped.set()
        httpd.shutdown()
        httpd.server_close()
        thread.join(5)


def synthesised(text: str, voice: str, speed: float) -> bytes:
    """A whole WAV with right lengths."""
    name, words_per_minute = VOICES[voice]
    ssml = ["-m"] if text.startswith("<speak") else []
    rate = str(round(words_per_minute * speed))
    spoken = subprocess.run(
        ["espeak-ng", "-b", "1", "-z", *ssml, "-v", name, "-s", rate, "--stdin", "--stdout"],
        input=text.encode(),
        capture_output=True,
        check=True,
    ).stdout
    return whole_wav(spoken[44:], 22_050)


def whole_wav(samples: bytes, rate_hz: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(rate_hz)
        wav.writeframes(samples)
    return file.getvalue()


class _Handler(BaseHTTPRequestHandler):
    server_state: Server
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.server_state.connections += 1

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Not into the tests' output."""

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        raw = self.rfile.read(length)
        body = json.loads(raw)
        state = self.server_state
        state.requests.append(Asked(self.path, dict(self.headers), body))
        state.before_answering()
        way = state.pending.popleft() if state.pending else state.always
        if way is not None:
            self._ways()[way](body)
            return
        self._serve(body)

    def _serve(self, body: dict[str, Any]) -> None:  # noqa: PLR0911 - one for each answer
        state = self.server_state
        if not self.path.startswith("/v1/audio/speech"):
            return self._error(404, "no such page")
        if state.key is not None and self.headers.get("Authorization") != f"Bearer {state.key}":
            return self._error(401, f"Incorrect API key provided: {self.headers.get('Authorization')}")
        if body.get("model") != state.model:
            return self._error(404, f"The model '{body.get('model')}' does not exist")
        if body.get("voice") not in VOICES:
            return self._error(400, f"Voice '{body.get('voice')}' not found. Available voices: {', '.join(VOICES)}")
        speed = body.get("speed", 1.0)
        if not 0.25 <= speed <= 4.0:
            return self._error(400, "speed must be between 0.25 and 4.0")
        sound = synthesised(body["input"], body["voice"], speed)
        match body.get("response_format", "mp3"):
            case "wav":
                return self._answer(200, sound, "audio/wav")
            case "pcm":
                return self._answer(200, sound[44:], "audio/pcm")
            case other:
                return self._error(400, f"no format {other}")

    def _answer(self, status: int, content: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def _error(self, status: int, message: str, **headers: str) -> None:
        content = json.dumps({"error": {"message": message, "type": "invalid_request_error"}}).encode()
        self._answer(status, content, "application/json", **headers)

    def _ways(self) -> dict[str, Callable[[dict[str, Any]], None]]:
        """Every way to misbehave."""
        state = self.server_state

        def sound(body: dict[str, Any]) -> bytes:
            return synthesised(body["input"], "alice", 1.0)

        return {
            "429": lambda _: self._error(429, "Rate limit reached", Retry_After=state.retry_after),
            "500": lambda _: self._error(500, "out of memory"),
            "503": lambda _: self._answer(503, HTML, "text/html", Retry_After=state.retry_after),
            "400": lambda _: self._error(400, "input is too long"),
            "hang": lambda _: self._wait(),
            "drip": self._drip,
            "drip headers": lambda _: self._drip_headers(),
            "reset": lambda _: self._reset(),
            "garbage": lambda _: self._answer(200, bytes(range(256)) * 40, "audio/wav"),
            "html": lambda _: self._answer(200, HTML, "text/html"),
            "html as wav": lambda _: self._answer(200, HTML, "audio/wav"),
            "html as pcm": lambda _: self._answer(200, HTML, "text/html"),
            "json": lambda _: self._answer(200, b'{"detail": "busy"}', "application/json"),
            "key as wav": lambda _: self._answer(200, f"Wrong key: {state.key}".encode(), "audio/wav"),
            "key as status": lambda _: self._echo(),
            "empty": lambda _: self._answer(200, b"", "audio/wav"),
            "half": lambda body: self._answer(200, sound(body)[:4001], "audio/wav"),
            "cut": lambda body: self._cut(sound(body)),
            "cut chunked": lambda body: self._cut_chunked(sound(body)),
            "endless": lambda _: self._endless(),
            "redirect": lambda _: self._answer(307, b"", "text/plain", Location=f"{state.url}?elsewhere"),
        }

    def _wait(self) -> None:
        state = self.server_state
        state.stopped.wait(30)
        self.close_connection = True

    def _drip(self, body: dict[str, Any]) -> None:
        """A byte now and then, so that no timeout between two bytes is ever reached."""
        content = synthesised(body["input"], "alice", 1.0)
        self.send_response(200)
        self.send_header("Content-Type", "audio/wav")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self._slowly(content)

    def _drip_headers(self) -> None:
        self._slowly(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 10_000)

    def _slowly(self, content: bytes) -> None:
        self.close_connection = True
        with suppress(OSError):
            for at in range(len(content)):
                self.wfile.write(content[at : at + 1])
                self.wfile.flush()
                if self.server_state.stopped.wait(0.01):
                    return

    def _echo(self) -> None:
        self.close_connection = True
        self.wfile.write(f"Authorization: Bearer {self.server_state.key}\r\n\r\n".encode())

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _cut(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "audio/wav")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.close_connection = True

    def _cut_chunked(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "audio/wav")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        half = content[: len(content) // 2]
        self.wfile.write(f"{len(half):x}\r\n".encode() + half + b"\r\n")
        self.close_connection = True

    def _endless(self) -> None:
        """A right beginning, and then sound without end."""
        self.close_connection = True
        with suppress(OSError):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nConnection: close\r\n\r\n")
            self.wfile.write(whole_wav(b"", 22_050)[:40] + b"\xff\xff\xff\xff")
            while not self.server_state.stopped.is_set():
                self.wfile.write(bytes(65_536))
