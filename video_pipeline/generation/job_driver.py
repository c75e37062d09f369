"""One job: from the state that the ledger has it in to a final one (DESIGN section 4, the job protocol).

Nothing is remembered between two steps but the ledger's row, so it does not matter which run took the step before.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx

from video_pipeline import checkpoints
from video_pipeline.alerts import Alert, Notifier
from video_pipeline.generation import messages
from video_pipeline.generation.ledger_threads import LedgerThreads
from video_pipeline.generation.media_collector import MediaCollector
from video_pipeline.generation.providers import JobFailed, NotAccepted, Provider, Submission, SubmitUnknown
from video_pipeline.ledger import FailureKind, Hold, Job, JobKind, JobState, Ledger, Reservation
from video_pipeline.policy import Policy
from video_pipeline.quality import Expectation, TechnicalVerdict, check_clip
from video_pipeline.routing import Decision
from video_pipeline.storage import ObjectStore

_LOG = logging.getLogger(__name__)

# Early polls are quick, so that a verdict of moderation or a fast render is seen at once.
_QUICK_POLL_S = 0.25
# What a provider's Retry-After may hold a worker up for.
_LONGEST_RETRY_S = 60.0


class JobDriver:
    """Drives the jobs of one run; at each provider no more than `concurrency` of them at a time."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        threads: LedgerThreads,
        store: ObjectStore,
        providers: Mapping[str, Provider],
        client: httpx.AsyncClient,
        policy: Policy,
        notifier: Notifier,
    ) -> None:
        self._jobs = ledger.jobs
        self._db = threads
        self._store = store
        self._providers = providers
        self._policy = policy.generation
        self._budget = policy.budget
        self._notifier = notifier
        self._collector = MediaCollector(
            ledger=ledger,
            threads=threads,
            store=store,
            providers=providers,
            client=client,
            policy=policy.generation,
            notifier=notifier,
        )
        self._slots = {name: asyncio.Semaphore(policy.generation.concurrency) for name in providers}
        # Decoding is the one thing here that needs a core.
        self._checks = asyncio.Semaphore(2)
        self._driven: set[str] = set()

    async def drive(self, job: Job, decision: Decision) -> Job:
        """Take a job from the state that it is in to a final one, or as far as the provider lets it go now."""
        self._driven.add(job.key)
        if job.state in (JobState.PLANNED, JobState.REFUSED):
            job = await self._reserve(job)
        if job.state in (JobState.RESERVED, JobState.SUBMITTING, JobState.SUBMITTED, JobState.PROCESSING):
            async with self._slots[job.provider]:
                job = await self._render(job)
        if job.state is JobState.RENDERED:
            job = await self._collector.collect(job)
        if job.state is JobState.STORED:
            job = await self._judge(job, decision)
        _LOG.info("%s shot %d: %s %s", job.clip_id, job.shot, job.state, job.failure_reason or "")
        return job

    async def close(self, job: Job, reason: str) -> None:
        """Settle a job under way whose clip nobody wants any more."""
        if job.state is JobState.RESERVED:
            await self._fail(job, FailureKind.CANCELED, reason)
            return
        job = await self._render(job)
        if job.state is JobState.RENDERED:
            await self._collector.give_up(job, FailureKind.CANCELED, reason)
        elif job.state is JobState.STORED:
            await self._db(self._jobs.advance, job, JobState.REJECTED, note=reason)

    # --- the money ---------------------------------------------------------------------------------------------

    async def _reserve(self, job: Job) -> Job:
        """Serve from the cache, or reserve the money; an identical job in flight is waited for (G2.5, G4.4)."""
        while True:
            hit = await self._db(self._jobs.cached, job.request_sha256)
            kept = hit is not None and await asyncio.to_thread(self._store.exists, hit.media_key or "none")
            if hit is not None and kept:
                return await self._serve_from_cache(job, hit)
            refused = await self._db(self._jobs.known_refusal, job.request_sha256)
            if refused is not None:
                return await self._fail(job, FailureKind.MODERATION, f"already refused: {refused.failure_reason}")
            reservation = await self._db(
                self._jobs.reserve,
                job,
                ceiling_usd=self._budget.daily_ceiling_usd,
                cache_lost=hit is not None and not kept,
            )
            if reservation.granted:
                await self._warn_near_ceiling(reservation)
                checkpoints.reached("generation.reserved")
                return await self._db(self._jobs.get, job.key)
            if reservation.hold is not Hold.IDENTICAL_IN_FLIGHT:
                await self._tell(messages.not_bought(job, reservation))
                return await self._db(self._jobs.get, job.key)
            # Only a job that this very run drives is waited for: another run's may need what this one holds.
            if reservation.twin not in self._driven:
                accepted = (await self._db(self._jobs.get, reservation.twin)).state is JobState.ACCEPTED
                if not accepted:
                    return job
            await asyncio.sleep(_QUICK_POLL_S)

    async def _serve_from_cache(self, job: Job, hit: Job) -> Job:
        return await self._db(
            self._jobs.advance,
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

    async def _warn_near_ceiling(self, reservation: Reservation) -> None:
        ceiling_usd = self._budget.daily_ceiling_usd
        if reservation.committed_usd >= ceiling_usd * Decimal(str(self._budget.alert_share)):
            await self._tell(messages.ceiling_near(reservation, ceiling_usd))

    # --- at the provider ---------------------------------------------------------------------------------------

    async def _render(self, job: Job) -> Job:
        """The part of a job's life that is spent at the provider."""
        if job.state is JobState.RESERVED:
            job = await self._submit(job)
        elif job.state is JobState.SUBMITTING:
            job = await self._recover(job, "the pipeline stopped while submitting")
        if job.state in (JobState.SUBMITTED, JobState.PROCESSING):
            job = await self._await_result(job)
        return job

    async def _submit(self, job: Job) -> Job:
        """Commit the intent, then buy; only a surely refused submit is sent again (G2.3, G2.4)."""
        job = await self._db(self._jobs.advance, job, JobState.SUBMITTING, submitted_at=datetime.now(UTC))
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

    async def _accepted(self, job: Job, submission: Submission, *, note: str = "") -> Job:
        job = await self._db(
            self._jobs.advance,
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
            known = await self._db(self._jobs.provider_ids, job.provider)
            try:
                found = await provider.find(job, known_ids=known)
            except (httpx.HTTPError, KeyError, ValueError) as error:
                _LOG.warning("%s could not be asked for its history: %s", job.provider, error)
                continue
            if found is not None:
                return await self._accepted(job, found, note=f"{why}; found at {job.provider}")
        await self._tell(messages.submit_in_doubt(job, why))
        return await self._db(self._jobs.advance, job, JobState.UNKNOWN, note=why, failure_reason=why)

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
                return await self._rendered(job, rendered.media_url)
            if job.state is JobState.SUBMITTED:
                job = await self._db(self._jobs.advance, job, JobState.PROCESSING)
                checkpoints.reached("generation.processing")
            if waited_s > self._policy.poll_timeout_s:
                # It may still be rendered and billed: it is asked for again under its id, never bought again.
                await self._tell(messages.job_late(job, waited_s))
                return job
            early = waited_s < self._policy.moderation_verdict_s
            interval_s = self._policy.poll_interval_s
            await asyncio.sleep(min(_QUICK_POLL_S, interval_s) if early else interval_s)

    async def _rendered(self, job: Job, media_url: str) -> Job:
        checkpoints.reached("generation.rendered")
        return await self._db(
            self._jobs.settle,
            job,
            JobState.RENDERED,
            billed_usd=job.expected_usd,
            billed_s=job.requested_s,
            media_url=media_url,
        )

    # --- the verdict -------------------------------------------------------------------------------------------

    async def _judge(self, job: Job, decision: Decision) -> Job:
        """Accept or reject what was rendered (Q1); a picture to anchor on only has to be there."""
        verdict: dict[str, Any] | None = None
        passed = True
        if job.kind is JobKind.VIDEO:
            # What the model was asked for, in whole seconds: what the shot does not need is cut off at assembly.
            expected = Expectation(size=decision.size or (0, 0), duration_s=job.requested_s, audio=decision.audio)
            async with self._checks:
                judged = await asyncio.to_thread(self._checked, job.media_key or "", expected)
            verdict, passed = judged.model_dump(mode="json"), judged.passed
        state = JobState.ACCEPTED if passed else JobState.REJECTED
        return await self._db(self._jobs.advance, job, state, verdict=verdict, finished_at=datetime.now(UTC))

    def _checked(self, key: str, expected: Expectation) -> TechnicalVerdict:
        with self._store.local_copy(key) as path:
            return check_clip(path, expected)

    async def _fail(
        self, job: Job, kind: FailureKind, reason: str, *, billed: bool = False, retry_allowed: bool = True
    ) -> Job:
        """End a job without a clip, free its reservation and say so where it is not part of the plan."""
        if kind in (FailureKind.TRANSIENT, FailureKind.AUTH, FailureKind.QUOTA):
            await self._tell(messages.provider_failing(job, kind, reason))
        return await self._db(
            self._jobs.settle,
            job,
            JobState.FAILED,
            billed_usd=job.expected_usd if billed else Decimal(0),
            billed_s=job.requested_s if billed else 0.0,
            note=reason[:500],
            failure_kind=kind,
            failure_reason=reason[:500],
            retry_allowed=retry_allowed,
        )

    async def _tell(self, alert: Alert) -> None:
        await asyncio.to_thread(self._notifier.notify, alert)
