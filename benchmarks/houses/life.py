"""A house and its days: plans in the morning, attempts, audiences, and what is learned at night.

Plans, the ladder, stand-ins, facts, scores, standings and patterns are the product's own; what comes of an attempt
is the world's.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from benchmarks.houses.books import Books
from benchmarks.houses.truth import FIRST, PROVIDER, End, Order, Seen, Truth, catalogue_on
from benchmarks.houses.world import World
from video_pipeline.clips import ClipStatus, ReviewedClip
from video_pipeline.feedback import (
    ClipFact,
    Nights,
    build_facts,
    editorial_patterns_of,
    judge_standings,
    put_learned_in_force,
    put_proven_kinds_in_force,
    routing_state,
    score_models,
)
from video_pipeline.generation.ladder import Attempt, next_step
from video_pipeline.generation.serving import never_by, stand_in, standing_in
from video_pipeline.ledger import FailureKind, Job, JobKind, JobState, SpendCategory
from video_pipeline.policy import Policy
from video_pipeline.publishing import Engagement
from video_pipeline.routing import Catalogue, ClipPlan, Decision, RoutingState, plan_day

_READ_FOR_DAYS = 14
_ENDS = {
    End.ACCEPTED: (JobState.ACCEPTED, None),
    End.REFUSED: (JobState.FAILED, FailureKind.MODERATION),
    End.FAILED: (JobState.FAILED, FailureKind.GENERATION),
    End.REJECTED: (JobState.REJECTED, None),
}


@dataclass
class House:
    """What happened in one house, day by day; `served` counts clips by (the brief's tier, the model decided for)."""

    served: list[Counter[tuple[str, str]]] = field(default_factory=list[Counter[tuple[str, str]]])
    demoted: list[frozenset[str]] = field(default_factory=list[frozenset[str]])
    promoted: list[frozenset[str]] = field(default_factory=list[frozenset[str]])
    regret_usd: list[float] = field(default_factory=list[float])
    spent_usd: list[float] = field(default_factory=list[float])
    clips: list[int] = field(default_factory=list[int])
    delivered: list[int] = field(default_factory=list[int])
    hooks: list[tuple[int, str, bool]] = field(default_factory=list[tuple[int, str, bool]])
    """A row a week, counted from 1, platform and hook: whether it was called a winner or preferred."""


def live(world: World, clips_a_day: int, seed: int, *, policy: Policy) -> House:
    """Let one house live in `world`."""
    truth, house, books = Truth(world, clips_a_day, seed), House(), Books()
    ledger = books.as_ledger()
    facts, seen, nights = list[ClipFact](), list[Seen](), Nights(policy.scoring)
    told, snapshots = list[ClipFact](), list[Engagement]()
    catalogue = catalogue_on(world, 0)
    changed_on = {change.day for change in world.changes} | {model.from_day for model in world.models.values()}
    state = routing_state(ledger, policy.scoring)
    for number in range(world.nights):
        day = FIRST + timedelta(days=number)
        if number in changed_on:
            catalogue = catalogue_on(world, number)
        orders = truth.orders(number)
        plans = plan_day(
            ledger,
            [order.board for order in orders],
            catalogue,
            policy.routing,
            state,
            max_attempts=policy.generation.max_attempts,
            exploration=policy.exploration,
        )
        tried = [
            _made(truth, order, plan, catalogue, policy, state) for order, plan in zip(orders, plans, strict=True)
        ]
        for order, jobs in zip(orders, tried, strict=True):
            if jobs and jobs[-1].state is JobState.ACCEPTED:
                seen.append(truth.published(order, jobs[-1].model, jobs[-1].model_version))
        seen = [clip for clip in seen if (day - clip.day).days < _READ_FOR_DAYS]
        read = [row for row in (truth.read(clip, day) for clip in seen) if row is not None]
        facts = [fact for fact in facts if (day - fact.day).days < policy.scoring.trailing_days]
        today = _facts(plans, tried, read, catalogue)
        facts += today
        if len(world.briefs.hooks) > 1:
            told, snapshots = told + today, snapshots + read
        nights.night(day, today, read, catalogue)
        learned = nights.learned(day, catalogue)
        scores = score_models(facts, learned, policy.scoring)
        judge_standings(ledger, policy.scoring, learned=learned, scores=scores)
        put_learned_in_force(ledger, learned)
        put_proven_kinds_in_force(ledger, scores, learned_from=day)
        _note(house, truth, orders, plans, tried, catalogue, policy)
        if number % 7 == 6 and len(world.briefs.hooks) > 1:
            patterns = editorial_patterns_of(day - timedelta(days=6), told, snapshots, policy.guidance)
            week = number // 7 + 1
            house.hooks += [(week, row.value, row.verdict.works) for row in patterns if row.parameter == "hook"]
        state = routing_state(ledger, policy.scoring)
        house.demoted.append(state.demoted)
        house.promoted.append(frozenset(state.promoted))
    return house


def _made(
    truth: Truth, order: Order, plan: ClipPlan, catalogue: Catalogue, policy: Policy, state: RoutingState
) -> list[Job]:
    """A clip's attempts, in order, as the ladder asks for them; none of a clip that is held."""
    (decision,) = plan.decisions
    if decision.model is None:
        return []
    shot, jobs = order.board.shots[0], list[Job]()
    refused_by = set[str]()
    while True:
        step = next_step(shot, jobs, policy.generation, can_anchor=False)
        if not isinstance(step, Attempt):
            return jobs
        if step.not_by:
            moved = stand_in(
                plan, decision, catalogue, policy.routing, standing_in(state, policy), never_by(step, jobs)
            )
            if moved is None:
                return jobs
            decision = moved
        model, version = decision.model or "", decision.model_version or ""
        end = truth.end(order, model, version, refused_before=model in refused_by)
        if end is End.REFUSED:
            refused_by.add(model)
        jobs.append(_job(truth, order, decision, step, end))


def _job(truth: Truth, order: Order, decision: Decision, step: Attempt, end: End) -> Job:
    state, failure = _ENDS[end]
    board, day = order.board, order.board.day
    # As most vendors do: what was refused or has failed costs nothing.
    billed = end in (End.ACCEPTED, End.REJECTED)
    sent = datetime(day.year, day.month, day.day, 12, step.number, tzinfo=UTC)
    return Job(
        key=f"{board.clip_id} {step.number}",
        kind=JobKind.VIDEO,
        day=day,
        clip_id=board.clip_id,
        shot=0,
        shot_sha256=board.shot_sha256(board.shots[0]),
        attempt=step.number,
        strategy=step.strategy,
        reason=step.reason,
        tier=decision.tier.value,
        provider=PROVIDER,
        model=decision.model or "",
        model_version=decision.model_version or "",
        order=truth.render_order(step.prompt, decision.requested_s),
        request={},
        request_sha256="",
        expected_usd=decision.attempt_usd,
        state=state,
        run_id="run",
        failure_kind=failure,
        failure_reason=end.value if failure else None,
        billed_usd=decision.attempt_usd if billed else Decimal(0),
        billed_s=decision.requested_s if billed else 0.0,
        submitted_at=sent,
        finished_at=sent + timedelta(seconds=truth.seconds(decision.model or "")),
    )


def _facts(
    plans: Sequence[ClipPlan], tried: Sequence[Sequence[Job]], read: Sequence[Engagement], catalogue: Catalogue
) -> list[ClipFact]:
    clips, costs = list[ReviewedClip](), dict[str, dict[SpendCategory, Decimal]]()
    for plan, jobs in zip(plans, tried, strict=True):
        last = jobs[-1] if jobs else None
        made = last is not None and last.state is JobState.ACCEPTED
        status = ClipStatus.PASSED if made else ClipStatus.REVIEW if jobs else ClipStatus.WAITING
        clips.append(
            ReviewedClip(
                clip_id=plan.clip_id,
                brief_id=plan.storyboard.brief.brief_id,
                day=plan.storyboard.day,
                status=status,
                tier=plan.decisions[0].tier,
                model=last.model if last and made else None,
                model_version=last.model_version if last and made else None,
                strategy=last.strategy if last and made else "",
                attempts=len(jobs),
            )
        )
        costs[plan.clip_id] = {
            SpendCategory.GENERATION: jobs[0].billed_usd if jobs else Decimal(0),
            SpendCategory.RETRY: sum((job.billed_usd for job in jobs[1:]), Decimal(0)),
        }
    today = {plan.clip_id for plan in plans}
    return build_facts(
        storyboards={plan.clip_id: plan.storyboard for plan in plans},
        clips=clips,
        jobs=[job for jobs in tried for job in jobs],
        costs=costs,
        records=[],
        engagement=[row for row in read if row.clip_id in today],
        own_tiers=catalogue.tiers,
        expectations={},
        times={},
    )


def _note(
    house: House,
    truth: Truth,
    orders: Sequence[Order],
    plans: Sequence[ClipPlan],
    tried: Sequence[Sequence[Job]],
    catalogue: Catalogue,
    policy: Policy,
) -> None:
    decisions = [plan.decisions[0] for plan in plans]
    house.served.append(Counter((decision.tier.value, decision.model) for decision in decisions if decision.model))
    house.clips.append(len(plans))
    house.delivered.append(sum(bool(jobs) and jobs[-1].state is JobState.ACCEPTED for jobs in tried))
    house.spent_usd.append(float(sum((job.billed_usd for jobs in tried for job in jobs), Decimal(0))))
    house.regret_usd.append(
        sum(
            _regret(truth, order, decision, catalogue, policy)
            for order, decision in zip(orders, decisions, strict=True)
        )
    )


def _regret(truth: Truth, order: Order, decision: Decision, catalogue: Catalogue, policy: Policy) -> float:
    """What a clip is expected to cost beyond what as much of worth costs with the tier's best model for it."""
    if decision.model is None:
        return 0.0
    needed = policy.routing.adequate_fidelity[decision.tier]
    worth, usd = truth.worth_and_usd(order, catalogue.named(decision.model))
    others = (model for model in catalogue.of_tier(decision.tier) if model.fidelity[order.kind] >= needed)
    least = min(
        (cost / value for value, cost in (truth.worth_and_usd(order, model) for model in others)), default=0.0
    )
    return max(0.0, usd - worth * least)
