"""A long wait is told while it lasts: what hangs and what is slow look alike to whoever watches the log."""

import asyncio
import logging
from collections.abc import Generator
from contextlib import contextmanager

_LOG = logging.getLogger(__name__)
TELL_EVERY_S = 20.0
"""After how long a wait is told, and again; well under a minute."""


@contextmanager
def told_while_it_lasts(what: str, limit_s: float) -> Generator[None]:
    """For a block that is awaited in an event loop: a line in the log now and then.

    `what` begins the sentence; `limit_s` is how long the block may take, in seconds.
    """
    loop = asyncio.get_running_loop()
    begun = loop.time()

    def tell() -> None:
        nonlocal timer
        _LOG.warning("%s has taken %.0f s so far, of %.0f s that it may take", what, loop.time() - begun, limit_s)
        timer = loop.call_later(TELL_EVERY_S, tell)

    timer = loop.call_later(TELL_EVERY_S, tell)
    try:
        yield
    finally:
        timer.cancel()
