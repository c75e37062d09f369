"""What the nights have learned, as a pure function of the record: estimates, standings, beliefs (G1.4, G4.5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from video_pipeline.feedback.facts import ClipFact
from video_pipeline.feedback.scores import ModelScore, score_models, with_engagement
from video_pipeline.ledger import StandingStatus
from video_pipeline.policy import ScoringPolicy
from video_pipeline.publishing import Engagement
from video_pipeline.routing import Belief, Catalogue, Prior, Promotion, RoutingState


@dataclass(frozen=True)
class Standing:
    """Where a model stands after the night, since when and why; `evidence` holds the numbers."""

    model: str
    version: str
    tier: str
    status: StandingStatus
    since: date
    reason: str
    evidence: Mapping[str, object]
    verdict: str


@dataclass(frozen=True)
class Learned:
    """What is known after the night of `day`. `standings` and `beliefs` are by model.

    `candidates` are models that may prove themselves on the tier above their own.
    """

    day: date
    scores: tuple[ModelScore, ...] = ()
    standings: Mapping[str, Standing] = field(default_factory=dict[str, Standing])
    beliefs: Mapping[str, Belief] = field(default_factory=dict[str, Belief])
    candidates: tuple[str, ...] = ()


def learn(
    day: date,
    facts: Sequence[ClipFact],
    engagement: Sequence[Engagement],
    catalogue: Catalogue,
    policy: ScoringPolicy,
    by_hand: Mapping[str, StandingStatus] | None = None,
) -> Learned:
    """Fold over the nights up to `day`; each knew the facts of its days and the snapshots read by then.

    `by_hand` maps models to the standing that a person has set, which holds.
    """
    known = [fact for fact in facts if fact.day <= day]
    seen = with_engagement(known, [row for row in engagement if row.day <= day])
    scores = score_models(day, seen, policy, own_tiers=catalogue.tiers)
    beliefs: dict[str, Belief] = {}
    standings: dict[str, Standing] = {}
    for score in scores:
        model = catalogue.find(score.model)
        if model is None or model.version != score.model_version:
            continue
        strength = score.attempts + policy.prior_strength
        beliefs[score.model] = Belief(
            version=score.model_version,
            accepted=max(1e-6, score.acceptance * strength),
            lost=max(1e-6, (1 - score.acceptance) * strength),
            worth_sd=0.25,
            clips=score.attempts,
            seen=score.engaged_clips,
        )
        status = (by_hand or {}).get(score.model, StandingStatus.ACTIVE)
        standings[score.model] = Standing(
            score.model, score.model_version, score.tier, status, day, "", {}, "Not enough data"
        )
    return Learned(day, tuple(scores), standings, beliefs)


def state_of(learned: Learned, policy: ScoringPolicy) -> RoutingState:
    """What the night puts in force, as Gate 1 reads it."""
    return RoutingState(
        demoted=frozenset(
            model for model, standing in learned.standings.items() if standing.status is StandingStatus.DEMOTED
        ),
        promoted={
            model: Promotion(standing.tier, standing.version, frozenset(), standing.reason)
            for model, standing in learned.standings.items()
            if standing.status is StandingStatus.PROMOTED
        },
        beliefs=learned.beliefs,
        prior=Prior(policy.prior_strength, policy.worth_prior_sd),
        candidates=frozenset(learned.candidates),
    )
