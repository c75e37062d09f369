"""A real HTTP server on loopback that stands where Slack and Discord would."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

SECRET_PATH = "/services/T0SECRETTEAM/B0SECRETBOT/verysecrettoken"


@dataclass
class Receiver:
    """Answers with `answers` in turn (status, headers, body), then with 200; keeps what it was sent.

    While `open` is not set it takes messages, sets `has_one`, and says nothing.
    """

    url: str = ""
    answers: list[tuple[int, dict[str, str], str]] = field(default_factory=list)
    payloads: list[dict[str, Any]] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)
    has_one: threading.Event = field(default_factory=threading.Event)

    @property
    def titles(self) -> list[str]:
        """The titles of what it was sent, as Discord embeds or Slack headers have them."""
        return [
            payload["embeds"][0]["title"] if "embeds" in payload else payload["blocks"][0]["text"]["text"][2:]
            for payload in self.payloads
        ]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    received = Receiver()
    received.open.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.payloads.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            received.has_one.set()
            received.open.wait()
            status, headers, body = received.answers.pop(0) if received.answers else (200, {}, "ok")
            try:
                self._answer(status, headers, body)
            except BrokenPipeError:
                """Whoever asked has gone."""

        def _answer(self, status: int, headers: dict[str, str], body: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    received.url = f"http://127.0.0.1:{server.server_port}{SECRET_PATH}"
    yield received
    received.open.set()
    server.shutdown()
    server.server_close()
    thread.join()
