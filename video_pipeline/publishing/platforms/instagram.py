"""Instagram Reels: its limits, for the dry run. Nothing is published to it yet."""

from video_pipeline.publishing.platforms.protocol import PlatformVendor
from video_pipeline.publishing.rules import Limits
from video_pipeline.settings import VendorSection

VENDOR = PlatformVendor(
    name="instagram_reels",
    # Instagram's publishing documents.
    limits=Limits(title=2200, description=2200, min_s=3, max_s=900, vertical=True),
    section=VendorSection,
    connect=lambda section: None,
    connect_sandbox=lambda base_url: None,
)
