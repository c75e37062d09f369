"""When a clip is bought: at once, or in off-peak hours of a model that its day still sees, where they save (G1.8).

A clip waits for no hours after the end of its own production day. So its waiting ends, and a run that comes too late
for the hours buys at the price of its own moment.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from video_pipeline.briefs import Storyboard
from video_pipeline.days import begins_at
from video_pipeline.routing.catalogue import Catalogue
from video_pipeline.routing.decision import Decision
from video_pipeline.routing.levers import Lever
from video_pipeline.routing.value import LEAST_ACCEPTANCE

_MICRODOLLAR = Decimal("0.000001")


def buying_moments(board: Storyboard, catalogue: Catalogue, now: datetime, *, wait_h: float) -> list[datetime]:
    """The moments at which a clip may be bought: now, and when hours begin that it may wait for, in their order."""
    latest = min(now + timedelta(hours=wait_h), begins_at(board.day + timedelta(days=1)) - timedelta(seconds=1))
    begins = {one.price.off_peak.next_after(now) for one in catalogue.models if one.price.off_peak is not None}
    return [now, *sorted(moment for moment in begins if moment <= latest)]


def least_dear(plans: Sequence[tuple[datetime, Sequence[Decision]]]) -> datetime:
    """The moment at which a clip's decisions cost least, the first of equals; what is held cannot be compared."""
    first = plans[0][0]
    if any(decision.held for _, decisions in plans for decision in decisions):
        return first
    costs = {moment: sum(decision.accepted_usd for decision in decisions) for moment, decisions in plans}
    return min(costs, key=lambda moment: (round(costs[moment], 6), moment))


def at_price_of(
    decision: Decision, board: Storyboard, catalogue: Catalogue, moment: datetime, now: datetime
) -> Decision:
    """The decision with what it saves by its moment's price; held until that moment, where it is yet to come."""
    model = catalogue.find(decision.model or "")
    if decision.held or decision.reuse or model is None:
        return decision
    resolution = next(one for one in model.resolutions if one.name == decision.resolution)
    length = model.durations.at(decision.requested_s)
    listed, then = (
        model.usd(resolution, board.orientation, length, audio=decision.audio, at=at) for at in (None, moment)
    )
    if then >= listed:
        return decision
    likely = Decimal(str(max(decision.acceptance, LEAST_ACCEPTANCE)))
    saved = ((listed - then) / likely).quantize(_MICRODOLLAR)
    reduced = " and ".join(one.said for one in (model.price.offer, model.price.off_peak) if one and one.holds(moment))
    why = f"{model.model} is bought {reduced}, which saves ${saved:.4f} an accepted clip"
    update = {"saves": decision.saves | {Lever.PRICE_OF_THE_HOUR: saved}, "reasons": (*decision.reasons, why)}
    if moment > now:
        held = f"the clip waits until {moment:%H:%M} UTC: {why}"
        update |= {"held": held, "until": moment, "reasons": (*decision.reasons, held)}
    return decision.model_copy(update=update)
