"""A day's generation spend beside what its plan expected of it, by tier; pure.

Clips that wait count at their planned price, and what a tier's bought clips cost beyond their plan counts for its
waiting ones too. So a freeze, which lets few clips of a tier through, changes neither the average nor the share.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from video_pipeline.clips import ClipStatus
from video_pipeline.feedback.facts import ClipFact


class Cause(StrEnum):
    """Why clips cost more than they should, or than the limit."""

    LEAK = "leak"
    PRICE = "price"
    RETRIES = "retries"
    SCHEMA = "schema"
    MIX = "mix"
    LIST_PRICES = "list prices"


class TierSpending(BaseModel):
    """A tier's clips of a day; money in US dollars.

    `made` clips were tried at a model or served from the cache, `waiting` ones were planned and not tried yet. The
    fields from `compared` on are sums over the clips of which a plan is known and that were tried, as in
    `Expectation`; `compared_usd` is what was paid for them. `assumed` counts the briefs that lack metadata.
    """

    model_config = ConfigDict(frozen=True)

    tier: str
    made: int
    waiting: int
    assumed: int
    paid_usd: Decimal
    waiting_usd: Decimal
    compared: int
    compared_usd: Decimal
    expected_usd: Decimal
    price_usd: Decimal
    leak_usd: Decimal
    attempts: int
    accepted: int
    expected_accepted: float

    @property
    def clips(self) -> int:
        return self.made + self.waiting

    @property
    def planned_usd(self) -> Decimal:
        """What its clips, tried or waiting, were expected to cost."""
        return self.expected_usd + self.waiting_usd

    @property
    def retries_usd(self) -> Decimal:
        """Beyond the expectation for other reasons than an attempt's price: attempts, pictures."""
        return self.compared_usd - self.expected_usd - self.price_usd - self.leak_usd


def spending_of(facts: Iterable[ClipFact]) -> tuple[TierSpending, ...]:
    """The spending of a day's clips, a row a tier."""
    of_tier: dict[str, list[ClipFact]] = {}
    for fact in facts:
        of_tier.setdefault(fact.tier, []).append(fact)
    return tuple(_tier_spending(tier, clips) for tier, clips in sorted(of_tier.items()))


def was_generated(fact: ClipFact) -> bool:
    """Clips that were tried at a model or served from the cache; one that waits has not happened yet."""
    return fact.attempts > 0 or fact.cached


def generation_usd_of(fact: ClipFact) -> Decimal:
    return fact.generation_usd + fact.retry_usd


def usd_per_clip(rows: Sequence[TierSpending]) -> Decimal | None:
    """The weighted average with waiting clips at their planned price; None without clips."""
    clips = sum(row.clips for row in rows)
    total = sum((row.paid_usd + row.waiting_usd for row in rows), Decimal(0))
    return total / clips if clips else None


def planned_usd_per_clip(rows: Sequence[TierSpending]) -> Decimal | None:
    """What the clips were expected to cost on average; None where no plan is known."""
    clips = sum(row.compared + row.waiting for row in rows)
    return sum((row.planned_usd for row in rows), Decimal(0)) / clips if clips else None


def beyond_plan(rows: Sequence[TierSpending]) -> dict[Cause, float]:
    """What was paid beyond the plan, as shares of what the day's whole mix was expected to cost; may be negative."""
    planned_usd = sum((row.planned_usd for row in rows), Decimal(0))
    shares: dict[Cause, float] = {Cause.LEAK: 0.0, Cause.PRICE: 0.0, Cause.RETRIES: 0.0}
    for row in rows:
        if row.expected_usd:
            # Each clip that was tried stands for those of its tier that wait.
            weight = row.planned_usd / row.expected_usd / planned_usd
            shares[Cause.LEAK] += float(row.leak_usd * weight)
            shares[Cause.PRICE] += float(row.price_usd * weight)
            shares[Cause.RETRIES] += float(row.retries_usd * weight)
    return shares


def _tier_spending(tier: str, facts: Sequence[ClipFact]) -> TierSpending:
    made = [fact for fact in facts if was_generated(fact)]
    waiting = [
        fact.expectation
        for fact in facts
        if fact.status is ClipStatus.WAITING
        and not was_generated(fact)
        and fact.expectation
        and fact.expectation.planned_usd
    ]
    compared = [fact for fact in made if fact.expectation and fact.expectation.attempts]
    known = [fact.expectation for fact in compared if fact.expectation]
    return TierSpending(
        tier=tier,
        made=len(made),
        waiting=len(waiting),
        assumed=sum(fact.expectation is not None and fact.expectation.assumed for fact in facts),
        paid_usd=sum((generation_usd_of(fact) for fact in made), Decimal(0)),
        waiting_usd=sum((expectation.planned_usd for expectation in waiting), Decimal(0)),
        compared=len(compared),
        compared_usd=sum((generation_usd_of(fact) for fact in compared), Decimal(0)),
        expected_usd=sum((expectation.expected_usd for expectation in known), Decimal(0)),
        price_usd=sum((expectation.price_usd for expectation in known), Decimal(0)),
        leak_usd=sum((expectation.leak_usd for expectation in known), Decimal(0)),
        attempts=sum(expectation.attempts for expectation in known),
        accepted=sum(expectation.accepted for expectation in known),
        expected_accepted=sum(expectation.expected_accepted for expectation in known),
    )
