"""Gate 2: generation that expects refusal. Jobs, the moderation ladder, the cache, segments; exactly-once billing."""

from video_pipeline.generation.day import generate_day
from video_pipeline.generation.engine import GenerationEngine
from video_pipeline.generation.ladder import Strategy, next_step
from video_pipeline.generation.providers import FalProvider, Provider

__all__ = [
    "FalProvider",
    "GenerationEngine",
    "Provider",
    "Strategy",
    "generate_day",
    "next_step",
]
