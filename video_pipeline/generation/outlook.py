"""What of a day's plans a run would still buy: the ladder's next step of every shot, looked at and not taken."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date

from video_pipeline.generation.job_driver import is_overdue
from video_pipeline.generation.ladder import Attempt, may_be_chance, next_step, owed
from video_pipeline.generation.serving import can_anchor, never_by, stand_in, standing_in
from video_pipeline.ledger import Job, JobState, Ledger
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue, ClipPlan, RoutingState

# What was planned or refused by the budget has not happened.
NOT_HAPPENED = (JobState.PLANNED, JobState.REFUSED)


def shots_not_to_buy(
    ledger: Ledger, plans: Sequence[ClipPlan], policy: Policy, catalogue: Catalogue, state: RoutingState
) -> frozenset[tuple[str, int]]:
    """The shots, as (clip id, shot), that a new run would not buy: made, under way, or waiting for a person."""
    state = standing_in(state, policy)
    histories: dict[tuple[str, int, str], list[Job]] = defaultdict(list)
    for job in _jobs_of_days(ledger, {plan.storyboard.day for plan in plans}):
        histories[job.clip_id, job.shot, job.shot_sha256].append(job)
    found: set[tuple[str, int]] = set()
    for plan in plans:
        for decision in plan.decisions:
            shot = plan.storyboard.shots[decision.shot]
            history = histories[plan.clip_id, shot.index, plan.storyboard.shot_sha256(shot)]
            late = owed(history, lambda job: is_overdue(job, policy.generation))
            rest = [job for job in history if job not in late]
            anchor = bool(rest) and can_anchor(plan, decision, rest, catalogue, policy.routing, state)
            passed = may_be_chance(rest) and ledger.jobs.passed_before(rest[-1])
            step = next_step(shot, rest, policy.generation, can_anchor=anchor, passed_before=passed)
            if isinstance(step, Attempt):
                out = never_by(step, history)
                if stand_in(plan, decision, catalogue, policy.routing, state, out) is not None:
                    continue
            found.add((plan.clip_id, shot.index))
    return frozenset(found)


def has_bought(ledger: Ledger, day: date) -> bool:
    """Whether a day has jobs that are paid for or may be: accepted ones, and all that have not come to their end."""
    return any(job.state is JobState.ACCEPTED or not job.state.final for job in _jobs_of_days(ledger, [day]))


def _jobs_of_days(ledger: Ledger, days: Iterable[date]) -> list[Job]:
    jobs = [job for day in days for job in ledger.jobs.of_day(day) if job.state not in NOT_HAPPENED]
    return sorted(jobs, key=lambda job: job.attempt)
