"""Platforms: one file each behind the protocol of `protocol.py`, and the table that names them."""

from video_pipeline.publishing.platforms.not_connected import NotConnected
from video_pipeline.publishing.platforms.protocol import (
    Failed,
    Metrics,
    Missing,
    Platform,
    PlatformVendor,
    Processing,
    Session,
    Status,
    Uploaded,
    UploadInterrupted,
    UploadLost,
    UploadRefused,
)
from video_pipeline.publishing.platforms.registry import PLATFORMS

__all__ = [
    "PLATFORMS",
    "Failed",
    "Metrics",
    "Missing",
    "NotConnected",
    "Platform",
    "PlatformVendor",
    "Processing",
    "Session",
    "Status",
    "UploadInterrupted",
    "UploadLost",
    "UploadRefused",
    "Uploaded",
]
