"""Gate 1: route before you generate. Catalogue, decision tree, plan and price; pure, no calls, no LLM."""

from video_pipeline.routing.assignment import Tally, assign
from video_pipeline.routing.beliefs import Belief
from video_pipeline.routing.catalogue import (
    Catalogue,
    ImageModel,
    Model,
    ReferencePictures,
    Resolution,
    Talking,
    Tier,
    load_catalogue,
    load_own_gpu_catalogue,
    load_sandbox_vendors_catalogue,
)
from video_pipeline.routing.decision import (
    Decision,
    Draw,
    FallOver,
    Purpose,
    Reuse,
)
from video_pipeline.routing.lengths import Durations, Frames, Length
from video_pipeline.routing.levers import Lever, upscaling_usd
from video_pipeline.routing.plan import (
    ClipPlan,
    DayPlan,
    OverCap,
    attempts_moments,
    check_cap,
    plan_clip,
    plan_day,
    price_day,
)
from video_pipeline.routing.price import Offer, OffPeak, Price, Unit
from video_pipeline.routing.price_list import list_usd, load_prices
from video_pipeline.routing.reuse import Preview, preview_of
from video_pipeline.routing.state import Pin, Promotion, RoutingState
from video_pipeline.routing.tree import decide
from video_pipeline.routing.value import Option, Prior, chances_of_best

__all__ = [
    "Belief",
    "Catalogue",
    "ClipPlan",
    "DayPlan",
    "Decision",
    "Draw",
    "Durations",
    "FallOver",
    "Frames",
    "ImageModel",
    "Length",
    "Lever",
    "Model",
    "OffPeak",
    "Offer",
    "Option",
    "OverCap",
    "Pin",
    "Preview",
    "Price",
    "Prior",
    "Promotion",
    "Purpose",
    "ReferencePictures",
    "Resolution",
    "Reuse",
    "RoutingState",
    "Talking",
    "Tally",
    "Tier",
    "Unit",
    "assign",
    "attempts_moments",
    "chances_of_best",
    "check_cap",
    "decide",
    "list_usd",
    "load_catalogue",
    "load_own_gpu_catalogue",
    "load_prices",
    "load_sandbox_vendors_catalogue",
    "plan_clip",
    "plan_day",
    "preview_of",
    "price_day",
    "upscaling_usd",
]
