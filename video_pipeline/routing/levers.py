"""What a lever of routing costs by itself; pure. The levers are switched in the policy (`routing.levers`)."""

from decimal import Decimal
from enum import StrEnum

from video_pipeline.policy import RoutingThresholds

# What models render of which no rate is known.
_FRAMES_A_S = 24
_MICRODOLLAR = Decimal("0.000001")


class Lever(StrEnum):
    """The levers that a decision tells the savings of."""

    ANY_TIER = "any_tier"
    SMALL_THEN_UPSCALE = "small_then_upscale"
    ROUND_TO_BILLED = "round_to_billed"
    REUSE_PREVIEWS = "reuse_previews"
    DRAFT_SECONDS = "draft_seconds"
    PRICE_OF_THE_HOUR = "price_of_the_hour"


def upscaling_usd(
    size: tuple[int, int], length_s: float, policy: RoutingThresholds, *, fps: int | None = None
) -> Decimal:
    """Electricity to bring a clip of `size` to the delivered one, in US dollars; none where it is as large."""
    if min(size) >= policy.delivered_short_side:
        return Decimal(0)
    megapixels = Decimal(size[0] * size[1] * (fps or _FRAMES_A_S)) / 1_000_000 * Decimal(str(length_s))
    return (megapixels * policy.levers.upscale_usd_per_megapixel).quantize(_MICRODOLLAR)


def without(lever: Lever, policy: RoutingThresholds) -> RoutingThresholds:
    """The policy with a lever switched off."""
    off = None if lever is Lever.DRAFT_SECONDS else False
    return policy.model_copy(update={"levers": policy.levers.model_copy(update={lever.value: off})})
