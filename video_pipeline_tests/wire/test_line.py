"""The one reader: bounded, clean, to and from the vendor's own hosts, and never an error of another kind."""

import contextlib
import gzip
import json
import subprocess
import sys
import time
from base64 import b64encode, encodebytes, urlsafe_b64encode
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from video_pipeline.wire import (
    Answer,
    BlockingLine,
    Bounds,
    FilePart,
    NoAnswer,
    NotSent,
    Secrets,
    Stranger,
    Unreadable,
    Unsendable,
    clean,
    waiting,
)
from video_pipeline_tests.wire.canaries import held_in
from video_pipeline_tests.wire.raw_server import http, raw_server

_KEY = "canary-key-0123456789"
_USUAL = Bounds()
_QUICK = Bounds(total_s=0.4, max_bytes=10_000)


class _Said(BaseModel):
    word: str
    number: int = 0


def _line(base_url: str) -> BlockingLine:
    client = httpx.AsyncClient(trust_env=False, verify=False)
    return BlockingLine("the vendor", origins=[base_url], secrets=[_KEY], client=client)


def _asked(pieces: list[bytes], *, bounds: Bounds = _USUAL, pause_s: float = 0.0, hold: bool = False) -> Answer:
    with raw_server(pieces, pause_s=pause_s, hold=hold) as server:
        return _line(server.base_url).ask("GET", f"{server.base_url}/x", bounds=bounds)


def _answer(body: bytes, **headers: str) -> Answer:
    return Answer(200, headers, body, "", Secrets([_KEY]))


def test_an_answer_is_read_by_type() -> None:
    answer = _asked([http(200, b'{"word": "yes", "number": 3, "more": []}')])
    assert (answer.status, answer.read(_Said)) == (200, _Said(word="yes", number=3))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>busy</html>",
        b"{}",
        b"[]",
        b"null",
        b'{"word": null}',
        b'{"word": {"a": 1}}',
        b'{"word": "yes", "number": "many"}',
        b'{"word": "yes", "number": NaN}',
        b'{"word": "yes", "number": 1e999}',
        b'{"word": "yes", "number": ' + b"9" * 5000 + b"}",
        b'{"word": "\xff\xfe"}',
        b"[" * 100_000,
        b'{"word": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"word": "yes", "more": [' + b"{}," * 10_000 + b"{}]}",
    ],
)
def test_what_is_not_documented_cannot_be_read(body: bytes) -> None:
    with pytest.raises(Unreadable):
        _answer(body).read(_Said)


def test_words_are_clean_before_anybody_has_them() -> None:
    word = f"a\x00b\ud800c\x1b[31m\u202e {_KEY}"
    said = _answer(json.dumps({"word": word}).encode()).read(_Said)
    assert said.word == "a\ufffdb\ufffdc\ufffd[31m\ufffd [redacted]"


def _numbered(letters: str) -> str:
    return "".join(f"\\u{ord(letter):04X}" for letter in letters)


_PRINTED = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8, max_size=24)
# The ways that a server, or whoever stands before it, may write what it was sent.
_WRITINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda key: f"Authorization: Key {key}",
    "shouted": str.upper,
    "in JSON": lambda key: json.dumps({"echo": {key: [key]}}),
    "in JSON that is cut": lambda key: json.dumps({"echo": key})[:-1],
    "numbered in JSON": lambda key: f'{{"echo": "{_numbered(key)}"}}',
    "numbered in JSON that is cut": lambda key: f'{{"echo": "{_numbered(key)}',
    "JSON in JSON": lambda key: json.dumps(json.dumps({"echo": _numbered(key) + key})),
    "slashes escaped": lambda key: json.dumps(key).replace("/", "\\/"),
    "in an address": lambda key: f"https://other.example/?key={quote(key, safe='')}&more",
    "in an address, in small letters": lambda key: quote(key, safe="").lower(),
    "in a form": quote_plus,
    "every letter in percents": lambda key: "".join(f"%{byte:02x}" for byte in key.encode()),
    "in HTML": lambda key: f"<p>{escape(key)}</p>",
    "numbered in HTML": lambda key: "".join(f"&#{ord(letter)};" for letter in key),
    "over two lines": lambda key: f"{key[:9]}\r\n    {key[9:]}",
    "over two lines of JSON": lambda key: json.dumps(f"{key[:9]}\n\t{key[9:]}"),
    "over two lines of a mail": lambda key: f"{key[:9]}=\r\n{key[9:]}",
    "in base64": lambda key: b64encode(key.encode()).decode(),
    "as a user's password": lambda key: f"Basic {b64encode(f'user:{key}'.encode()).decode()}",
    "as a user": lambda key: f"Basic {b64encode(f'{key}:x'.encode()).decode()}",
    "in base64 within more": lambda key: b64encode(f"Authorization: Key {key}\r\nHost: x".encode()).decode(),
    "in base64 for addresses": lambda key: urlsafe_b64encode(f"Key {key}".encode()).decode(),
    "in base64 in lines": lambda key: encodebytes(f"GET / HTTP/1.1\r\nAuthorization: {key * 3}".encode()).decode(),
    "in hex": lambda key: key.encode().hex(),
    "behind many words": lambda key: "x" * 1_990 + key,
}


