"""The wild answers by name: what no vendor documents, and what servers, proxies and strangers give all the same."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from itertools import cycle
from typing import Any

from video_pipeline_tests.wire.proxy import Answering, Asked, Pieces
from video_pipeline_tests.wire.raw_server import http

UNDOCUMENTED_STATUSES = (
    *range(300, 309),
    *range(400, 432),
    451,
    499,
    *range(500, 512),
    *range(520, 531),
)
HTML = b"<html><head><title>Just a moment...</title></head><body><h1>503 busy</h1></body></html>"
BODIES = {"html": HTML, "empty": b"", "json": b'{"message": "no", "code": 7}'}
UNFIT = "\x00\ud800\x1b[31m"
DEEP = b"[" * 100_000 + b"]" * 100_000
GIB = 1024**3


def status(code: int, body: bytes = b"", *headers: str) -> Answering:
    """A status with a body, whole."""
    return lambda asked: [http(code, body, *headers)]


def hangs_up(asked: Asked) -> Pieces:
    """The connection is closed without a byte."""
    return []


def never(asked: Asked) -> Pieces:
    """Not a byte, and the connection stays open."""
    return [3600.0]


def head_only(asked: Asked) -> Pieces:
    """A head that promises a body which never comes."""
    return [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", 3600.0]


def drips(asked: Asked) -> Iterator[bytes | float]:
    """A byte each 50 ms, so that no read ever waits for long."""
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    while True:
        yield b" "
        yield 0.05


def drips_its_head(asked: Asked) -> Iterator[bytes | float]:
    """A header that goes on for ever, a byte each 50 ms."""
    yield b"HTTP/1.1 200 OK\r\nX-Long: "
    while True:
        yield b"x"
        yield 0.05


def says_continue_for_ever(asked: Asked) -> Iterator[bytes | float]:
    """100 Continue, again and again."""
    while True:
        yield b"HTTP/1.1 100 Continue\r\n\r\n" * 200
        yield 0.01


def floods_headers(asked: Asked) -> Pieces:
    """More headers than anybody needs."""
    return [b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 60) for n in range(20_000)) + b"\r\n{}"]


def no_http(asked: Asked) -> Pieces:
    """Another protocol."""
    return [b"SSH-2.0-OpenSSH_9.6\r\n" + bytes(range(256))]


def chunks_cut(asked: Asked) -> Pieces:
    """A chunked body that ends in the middle."""
    return [b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{"status": "COMP']


def too_long(asked: Asked) -> Pieces:
    """A length that is never reached."""
    body = _real_body(asked)
    return [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (len(body) + 50) + body]


def too_short(asked: Asked) -> Pieces:
    """A length that is passed: what comes after it is no part of the answer."""
    body = _real_body(asked)
    return [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (len(body) // 2) + body]


def gzip_cut(body: bytes) -> Answering:
    """Packed, with a checksum that never came."""
    return status(200, gzip.compress(body)[:-6], "Content-Encoding: gzip")


def brotli(asked: Asked) -> Pieces:
    """A coding that nobody asked for and we do not know."""
    return [http(200, _real_body(asked), "Content-Encoding: br")]


def gzipped(asked: Asked) -> Pieces:
    """The real answer in a coding that nobody asked for."""
    return [http(200, gzip.compress(_real_body(asked)), "Content-Encoding: gzip")]


def gzip_bomb(asked: Asked) -> Pieces:
    """A megabyte that unpacks to one gibibyte."""
    return [http(200, _BOMB, "Content-Encoding: gzip")]


def nested_gzip_bomb(asked: Asked) -> Pieces:
    """Some kilobytes that unpack to a megabyte, which unpacks to one gibibyte."""
    return [http(200, gzip.compress(_BOMB), "Content-Encoding: gzip, gzip")]


def gzip_of_nothing(asked: Asked) -> Pieces:
    """It says gzip, and is none."""
    return [http(200, b'{"status": "COMPLETED"}', "Content-Encoding: gzip")]


def huge(asked: Asked) -> Iterator[bytes | float]:
    """Half a gibibyte of JSON that never ends, as fast as it is taken."""
    yield b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"a": "'
    for _ in range(512):
        yield b"a" * 1024**2


def endless(asked: Asked) -> Iterator[bytes | float]:
    """JSON that never ends, as fast as it is taken."""
    yield b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"a": "'
    while True:
        yield b"a" * 1024**2


def gigabytes_declared(asked: Asked) -> Iterator[bytes | float]:
    """A length of nine gibibytes, and all of them."""
    yield b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (9 * GIB)
    for _ in range(9 * 1024):
        yield bytes(1024**2)


def gzip_bomb_of_9_gib(asked: Asked) -> Pieces:
    """Nine megabytes that unpack to nine gibibytes."""
    return [http(200, _BOMB + _BLOCK * (8 * 1024), "Content-Encoding: gzip")]


def many_values(asked: Asked) -> Pieces:
    """Small JSON of a third of a million empty values, each of which takes much more memory than its three bytes."""
    return [http(200, _MANY)]


def many_items(asked: Asked) -> Pieces:
    """A page of more items than hundreds of pages hold, each of which is none."""
    return [http(200, b'{"items": [' + b"{}," * 45_000 + b'{}], "has_more": true, "next_cursor": "x"}')]


def wide_words(asked: Asked) -> Pieces:
    """JSON of one long word whose every letter takes four bytes in memory for the sake of one."""
    return [http(200, _WIDE)]


def one_after_another(*answers: Answering) -> Answering:
    """A different answer each time, and the first again after the last."""
    turns = cycle(answers)
    return lambda asked: next(turns)(asked)


def echo(code: int = 200) -> Answering:
    """The whole request with its secrets: in the reason, in headers and in the body."""

    def answer(asked: Asked) -> Pieces:
        told = asked.headers.get("authorization", asked.body.decode("utf-8", "replace")[:500])
        request = asked.head.decode("latin-1")
        body = json.dumps(
            {
                "detail": f"we got {request}",
                "status": told,
                "request_id": told,
                "error": {"code": code, "message": request, "errors": [{"reason": told}]},
                told: [told, asked.body.decode("utf-8", "replace")[:2000]],
            }
        ).encode()
        head = [
            f"HTTP/1.1 {code} {told}",
            f"X-Echo: {told}",
            f"X-Fal-Error-Type: {told}",
            f"Retry-After: {told}",
            f"Content-Length: {len(body)}",
            "Connection: close",
        ]
        return ["\r\n".join([*head, "", ""]).encode("latin-1", "replace") + body]

    return answer


def redirect(code: int, to: str) -> Answering:
    """To an address, with a page that says so."""
    return status(code, HTML, f"Location: {to}")


def edited(change: Callable[[dict[str, Any]], Any]) -> Answering:
    """The sandbox's own JSON after `change`; for calls that are passed on."""

    def answer(asked: Asked) -> Pieces:
        document = json.loads(_real_body(asked))
        changed = change(document)
        body = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
        return [http(200, body, *_real_headers(asked))]

    return answer


