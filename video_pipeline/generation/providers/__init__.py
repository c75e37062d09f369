"""Providers: one file each behind the protocol of `protocol.py`, and the table that names them."""

from video_pipeline.generation.providers.protocol import (
    Ambiguous,
    BilledLine,
    Forged,
    JobFailed,
    Kept,
    ListedPrice,
    NotAccepted,
    Provider,
    ProviderVendor,
    Recovery,
    Rendered,
    SubmitUnknown,
    Terms,
    TooDear,
    Undecided,
    WebhookCall,
    WebhookTerms,
)
from video_pipeline.generation.providers.registry import PROVIDERS, is_own_gpu
from video_pipeline.generation.providers.wires import check_wires
from video_pipeline.orders import Ending

__all__ = [
    "PROVIDERS",
    "Ambiguous",
    "BilledLine",
    "Ending",
    "Forged",
    "JobFailed",
    "Kept",
    "ListedPrice",
    "NotAccepted",
    "Provider",
    "ProviderVendor",
    "Recovery",
    "Rendered",
    "SubmitUnknown",
    "Terms",
    "TooDear",
    "Undecided",
    "WebhookCall",
    "WebhookTerms",
    "check_wires",
    "is_own_gpu",
]
