"""Markdown for metadata: words of others are shown as they are written, and links go where they say."""

import re

from video_pipeline.reports import web_address
from video_pipeline.wire import clean

# CommonMark takes a backslash before any of its punctuation for an escape.
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")


def escaped(text: str) -> str:
    """`text` on one line, as Markdown that shows nothing but its words."""
    return _PUNCTUATION.sub(r"\\\g<0>", " ".join(clean(text).split()))


def link(text: str, url: str) -> str:
    """A link under `text`; only the words where `url` is no address of the web."""
    address = web_address(url)
    return f"[{escaped(text)}](<{address}>)" if address else f"{escaped(text)} {escaped(url)}"
