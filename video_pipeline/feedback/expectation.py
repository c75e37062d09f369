"""What a clip's plan expected of its generation, held against its jobs; pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from video_pipeline.feedback.facts import Expectation
from video_pipeline.ledger import Job, JobKind, JobState
from video_pipeline.routing import ClipPlan, Decision, Tier, attempts_moments

_RENDERED = (JobState.RENDERED, JobState.STORED, JobState.ACCEPTED, JobState.REJECTED)
_RANK = {tier.value: rank for rank, tier in enumerate(Tier)}


def expectations_of(
    plans: Iterable[ClipPlan], jobs: Sequence[Job], own_tiers: Mapping[str, str], *, max_attempts: int
) -> dict[str, Expectation]:
    """The expectation of every planned clip, by clip id; `own_tiers` maps a model to the tier that it belongs to."""
    jobs_of: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        # What came from the cache or was never sent was not tried.
        if job.kind is JobKind.VIDEO and job.submitted_at is not None and not job.cached_from:
            jobs_of[job.clip_id].append(job)
    return {plan.clip_id: _expectation(plan, jobs_of[plan.clip_id], own_tiers, max_attempts) for plan in plans}


def _expectation(plan: ClipPlan, jobs: Sequence[Job], own_tiers: Mapping[str, str], max_attempts: int) -> Expectation:
    decisions = {decision.shot: decision for decision in plan.decisions}
    usd_of = {shot: _expected_usd(decision, max_attempts) for shot, decision in decisions.items()}
    # An attempt at a shot that the brief no longer has was not expected.
    known = [(job, decisions[job.shot]) for job in jobs if job.shot in decisions]
    ended = [(job, decision) for job, decision in known if job.state.final]
    price = leak = Decimal(0)
    for job, decision in known:
        if job.state in _RENDERED:
            beyond = job.billed_usd - decision.attempt_usd
            if _is_dearer(job, decision, own_tiers):
                leak += beyond
            else:
                price += beyond
    return Expectation(
        planned_usd=sum(usd_of.values(), Decimal(0)),
        expected_usd=sum((usd_of[shot] for shot in {job.shot for job, _ in known}), Decimal(0)),
        attempts=len(ended),
        accepted=sum(job.state is JobState.ACCEPTED for job, _ in ended),
        expected_accepted=sum(decision.acceptance for _, decision in ended),
        price_usd=price,
        leak_usd=leak,
        assumed=bool(plan.storyboard.brief.assumed),
    )


def _expected_usd(decision: Decision, max_attempts: int) -> Decimal:
    if decision.reuse:
        return Decimal(0)
    mean, _ = attempts_moments(decision.acceptance, max_attempts)
    return decision.attempt_usd * Decimal(f"{mean:.6f}")


def _is_dearer(job: Job, decision: Decision, own_tiers: Mapping[str, str]) -> bool:
    """Whether a dearer tier's model has made it than the one that was planned."""
    planned = own_tiers.get(decision.model or "", decision.tier.value)
    made = own_tiers.get(job.model, job.tier)
    return job.model != decision.model and _RANK[made] > _RANK[planned]
