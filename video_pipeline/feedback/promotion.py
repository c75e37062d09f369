"""Promotion: whether a model is surely as good as the tier above its own, and may serve there too (G1.4, G4.5).

Pure. "As good" means acceptance and engagement both, as acceptance alone says nothing about looks. The model's
interval is compared with the best of the upper tier. A lower bound that reaches it promotes, and an upper bound under
it takes the promotion back, so that what could be luck changes nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from video_pipeline.feedback.scores import ModelScore
from video_pipeline.intervals import mean_interval, wilson_interval
from video_pipeline.ledger import StandingStatus
from video_pipeline.policy import ScoringPolicy
from video_pipeline.routing import Catalogue, Promotion, Tier

_ACTIVE, _PROMOTED = StandingStatus.ACTIVE, StandingStatus.PROMOTED


@dataclass(frozen=True, order=True)
class Mark:
    """The best of a tier in one measure (0..1), and whose it is."""

    value: float
    model: str


@dataclass(frozen=True)
class Bar:
    """What a model has to reach to serve a tier; None where no model of it has been measured often enough."""

    tier: Tier
    acceptance: Mark | None
    engagement: Mark | None


@dataclass(frozen=True)
class Verdict:
    """The standing a model deserves, why in words, and the evidence that the ledger keeps of it."""

    status: StandingStatus
    reason: str
    evidence: Mapping[str, Any]


def bar_of(
    tier: Tier, scores: Sequence[ModelScore], catalogue: Catalogue, policy: ScoringPolicy, *, demoted: Collection[str]
) -> Bar:
    """The best acceptance and the best engagement of the models that have `tier` as their own."""
    serving = [
        score
        for score in scores
        if score.tier == tier and score.model not in demoted and _is_current(score, catalogue)
    ]
    tried = [score for score in serving if score.attempts >= policy.promote_attempts]
    seen = [score for score in serving if score.engaged_clips >= policy.promote_clips]
    return Bar(
        tier=tier,
        acceptance=max((Mark(score.accepted / score.attempts, score.model) for score in tried), default=None),
        engagement=max((Mark(score.engagement or 0.0, score.model) for score in seen), default=None),
    )


def judge_promotion(
    score: ModelScore,
    granted: Mapping[str, Any] | None,
    bar: Bar | None,
    catalogue: Catalogue,
    policy: ScoringPolicy,
) -> Verdict:
    """Promote, keep or take back. `granted` is the evidence of the promotion in force, None without one.

    `bar` is that of the tier above, None for the dearest tier. A promotion holds for one version; the next version
    starts without it. A promoted model takes most of the upper tier's shots, so the models there may have too few
    attempts to be a bar. It is then compared with the bar that it was promoted over.
    """
    held = _ACTIVE if granted is None else _PROMOTED
    if granted is not None:
        model = catalogue.find(score.model)
        if model is None or (model.version, model.tier) != (granted["version"], granted["tier"]):
            said = f"version {granted['version']} of the {granted['tier']} tier"
            return Verdict(_ACTIVE, f"no longer promoted: it was as {said}, which it is not now", {})
    if bar is None or not _is_current(score, catalogue):
        return Verdict(held, "", {})
    acceptance = bar.acceptance or _granted_mark(granted, "acceptance")
    engagement = bar.engagement or _granted_mark(granted, "engagement")
    needed = f"{policy.promote_attempts} attempts and {policy.promote_clips} seen clips"
    if acceptance is None or engagement is None:
        return Verdict(held, f"not promoted: no model of {bar.tier} has {needed} to be held against", {})
    enough = score.attempts >= policy.promote_attempts and score.engaged_clips >= policy.promote_clips
    if granted is None and not enough:
        has = f"{score.attempts} attempts and {score.engaged_clips} seen clips"
        return Verdict(held, f"not promoted: {has} of {needed}", {})
    return _compared(score, held, bar.tier, acceptance, engagement, policy)


def promotion_in_force(evidence: Mapping[str, Any], kinds: Mapping[str, Sequence[str]]) -> Promotion:
    """What the ledger keeps of a promotion, as Gate 1 reads it; `kinds` maps versions to their proven kinds."""
    return Promotion(
        tier=evidence["tier"],
        version=evidence["version"],
        kinds=frozenset(kinds.get(evidence["version"], ())),
        reason=evidence["numbers"],
    )


def _compared(
    score: ModelScore, held: StandingStatus, tier: Tier, acceptance: Mark, engagement: Mark, policy: ScoringPolicy
) -> Verdict:
    """The model's two intervals against the tier's two marks."""
    confidence = policy.promote_confidence
    accepted = wilson_interval(score.accepted, score.attempts, confidence=confidence)
    liked = mean_interval(
        score.engagement or 0.0, score.engagement_sd or 0.0, score.engaged_clips, confidence=confidence
    )
    if held is _PROMOTED:
        stays = accepted[1] >= acceptance.value and liked[1] >= engagement.value
        status, side, bound = (_PROMOTED if stays else _ACTIVE), "at most", 1
        word = f"stays promoted to {tier}" if stays else f"no longer as good as {tier}"
    else:
        rises = accepted[0] >= acceptance.value and liked[0] >= engagement.value
        status, side, bound = (_PROMOTED if rises else _ACTIVE), "at least", 0
        word = f"as good as {tier}" if rises else f"not promoted: not surely as good as {tier}"
    numbers = (
        f"accepted {score.accepted} of {score.attempts} ({side} {accepted[bound]:.1%}) against "
        f"{acceptance.value:.1%} of {acceptance.model}, engagement {score.engagement or 0.0:.3f} over "
        f"{score.engaged_clips} clips ({side} {liked[bound]:.3f}) against {engagement.value:.3f} of "
        f"{engagement.model}"
    )
    evidence = {
        "tier": score.tier,
        "serves": tier.value,
        "version": score.model_version,
        "numbers": numbers,
        "acceptance": {"interval": _rounded(accepted), "bar": asdict(acceptance)},
        "engagement": {"interval": _rounded(liked), "bar": asdict(engagement)},
    }
    return Verdict(status, f"{word}: {numbers}", evidence)


def _granted_mark(granted: Mapping[str, Any] | None, measure: str) -> Mark | None:
    return Mark(**granted[measure]["bar"]) if granted is not None else None


def _is_current(score: ModelScore, catalogue: Catalogue) -> bool:
    """Whether it is the version that routing would choose."""
    model = catalogue.find(score.model)
    return model is not None and model.version == score.model_version


def _rounded(interval: tuple[float, float]) -> list[float]:
    return [round(limit, 4) for limit in interval]
