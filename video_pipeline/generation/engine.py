"""The engine of Gate 2: drives every shot of a day's plans to an accepted clip or to a reason why not.

It remembers nothing. A job's state in the ledger says what comes next (`_drive`), a shot's history says which
attempt comes next (`ladder.next_step`), so a run after a kill at any instruction continues where the last one was.
"""

import asyncio
import functools
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import httpx

from video_pipeline import checkpoints
from video_pipeline.alerts import Alert, Notifier, Severity
from video_pipeline.clips import ClipStatus, GeneratedClip
from video_pipeline.errors import ProviderError
from video_pipeline.generation.assembly import assemble
from video_pipeline.generation.download import MediaGone, download
from video_pipeline.generation.ladder import Attempt, Continue, Done, Stop, next_step
from video_pipeline.generation.providers import JobFailed, NotAccepted, Provider, SubmitUnknown
from video_pipeline.generation.requests import build_job, can_anchor
from video_pipeline.ledger import FailureKind, Hold, Job, JobKind, JobState, Ledger, Reservation, ReviewState
from video_pipeline.media import MediaInfo, probe
from video_pipeline.policy import Policy
from video_pipeline.quality import Expectation, TechnicalVerdict, check_clip
from video_pipeline.routing import Catalogue, ClipPlan, Decision
from video_pipeline.storage import ObjectStore, clip_key

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

# Early polls are quick, so that a verdict of moderation or a fast render is seen at once.
_QUICK_POLL_S = 0.25
# What a provider's Retry-After may hold a worker up for.
_LONGEST_RETRY_S = 60.0


