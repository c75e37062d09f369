"""Where the command line writes: its two streams, and the ways of writing that several commands share."""

import sys

from rich.console import Console

# Into a file or a pipe there is no width to keep to.
console = Console(width=None if sys.stdout.isatty() else 180)
complaints = Console(stderr=True)


def pixels(size: tuple[int, int]) -> str:
    """A size as people write it: 1080x1920."""
    return f"{size[0]}x{size[1]}"
