"""Publishing: platforms behind one protocol, each clip on each platform exactly once, engagement read back."""

from video_pipeline.publishing.engagement import Engagement, collect_engagement
from video_pipeline.publishing.platforms import PLATFORMS, NotConnected, Platform, UploadRefused, YouTubeShorts
from video_pipeline.publishing.publisher import Publisher, PublishRecord, publish_day
from video_pipeline.publishing.rules import PublishRequest, check_rules

__all__ = [
    "PLATFORMS",
    "Engagement",
    "NotConnected",
    "Platform",
    "PublishRecord",
    "PublishRequest",
    "Publisher",
    "UploadRefused",
    "YouTubeShorts",
    "check_rules",
    "collect_engagement",
    "publish_day",
]
