"""Where the command line writes: its two streams, and the ways of writing that several commands share."""

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from video_pipeline.wire import clean

if TYPE_CHECKING:
    from video_pipeline.services import Services

# Into a file or a pipe there is no width to keep to.
console = Console(width=None if sys.stdout.isatty() else 180, emoji=False)
complaints = Console(stderr=True, emoji=False)


def escaped(text: object) -> str:
    """Words of a brief, a provider or a file, for either console: shown as they are written, and only shown.

    Square brackets are no markup, and what would steer the terminal is replaced.
    """
    return escape(clean(str(text)))


def pixels(size: tuple[int, int]) -> str:
    """A size as people write it: 1080x1920."""
    return f"{size[0]}x{size[1]}"


def print_unused_keys(services: "Services") -> None:
    """Say that a vendor's keys are set and not used, where that is so."""
    if services.unused_keys:
        console.print(services.unused_keys, style="yellow", highlight=False)
