"""Platforms: one file each behind the protocol of `protocol.py`."""

from video_pipeline.publishing.platforms.not_connected import NotConnected
from video_pipeline.publishing.platforms.protocol import (
    Platform,
    Uploaded,
    UploadInterrupted,
    UploadLost,
    UploadRefused,
)
from video_pipeline.publishing.platforms.youtube import YouTubeShorts

__all__ = [
    "NotConnected",
    "Platform",
    "UploadInterrupted",
    "UploadLost",
    "UploadRefused",
    "Uploaded",
    "YouTubeShorts",
]
