"""TikTok: its limits, for the dry run. Nothing is published to it yet."""

from video_pipeline.publishing.platforms.protocol import PlatformVendor
from video_pipeline.publishing.rules import Limits
from video_pipeline.settings import VendorSection

VENDOR = PlatformVendor(
    name="tiktok",
    # TikTok's publishing documents.
    limits=Limits(title=2200, description=2200, min_s=0, max_s=600, vertical=False),
    section=VendorSection,
    connect=lambda section: None,
    connect_sandbox=lambda base_url: None,
)
