"""The engine of Gate 2: drives every shot of a day's plans to an accepted clip or to a reason why not.

It remembers nothing. A job's state in the ledger says what comes next (`JobDriver.drive`). A shot's history says
which attempt comes next (`ladder.next_step`). So a run continues where the last one was killed, wherever that was.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeVar

import httpx

from video_pipeline import checkpoints
from video_pipeline.alerts import Notifier
from video_pipeline.briefs import StoryboardShot
from video_pipeline.clips import ClipStatus, GeneratedClip
from video_pipeline.errors import LedgerError, VideoPipelineError
from video_pipeline.generation import messages, questions
from video_pipeline.generation.assembly import Segment, assemble
from video_pipeline.generation.clip_rows import clip_row, finished_row
from video_pipeline.generation.continuation import goes_on, keep_last_frame
from video_pipeline.generation.job_driver import JobDriver, is_overdue
from video_pipeline.generation.ladder import Attempt, Continue, Done, Stop, may_be_chance, next_step, owed
from video_pipeline.generation.ledger_threads import LedgerThreads
from video_pipeline.generation.outlook import NOT_HAPPENED
from video_pipeline.generation.own_pictures import is_kept
from video_pipeline.generation.providers import Provider
from video_pipeline.generation.requests import as_ordered, reusing_job
from video_pipeline.generation.resolution import clip_lease
from video_pipeline.generation.serving import Switchboard, Unserved
from video_pipeline.generation.waits import (
    why_held,
    why_held_back,
    why_over_cap,
    why_stopped,
    why_unfinished,
    why_unserved,
)
from video_pipeline.generation.webhooks import NO_WEBHOOKS, Webhooks
from video_pipeline.ledger import (
    Job,
    JobKind,
    JobState,
    Lease,
    LeaseLost,
    Ledger,
    Mark,
    ReviewStage,
    Wait,
    WaitCause,
    What,
    Why,
    new_owner,
)
from video_pipeline.policy import Policy
from video_pipeline.quality import review_raw
from video_pipeline.routing import Catalogue, ClipPlan, Decision, RoutingState
from video_pipeline.storage import ObjectStore

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
# Causes for which nothing more is bought; they say nothing of what is at its provider.
_HOLDS_WHAT_IS_NEW = (WaitCause.PERSON, WaitCause.CEILING, WaitCause.FROZEN, WaitCause.MODEL, WaitCause.PRICE)


@dataclass(frozen=True)
class _ShotOutcome:
    """A shot's accepted job; without one, why there is none. `decision` is the one in force at the end."""

    job: Job | None
    decision: Decision
    why: Why | None = None

    @property
    def person(self) -> bool:
        return self.why is not None and self.why.cause is WaitCause.PERSON


