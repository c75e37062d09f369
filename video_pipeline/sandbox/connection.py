"""Answers that ASGI has no means for: a connection that is cut, a body that stops early, a slow body."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_open_transports: dict[tuple[str, int], asyncio.Transport] = {}
_CHUNK_BYTES = 64 * 1024


class CuttableProtocol(H11Protocol):
    """uvicorn's HTTP protocol, which also lets a handler reach its transport, to cut it."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        _open_transports[transport.get_extra_info("peername")[:2]] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        _open_transports.pop(self.transport.get_extra_info("peername")[:2], None)
        super().connection_lost(exc)


def _transport(scope: Scope) -> asyncio.Transport:
    return _open_transports[tuple(scope["client"])]


class Hangup:
    """An ASGI response that cuts the connection without an answer."""

    def __init__(self, request: Request) -> None:
        self._request = request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _transport(scope).abort()
        while not await self._request.is_disconnected():
            await asyncio.sleep(0.001)


class FileBody:
    """An ASGI response with a file's bytes: whole, or cut after a share of them, or spread over some seconds."""

    def __init__(
        self, path: Path, media_type: str, *, sent_share: float = 1.0, duration_s: float = 0.0, head: bool = False
    ) -> None:
        self._path, self._media_type, self._head = path, media_type, head
        self._sent_share, self._duration_s = sent_share, duration_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = self._path.stat().st_size
        headers = [(b"content-type", self._media_type.encode()), (b"content-length", str(size).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if self._head:
            await send({"type": "http.response.body", "body": b""})
            return
        limit = int(size * self._sent_share)
        async for chunk in self._chunks(limit):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if limit < size:
            _transport(scope).close()  # Flushes what was written, then closes: the client misses the rest.
            return
        await send({"type": "http.response.body", "body": b""})

    async def _chunks(self, limit: int) -> AsyncIterator[bytes]:
        step = max(1, limit // 16) if self._duration_s else _CHUNK_BYTES
        with self._path.open("rb") as file:
            position = 0
            while position < limit:
                chunk = file.read(min(step, limit - position))
                position += len(chunk)
                yield chunk
                if self._duration_s:
                    await asyncio.sleep(self._duration_s / 16)
