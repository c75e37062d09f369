"""Gate 2: generation that expects refusal. Jobs, the moderation ladder, the cache, segments; exactly-once billing."""

from video_pipeline.generation.day import generate_day
from video_pipeline.generation.engine import GenerationEngine
from video_pipeline.generation.ladder import Strategy, next_step
from video_pipeline.generation.outlook import shots_not_to_buy
from video_pipeline.generation.providers import PROVIDERS, Provider, check_wires
from video_pipeline.generation.resolution import find_unknown, resolve_unknown

__all__ = [
    "PROVIDERS",
    "GenerationEngine",
    "Provider",
    "Strategy",
    "check_wires",
    "find_unknown",
    "generate_day",
    "next_step",
    "resolve_unknown",
    "shots_not_to_buy",
]
