"""Publishing: platforms behind one protocol, each clip on each platform exactly once, engagement read back."""

from video_pipeline.publishing.engagement import Engagement, collect_engagement
from video_pipeline.publishing.messages import answer_with
from video_pipeline.publishing.platforms import PLATFORMS, NotConnected, Platform, PlatformVendor
from video_pipeline.publishing.publisher import Publisher, PublishRecord, publish_day
from video_pipeline.publishing.resolution import resolve_publication
from video_pipeline.publishing.rules import Limits, PublishRequest, check_rules, refusals

__all__ = [
    "PLATFORMS",
    "Engagement",
    "Limits",
    "NotConnected",
    "Platform",
    "PlatformVendor",
    "PublishRecord",
    "PublishRequest",
    "Publisher",
    "answer_with",
    "check_rules",
    "collect_engagement",
    "publish_day",
    "refusals",
    "resolve_publication",
]
