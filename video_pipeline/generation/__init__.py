"""Gate 2: generation that expects refusal. Jobs, the moderation ladder, the cache, segments; exactly-once billing."""

from video_pipeline.generation.day import generate_day
from video_pipeline.generation.engine import GenerationEngine
from video_pipeline.generation.enquiries import Enquiries
from video_pipeline.generation.ladder import Strategy, next_step
from video_pipeline.generation.outlook import has_bought, shots_not_to_buy
from video_pipeline.generation.price_check import PriceFinding, Told, confirmed
from video_pipeline.generation.providers import (
    PROVIDERS,
    BilledLine,
    Forged,
    Provider,
    WebhookCall,
    check_wires,
    is_own_gpu,
)
from video_pipeline.generation.resolution import find_unknown, resolve_unknown
from video_pipeline.generation.waits import why_over_cap
from video_pipeline.generation.webhooks import NO_WEBHOOKS, Webhooks, is_job_key

__all__ = [
    "NO_WEBHOOKS",
    "PROVIDERS",
    "BilledLine",
    "Enquiries",
    "Forged",
    "GenerationEngine",
    "PriceFinding",
    "Provider",
    "Strategy",
    "Told",
    "WebhookCall",
    "Webhooks",
    "check_wires",
    "confirmed",
    "find_unknown",
    "generate_day",
    "has_bought",
    "is_job_key",
    "is_own_gpu",
    "next_step",
    "resolve_unknown",
    "shots_not_to_buy",
    "why_over_cap",
]
