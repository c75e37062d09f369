"""fal's queue API with nothing behind it: every job takes the same time and ends with the same prepared file.

A process of its own for `benchmarks.engine`, so cheap that it is not what is measured. It prints its address and
serves until its standard input ends. `GET /counts` tells how often each kind of question was asked since
the last `POST /counts`. `benchmarks.priced_stand_in` makes a shop of it.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path

_HEAD_END = b"\r\n\r\n"
_KINDS = ("submit", "status", "result", "media", "history")


class StandIn:
    """What all connections share; `render_s` is how long a job takes from its submit on."""

    def __init__(self, film: bytes, render_s: float) -> None:
        self.film = film
        self.render_s = render_s
        self.base_url = ""
        self.ends: dict[str, float] = {}
        self.counts = Counter[str]()

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, str, bytes]:
        """Status, content type and body of the answer to a question with a path and a `body`."""
        path = path.partition("?")[0]
        if path == "/counts":
            if method == "POST":
                self.counts.clear()
            return as_json(200, {kind: self.counts[kind] for kind in _KINDS})
        if path.startswith("/media/"):
            self.counts["media"] += 1
            return self.media(path.removeprefix("/media/").partition(".")[0])
        if path.startswith("/fal-api/"):
            self.counts["history"] += 1
            return as_json(200, {"items": [], "has_more": False, "next_cursor": None})
        if method == "POST":
            return self._submitted(path.removeprefix("/fal-queue/"), body)
        request_id = path.partition("/requests/")[2].partition("/")[0]
        ends = self.ends.get(request_id)
        if ends is None:
            return as_json(404, {"detail": "Not found"})
        if path.endswith("/status"):
            self.counts["status"] += 1
            over = time.monotonic() >= ends
            return as_json(200 if over else 202, {"status": "COMPLETED" if over else "IN_PROGRESS"})
        self.counts["result"] += 1
        return self.result(request_id)

    def accept(self, request_id: str, endpoint: str, body: bytes) -> None:
        """A request has come in; `body` is its JSON."""

    def result(self, request_id: str) -> tuple[int, str, bytes]:
        """What an ended request is answered with."""
        file = {"url": f"{self.base_url}/media/{request_id}.mp4", "file_size": len(self.film)}
        return as_json(200, {"video": file, "seed": 1})

    def media(self, request_id: str) -> tuple[int, str, bytes]:
        """The file that was made for a request."""
        return 200, "video/mp4", self.film

    def _submitted(self, endpoint: str, body: bytes) -> tuple[int, str, bytes]:
        self.counts["submit"] += 1
        request_id = f"request-{len(self.ends)}"
        self.ends[request_id] = time.monotonic() + self.render_s
        self.accept(request_id, endpoint, body)
        owner, alias = endpoint.split("/")[:2]
        base = f"{self.base_url}/fal-queue/{owner}/{alias}/requests/{request_id}"
        urls = {"status_url": f"{base}/status", "response_url": base, "cancel_url": f"{base}/cancel"}
        return as_json(200, {"request_id": request_id, **urls})


class _Connection(asyncio.Protocol):
    def __init__(self, shop: StandIn) -> None:
        self._shop = shop
        self._read = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (end := self._read.find(_HEAD_END)) >= 0:
            head = self._read[:end].decode("latin-1")
            lengths = [
                line.split(":")[1] for line in head.lower().split("\r\n") if line.startswith("content-length:")
            ]
            whole = end + len(_HEAD_END) + (int(lengths[0]) if lengths else 0)
            if len(self._read) < whole:
                return
            asked, self._read = self._read[end + len(_HEAD_END) : whole], self._read[whole:]
            method, path, _ = head.split(" ", 2)
            status, kind, body = self._shop.answer(method, path, asked)
            start = f"HTTP/1.1 {status} OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
            assert self._transport is not None
            self._transport.write(start.encode() + body)


def as_json(status: int, document: object) -> tuple[int, str, bytes]:
    """An answer that holds a document."""
    return status, "application/json", json.dumps(document).encode()


async def listen(shop: StandIn) -> asyncio.Server:
    """Open the shop on an address of its own."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(shop), "127.0.0.1", 0, backlog=4096)
    shop.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    return server


async def serve(shop: StandIn) -> None:
    await listen(shop)
    print(shop.base_url, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(StandIn(Path(sys.argv[1]).read_bytes(), float(sys.argv[2]))))
