"""Named points between an intent and its effect, where crash tests stop a process.

A point is passed by calling `reached`; nothing happens unless a test has put a function in `on_reach`.
"""

from collections.abc import Callable


def _pass(name: str) -> None:
    """Production: go on."""


on_reach: Callable[[str], None] = _pass


def reached(name: str) -> None:
    """Say that the point `name` (for example `generation.submitting`) has been reached."""
    on_reach(name)
