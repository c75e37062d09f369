"""A proxy on real sockets between our adapters and the sandbox: it records calls, and answers some of them itself.

What it answers itself goes out as raw bytes, so that an answer may be as wrong as it likes.
"""

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from http.client import HTTPConnection, HTTPException
from urllib.parse import parse_qs, urlsplit


class Call(StrEnum):
    """What is asked for, whoever sells it."""

    SUBMIT = "submit"
    STATUS = "status"
    RESULT = "result"
    CANCEL = "cancel"
    HISTORY = "history"
    PRICES = "prices"
    BILLING = "billing"
    DOWNLOAD = "download"
    TOKEN = "token"
    OPEN = "open"
    SEND = "send"
    ASK = "ask"
    LIMIT = "limit"
    PUBLISH = "publish"
    LATEST = "latest"
    METRICS = "metrics"
    ANALYTICS = "analytics"
    OTHER = "other"


@dataclass(frozen=True)
class Reply:
    """An answer of the sandbox, whose addresses lead through the proxy."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def raw(self) -> bytes:
        head = [f"HTTP/1.1 {self.status} OK", *(f"{name}: {value}" for name, value in self.headers)]
        head += [f"Content-Length: {len(self.body)}", "Connection: close", "", ""]
        return "\r\n".join(head).encode("latin-1") + self.body


@dataclass(frozen=True)
class Asked:
    """One call as it came. `reply` is the sandbox's answer, None where it was not passed on.

    `head` is the request as it was sent, up to its body; `subject` the words of the clip that it is about, if any.
    """

    call: Call
    method: str
    target: str
    head: bytes
    headers: Mapping[str, str]
    body: bytes
    subject: str
    reply: Reply | None = None


Pieces = Iterable[bytes | float]
"""What goes out in the place of an answer: bytes, and pauses in seconds; the connection is closed after the last."""

Answering = Callable[[Asked], Pieces]


@dataclass
class Rule:
    """Give `answer` to a call: `times` times, or always with None; only to calls about `subject`, when it is given.

    Only to one, too, in whose address or body `within` stands.
    With `passed_on` the sandbox gets the call all the same, so that what it asks for happens.
    """

    call: Call
    answer: Answering
    times: int | None = 1
    passed_on: bool = False
    subject: str = ""
    within: str = ""
    used: int = 0

    def covers(self, asked: Asked) -> bool:
        about = not asked.subject or self.subject in asked.subject
        about = about and (self.within in asked.target or self.within.encode() in asked.body)
        return self.call is asked.call and about and (self.times is None or self.used < self.times)


@dataclass(frozen=True)
class Entry:
    """One line of the record."""

    call: Call
    at: float
    to: str
    authorization: str
    subject: str
    wild: bool


@dataclass
class Proxy:
    """Stands before the server at `origin`; give its `base_url` to the adapters in the place of that one."""

    base_url: str
    origin: str
    record: list[Entry] = field(default_factory=list)
    _rules: list[Rule] = field(default_factory=list)
    _subjects: dict[str, str] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def under(self, *rules: Rule) -> Iterator[None]:
        """The rules hold within the block; the first that covers a call is the one that is used."""
        with self._lock:
            self._rules = [*rules]
        try:
            yield
        finally:
            with self._lock:
                self._rules = []

    def count(self, call: Call, subject: str = "") -> int:
        """How many such calls about `subject` have come."""
        return sum(entry.call is call and subject in entry.subject for entry in list(self.record))

    def serve(self, connection: socket.socket) -> None:
        """Answer the one request of a connection."""
        with connection, suppress(OSError):
            asked = self._read(connection)
            if asked is None:
                return
            rule = self._rule(asked)
            self.record.append(
                Entry(
                    asked.call,
                    time.monotonic(),
                    asked.headers.get("host", ""),
                    asked.headers.get("authorization", ""),
                    asked.subject,
                    rule is not None,
                )
            )
            if rule is None or rule.passed_on:
                asked = self._passed_on(asked)
            if rule is None:
                connection.sendall(asked.reply.raw() if asked.reply else b"")
                return
            for piece in rule.answer(asked):
                if isinstance(piece, bytes):
                    connection.sendall(piece)
                elif self._pause(connection, piece):
                    return

    def end(self) -> None:
        """Wake whatever waits in the middle of an answer."""
        self._ended.set()

    def _pause(self, connection: socket.socket, seconds: float) -> bool:
        """Wait; whether the other side, or the proxy, has given up in the meantime."""
        until = time.monotonic() + seconds
        connection.settimeout(0.02)
        try:
            while (left_s := until - time.monotonic()) > 0:
                if self._ended.wait(0) or self._gone(connection, min(left_s, 0.02)):
                    return True
            return False
        finally:
            connection.settimeout(None)

    @staticmethod
    def _gone(connection: socket.socket, within_s: float) -> bool:
        connection.settimeout(within_s)
        try:
            return not connection.recv(1)
        except TimeoutError:
            return False

    def _rule(self, asked: Asked) -> Rule | None:
        with self._lock:
            rule = next((rule for rule in self._rules if rule.covers(asked)), None)
            if rule is not None:
                rule.used += 1
            return rule

    # --- the request ---------------------------------------------------------------------------------------------

    def _read(self, connection: socket.socket) -> Asked | None:
        data = b""
        while b"\r\n\r\n" not in data:
            received = connection.recv(65_536)
            if not received:
                return None
            data += received
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        pieces, held = [body], len(body)
        while held < length:
            received = connection.recv(1_048_576)
            if not received:
                return None
            pieces.append(received)
            held += len(received)
        body = b"".join(pieces)
        call = _call(method, target, headers)
        return Asked(call, method, target, head, headers, body, self._subject(call, target, body))

    def _subject(self, call: Call, target: str, body: bytes) -> str:
        if call is Call.SUBMIT:
            bought = json.loads(body)
            bought = bought.get("input", bought)
            return next((str(bought[name]) for name in ("prompt", "promptText", "text") if name in bought), "")
        if call is Call.OPEN:
            if body.startswith(b"{"):
                return str(json.loads(body)["snippet"]["title"])
            return parse_qs(body.decode())["caption"][0].split("\n")[0]
        found = _ID.search(body.decode() if call is Call.PUBLISH else target)
        return self._subjects.get(found["id"], "") if found else ""

    # --- the sandbox ---------------------------------------------------------------------------------------------

    def _passed_on(self, asked: Asked) -> Asked:
        """The call with the sandbox's answer to it; without one where the sandbox gave none."""
        theirs, ours = urlsplit(self.origin).netloc, urlsplit(self.base_url).netloc
        upstream = HTTPConnection(theirs, timeout=30)
        try:
            headers = {
                name: value.replace(ours, theirs)
                for name, value in asked.headers.items()
                if name not in ("content-length", "connection", "transfer-encoding")
            }
            body = asked.body.replace(ours.encode(), theirs.encode())
            upstream.request(asked.method, asked.target, body=body or None, headers=headers)
            response = upstream.getresponse()
            content = response.read()
        except (OSError, HTTPException):
            return asked
        finally:
            upstream.close()
        if "video" not in response.headers.get("Content-Type", ""):
            content = content.replace(theirs.encode(), ours.encode())
        kept = tuple(
            (name, value.replace(theirs, ours))
            for name, value in response.getheaders()
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "keep-alive")
        )
        self._remember(asked, content, {name.lower(): value for name, value in kept})
        return replace(asked, reply=Reply(response.status, kept, content))

    def _remember(self, asked: Asked, content: bytes, headers: Mapping[str, str]) -> None:
        """Whose request or session it is that the sandbox has just given a number."""
        if asked.call is Call.SUBMIT:
            with suppress(ValueError):
                told = json.loads(content)
                told = told.get("output") or told.get("data") or told
                ids = ("task_id", "request_id", "video_id", "piece", "id")
                given = next((told[name] for name in ids if name in told), "")
                self._subjects[str(given)] = asked.subject
        if asked.call is Call.OPEN and (
            session := parse_qs(urlsplit(headers.get("location", "")).query).get("upload_id")
        ):
            self._subjects[session[0]] = asked.subject
        elif asked.call is Call.OPEN:
            with suppress(ValueError, LookupError):
                self._subjects[json.loads(content)["id"]] = asked.subject


