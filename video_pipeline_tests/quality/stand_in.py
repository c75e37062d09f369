"""A safety classifier of 289 bytes for tests: it takes magenta for unsafe, as the sandbox's fault `unsafe` paints it.

The network is `0.6 * red - 1.2 * green + 0.6 * blue` of the mean colour, cut to 0..1: ReduceMean, MatMul, Clip.
"""

from pathlib import Path
from typing import Any

from video_pipeline.policy import ClassifierPolicy, Policy

MAGENTA = ClassifierPolicy(
    path=str(Path(__file__).with_name("magenta.onnx")),
    sha256="b001bb4678b3181534bb23b4f955c1952d697614052b2ddcbb98abded338dd81",
    resize=8,
    side=8,
    fit="squash",
    layout="nhwc",
    unsafe=(0,),
    person_from=0.45,
    block_from=0.8,
)


def with_stand_in(policy: Policy, **changes: Any) -> Policy:
    """The policy with the stand-in as its only classifier; `changes` are to the stand-in."""
    return with_classifiers(policy, magenta=MAGENTA.model_copy(update=changes))


def with_classifiers(policy: Policy, **classifiers: ClassifierPolicy) -> Policy:
    """The policy with those classifiers alone."""
    safety = policy.quality.safety.model_copy(update={"classifiers": classifiers})
    return policy.model_copy(update={"quality": policy.quality.model_copy(update={"safety": safety})})
