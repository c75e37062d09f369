"""Words of others, made fit to be kept and said: no control characters, no lone surrogates, none of our secrets."""

import re
from base64 import b64encode
from collections.abc import Iterable
from functools import lru_cache
from html import escape
from typing import Any, cast

# Controls but for line feed and tab, lone surrogates, line and paragraph separators, and what turns the direction of
# writing: Postgres, terminals or readers stumble over each of them.
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_REPLACEMENT = "\ufffd"
_REDACTED = "[redacted]"
# Shorter ones are no secrets, and would be found in ordinary words.
_SHORTEST_SECRET = 8
# Between two letters of a secret: line breaks and indents, escaped ones, those of quoted-printable, and controls. So
# few that no text makes the search long.
_BETWEEN = r"(?:[\s\x00-\x1f\ufffd]|\\{1,4}[nrt]|=\r?\n){0,16}"
# A form's and an address's ways to write what else means something there.
_BASE64 = {"+": r"(?:\+|-|%2[bB])", "/": r"(?:/|_|%2[fF]|\\/)"}


def clean(text: str, limit: int | None = None) -> str:
    """`text` without characters that are unfit to be kept or shown; cut to `limit` characters, with an ellipsis."""
    text = text if limit is None else text[: limit + 1]
    text = _UNFIT.sub(_REPLACEMENT, text)
    return text if limit is None or len(text) <= limit else f"{text[: limit - 1]}…"


class Secrets:
    """What must never be kept or said: keys and tokens, however they are written.

    Each letter may be itself or as an address, JSON or HTML escape it; lines may break within; and the whole may be
    in hex or in base64, alone or within more.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        self._patterns: list[re.Pattern[str]] = []
        for value in values:
            self.add(value)

    def __repr__(self) -> str:
        return "Secrets(<secret>)"

    def add(self, value: str) -> None:
        """Redact `value` from now on; one of fewer than eight characters is taken for no secret."""
        if len(value) < _SHORTEST_SECRET:
            return
        self._values.add(value)
        # Longest first: a secret may be a part of another.
        self._patterns = [
            pattern
            for secret in sorted(self._values, key=lambda secret: (-len(secret), secret))
            for pattern in _patterns(secret)
        ]

    def redacted(self, text: str) -> str:
        """`text` with every secret replaced."""
        if len(text) >= _SHORTEST_SECRET:
            for pattern in self._patterns:
                text = pattern.sub(_REDACTED, text)
        return text

    def clean(self, value: Any) -> Any:
        """A JSON value with every string in it, names of fields too, cleaned and redacted.

        Raises RecursionError for one that is nested too deep.
        """
        if isinstance(value, str):
            return clean(self.redacted(value))
        if isinstance(value, list):
            return [self.clean(item) for item in cast("list[Any]", value)]
        if isinstance(value, dict):
            return {self.clean(name): self.clean(item) for name, item in cast("dict[str, Any]", value).items()}
        return value


@lru_cache(maxsize=64)
def _patterns(secret: str) -> tuple[re.Pattern[str], ...]:
    """What finds `secret`. A pattern for each way, as one of them all would try each at every letter of a text."""
    raw = secret.encode("utf-8", "surrogatepass")
    return (_any_way(secret), _any_way(raw.hex()), *(_in_base64(raw, offset) for offset in range(3)))


def _any_way(secret: str) -> re.Pattern[str]:
    return re.compile(_BETWEEN.join(map(_letter, secret)))


def _in_base64(raw: bytes, offset: int) -> re.Pattern[str]:
    """`raw` within a longer base64, in which `offset` bytes of a group of three stand before it."""
    encoded = b64encode(bytes(offset) + raw).decode().rstrip("=")
    # The first and the last letter may hold bits of what stands beside it.
    own = encoded[(0, 2, 3)[offset] : len(encoded) - ((offset + len(raw)) % 3 > 0)]
    return re.compile(_BETWEEN.join(_BASE64.get(letter, letter) for letter in own))


def _letter(letter: str) -> str:
    """A letter in either case and escaped. A way begins with one character and no other: that is quick to search."""
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    escaped = [units[start : start + 4] for start in range(0, len(units), 4)]
    ways = [
        *{letter, letter.lower(), letter.upper()},
        "".join(f"%{byte:02x}" for byte in letter.encode("utf-8", "surrogatepass")),
        escape(letter),
        f"&#{ord(letter)};",
        f"&#x{ord(letter):x};",
    ]
    patterns = [re.escape(way) if len(way) == 1 else _in_either_case(way) for way in ways]
    if letter == " ":
        patterns.append(r"\+")
    patterns.append("".join(rf"\\\\{{0,3}}u{_in_either_case(unit)}" for unit in escaped))
    if letter in '/"\\':
        patterns.append(rf"\\\\{{0,3}}{re.escape(letter)}")
    return f"(?:{'|'.join(patterns)})"


def _in_either_case(text: str) -> str:
    """For escapes, whose hex digits may be of either."""
    return "".join(f"[{digit}{digit.upper()}]" if digit in "abcdef" else re.escape(digit) for digit in text)
