"""Words of others, made fit to be kept and said: no control characters, no lone surrogates, none of our secrets."""

import re
from collections.abc import Iterable
from typing import Any, cast
from urllib.parse import quote, quote_plus

# Controls but for line feed and tab, lone surrogates, line and paragraph separators, and what turns the direction of
# writing: Postgres, terminals or readers stumble over each of them.
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_REPLACEMENT = "\ufffd"
_REDACTED = "[redacted]"
# Shorter ones are no secrets, and would be found in ordinary words.
_SHORTEST_SECRET = 8


def clean(text: str, limit: int | None = None) -> str:
    """`text` without characters that are unfit to be kept or shown; cut to `limit` characters, with an ellipsis."""
    text = text if limit is None else text[: limit + 1]
    text = _UNFIT.sub(_REPLACEMENT, text)
    return text if limit is None or len(text) <= limit else f"{text[: limit - 1]}…"


class Secrets:
    """What must never be kept or said: keys and tokens, as they are and as an address or a form holds them."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        for value in values:
            self.add(value)

    def __repr__(self) -> str:
        return "Secrets(<secret>)"

    def add(self, value: str) -> None:
        """Redact `value` from now on; one of fewer than eight characters is taken for no secret."""
        if len(value) < _SHORTEST_SECRET:
            return
        # A form's and an address's ways to write it, and JSON's, in which a slash may be escaped.
        self._forms |= {value, quote(value, safe=""), quote(value), quote_plus(value), value.replace("/", "\\/")}
        longest_first = sorted(self._forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(re.escape(form) for form in longest_first), re.IGNORECASE)

    def redacted(self, text: str) -> str:
        """`text` with every secret replaced."""
        return text if self._pattern is None else self._pattern.sub(_REDACTED, text)

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
