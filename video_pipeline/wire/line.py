"""A line to one vendor: a question goes to its own hosts only, and comes to an answer or an error in a bounded time.

`Line` is for the event loop; `BlockingLine` is the same for plain code.
"""

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

import httpx

from video_pipeline.errors import VendorError
from video_pipeline.wire.answer import Answer
from video_pipeline.wire.text import Secrets, clean
from video_pipeline.wire.unpacking import Unpacker
from video_pipeline.wire.waiting import told_while_it_lasts

_T = TypeVar("_T")
_CONNECT_S = 10.0
_CHUNK_BYTES = 1024 * 1024
# So many questions are out at a time, the others wait for their turn: what a connection pool does for a question
# takes as long as there are connections and questions in it.
AT_ONCE = 32
# It logs each request's address and the other side's own words, before anything is cleaned or redacted.
logging.getLogger("httpx").setLevel(logging.WARNING)


class NotSent(VendorError):
    """The question has surely not reached the other side."""


class Unsendable(NotSent):
    """The question cannot be sent by anybody: its address or a header of it holds what neither may hold."""


class Stranger(NotSent):
    """The address is on a host that is not the vendor's; nothing was sent there."""


class NoAnswer(VendorError):
    """The question may have arrived, and no answer came back: nobody can tell what it did."""


@dataclass(frozen=True)
class Bounds:
    """How long a question and its answer may take together, in seconds, and how large the unpacked body may be.

    As JSON, it may hold `max_values` values.
    """

    total_s: float = 60.0
    max_bytes: int = 1024 * 1024
    max_values: int = 10_000


@dataclass(frozen=True)
class FilePart:
    """The bytes of the file at `path` from byte `first` on, for an upload that goes on where it broke off."""

    path: Path
    first: int = 0


class _Question(TypedDict, total=False):
    """What may go with a question; `Line.ask` says what each is."""

    headers: Mapping[str, str] | None
    params: Mapping[str, str | list[str]] | None
    json: Any
    data: Mapping[str, str] | None
    content: bytes | Path | FilePart | None
    bounds: Bounds
    before: Callable[[], None] | None


class Line:
    """Asks one vendor.

    `origins` are its own hosts, such as `https://api.example` or `https://*.example`. `secrets` are redacted from
    whatever it says. No redirect is followed, and no cookie, proxy or .netrc has a part in it.
    """

    def __init__(
        self,
        name: str,
        *,
        origins: Iterable[str],
        secrets: Iterable[str] = (),
        client: httpx.AsyncClient | None = None,
    ) -> None:
        self.name = name
        self.secrets = Secrets(secrets)
        self._origins = tuple(origin for origin in map(_origin, origins) if origin is not None)
        self._client = client
        self._gate = asyncio.Semaphore(AT_ONCE)

    def is_ours(self, url: str) -> bool:
        """Whether an address is on one of the vendor's own hosts."""
        asked = _origin(url)
        return asked is not None and any(_within(asked, own) for own in self._origins)

    async def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str | list[str]] | None = None,
        json: Any = None,
        data: Mapping[str, str] | None = None,
        content: bytes | Path | FilePart | None = None,
        bounds: Bounds = Bounds(),
        before: Callable[[], None] | None = None,
    ) -> Answer:
        """One question, sent once. A file as `content`, or a part of one, is streamed.

        `before` is called in the last moment before the request's bytes go out; what it raises, nothing was sent.
        Raises NotSent (Unsendable, Stranger) or NoAnswer.
        """
        if not self.is_ours(url):
            raise Stranger(f"{self.name} gave an address on another host: {clean(self.secrets.redacted(url), 200)}")
        begun = sent = False

        async def trace(event: str, info: Any) -> None:
            nonlocal begun, sent
            if event == "http11.send_request_headers.started":
                if before is not None:
                    before()
                begun = True
            elif event == "http11.send_request_headers.complete":
                sent = True

        # Whatever unpacks is unpacked here, within the bounds.
        own = {"Accept-Encoding": "identity"}
        if isinstance(content, Path):
            content = FilePart(content)
        if isinstance(content, FilePart):
            own["Content-Length"] = str(content.path.stat().st_size - content.first)
        if self._client is None:
            self._client = httpx.AsyncClient(trust_env=False)
        try:
            request = self._client.build_request(
                method,
                url,
                headers=own | dict(headers or {}),
                params=params,
                json=json,
                data=data,
                content=_chunks(content) if isinstance(content, FilePart) else content,
                timeout=httpx.Timeout(bounds.total_s, connect=min(_CONNECT_S, bounds.total_s)),
                extensions={"trace": trace},
            )
        except (httpx.InvalidURL, ValueError, TypeError):
            raise Unsendable(f"what would be sent to {self.name} cannot be written as a request") from None
        try:
            # Its time begins with its turn.
            async with self._gate:
                with told_while_it_lasts(f"A call to {self.name}", bounds.total_s):
                    async with asyncio.timeout(bounds.total_s) as deadline:
                        response = await self._client.send(request, stream=True, follow_redirects=False)
                        try:
                            return await self._answer(response, bounds, deadline)
                        finally:
                            await response.aclose()
        except (httpx.LocalProtocolError, httpx.UnsupportedProtocol):
            if sent:
                raise NoAnswer(f"the request to {self.name} broke off") from None
            raise Unsendable(f"what would be sent to {self.name} cannot be written as a request") from None
        except (httpx.TransportError, httpx.InvalidURL, ValueError, TimeoutError, OSError) as error:
            # An address of a redirect is read although it is not followed, and may be none.
            # Without the cause: its words may hold what the other side has said.
            if begun:
                raise NoAnswer(f"no answer came from {self.name} ({_kind(error)})") from None
            raise NotSent(f"{self.name} could not be reached ({_kind(error)})") from None

    async def _answer(self, response: httpx.Response, bounds: Bounds, deadline: asyncio.Timeout) -> Answer:
        """The whole of an answer whose head has arrived; damaged when its body does not arrive within the bounds."""
        body, damage = bytearray(), ""
        loop = asyncio.get_running_loop()
        until = deadline.when()
        left_s = bounds.total_s if until is None else max(0.0, until - loop.time())
        # From here on there is an answer, so that a body that does not end is damage and no error.
        deadline.reschedule(None)
        try:
            async with asyncio.timeout(left_s):
                unpacker = Unpacker(response.headers.get("Content-Encoding", ""))
                async for chunk in response.aiter_raw():
                    for piece in unpacker.unpacked(chunk):
                        body += piece
                        if len(body) > bounds.max_bytes:
                            raise ValueError(f"it is larger than {bounds.max_bytes:,} bytes")
                unpacker.check_end()
        except ValueError as error:
            damage = str(error)
        except (httpx.TransportError, TimeoutError, OSError) as error:
            damage = f"it broke off ({_kind(error)})"
        headers = {name.lower(): value for name, value in response.headers.items()}
        kept = bytes(memoryview(body)[: bounds.max_bytes])
        return Answer(response.status_code, headers, kept, damage, self.secrets, bounds.max_values)