class GenerationEngine:
    """One run over one or more clip plans; `run_id` tells this run's failures from those of earlier ones."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        store: ObjectStore,
        providers: Mapping[str, Provider],
        client: httpx.AsyncClient,
        catalogue: Catalogue,
        policy: Policy,
        notifier: Notifier,
        run_id: str,
        webhooks: Webhooks = NO_WEBHOOKS,
        state: RoutingState | None = None,
        on_clip: Callable[[GeneratedClip], None] = lambda clip: None,
    ) -> None:
        self._ledger = ledger
        self._db = LedgerThreads()
        self._store = store
        self._catalogue = catalogue
        self._policy = policy.generation
        self._quality = policy.quality
        self._notifier = notifier
        self._run_id = run_id
        self._on_clip = on_clip
        self._driver = JobDriver(
            ledger=ledger,
            threads=self._db,
            store=store,
            providers=providers,
            client=client,
            catalogue=catalogue,
            policy=policy,
            notifier=notifier,
            webhooks=webhooks,
        )
        self._switchboard = Switchboard(
            ledger=ledger,
            threads=self._db,
            catalogue=catalogue,
            policy=policy,
            state=state or RoutingState(),
            notifier=notifier,
            run_id=run_id,
        )

    async def generate(self, plans: Sequence[ClipPlan], days: Collection[date] = ()) -> list[GeneratedClip]:
        """Bring every plan as far as it goes; one row a plan, in the order given.

        `days` are those that the plans are all of, should they have none: what is under way there is called off.

        As many clips are in work as all providers together take jobs, so memory does not grow with their number.
        """
        await self._switchboard.tell()
        await self._close_abandoned(plans, days)
        queue = iter(enumerate(plans))
        done: dict[int, GeneratedClip] = {}

        async def worker() -> None:
            for number, plan in queue:
                done[number] = await self._clip(plan)
                self._on_clip(done[number])

        # Only a ledger that is gone for good stops a worker; what the others have at their providers ends first.
        await _all_ended(worker() for _ in range(self._driver.capacity))
        await self._switchboard.tell()
        return [done[number] for number in sorted(done)]

    async def _close_abandoned(self, plans: Sequence[ClipPlan], days: Collection[date]) -> None:
        """Settle jobs under way that no plan of their day asks for: a brief was edited or removed."""
        wanted = {
            (plan.clip_id, shot.index, plan.storyboard.shot_sha256(shot))
            for plan in plans
            for shot in plan.storyboard.shots
        }
        for day in {*days, *(plan.storyboard.day for plan in plans)}:
            for job in await self._db(self._ledger.jobs.of_day, day):
                begun = not job.state.final and job.state is not JobState.PLANNED
                if begun and (job.clip_id, job.shot, job.shot_sha256) not in wanted:
                    await self._close_alone(job)

    async def _close_alone(self, job: Job) -> None:
        """Close a job unless another worker is at its clip; trouble with it holds nobody up."""
        async with self._lease(job.clip_id) as lease:
            try:
                if lease is not None:
                    job = await self._db(self._ledger.jobs.get, job.key)
                    reason = "the brief was changed or removed while this was under way"
                    await self._driver.under(lease).close(job, reason)
            except Exception as error:
                # As with a clip: one job that cannot be closed must not stop the day's clips.
                _LOG.warning("%s shot %d could not be closed: %s", job.clip_id, job.shot, error)

    async def _clip(self, plan: ClipPlan) -> GeneratedClip:
        try:
            async with self._lease(plan.clip_id) as lease:
                if lease is None:
                    why = Why(WaitCause.LEASE, "another worker is generating this clip")
                    return await self._waits(plan, why, history=[])
                refused = await self._db(self._ledger.reviews.rejected, plan.clip_id, ReviewStage.GENERATION)
                if refused is not None:
                    await self._end_under_way(plan, refused.reason, lease)
                    why = Why(WaitCause.PERSON, refused.reason)
                    return await self._waits(plan, why, status=ClipStatus.REJECTED)
                if plan.held:
                    await self._db(self._ledger.trails.mark, plan.clip_id, Mark.HELD, unless=Mark.HELD)
                    await self._end_under_way(plan, plan.held, lease)
                    return await self._waits(plan, await self._db(why_held, self._ledger, plan))
                outcomes = await self._shots(plan, lease)
                lease.check()
                return await self._finish(plan, outcomes)
        except LeaseLost as error:
            # This worker was stopped or cut off for too long. Whoever has the clip now finds all of it in the ledger.
            _LOG.warning("%s: %s", plan.clip_id, error)
            why = Why(WaitCause.LEASE, "another worker has taken this clip over, or may do so")
            return await self._waits(plan, why, history=[])
        except Exception as error:
            # One clip never stops the others, whatever it stumbles over; its jobs are in the ledger.
            _LOG.error("%s stopped: %s", plan.clip_id, error, exc_info=not isinstance(error, VideoPipelineError))
            reason = f"{type(error).__name__}: {error}"
            await asyncio.to_thread(self._notifier.notify, messages.clip_stopped(plan.clip_id, reason))
            return await self._waits(plan, Why(WaitCause.RETRY, reason))

    async def _waits(
        self, plan: ClipPlan, why: Why, *, status: ClipStatus = ClipStatus.WAITING, history: list[Job] | None = None
    ) -> GeneratedClip:
        """The row of a clip that cannot go on in this run, and a note of why for whoever wakes it."""
        history = await self._history(plan) if history is None else history
        bought = next((job for job in history if self._driver.is_owed(job)), None)
        if bought is not None and why.cause in _HOLDS_WHAT_IS_NEW:
            # What is paid for is asked for meanwhile, whatever keeps the clip from buying more.
            why = Why(WaitCause.RESULT, why.reason, bought.provider)
        wait = Wait(What.CLIP, plan.clip_id, plan.storyboard.day, why)
        await self._db(self._ledger.waits.note, [wait])
        return clip_row(plan, history, status, why.reason)

    @asynccontextmanager
    async def _lease(self, clip_id: str) -> AsyncGenerator[Lease | None, None]:
        """Hold a clip against other workers and people; None when another has it."""
        leases = self._ledger.leases
        lease = await self._db(leases.acquire, clip_lease(clip_id), new_owner(), ttl_s=self._policy.lease_s)
        if lease is None:
            yield None
            return
        try:
            with leases.kept(lease):
                yield lease
        except LedgerError:
            # Who slept finds its connections closed: that is the smaller part of what has happened.
            lease.check()
            raise
        finally:
            await self._db(leases.release, lease)

    async def _shots(self, plan: ClipPlan, lease: Lease) -> list[_ShotOutcome]:
        """Every shot ends before the error of one is raised, so that no purchase is left half-way.

        Shots go side by side; segments that continue one wait for the one before.
        """
        chains: list[list[Decision]] = []
        for decision in plan.decisions:
            if decision.continues and chains:
                chains[-1].append(decision)
            else:
                chains.append([decision])
        outcomes = await _all_ended(self._chain(plan, chain, lease) for chain in chains)
        return [outcome for chain in outcomes for outcome in chain]

    async def _chain(self, plan: ClipPlan, decisions: Sequence[Decision], lease: Lease) -> list[_ShotOutcome]:
        outcomes: list[_ShotOutcome] = []
        failed: VideoPipelineError | None = None
        for decision in decisions:
            before = outcomes[-1] if outcomes else None
            try:
                outcomes.append(await self._shot(plan, decision, lease, before))
            except LeaseLost:
                raise
            except VideoPipelineError as error:
                # What is bought of the segments after it is followed all the same.
                failed = failed or error
                outcomes.append(_ShotOutcome(None, decision, Why(WaitCause.RETRY, str(error))))
        if failed is not None:
            raise failed
        return outcomes

    async def _end_under_way(self, plan: ClipPlan, held: str, lease: Lease) -> None:
        """Finish what a held clip has at its providers, which is paid for, and buy nothing."""
        decisions = {decision.shot: decision for decision in plan.decisions}
        jobs = [job for job in await self._history(plan) if not job.state.final and job.state is not JobState.PLANNED]
        reserved = [job for job in jobs if job.state is JobState.RESERVED]
        driver = self._driver.under(lease)
        await _all_ended(driver.close(job, f"not bought: {held}") for job in reserved)
        await _all_ended(
            driver.drive(job, as_ordered(job, decisions[job.shot], self._catalogue), wanted=False)
            for job in jobs
            if job not in reserved
        )

    async def _shot(
        self, plan: ClipPlan, decision: Decision, lease: Lease, before: _ShotOutcome | None
    ) -> _ShotOutcome:
        """Climb the ladder for one shot until there is a clip or a reason; `before` is the segment that it continues.

        What is bought already, or may be, is used, whatever has become of that one; without its clip nothing more is
        bought.
        """
        driver = self._driver.under(lease)
        held = why_over_cap(plan.over_cap) if plan.over_cap else before.why if before else None
        frame: str | None = None
        shot = plan.storyboard.shots[decision.shot]
        looked_at: set[str] = set()
        begun = False
        while True:
            known = await self._db(
                self._ledger.jobs.history, plan.clip_id, shot.index, plan.storyboard.shot_sha256(shot)
            )
            # What has not happened is planned anew, maybe for another model.
            history = [await driver.out_of_doubt(job) for job in known if job.state not in NOT_HAPPENED]
            made = [job for job in history if job.kind is JobKind.VIDEO and job.state is JobState.ACCEPTED]
            if made:
                await self._call_off(driver, [job for job in history if not job.state.final])
                return _ShotOutcome(made[-1], decision)
            if known and not begun:
                await self._db(self._ledger.trails.mark, plan.clip_id, Mark.TAKEN_UP)
            begun = True
            if decision.reuse is not None and not history:
                reused = await self._reused(driver, plan, decision)
                if reused is not None:
                    return _ShotOutcome(reused, decision)
                gone = f"its preview's file is gone, so it is bought from {decision.model}"
                decision = decision.model_copy(update={"reuse": None, "reasons": (*decision.reasons, gone)})
                await self._switchboard.reroute(plan, decision, lease)
            late = owed(history, lambda job: is_overdue(job, self._policy))
            unseen = [job for job in late if job.key not in looked_at]
            if unseen:
                looked_at.update(job.key for job in unseen)
                await _all_ended(driver.look(job, as_ordered(job, decision, self._catalogue)) for job in unseen)
                continue
            rest = [job for job in history if job not in late]
            anchor = bool(rest) and self._switchboard.can_anchor(plan, decision, rest)
            passed = may_be_chance(rest) and await self._db(self._ledger.jobs.passed_before, rest[-1])
            match next_step(shot, rest, self._policy, can_anchor=anchor, passed_before=passed):
                case Done(job):
                    return _ShotOutcome(job, decision)
                case Stop() as stop:
                    return _ShotOutcome(None, decision, why_stopped(stop))
                case Continue(job) if job.state is not JobState.RESERVED:
                    # Also a lost submit of a shot that is held: its money is set aside, and it may have been bought.
                    job = await self._went_on(driver, job, decision)
                case Continue(job) if held is not None:
                    await driver.close(job, f"not bought: {held.reason}")
                    continue
                case Continue(job):
                    if is_kept(job.order.start_image):
                        frame = frame or await self._frame(plan, before)
                        if job.order.start_image != frame:
                            await driver.close(job, "not bought: the segment before it is another now")
                            continue
                    job = await self._went_on(driver, job, decision)
                case Attempt() if held is not None:
                    return _ShotOutcome(None, decision, held)
                case Attempt() as attempt:
                    if goes_on(attempt, rest):
                        frame = frame or await self._frame(plan, before)
                        attempt = replace(attempt, frame=frame)
                    if late and attempt.image is None:
                        number = max(attempt.number, *(job.attempt + 1 for job in late))
                        attempt = replace(attempt, number=number)
                    async with self._switchboard.serving(plan, decision, attempt, history, late) as served:
                        if isinstance(served, Unserved):
                            gone = [job for job in late if driver.outlived(job)]
                            return _ShotOutcome(None, decision, why_unserved(served, gone))
                        if served.decision.model != decision.model:
                            await self._switchboard.reroute(plan, served.decision, lease)
                        decision = served.decision
                        job = await self._db(self._ledger.jobs.under(lease).plan, served.job)
                        # What was planned for a model that does not serve now will never happen.
                        others = [old for old in known if old.state in NOT_HAPPENED and old.key != job.key]
                        await self._call_off(driver, others)
                        _LOG.info("%s shot %d: attempt %d, %s", plan.clip_id, shot.index, job.attempt, job.strategy)
                        job = await driver.drive(job, decision)
            if job.state is JobState.RESERVED:
                # Its provider was left alone while it waited for its turn.
                continue
            if job.state in NOT_HAPPENED:
                return _ShotOutcome(None, decision, why_held_back(job, self._driver.held_back(job)))
            if not job.state.final and (driver.outlived(job) or not is_overdue(job, self._policy)):
                look_again_at = driver.look_again_at(job)
                why = why_unfinished(job, outlived=driver.outlived(job), look_again_at=look_again_at)
                await self._db(self._ledger.trails.mark, plan.clip_id, Mark.LEFT)
                return _ShotOutcome(None, decision, why)
            if not job.state.final:
                looked_at.add(job.key)

    async def _frame(self, plan: ClipPlan, before: _ShotOutcome | None) -> str | None:
        """The address of the last frame of the segment before, in our store; None where none is continued."""
        if before is None or before.job is None:
            return None
        shot = plan.storyboard.shots[before.decision.shot]
        frame = await asyncio.to_thread(keep_last_frame, self._store, before.job, _used_s(before.job, shot))
        checkpoints.reached("generation.frame_kept")
        return frame

    async def _reused(self, driver: JobDriver, plan: ClipPlan, decision: Decision) -> Job | None:
        """The shot as its approved preview has it; None when that is gone."""
        assert decision.reuse is not None
        preview = await self._db(self._ledger.jobs.get, decision.reuse.job)
        job = reusing_job(plan, decision, preview, run_id=self._run_id)
        return await driver.serve_again(job, preview)

    async def _went_on(self, driver: JobDriver, job: Job, decision: Decision) -> Job:
        """Take up a job of an earlier run; one that was not sent yet only where it may still be bought."""
        async with AsyncExitStack() as probes:
            if job.state is JobState.RESERVED:
                why_not = await self._switchboard.may_buy(job, probes)
                if why_not:
                    await driver.close(job, f"not bought: {why_not}")
                    return await self._db(self._ledger.jobs.get, job.key)
            return await driver.drive(job, as_ordered(job, decision, self._catalogue))

    async def _call_off(self, driver: JobDriver, jobs: Sequence[Job]) -> None:
        """Let go of what a shot that is served was owed; trouble with it holds nobody up."""
        for job in jobs:
            try:
                await driver.close(job, "the shot is served by another job")
            except LeaseLost:
                raise
            except VideoPipelineError as error:
                _LOG.warning("%s shot %d: a job could not be called off: %s", job.clip_id, job.shot, error)

    async def _finish(self, plan: ClipPlan, outcomes: Sequence[_ShotOutcome]) -> GeneratedClip:
        """Join the shots, or say why there is nothing to join."""
        history = await self._history(plan)
        # As it was bought in the end: another model may have stood in.
        plan = plan.model_copy(update={"decisions": tuple(outcome.decision for outcome in outcomes)})
        if not any(outcome.person for outcome in outcomes):
            await self._db(questions.withdraw, self._ledger, plan.clip_id)
        stopped = next((outcome for outcome in outcomes if outcome.job is None), None)
        if stopped is None:
            return await self._joined(plan, history, [outcome.job for outcome in outcomes if outcome.job is not None])
        why, status = stopped.why or Why(WaitCause.RETRY, ""), ClipStatus.WAITING
        if stopped.person:
            status = await asyncio.to_thread(questions.ask, self._ledger, self._notifier, plan.clip_id, why.reason)
        return await self._waits(plan, why, status=status, history=history)

    async def _joined(self, plan: ClipPlan, history: Sequence[Job], jobs: list[Job]) -> GeneratedClip:
        storyboard = plan.storyboard
        made = await asyncio.to_thread(
            assemble,
            self._store,
            day=storyboard.day,
            brief_id=storyboard.brief.brief_id,
            segments=[_segment(job, storyboard.shots[job.shot]) for job in jobs],
            audio=any(decision.audio for decision in plan.decisions),
            thresholds=self._quality.seams,
        )
        checkpoints.reached("generation.assembled")
        row = finished_row(plan, history, jobs, made)
        verdicts = [job.verdict for job in jobs]
        row = await asyncio.to_thread(
            review_raw, self._ledger, self._store, self._notifier, row, verdicts, self._quality
        )
        if row.status is ClipStatus.REVIEW:
            wait = Wait(What.CLIP, plan.clip_id, storyboard.day, Why(WaitCause.PERSON, row.reason))
            await self._db(self._ledger.waits.note, [wait])
        return row

    async def _history(self, plan: ClipPlan) -> list[Job]:
        """Every attempt at every shot of the clip, in order."""
        storyboard = plan.storyboard
        return [
            job
            for shot in storyboard.shots
            for job in await self._db(
                self._ledger.jobs.history, plan.clip_id, shot.index, storyboard.shot_sha256(shot)
            )
        ]


def _segment(job: Job, shot: StoryboardShot) -> Segment:
    """What a shot uses of its job's render, and how that is to follow the shot before it."""
    return Segment(job, _used_s(job, shot), goes_on=shot.segment > 0, continued=is_kept(job.order.start_image))


def _used_s(job: Job, shot: StoryboardShot) -> float | None:
    """How many seconds of its job's render a shot uses; None for all, as of what is said."""
    longer = job.requested_s > shot.duration_s and job.order.script is None
    return shot.duration_s if longer else None


async def _all_ended(work: Iterable[Awaitable[_T]]) -> list[_T]:
    """What all of `work` comes to; the first error is raised, when every part has come to its end."""
    outcomes = await asyncio.gather(*work, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