_ID = re.compile(
    r"(?:/requests/|/media/|/pieces/|/tasks/|/videos/|/instagram/|/instagram-uploads/|upload_id=|creation_id=)"
    r"(?P<id>[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}|\d+$)"
)


# The wires of vendors whose result comes with the status.
_RESULT_WITH_STATUS = ("/kiln/", "/runway/", "/xai/", "/higgsfield/", "/dashscope/", "/heygen/")


def _call(method: str, target: str, headers: Mapping[str, str]) -> Call:
    path = urlsplit(target).path
    if path.startswith("/fal-queue/"):
        if method == "POST":
            return Call.SUBMIT
        if path.endswith("/cancel"):
            return Call.CANCEL
        return Call.STATUS if path.endswith("/status") else Call.RESULT
    if "/estimate/" in path:
        return Call.OTHER
    if path.startswith(_RESULT_WITH_STATUS):
        if path.endswith("/cancel"):
            return Call.CANCEL
        if path.endswith("/tasks/"):
            return Call.HISTORY
        return {"POST": Call.SUBMIT, "DELETE": Call.CANCEL}.get(method, Call.STATUS)
    if path.endswith("/billing-events"):
        return Call.BILLING
    if "/upload/" in path and path.startswith("/youtube/"):
        if method == "POST":
            return Call.OPEN
        return Call.ASK if headers.get("content-range", "").startswith("bytes */") else Call.SEND
    if path.startswith("/instagram/"):
        ends = {"limit": Call.LIMIT, "publish": Call.PUBLISH, "insights": Call.METRICS}
        ends["media"] = Call.OPEN if method == "POST" else Call.LATEST
        return next((call for end, call in ends.items() if path.endswith(end)), Call.ASK)
    starts = {
        "/instagram-uploads/": Call.SEND,
        "/fal-api/v1/models/requests/": Call.HISTORY,
        "/fal-api/v1/models/pricing": Call.PRICES,
        "/media/": Call.DOWNLOAD,
        "/oauth2/token": Call.TOKEN,
        "/youtube/youtube/v3/videos": Call.METRICS,
        "/youtube-analytics/": Call.ANALYTICS,
    }
    return next((call for start, call in starts.items() if path.startswith(start)), Call.OTHER)


@contextmanager
def proxy_before(origin: str) -> Iterator[Proxy]:
    """A proxy on a free port of the loopback."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    proxy = Proxy(f"http://127.0.0.1:{listener.getsockname()[1]}", origin)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=proxy.serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.end()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