class BlockingLine:
    """A `Line` for code that blocks; the same arguments, answers and errors."""

    def __init__(
        self,
        name: str,
        *,
        origins: Iterable[str],
        secrets: Iterable[str] = (),
        client: httpx.AsyncClient | None = None,
    ) -> None:
        self._line = Line(name, origins=origins, secrets=secrets, client=client)

    @property
    def secrets(self) -> Secrets:
        return self._line.secrets

    def is_ours(self, url: str) -> bool:
        """Whether an address is on one of the vendor's own hosts."""
        return self._line.is_ours(url)

    def ask(self, method: str, url: str, **question: Unpack[_Question]) -> Answer:
        """See `Line.ask`. Raises NotSent (Unsendable, Stranger) or NoAnswer."""
        return _wait(self._line.ask(method, url, **question))


def _wait(work: Coroutine[Any, Any, _T]) -> _T:
    """What `work` comes to, in an event loop of its own thread: only there is every wait bounded by one deadline."""
    future = asyncio.run_coroutine_threadsafe(work, _loop(os.getpid()))
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


@lru_cache(maxsize=1)
def _loop(pid: int) -> asyncio.AbstractEventLoop:
    """The loop of this process; one that was forked off has none of its parent's threads."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="lines", daemon=True).start()
    return loop


async def _chunks(part: FilePart) -> AsyncIterator[bytes]:
    with part.path.open("rb") as file:
        file.seek(part.first)
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk


@dataclass(frozen=True)
class _Origin:
    scheme: str
    host: str
    port: int


def _origin(url: str) -> _Origin | None:
    """Scheme, host and port of an address; None when it has not got them, or names a user."""
    try:
        parsed = httpx.URL(url)
        if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo:
            return None
        return _Origin(parsed.scheme, parsed.host.lower(), parsed.port or {"http": 80, "https": 443}[parsed.scheme])
    except (httpx.InvalidURL, ValueError, TypeError):
        return None


def _within(asked: _Origin, own: _Origin) -> bool:
    if (asked.scheme, asked.port) != (own.scheme, own.port):
        return False
    return asked.host.endswith(own.host[1:]) if own.host.startswith("*.") else asked.host == own.host


def _kind(error: BaseException) -> str:
    return "time-out" if isinstance(error, TimeoutError | httpx.TimeoutException) else type(error).__name__
