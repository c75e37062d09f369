"""Platforms: one file each behind the protocol of `protocol.py`, and the one table that names them."""

from video_pipeline.publishing.platforms import instagram, tiktok, youtube
from video_pipeline.publishing.platforms.not_connected import NotConnected
from video_pipeline.publishing.platforms.protocol import (
    Platform,
    PlatformVendor,
    Uploaded,
    UploadInterrupted,
    UploadLost,
    UploadRefused,
)
from video_pipeline.publishing.platforms.youtube import YouTubeShorts

PLATFORMS: dict[str, PlatformVendor] = {
    vendor.name: vendor for vendor in (youtube.VENDOR, instagram.VENDOR, tiktok.VENDOR)
}

__all__ = [
    "PLATFORMS",
    "NotConnected",
    "Platform",
    "PlatformVendor",
    "UploadInterrupted",
    "UploadLost",
    "UploadRefused",
    "Uploaded",
    "YouTubeShorts",
]
