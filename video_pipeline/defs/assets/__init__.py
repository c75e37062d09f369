"""The asset graph; one file a gate, in the order in which a clip passes them."""

import dagster as dg

from video_pipeline.defs.assets import briefs, feedback, generation, publishing, review, routing, upscaling, weekly
from video_pipeline.policy import Policy


def assets_under(policy: Policy, *, own_gpu: bool = False) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """The whole graph. How many days some assets read is policy, and part of the graph, as are their pools."""
    return [
        *briefs.ALL,
        *routing.ALL,
        *generation.assets_under(own_gpu=own_gpu),
        *upscaling.ALL,
        *review.ALL,
        *publishing.ALL,
        *feedback.assets_under(policy),
        *weekly.assets_under(policy),
    ]
