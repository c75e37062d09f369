"""Answers that no platform documents, as bytes on the wire."""

import gzip
import json

from video_pipeline_tests.wire.raw_server import http

WORDS = b"<html>\x00 busy</html>"
GOOGLES = {"message": "a\x00b\ud800 [/red] \x1b[31m", "domain": "youtube"}


def google(code: int, reason: object, **more: object) -> bytes:
    """An error in Google's shape."""
    error = {"code": code, "message": GOOGLES["message"], "errors": [GOOGLES | {"reason": reason}]}
    return json.dumps({"error": error | more}).encode()


ANYWHERE = {
    "empty": http(200, b""),
    "html": http(200, WORDS),
    "an empty object": http(200, b"{}"),
    "a list": http(200, b"[]"),
    "wrong types": http(200, b'{"id": {"a": 1}, "items": 3, "access_token": [], "columnHeaders": null}'),
    "null": http(200, b'{"id": null, "items": null, "access_token": null, "columnHeaders": null}'),
    "NUL": http(200, b'{"id": "a\\u0000b", "items": [{"id": "a\\u0000"}], "access_token": "a\\u0000b"}'),
    "surrogates": http(200, b'{"id": "\\ud800", "items": [{"id": "\\udfff"}], "access_token": "\\ud800"}'),
    "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{",
    "huge": http(200, b"[" + b" " * 2_000_000 + b"]"),
    "a bomb": http(200, gzip.compress(bytes(20_000_000)), "Content-Encoding: gzip"),
    "no gzip": http(200, b"{}", "Content-Encoding: gzip"),
    "no http": b"garbage\r\n\r\n",
    "nothing": b"",
    "a refusal in words of nobody": http(403, google(403, "because")),
    "a reason of another type": http(403, google(403, {"a": 1})),
    "a code of another status": http(403, google(400, "quotaExceeded")),
    "a known reason to a status of none": http(409, google(409, "quotaExceeded")),
    "redirected for good": http(308, b"", "Location: https://elsewhere.example/"),
    "lost in words of nobody": http(404, WORDS),
    "gone in words of nobody": http(410, google(410, "because")),
    "an odd Retry-After": http(429, WORDS, "Retry-After: \xb2 soon"),
    **{
        f"{status}": http(status, WORDS)
        for status in (
            300,
            301,
            302,
            303,
            304,
            307,
            400,
            401,
            402,
            403,
            405,
            408,
            409,
            412,
            418,
            451,
            499,
            500,
            502,
            503,
            504,
            599,
        )
    },
}