@dataclass(frozen=True)
class _ShotOutcome:
    job: Job | None
    reason: str = ""
    person: bool = False


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
        on_clip: Callable[[GeneratedClip], None] = lambda clip: None,
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._providers = providers
        self._client = client
        self._catalogue = catalogue
        self._policy = policy.generation
        self._budget = policy.budget
        self._notifier = notifier
        self._run_id = run_id
        self._on_clip = on_clip
        self._slots = {name: asyncio.Semaphore(policy.generation.concurrency) for name in providers}
        # Decoding is the one thing here that needs a core.
        self._checks = asyncio.Semaphore(2)
        # The ledger's calls have threads of their own: they must not wait behind decoding and stitching.
        self._ledger_threads = ThreadPoolExecutor(8, thread_name_prefix="ledger")
        self._driven: set[str] = set()

    async def generate(self, plans: Sequence[ClipPlan]) -> list[GeneratedClip]:
        """Bring every plan as far as it goes; one row a plan, in the order given.

        As many clips are in work as the provider takes jobs, so memory does not grow with their number.
        """
        await self._close_abandoned(plans)
        queue = iter(enumerate(plans))
        done: dict[int, GeneratedClip] = {}

        async def worker() -> None:
            for number, plan in queue:
                done[number] = await self._clip(plan)
                self._on_clip(done[number])

        await asyncio.gather(*(worker() for _ in range(self._policy.concurrency)))
        return [done[number] for number in sorted(done)]

    async def _close_abandoned(self, plans: Sequence[ClipPlan]) -> None:
        """Settle jobs under way that no plan of their day asks for any more: a brief was edited or removed."""
        wanted = {
            (plan.clip_id, shot.index, plan.storyboard.shot_sha256(shot))
            for plan in plans
            for shot in plan.storyboard.shots
        }
        for day in {plan.storyboard.day for plan in plans}:
            for job in await self._db(self._ledger.jobs.of_day, day):
                begun = not job.state.final and job.state is not JobState.PLANNED
                if begun and (job.clip_id, job.shot, job.shot_sha256) not in wanted:
                    await self._close_alone(job)

    async def _close_alone(self, job: Job) -> None:
        """Close a job unless another worker is at its clip; trouble with it holds nobody up."""
        lease = self._ledger.leases.held(f"generate {job.clip_id}", ttl_s=self._policy.lease_s)
        owned = await self._db(lease.__enter__)
        try:
            if owned:
                await self._close(await self._db(self._ledger.jobs.get, job.key))
        except Exception as error:
            # As with a clip: one job that cannot be closed must not stop the day's clips.
            _LOG.warning("%s shot %d could not be closed: %s", job.clip_id, job.shot, error)
        finally:
            await self._db(lease.__exit__, None, None, None)

    async def _close(self, job: Job) -> None:
        reason = "the brief was changed or removed while this was under way"
        if job.state is JobState.RESERVED:
            await self._fail(job, FailureKind.CANCELED, reason)
            return
        job = await self._render(job)
        if job.state is JobState.RENDERED:
            await self._end_paid(job, FailureKind.CANCELED, reason)
        elif job.state is JobState.STORED:
            await self._db(self._ledger.jobs.advance, job, JobState.REJECTED, note=reason)

    async def _clip(self, plan: ClipPlan) -> GeneratedClip:
        if plan.held:
            return self._row(plan, [], ClipStatus.WAITING, plan.held)
        try:
            return await self._leased(plan)
        except Exception as error:
            # One clip never stops the others (DESIGN rule 5), whatever it stumbles over; its jobs are in the ledger.
            _LOG.exception("%s stopped", plan.clip_id)
            reason = f"{type(error).__name__}: {error}"
            await self._alert(
                f"stopped {plan.clip_id} {reason}", "A clip stopped", f"{plan.clip_id}: {reason}", "critical"
            )
            return self._row(plan, await self._history(plan), ClipStatus.WAITING, reason)

    async def _leased(self, plan: ClipPlan) -> GeneratedClip:
        """Work on a clip while no other worker does."""
        lease = self._ledger.leases.held(f"generate {plan.clip_id}", ttl_s=self._policy.lease_s)
        owned = await self._db(lease.__enter__)
        try:
            if not owned:
                return self._row(plan, [], ClipStatus.WAITING, "another worker is generating this clip")
            # All shots come to their end before one's trouble is told, so that no purchase is left in mid-air.
            shots = (self._shot(plan, decision) for decision in plan.decisions)
            outcomes = await asyncio.gather(*shots, return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise outcome
            return await self._finish(plan, [outcome for outcome in outcomes if isinstance(outcome, _ShotOutcome)])
        finally:
            await self._db(lease.__exit__, None, None, None)

    async def _finish(self, plan: ClipPlan, outcomes: Sequence[_ShotOutcome]) -> GeneratedClip:
        history = await self._history(plan)
        stopped = next((outcome for outcome in outcomes if outcome.job is None), None)
        if stopped is not None:
            status = await self._ask_person(plan, stopped.reason) if stopped.person else ClipStatus.WAITING
            return self._row(plan, history, status, stopped.reason)
        jobs = [outcome.job for outcome in outcomes if outcome.job is not None]
        audio = any(decision.audio for decision in plan.decisions)
        storyboard = plan.storyboard
        stored = await asyncio.to_thread(
            assemble, self._store, day=storyboard.day, brief_id=storyboard.brief.brief_id, jobs=jobs, audio=audio
        )
        checkpoints.reached("generation.assembled")
        info = await asyncio.to_thread(self._probed, stored.key)
        row = self._row(plan, history, ClipStatus.GENERATED, "")
        return row.model_copy(
            update={
                "media_key": stored.key,
                "media_sha256": stored.sha256,
                "size": info.video.size if info.video else None,
                "duration_s": info.duration_s,
                "audio": bool(info.audio),
                "cached": all(job.cached_from for job in jobs),
                "strategy": "+".join(dict.fromkeys(job.strategy for job in jobs)),
                "model": "+".join(dict.fromkeys(job.model for job in jobs)),
                "model_version": "+".join(dict.fromkeys(job.model_version for job in jobs)),
            }
        )

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

    def _row(self, plan: ClipPlan, history: Sequence[Job], status: ClipStatus, reason: str) -> GeneratedClip:
        decision = plan.decisions[0]
        last = next((job for job in reversed(history) if job.kind is JobKind.VIDEO), None)
        return GeneratedClip(
            clip_id=plan.clip_id,
            brief_id=plan.storyboard.brief.brief_id,
            day=plan.storyboard.day,
            status=status,
            reason=reason,
            tier=decision.tier,
            model=last.model if last else decision.model,
            model_version=last.model_version if last else decision.model_version,
            strategy=history[-1].strategy if history else "",
            attempts=sum(job.kind is JobKind.VIDEO and job.submitted_at is not None for job in history),
            segments=len(plan.decisions),
            billed_usd=sum((job.billed_usd for job in history), Decimal(0)),
            saved_usd=sum((job.saved_usd for job in history), Decimal(0)),
            expected_s=sum(decision.requested_s for decision in plan.decisions),
            audio_expected=any(decision.audio for decision in plan.decisions),
        )

    async def _shot(self, plan: ClipPlan, decision: Decision) -> _ShotOutcome:
        """Climb the ladder for one shot until there is a clip or a reason."""
        shot = plan.storyboard.shots[decision.shot]
        anchor = can_anchor(decision, self._catalogue)
        while True:
            known = await self._db(
                self._ledger.jobs.history, plan.clip_id, shot.index, plan.storyboard.shot_sha256(shot)
            )
            # What was planned or refused by the budget has not happened: it is planned anew, maybe for another model.
            history = [job for job in known if job.state not in (JobState.PLANNED, JobState.REFUSED)]
            match next_step(shot, history, self._policy, run_id=self._run_id, can_anchor=anchor):
                case Done(job):
                    return _ShotOutcome(job)
                case Stop(reason, person):
                    return _ShotOutcome(None, reason, person)
                case Continue(job):
                    pass
                case Attempt() as attempt:
                    job = build_job(plan, decision, attempt, self._catalogue, run_id=self._run_id)
                    job = await self._db(self._ledger.jobs.plan, job)
                    _LOG.info("%s shot %d: attempt %d, %s", plan.clip_id, shot.index, job.attempt, job.strategy)
            self._driven.add(job.key)
            job = await self._drive(job, plan, decision)
            if job.state is JobState.REFUSED:
                return _ShotOutcome(None, job.failure_reason or "refused by the budget")
            if job.state is JobState.PLANNED:
                return _ShotOutcome(None, "an identical job of another run has not ended")
            if not job.state.final:
                return _ShotOutcome(None, f"{job.provider} has not handed the clip over yet; the next run asks again")

    async def _drive(self, job: Job, plan: ClipPlan, decision: Decision) -> Job:
        """Take a job from the state that it is in to a final one."""
        if job.state in (JobState.PLANNED, JobState.REFUSED):
            job = await self._reserve(job)
        if job.state in (JobState.RESERVED, JobState.SUBMITTING, JobState.SUBMITTED, JobState.PROCESSING):
            async with self._slots[job.provider]:
                job = await self._render(job)
        if job.state is JobState.RENDERED:
            job = await self._store_media(job)
        if job.state is JobState.STORED:
            job = await self._judge(job, plan, decision)
        _LOG.info("%s shot %d: %s %s", job.clip_id, job.shot, job.state, job.failure_reason or "")
        return job

    async def _render(self, job: Job) -> Job:
        """The part of a job's life that is spent at the provider."""
        if job.state is JobState.RESERVED:
            job = await self._submit(job)
        elif job.state is JobState.SUBMITTING:
            job = await self._recover(job, "the pipeline stopped while submitting")
        if job.state in (JobState.SUBMITTED, JobState.PROCESSING):
            job = await self._await_result(job)
        return job

    async def _reserve(self, job: Job) -> Job:
        """Serve from the cache, or reserve the money; an identical job in flight is waited for (G2.5, G4.4)."""
        while True:
            hit = await self._db(self._ledger.jobs.cached, job.request_sha256)
            kept = hit is not None and await asyncio.to_thread(self._store.exists, hit.media_key or "none")
            if hit is not None and kept:
                return await self._serve_from_cache(job, hit)
            refused = await self._db(self._ledger.jobs.known_refusal, job.request_sha256)
            if refused is not None:
                return await self._fail(job, FailureKind.MODERATION, f"already refused: {refused.failure_reason}")
            reservation = await self._db(
                self._ledger.jobs.reserve,
                job,
                ceiling_usd=self._budget.daily_ceiling_usd,
                cache_lost=hit is not None and not kept,
            )
            if reservation.granted:
                await self._warn_near_ceiling(reservation)
                checkpoints.reached("generation.reserved")
                return await self._db(self._ledger.jobs.get, job.key)
            if reservation.hold is not Hold.IDENTICAL_IN_FLIGHT:
                await self._alert_refusal(job, reservation)
                return await self._db(self._ledger.jobs.get, job.key)
            # Only a job that this very run drives is waited for: another run's may need what this one holds.
            if reservation.twin not in self._driven:
                accepted = (await self._db(self._ledger.jobs.get, reservation.twin)).state is JobState.ACCEPTED
                if not accepted:
                    return job
            await asyncio.sleep(_QUICK_POLL_S)

    async def _serve_from_cache(self, job: Job, hit: Job) -> Job:
        return await self._db(
            self._ledger.jobs.advance,
            job,
            JobState.ACCEPTED,
            note=f"served from the cache, first made by job {hit.key[:12]}",
            cached_from=hit.key,
            saved_usd=job.expected_usd,
            media_key=hit.media_key,
            media_sha256=hit.media_sha256,
            media_bytes=hit.media_bytes,
            media_url=hit.media_url,
            verdict=hit.verdict,
            finished_at=datetime.now(UTC),
        )

    async def _submit(self, job: Job) -> Job:
        """Commit the intent, then buy; only a surely refused submit is sent again (G2.3, G2.4)."""
        job = await self._db(self._ledger.jobs.advance, job, JobState.SUBMITTING, submitted_at=datetime.now(UTC))
        checkpoints.reached("generation.submitting")
        for wait_s in (*self._policy.backoff_s, None):
            try:
                submission = await self._providers[job.provider].submit(job)
            except SubmitUnknown as error:
                return await self._recover(job, str(error))
            except NotAccepted as error:
                if error.kind is not FailureKind.TRANSIENT or wait_s is None:
                    return await self._fail(job, error.kind, error.reason, retry_allowed=error.retry_allowed)
                _LOG.warning("%s was not accepted (%s); again in %s s", job.clip_id, error.reason, wait_s)
                await asyncio.sleep(max(wait_s, min(error.retry_after_s or 0, _LONGEST_RETRY_S)))
            else:
                checkpoints.reached("generation.accepted")
                return await self._accepted(job, submission)
        raise AssertionError("the last try returns")

    async def _accepted(self, job: Job, submission: Any, *, note: str = "") -> Job:
        job = await self._db(
            self._ledger.jobs.advance,
            job,
            JobState.SUBMITTED,
            note=note,
            provider_job_id=submission.provider_job_id,
            status_url=submission.status_url,
            response_url=submission.response_url,
            cancel_url=submission.cancel_url,
        )
        checkpoints.reached("generation.submitted")
        return job

    async def _recover(self, job: Job, why: str) -> Job:
        """A submit whose answer was lost: look for it twice; never buy it again (DESIGN section 4)."""
        provider = self._providers[job.provider]
        for look in range(2):
            if look:
                await asyncio.sleep(self._policy.lookup_wait_s)
            known = await self._db(self._ledger.jobs.provider_ids, job.provider)
            try:
                found = await provider.find(job, known_ids=known)
            except (httpx.HTTPError, KeyError, ValueError) as error:
                _LOG.warning("%s could not be asked for its history: %s", job.provider, error)
                continue
            if found is not None:
                return await self._accepted(job, found, note=f"{why}; found at {job.provider}")
        await self._alert(
            f"unknown {job.key}",
            "A paid call may have been made twice if it were sent again",
            f"{job.clip_id} shot {job.shot}: {why}, and {job.provider} does not list it. It is not sent again. Look "
            f"at {job.provider}, then run `video-pipeline resolve {job.key[:16]} --found REQUEST_ID` or "
            "`--not-found`.",
            "critical",
        )
        return await self._db(self._ledger.jobs.advance, job, JobState.UNKNOWN, note=why, failure_reason=why)

    async def _await_result(self, job: Job) -> Job:
        """Poll until the job ends; trouble on the way never gives the job up (G2.1)."""
        provider, loop = self._providers[job.provider], asyncio.get_running_loop()
        started = loop.time()
        while True:
            waited_s = loop.time() - started
            try:
                ended = await provider.poll(job)
                rendered = await provider.result(job) if ended else None
            except JobFailed as error:
                return await self._fail(
                    job, error.kind, error.reason, billed=error.billed, retry_allowed=error.retry_allowed
                )
            if rendered is not None:
                checkpoints.reached("generation.rendered")
                return await self._db(
                    self._ledger.jobs.settle,
                    job,
                    JobState.RENDERED,
                    billed_usd=job.expected_usd,
                    billed_s=job.requested_s,
                    media_url=rendered.media_url,
                )
            if job.state is JobState.SUBMITTED:
                job = await self._db(self._ledger.jobs.advance, job, JobState.PROCESSING)
                checkpoints.reached("generation.processing")
            if waited_s > self._policy.poll_timeout_s:
                # It may still be rendered and billed: it is asked for again under its id, never bought again.
                text = (
                    f"{job.clip_id} shot {job.shot}: no result from {job.model} after {waited_s:.0f} s; the next run "
                )
                text += (
                    f"asks again. If {job.provider} has lost it: `video-pipeline resolve {job.key[:16]} --not-found`."
                )
                await self._alert(f"timeout {job.key}", "A job takes too long", text, "warning")
                return job
            early = waited_s < self._policy.moderation_verdict_s
            await asyncio.sleep(
                min(_QUICK_POLL_S, self._policy.poll_interval_s) if early else self._policy.poll_interval_s
            )

    async def _store_media(self, job: Job) -> Job:
        """Download at once and keep it ourselves; a failed download is repeated, a render never is (S1, G2.4)."""
        suffix = ".png" if job.kind is JobKind.IMAGE else ".mp4"
        with tempfile.TemporaryDirectory(prefix="download-") as folder:
            target = Path(folder) / f"media{suffix}"
            for wait_s in (*self._policy.backoff_s, None):
                try:
                    file = await download(
                        self._client,
                        job.media_url or "",
                        target,
                        trusted_origins=self._providers[job.provider].trusted_origins,
                        max_bytes=self._policy.max_media_bytes,
                    )
                    break
                except (httpx.TransportError, TimeoutError, MediaGone) as error:
                    if wait_s is None:
                        return await self._keep_asking(job, str(error) or type(error).__name__)
                    await asyncio.sleep(wait_s)
                    job = await self._fresh_address(job)
                except ProviderError as error:
                    return await self._lost_media(job, str(error))
            checkpoints.reached("generation.downloaded")
            brief_id = job.clip_id.split("/", 1)[1]
            key = clip_key(job.day, brief_id, "raw", f"{job.key[:16]}-{file.sha256[:16]}{suffix}")
            stored = await asyncio.to_thread(
                self._store.put_file, key, file.path, content_type="image/png" if suffix == ".png" else "video/mp4"
            )
        checkpoints.reached("generation.stored")
        return await self._db(
            self._ledger.jobs.advance,
            job,
            JobState.STORED,
            media_key=stored.key,
            media_sha256=stored.sha256,
            media_bytes=stored.size_bytes,
        )

    async def _fresh_address(self, job: Job) -> Job:
        """Ask the provider where the file is now; signed addresses run out."""
        try:
            rendered = await self._providers[job.provider].result(job)
        except JobFailed:
            return job
        if rendered is None or rendered.media_url == job.media_url:
            return job
        return await self._db(self._ledger.jobs.note_media_url, job, rendered.media_url)

    async def _keep_asking(self, job: Job, reason: str) -> Job:
        """A paid file that cannot be fetched now: the job stays rendered, the next run downloads again (G2.4)."""
        text = f"{job.clip_id} shot {job.shot} is paid for (${job.billed_usd}) and not downloaded yet: {reason}"
        await self._alert(f"download {job.key}", "A paid clip could not be downloaded", text, "critical")
        return job

    async def _lost_media(self, job: Job, reason: str) -> Job:
        """A paid file that must not be fetched: the money is settled, a person is told."""
        text = f"{job.clip_id} shot {job.shot} was paid for (${job.billed_usd}) but cannot be downloaded: {reason}"
        await self._alert(f"lost media {job.key}", "A paid clip cannot be taken", text, "critical")
        return await self._end_paid(job, FailureKind.INVALID, reason)

    async def _end_paid(self, job: Job, kind: FailureKind, reason: str) -> Job:
        """End a job whose bill is settled already."""
        return await self._db(
            self._ledger.jobs.advance,
            job,
            JobState.FAILED,
            failure_kind=kind,
            failure_reason=reason,
            finished_at=datetime.now(UTC),
        )

    async def _judge(self, job: Job, plan: ClipPlan, decision: Decision) -> Job:
        """Accept or reject what was rendered (Q1); a picture to anchor on only has to be there."""
        verdict: dict[str, Any] | None = None
        passed = True
        if job.kind is JobKind.VIDEO:
            expected = Expectation(
                size=decision.size or (0, 0), duration_s=decision.requested_s, audio=decision.audio
            )
            async with self._checks:
                judged = await asyncio.to_thread(self._checked, job.media_key or "", expected)
            verdict, passed = judged.model_dump(mode="json"), judged.passed
        state = JobState.ACCEPTED if passed else JobState.REJECTED
        return await self._db(self._ledger.jobs.advance, job, state, verdict=verdict, finished_at=datetime.now(UTC))

    async def _fail(
        self, job: Job, kind: FailureKind, reason: str, *, billed: bool = False, retry_allowed: bool = True
    ) -> Job:
        """End a job without a clip, free its reservation and say so where it is not part of the plan."""
        if kind in (FailureKind.TRANSIENT, FailureKind.AUTH, FailureKind.QUOTA):
            text = f"{job.clip_id} shot {job.shot} on {job.model}: {reason}"
            await self._alert(f"{kind} {job.provider} {job.day}", f"{job.provider}: {kind} failure", text, "critical")
        return await self._db(
            self._ledger.jobs.settle,
            job,
            JobState.FAILED,
            billed_usd=job.expected_usd if billed else Decimal(0),
            billed_s=job.requested_s if billed else 0.0,
            note=reason[:500],
            failure_kind=kind,
            failure_reason=reason[:500],
            retry_allowed=retry_allowed,
        )

    async def _ask_person(self, plan: ClipPlan, reason: str) -> ClipStatus:
        """Ask once; a person who has said no is not asked again."""
        if await self._db(self._ledger.reviews.open, plan.clip_id, "generation", reason):
            await self._alert(
                f"review {plan.clip_id}", "A clip needs a person", f"{plan.clip_id}: {reason}", "warning"
            )
        review = await self._db(self._ledger.reviews.get, plan.clip_id, "generation")
        rejected = review is not None and review.state is ReviewState.REJECTED
        return ClipStatus.REJECTED if rejected else ClipStatus.REVIEW

    async def _warn_near_ceiling(self, reservation: Reservation) -> None:
        ceiling, committed = self._budget.daily_ceiling_usd, reservation.committed_usd
        if committed >= ceiling * Decimal(str(self._budget.alert_share)):
            text = f"${committed:.2f} of ${ceiling} is committed on {reservation.on}."
            await self._alert(f"ceiling near {reservation.on}", "The daily ceiling is near", text, "warning")

    async def _alert_refusal(self, job: Job, reservation: Reservation) -> None:
        again = "It goes on when the partition is materialised again."
        if reservation.hold is Hold.FROZEN:
            cause, title = f"frozen {job.tier} {job.day}", f"The {job.tier} tier is frozen"
        else:
            cause, title = f"ceiling reached {reservation.on}", "The daily ceiling is reached"
        await self._alert(cause, title, f"{job.clip_id} was not bought: {reservation.reason}. {again}", "critical")

    async def _alert(self, cause: str, title: str, text: str, severity: Severity) -> None:
        await asyncio.to_thread(
            self._notifier.notify, Alert(cause=cause, title=title, text=text, fields={}, severity=severity)
        )

    def _probed(self, key: str) -> MediaInfo:
        with self._store.local_copy(key) as path:
            return probe(path)

    def _checked(self, key: str, expected: Expectation) -> TechnicalVerdict:
        with self._store.local_copy(key) as path:
            return check_clip(path, expected)

    async def _db(self, call: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
        """Ledger calls block; they run beside the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._ledger_threads, functools.partial(call, *args, **kwargs))