@pytest.mark.parametrize("key", [_KEY, "id-7/+&:=~<secret>?of many%kinds"])
@pytest.mark.parametrize("writing", _WRITINGS)
def test_a_secret_that_is_echoed_is_redacted_however_it_is_written(writing: str, key: str) -> None:
    echo = _WRITINGS[writing](key)
    assert held_in(echo, [key]) == [key], "nobody would find it"
    answer = Answer(200, {"location": echo}, echo.encode(), "", Secrets([key]))
    for said in (json.dumps(answer.kept()), answer.text(5000), answer.header("Location"), repr(answer.secrets)):
        assert held_in(said, [key]) == []
    assert "[redacted]" in answer.text(5000)


@pytest.mark.parametrize(
    "text", ["n\\n" * 50_000, "\\" * 100_000, "c" + " " * 100_000, "ca\ncan\n" * 10_000, "&#%" * 30_000]
)
def test_no_text_makes_the_search_for_secrets_long(text: str) -> None:
    secrets = Secrets([_KEY, "nnnnnnnnnnnnnnnn", "n\\n\\n\\n\\n"])
    begun = time.process_time()
    secrets.redacted(text)
    assert time.process_time() - begun < 2


@settings(max_examples=25)
@given(_PRINTED, st.binary(max_size=5), st.binary(max_size=5))
def test_any_secret_is_found_in_base64_and_in_an_address(secret: str, before: bytes, after: bytes) -> None:
    secrets, raw = Secrets([secret]), secret.encode()
    for echo in (b64encode(before + raw + after).decode(), quote(raw, safe=""), raw.hex(), json.dumps(secret)):
        assert "[redacted]" in secrets.redacted(echo), echo


@given(st.text(), st.integers(min_value=2, max_value=50))
def test_clean_text_can_be_kept_and_is_as_short_as_asked(text: str, limit: int) -> None:
    cut = clean(text, limit)
    cut.encode("utf-8")
    assert "\x00" not in cut and len(cut) <= limit
    assert clean(cut) == cut


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(_JSON)
def test_any_json_is_read_or_said_to_be_unreadable(document: Any) -> None:
    answer = _answer(json.dumps(document).encode())
    json.dumps(answer.kept(), ensure_ascii=False).encode("utf-8")
    with contextlib.suppress(Unreadable):
        assert isinstance(answer.read(_Said).word, str)


def test_a_body_that_drips_comes_to_an_end() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    start = time.monotonic()
    answer = _asked([head, *[b" "] * 1000], pause_s=0.02, bounds=_QUICK)
    assert (answer.status, answer.damage) == (200, "it broke off (time-out)")
    assert time.monotonic() - start < 10


def test_a_head_that_drips_is_no_answer() -> None:
    start = time.monotonic()
    with pytest.raises(NoAnswer, match="time-out"):
        _asked([bytes([byte]) for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100], pause_s=0.02, bounds=_QUICK)
    assert time.monotonic() - start < 10


def test_an_answer_that_never_comes_is_none() -> None:
    with pytest.raises(NoAnswer, match="time-out"):
        _asked([], hold=True, bounds=_QUICK)


def test_a_long_wait_is_told_while_it_lasts(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(waiting, "TELL_EVERY_S", 0.1)
    with pytest.raises(NoAnswer):
        _asked([], hold=True, bounds=Bounds(total_s=1.0))
    told = [record.getMessage() for record in caplog.records]
    assert told[0].startswith("A call to the vendor has taken ") and told[0].endswith(" s that it may take")
    assert 1 < len(told) < 11
    monkeypatch.setattr(waiting, "TELL_EVERY_S", 5.0)
    assert _asked([http(200, b"{}")]).status == 200
    assert len(caplog.records) == len(told), "an answer that came is not told of"


@pytest.mark.parametrize(
    ("pieces", "damage"),
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort"], "it broke off (RemoteProtocolError)"),
        ([http(200, b"x" * 20_000)], "it is larger than 10,000 bytes"),
        ([http(200, gzip.compress(b"x" * 20_000), "Content-Encoding: gzip")], "it is larger than 10,000 bytes"),
        (
            [http(200, gzip.compress(b"{}")[:-9], "Content-Encoding: gzip")],
            "it is cut: it does not unpack to its end",
        ),
        ([http(200, b"{}", "Content-Encoding: gzip")], "it is damaged: it does not unpack"),
        ([http(200, b"{}", "Content-Encoding: br")], "it is packed in a way that was not asked for"),
    ],
)
def test_a_body_that_is_not_whole_is_damage(pieces: list[bytes], damage: str) -> None:
    answer = _asked(pieces, bounds=Bounds(total_s=5, max_bytes=10_000))
    assert (answer.status, answer.damage) == (200, damage)
    with pytest.raises(Unreadable):
        answer.read(_Said)


