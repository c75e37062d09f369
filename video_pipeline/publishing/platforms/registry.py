"""The only table that names platforms."""

from typing import Any

from video_pipeline.publishing.platforms import instagram, tiktok, youtube
from video_pipeline.publishing.platforms.protocol import PlatformVendor

PLATFORMS: dict[str, PlatformVendor[Any]] = {
    vendor.name: vendor for vendor in (youtube.VENDOR, instagram.VENDOR, tiktok.VENDOR)
}
"""Every platform by the name that briefs use. A new one is its own file and its name here."""
