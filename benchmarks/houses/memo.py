"""What routing answers of a day, remembered: of briefs that differ in their ids alone the tree asks the same again.

Only for speed. A house decides the same without it, which a test holds it to.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from video_pipeline.briefs import Brief, StoryboardShot
from video_pipeline.routing import decision

# Pure functions of shot, brief, models, policy and state, in which nearly all of a plan's time goes.
PURE = ("_serve", "_options", "_dearer", "_cheapest_size")


@contextmanager
def remembered() -> Iterator[None]:
    """Within it, nothing is worked out twice; for one day at most, as all that was asked is kept."""
    before = {name: getattr(decision, name) for name in PURE}
    for name, function in before.items():
        setattr(decision, name, _remembering(function))
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(decision, name, function)


def _remembering(function: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[tuple[object, ...], tuple[object, tuple[object, ...]]] = {}

    def ask(*asked: object) -> object:
        key = tuple(_key(one) for one in asked)
        found = known.get(key)
        if found is None:
            # With what was asked, so that no other object can get the identity of one in the key.
            found = known[key] = (function(*asked), asked)
        return found[0]

    return ask


def _key(asked: object) -> object:
    if isinstance(asked, StoryboardShot):
        return asked.index, asked.kind, asked.duration_s
    if isinstance(asked, Brief):
        return asked.quality, asked.visual_complexity, asked.native_audio, asked.orientation, asked.style
    return asked if isinstance(asked, bool | str) else id(asked)