def put(field: str, value: Any) -> Answering:
    """The sandbox's own JSON with another value at `field`, a path with dots."""

    def change(document: dict[str, Any]) -> dict[str, Any]:
        place: Any = document
        *way, last = field.split(".")
        for name in way:
            place = place[name]
        place[last] = value
        return document

    return edited(change)


def unfit_words(asked: Asked) -> Pieces:
    """The sandbox's own JSON with a NUL, a lone surrogate and an escape in every string."""
    return edited(lambda document: _spoilt(document))(asked)


def extra_words(asked: Asked) -> Pieces:
    """The sandbox's own JSON and fields that nobody documents, with words that nobody can keep."""
    return edited(lambda document: document | {"note": UNFIT, UNFIT: [UNFIT, {"a": UNFIT}]})(asked)


def duplicate_keys(asked: Asked) -> Pieces:
    """Every field twice, first as null."""
    document = json.loads(_real_body(asked))
    fields = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in document.items()]
    nulls = [f"{json.dumps(name)}: null" for name in document]
    return [http(200, ("{" + ", ".join(nulls + fields) + "}").encode(), *_real_headers(asked))]


def truncated(asked: Asked) -> Pieces:
    """The sandbox's own body, cut in the middle, with the length of what is left."""
    body = _real_body(asked)
    return [http(200, body[: len(body) // 2], *_real_headers(asked))]


def with_header(name: str, value: str | None) -> Answering:
    """The sandbox's own answer with another value of a header, or without it."""

    def answer(asked: Asked) -> Pieces:
        assert asked.reply is not None
        kept = [line for line in _real_headers(asked) if not line.lower().startswith(f"{name.lower()}:")]
        given = [f"{name}: {value}"] if value is not None else []
        return [http(asked.reply.status, asked.reply.body, *kept, *given)]

    return answer


def in_turn(*answers: Answering) -> Answering:
    """A different answer each time; the last one from then on."""
    left = list(answers)
    return lambda asked: (left.pop(0) if len(left) > 1 else left[0])(asked)


def _spoilt(value: Any) -> Any:
    if isinstance(value, str):
        return UNFIT + value
    if isinstance(value, list):
        return [_spoilt(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _spoilt(item) for name, item in value.items()}
    return value


def _real_body(asked: Asked) -> bytes:
    return asked.reply.body if asked.reply else b'{"status": "COMPLETED"}'


def _real_headers(asked: Asked) -> list[str]:
    return [f"{name}: {value}" for name, value in asked.reply.headers] if asked.reply else []


def _bomb() -> tuple[bytes, bytes]:
    """A mebibyte of zeros in gzip's words, and another that may follow it: each is packed without the one before."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    first = packer.compress(bytes(1024**2)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first, packer.compress(bytes(1024**2)) + packer.flush(zlib.Z_FULL_FLUSH)


_FIRST, _BLOCK = _bomb()
_BOMB = _FIRST + _BLOCK * 1023
_MANY = b'{"status": [' + b"{}," * 340_000 + b'{}], "items": []}'
_WIDE = json.dumps({"status": "a" * 1_000_000 + "\U0001f30a"}, ensure_ascii=False).encode()
# What any call may be answered, whatever it asks for. None of it says anything.
NONSENSE: dict[str, Answering] = {
    "200 html": status(200, HTML),
    "200 empty": status(200),
    "200 {}": status(200, b"{}"),
    "200 []": status(200, b"[]"),
    "200 null": status(200, b"null"),
    "200 a number": status(200, b"1e999"),
    "200 NaN": status(200, b'{"status": NaN, "request_id": NaN, "video": NaN, "id": NaN}'),
    "200 deep": status(200, DEEP),
    "200 no utf-8": status(200, b'{"status": "\xff\xfe", "request_id": "\xff"}'),
    "204": lambda asked: [b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"],
    "206 partial": status(206, b'{"status": "COM', "Content-Range: bytes 0-13/400"),
    "408": status(408, HTML),
    "404 html": status(404, HTML),
    "401 html": status(401, HTML),
    "403 html": status(403, HTML),
    "429": status(429, HTML, "Retry-After: 0"),
    "429 negative": status(429, b"", "Retry-After: -3"),
    "429 words": status(429, b"", "Retry-After: soon, \xb2"),
    "503 infinite": status(503, HTML, "Retry-After: 1e999"),
    "503 old date": status(503, HTML, "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"),
    "522 html": status(522, HTML),
    "999": status(999, HTML),
    "gzip bomb": gzip_bomb,
    "nested gzip bomb": nested_gzip_bomb,
    "gzip of nothing": gzip_of_nothing,
    "br": status(200, b"\x8b\x02\x80{}\x03", "Content-Encoding: br"),
    "chunks cut": chunks_cut,
    "drips": drips,
    "drips its head": drips_its_head,
    "never": never,
    "head only": head_only,
    "hangs up": hangs_up,
    "100 for ever": says_continue_for_ever,
    "headers flood": floods_headers,
    "no HTTP": no_http,
    "echo 200": echo(200),
    "echo 400": echo(400),
    "echo 500": echo(500),
}
