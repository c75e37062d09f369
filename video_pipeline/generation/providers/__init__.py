"""Providers: one file each behind the protocol of `protocol.py`, and the table that names them."""

from video_pipeline.generation.providers.protocol import (
    Ending,
    JobFailed,
    Kept,
    NotAccepted,
    Provider,
    ProviderVendor,
    Recovery,
    Rendered,
    SubmitUnknown,
    Terms,
    Undecided,
)
from video_pipeline.generation.providers.registry import PROVIDERS
from video_pipeline.generation.providers.wires import check_wires

__all__ = [
    "PROVIDERS",
    "Ending",
    "JobFailed",
    "Kept",
    "NotAccepted",
    "Provider",
    "ProviderVendor",
    "Recovery",
    "Rendered",
    "SubmitUnknown",
    "Terms",
    "Undecided",
    "check_wires",
]
