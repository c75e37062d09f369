"""Addresses that a stranger gave, before a page or a table links to them."""

from urllib.parse import quote, urlsplit

# What an address may hold as it is; the rest is percent-encoded, brackets and quotes among it.
_PLAIN = "%/:?#@!$&+,;=~-._"


def web_address(url: str) -> str | None:
    """`url` fit for a link; None unless it is an http(s) one, as others may run a script."""
    try:
        parts = urlsplit(url.strip())
        sound = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return None
    return quote(url.strip(), safe=_PLAIN, errors="replace") if sound else None
