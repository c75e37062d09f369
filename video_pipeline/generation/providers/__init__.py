"""Providers: one file each behind the protocol of `protocol.py`."""

from video_pipeline.generation.providers.fal import FalProvider
from video_pipeline.generation.providers.protocol import (
    JobFailed,
    NotAccepted,
    Provider,
    Rendered,
    Submission,
    SubmitUnknown,
)

__all__ = ["FalProvider", "JobFailed", "NotAccepted", "Provider", "Rendered", "Submission", "SubmitUnknown"]
