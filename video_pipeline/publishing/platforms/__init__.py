"""Platforms: one file each behind the protocol of `protocol.py`, and the table that names them."""

from video_pipeline.publishing.platforms.not_connected import NotConnected
from video_pipeline.publishing.platforms.protocol import (
    Before,
    Failed,
    Metrics,
    Missing,
    Platform,
    PlatformVendor,
    Processing,
    RawAnswer,
    Session,
    Status,
    Uploaded,
    UploadInterrupted,
    UploadLost,
    UploadRefused,
    longest_send_s,
)
from video_pipeline.publishing.platforms.registry import PLATFORMS

__all__ = [
    "PLATFORMS",
    "Before",
    "Failed",
    "Metrics",
    "Missing",
    "NotConnected",
    "Platform",
    "PlatformVendor",
    "Processing",
    "RawAnswer",
    "Session",
    "Status",
    "UploadInterrupted",
    "UploadLost",
    "UploadRefused",
    "Uploaded",
    "longest_send_s",
]