def test_what_is_packed_all_the_same_is_unpacked() -> None:
    answer = _asked([http(200, gzip.compress(b'{"word": "yes"}'), "Content-Encoding: gzip")])
    assert answer.read(_Said).word == "yes"


def test_unpacking_takes_bounded_memory() -> None:
    """A body of 9 GB in 9 MB: what was unpacked is let go piece by piece."""
    program = (
        "import re, zlib\n"
        "from pathlib import Path\n"
        "from video_pipeline.wire import Unpacker\n"
        "packer = zlib.compressobj(9)\n"
        "packed = b''.join(packer.compress(bytes(1 << 24)) for _ in range(24)) + packer.flush()\n"
        "print(sum(map(len, Unpacker('deflate').unpacked(packed))))\n"
        # Not getrusage's figure, which begins with that of the process that started this one.
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1])\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    unpacked_bytes, peak_kib = map(int, ran.stdout.split())
    assert unpacked_bytes == 24 << 24
    assert peak_kib < 250_000


@pytest.mark.parametrize(
    "head", [b"garbage\r\n\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nX: \x00\r\n\r\n"]
)
def test_what_is_no_http_is_no_answer(head: bytes) -> None:
    with pytest.raises(NoAnswer):
        _asked([head])


def test_a_closed_door_is_surely_not_sent() -> None:
    with raw_server([]) as server:
        closed = server.base_url
    with pytest.raises(NotSent, match="could not be reached"):
        _line(closed).ask("POST", closed)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/x",
        "https://vendor.example.evil.example/",
        "https://key@vendor.example/",
        "http://vendor.example/",
        "https://vendor.example:444/",
        "//vendor.example/x",
        "javascript:alert(1)",
        "https://ven\x00dor.example/",
        "",
    ],
)
def test_a_strangers_address_is_never_asked(url: str) -> None:
    line = BlockingLine("the vendor", origins=["https://vendor.example", "https://*.own.example"])
    assert line.is_ours("https://vendor.example/x") and line.is_ours("https://VENDOR.example:443/x")
    assert line.is_ours("https://a.own.example/") and not line.is_ours("https://own.example.evil/")
    with pytest.raises(Stranger):
        line.ask("GET", url)


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with raw_server([http(200, b"secret kept")]) as other:
        answer = _asked([http(302, b"", f"Location: {other.base_url}/")])
        assert (answer.status, other.asked) == (302, [])


def test_a_key_with_a_line_feed_cannot_be_sent() -> None:
    with raw_server([http(200, b"{}")]) as server:
        with pytest.raises(Unsendable):
            _line(server.base_url).ask("GET", server.base_url, headers={"Authorization": "Key a\nb"})
        assert server.asked == []


def test_the_last_word_before_the_bytes_go_out() -> None:
    class Halt(Exception):
        pass

    def halt() -> None:
        raise Halt

    with raw_server([http(200, b"{}")]) as server:
        with pytest.raises(Halt):
            _line(server.base_url).ask("POST", server.base_url, json={"buy": 1}, before=halt)
        assert server.asked == []


def test_a_file_is_streamed_with_its_length(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"x" * 3_000)
    with raw_server([http(200, b"{}")]) as server:
        _line(server.base_url).ask("PUT", server.base_url, content=tmp_path / "clip.mp4")
        assert b"Content-Length: 3000" in server.asked[0] and b"chunked" not in server.asked[0]


def test_of_a_file_that_is_there_in_part_only_the_rest_is_sent(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"x" * 3_000)
    with raw_server([http(200, b"{}")]) as server:
        part = FilePart(tmp_path / "clip.mp4", first=2_900)
        _line(server.base_url).ask("PUT", server.base_url, content=part)
        assert b"Content-Length: 100\r\n" in server.asked[0]


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("3", 3.0), ("1.5", 1.5), ("-1", 0.0), ("", None), ("soon", None), ("nan", None), ("1e999", None), ("²", None)],
)
def test_retry_after_is_a_number_of_seconds_or_nothing(given: str, seconds: float | None) -> None:
    assert _answer(b"", **{"retry-after": given}).retry_after_s == seconds


def test_retry_after_may_be_a_date() -> None:
    assert _answer(b"", **{"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}).retry_after_s == 0.0
    later = _answer(b"", **{"retry-after": "Wed, 21 Oct 2065 07:28:00 GMT"}).retry_after_s
    assert later is not None and later > 1e9
