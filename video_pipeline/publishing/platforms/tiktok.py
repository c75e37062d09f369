"""TikTok: no adapter yet, so that every publication is a dry run."""

from video_pipeline.publishing.platforms.protocol import PlatformVendor
from video_pipeline.settings import VendorSection

VENDOR = PlatformVendor("tiktok", VendorSection, lambda section: None, lambda base_url: None)
