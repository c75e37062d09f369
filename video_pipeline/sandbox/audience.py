"""How an audience takes a published video: numbers that grow with its age and depend on what the model is worth.

Time is accelerated: a video gathers most of its views within a minute. The same video at the same age (in whole
seconds) has the same numbers on every call, whatever else happens.
"""

import hashlib
import math
from dataclasses import dataclass

GROWTH_S = 12.0
"""After this many seconds a video has gathered 63 % of the views it will ever have."""


@dataclass(frozen=True)
class AudienceNumbers:
    """Totals since publication. `average_view_percentage` may pass 100, as short videos loop."""

    views: int
    engaged_views: int
    average_view_percentage: float
    likes: int
    comments: int
    shares: int


def audience_numbers(video_id: str, appeal: float, age_s: float) -> AudienceNumbers:
    """The numbers of a video of this age in seconds.

    `appeal` goes from 0 (nobody cares) to 1. Luck is drawn from the video id.
    """
    appeal = min(max(appeal, 0.0), 1.0)
    reach = 10 ** (2.5 + 1.5 * appeal + 0.16 * _luck(video_id, "reach"))
    views = int(reach * (1 - math.exp(-math.floor(max(age_s, 0.0)) / GROWTH_S)))
    engaged_views = int(views * _share(0.25 + 0.5 * appeal + 0.04 * _luck(video_id, "engaged")))
    return AudienceNumbers(
        views=views,
        engaged_views=engaged_views,
        average_view_percentage=round(max(5.0, 35 + 60 * appeal + 5 * _luck(video_id, "watched")), 2),
        likes=int(engaged_views * _share(0.01 + 0.08 * appeal + 0.006 * _luck(video_id, "likes"))),
        comments=int(engaged_views * _share(0.002 + 0.01 * appeal + 0.001 * _luck(video_id, "comments"))),
        shares=int(engaged_views * _share(0.002 + 0.02 * appeal + 0.002 * _luck(video_id, "shares"))),
    )


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _luck(video_id: str, what: str) -> float:
    """A standard normal number that belongs to the video (Box-Muller over a hash)."""
    digest = hashlib.sha256(f"{video_id}/{what}".encode()).digest()
    first, second = (int.from_bytes(digest[i : i + 8], "big") / 2**64 for i in (0, 8))
    return math.sqrt(-2 * math.log(1 - first)) * math.cos(2 * math.pi * second)
