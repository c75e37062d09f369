"""The asset graph of DESIGN section 3; one file a gate, in the order in which a clip passes them."""

from video_pipeline.defs.assets import briefs, feedback, generation, publishing, review, routing, upscaling, weekly

ALL = [
    *briefs.ALL,
    *routing.ALL,
    *generation.ALL,
    *upscaling.ALL,
    *review.ALL,
    *publishing.ALL,
    *feedback.ALL,
    *weekly.ALL,
]
