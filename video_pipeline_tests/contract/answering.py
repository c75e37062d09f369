"""A server that gives fixed answers and keeps what it was asked: for answers nobody documents."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answering:
    """`asked` holds (method, path, Authorization header) of every request; `body` is what it answers from now on."""

    base_url: str
    body: bytes
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)


@contextmanager
def answering(
    status: int,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    by_method: Mapping[str, tuple[int, bytes]] | None = None,
) -> Iterator[Answering]:
    """A server on a free port of the loopback; headers that are given replace the usual ones.

    Methods in `by_method` have a status and a body of their own.
    """
    usual = {"Content-Type": "application/json"} | dict(headers or {})

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            record.asked.append((self.command, self.path, self.headers.get("Authorization")))
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            code, content = (by_method or {}).get(self.command, (status, record.body))
            self.send_response(code)
            for name, value in ({"Content-Length": str(len(content))} | usual).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = True

        do_GET = do_POST = do_PUT = do_DELETE = _answer

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    record = Answering(f"http://127.0.0.1:{server.server_port}", body)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield record
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
