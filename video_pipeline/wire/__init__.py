"""Talking to strangers: the one way to ask a vendor's server, and the one reader of its answers (G2.10).

Every question and every answer of a provider, a platform or a webhook passes through here. It goes only to the
vendor's own hosts. It is bounded in time and in bytes. Its words are clean before anybody keeps or says them.
"""

from video_pipeline.wire.answer import Answer, Unreadable
from video_pipeline.wire.line import (
    AT_ONCE,
    BlockingLine,
    Bounds,
    FilePart,
    Line,
    NoAnswer,
    NotSent,
    Stranger,
    Unsendable,
)
from video_pipeline.wire.text import Secrets, clean
from video_pipeline.wire.unpacking import Unpacker
from video_pipeline.wire.waiting import told_while_it_lasts

__all__ = [
    "AT_ONCE",
    "Answer",
    "BlockingLine",
    "Bounds",
    "FilePart",
    "Line",
    "NoAnswer",
    "NotSent",
    "Secrets",
    "Stranger",
    "Unpacker",
    "Unreadable",
    "Unsendable",
    "clean",
    "told_while_it_lasts",
]
