"""One job: from the state that the ledger has it in to a final one (docs/architecture.md).

Nothing is remembered between two steps but the ledger's row, so it does not matter which run took the step before.
"""

import asyncio
import copy
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx

from video_pipeline import checkpoints
from video_pipeline.alerts import Alert, Notifier
from video_pipeline.errors import ConfigurationError, LedgerError, VendorError, VideoPipelineError
from video_pipeline.generation import messages
from video_pipeline.generation.cadence import Cadence, look_again_in
from video_pipeline.generation.ledger_threads import LedgerThreads
from video_pipeline.generation.media_collector import MediaCollector
from video_pipeline.generation.own_pictures import PictureSender
from video_pipeline.generation.providers import (
    Ambiguous,
    JobFailed,
    Kept,
    NotAccepted,
    Provider,
    Recovery,
    Rendered,
    SubmitUnknown,
    TooDear,
    Undecided,
)
from video_pipeline.generation.questions import withdraw_doubt
from video_pipeline.generation.resolution import list_price
from video_pipeline.generation.webhooks import Webhooks
from video_pipeline.ledger import (
    NOTHING_BILLED,
    Bill,
    BreakerCause,
    Failure,
    FailureKind,
    Hold,
    Job,
    JobKind,
    JobState,
    Lease,
    Ledger,
    Receipt,
    Reservation,
    Trouble,
)
from video_pipeline.orders import Ending
from video_pipeline.policy import GenerationPolicy, Policy, ProviderLimits
from video_pipeline.quality import ClipVerdict, Expectation, Gate, pass_gate
from video_pipeline.routing import Catalogue, Decision
from video_pipeline.storage import ObjectStore

_LOG = logging.getLogger(__name__)

# How soon a job whose twin is under way looks for it again.
_TWIN_POLL_S = 0.25
# How soon a webhook's call wakes whoever waits for its job.
_NEWS_S = 0.5
# What a provider's Retry-After may hold a worker up for.
_LONGEST_RETRY_S = 60.0
_LONGEST_REASON = 500
_TOLD = "told by a webhook"
# What a failure of the provider, rather than of a shot, is to its breaker.
_CAUSES = {
    FailureKind.TRANSIENT: BreakerCause.OUTAGE,
    FailureKind.AUTH: BreakerCause.AUTH,
    FailureKind.QUOTA: BreakerCause.CREDIT,
}
# How long a provider is asked that cannot tell what became of a submit, until a person is.
_UNTOLD_S = 3 * 24 * 3600.0
# What the ledger can hold of a dollar.
_MICRODOLLAR = Decimal("0.000001")
_TURNED_AWAY = "turned away: "
# How long an answer shows that a provider can be reached, unless something goes unanswered meanwhile.
_REACHED_S = 30.0
_STOPPED = "the pipeline stopped while submitting"
_NOT_SENT = Failure(FailureKind.NOT_SENT, "the pipeline stopped before it was sent")
# Where a submit may be that somebody still has a word on, and how often that is tried to be written down.
_IN_DOUBT = (JobState.SUBMITTING, JobState.UNKNOWN)
_WORD_TRIES = 3


class _Intent:
    """One submit as this process knows it, whatever the ledger does: `outcome` is None while nobody can tell."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self.moment = datetime.now(UTC)
        self.outcome: Receipt | tuple[Failure, Bill] | None = _NOT_SENT, NOTHING_BILLED

    def goes_out(self) -> None:
        """Its bytes are sent now. Raises LeaseLost, and nothing is sent."""
        self._lease.check()
        self.outcome = None


class JobDriver:
    """Drives the jobs of one run, each provider's within the number that it takes at a time.

    A clip's jobs are driven by the one that is `under` the clip's lease.
    """

    _lease: Lease

    def __init__(
        self,
        *,
        ledger: Ledger,
        threads: LedgerThreads,
        store: ObjectStore,
        providers: Mapping[str, Provider],
        client: httpx.AsyncClient,
        catalogue: Catalogue,
        policy: Policy,
        notifier: Notifier,
        webhooks: Webhooks,
    ) -> None:
        self._ledger = ledger
        self._jobs = ledger.jobs
        self._calls = ledger.webhook_calls
        self._webhooks = webhooks
        self._db = threads
        self._store = store
        self._pictures = PictureSender(store)
        self._providers = providers
        self._catalogue = catalogue
        self._policy = policy.generation
        self._rules = policy.breaker
        self._breakers = ledger.breakers
        self._budget = policy.budget
        self._electricity = policy.upscaling
        self._tolerance = policy.routing.duration_tolerance
        self._quality = policy.quality
        self._pace_tolerance = policy.routing.script_tolerance
        self._probes = policy.drift.probes_a_day
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
        self._concurrency = {
            name: self._limits(name).concurrency or p.terms.concurrency for name, p in providers.items()
        }
        self._slots = {name: asyncio.Semaphore(limit) for name, limit in self._concurrency.items()}
        self._cadences = {name: Cadence(limit) for name, limit in self._concurrency.items()}
        # Decoding is the one thing here that needs a core.
        self._checks = asyncio.Semaphore(2)
        self._driven: set[str] = set()
        self._held_back: dict[str, Reservation] = {}
        self._silent: dict[str, datetime] = {}
        self._heard_at: dict[str, float] = {}
        self._greetings: dict[str, asyncio.Task[str]] = {}

    def under(self, lease: Lease) -> "JobDriver":
        """The same driver for the jobs of a clip that `lease` is held on; with it lost, work ends in LeaseLost."""
        driver = copy.copy(self)
        driver._lease = lease
        driver._jobs = self._jobs.under(lease)
        driver._collector = self._collector.under(lease)
        return driver

    @property
    def capacity(self) -> int:
        """How many jobs all providers together take at a time."""
        return sum(self._concurrency.values())

    def _provider(self, job: Job) -> Provider:
        """Where the job is bought. Raises ConfigurationError when that is not connected any more."""
        provider = self._providers.get(job.provider)
        if provider is None:
            raise ConfigurationError(
                f"{job.clip_id} shot {job.shot} is bought from {job.provider}, which is not connected. Connect it "
                "again to go on with it."
            )
        return provider

    def _billed(self, job: Job) -> frozenset[Ending]:
        """The endings without a file that are charged for: the model's own rule, else its provider's."""
        model = self._catalogue.find(job.model) if job.kind is JobKind.VIDEO else None
        own = model.price.billed if model is not None else None
        return self._provider(job).terms.billed if own is None else own

    def _limits(self, provider: str) -> ProviderLimits:
        return self._policy.providers.get(provider, ProviderLimits())

    async def drive(self, job: Job, decision: Decision, *, wanted: bool = True) -> Job:
        """Take a job from the state that it is in to a final one, or as far as the provider lets it go now.

        One that had to wait for its turn stays reserved when its provider is left alone by then. What is not `wanted`
        any more is only followed to its end: nothing is sent that could buy it.
        """
        self._provider(job)
        self._driven.add(job.key)
        if job.state in (JobState.PLANNED, JobState.REFUSED):
            job = await self._reserve(job)
        if job.state in (JobState.RESERVED, JobState.SUBMITTING, JobState.SUBMITTED, JobState.PROCESSING):
            waits = self._slots[job.provider].locked()
            async with self._slots[job.provider]:
                if waits and job.state is JobState.RESERVED and await self._is_left_alone(job):
                    return job
                job = await self._render(job, wanted=wanted)
        if job.state is JobState.RENDERED:
            job = await self._collector.collect(job)
        if job.state is JobState.STORED:
            job = await self._judge(job, decision)
        _LOG.info("%s shot %d: %s %s", job.clip_id, job.shot, job.state, job.failure_reason or "")
        return job

    async def _is_left_alone(self, job: Job) -> bool:
        """Whether a breaker is in the way of a job that is not its probe."""
        in_the_way = await self._db(self._breakers.in_the_way, job.provider, job.model, self._rules)
        return any(one.probe_key != job.key for one in in_the_way)

    async def close(self, job: Job, reason: str) -> None:
        """Settle a job under way whose clip nobody wants any more, at this provider or at all.

        What was bought is called off. Until it has ended it is owed: later runs ask for it, and book what it costs.
        A submit whose answer was lost is looked for, and never sent again, as that could buy it.
        """
        if job.state in (JobState.PLANNED, JobState.REFUSED, JobState.RESERVED):
            await self._fail(job, Failure(FailureKind.CANCELED, reason))
            return
        if job.state is JobState.SUBMITTING:
            job = await self._recovered(job, _STOPPED, wanted=False)
        if job.state in (JobState.SUBMITTED, JobState.PROCESSING):
            job = await self._called_off(job, reason)
        if job.state is JobState.RENDERED:
            await self._db(self._jobs.given_up, job, Failure(FailureKind.CANCELED, reason))
        elif job.state is JobState.STORED:
            await self._db(self._jobs.rejected, job, None, note=reason)

    def held_back(self, job: Job) -> Reservation | None:
        """Why this run's budget guard did not let a job be bought; None when it was not asked, or did."""
        return self._held_back.get(job.key)

    def look_again_at(self, job: Job) -> datetime | None:
        """When to ask for a job again that its provider did not tell of; None of others."""
        return self._silent.get(job.key)

    async def look(self, job: Job, decision: Decision) -> Job:
        """Take in what a shot is owed, if it is there: a job that the shot does not wait for any more."""
        if job.provider not in self._providers:
            return job
        if job.state in (JobState.SUBMITTED, JobState.PROCESSING):
            job = await self._await_result(job, limit_s=0.0)
        if job.state is JobState.RENDERED:
            job = await self._collector.collect(job)
        if job.state is JobState.STORED:
            job = await self._judge(job, decision)
        return job

    async def serve_again(self, job: Job, made: Job) -> Job | None:
        """Serve a planned job with the file of one that was made before; None when that is not in our store any more.

        Nothing is reserved and nothing is bought, whatever the ceiling says.
        """
        if not await self._has_file(made):
            return None
        planned = await self._db(self._jobs.plan, job)
        checkpoints.reached("generation.reusing")
        return await self._db(self._jobs.served_from_cache, planned, made)

    async def out_of_doubt(self, job: Job) -> Job:
        """The job; one that nobody could tell of goes on when a webhook has told of it since."""
        if job.state is not JobState.UNKNOWN:
            return job
        receipt = await self._told(job)
        if receipt is None:
            return job
        job = await self._submitted(job, receipt, note=_TOLD)
        await self._db(withdraw_doubt, self._ledger, job)
        return job

    # --- the money ---------------------------------------------------------------------------------------------

    async def _reserve(self, job: Job) -> Job:
        """Serve from the cache, or reserve the money; an identical job in flight is waited for (G2.5, G4.4)."""
        while True:
            hit = await self._db(self._jobs.cached, job.request_sha256)
            if hit is not None and await self._has_file(hit):
                return await self._db(self._jobs.served_from_cache, job, hit)
            refused = await self._db(self._jobs.known_refusal, job.request_sha256)
            if refused is not None:
                reason = f"already refused: {refused.failure_reason}"
                known = Failure(FailureKind.MODERATION, reason, retry_allowed=False, ending=refused.ending)
                return await self._fail(job, known)
            reservation = await self._db(
                self._jobs.reserve,
                job,
                ceiling_usd=self._budget.daily_ceiling_usd,
                cache_lost=hit is not None,
                probes=self._probes,
            )
            if reservation.granted:
                await self._warn_near_ceiling(reservation)
                checkpoints.reached("generation.reserved")
                return reservation.job
            self._held_back[job.key] = reservation
            if reservation.hold is not Hold.IDENTICAL_IN_FLIGHT:
                await self._tell(messages.not_bought(job, reservation))
                return reservation.job
            # Only a job that this very run drives is waited for: another run's may need what this one holds.
            if reservation.twin not in self._driven:
                accepted = (await self._db(self._jobs.get, reservation.twin)).state is JobState.ACCEPTED
                if not accepted:
                    return job
            await asyncio.sleep(_TWIN_POLL_S)

    async def _has_file(self, made: Job) -> bool:
        """Whether what was made once is in our store still."""
        return made.media_key is not None and await asyncio.to_thread(self._store.exists, made.media_key)

    async def _warn_near_ceiling(self, reservation: Reservation) -> None:
        ceiling_usd = self._budget.daily_ceiling_usd
        if reservation.committed_usd >= ceiling_usd * Decimal(str(self._budget.alert_share)):
            await self._tell(messages.ceiling_near(reservation, ceiling_usd))

    # --- at the provider ---------------------------------------------------------------------------------------

    async def _render(self, job: Job, *, wanted: bool) -> Job:
        """The part of a job's life that is spent at the provider."""
        if job.state is JobState.RESERVED:
            job = await self._submit(job)
        elif job.state is JobState.SUBMITTING:
            job = await self._recovered(job, _STOPPED, wanted=wanted)
        if job.state in (JobState.SUBMITTED, JobState.PROCESSING):
            job = await self._await_result(job)
        return job

    async def _submit(self, job: Job) -> Job:
        """Commit the intent, then buy; only a surely refused submit is sent again (G2.3, G2.4)."""
        for wait_s in (*self._policy.backoff_s, None):
            silent = await self._unreachable(self._provider(job))
            if not silent:
                break
            if wait_s is None:
                return await self._fail(job, Failure(FailureKind.TRANSIENT, f"{silent}; nothing was bought"))
            await asyncio.sleep(wait_s)
        # Read before the intent: what our own store lacks leaves nothing in doubt.
        shown = await self._pictures.handed_over(job)
        intent = _Intent(self._lease)
        try:
            job = await self._db(self._jobs.submitting, job, intent.moment)
            checkpoints.reached("generation.submitting")
            return await self._sent(job, replace(job, order=shown.order, request=shown.request), intent)
        except SubmitUnknown as error:
            job = await self._recovered(job, str(error), error.answer)
            if job.state is JobState.UNKNOWN:
                await self._report(job, BreakerCause.OUTAGE, str(error))
            return job
        except (VideoPipelineError, asyncio.CancelledError):
            await self._leave_word(job, intent)
            raise

    async def _leave_word(self, job: Job, intent: _Intent) -> None:
        """Write down what only this process knows of a submit that it stops at, whoever has the clip by now.

        Who finds the intent alone could not tell whether it was sent, and would have to ask a person.
        """
        outcome = intent.outcome
        if outcome is None:
            return
        jobs = self._ledger.jobs.of_intent(intent.moment)
        job = replace(job, state=JobState.SUBMITTING)
        try:
            for _ in range(_WORD_TRIES):
                try:
                    if isinstance(outcome, Receipt):
                        await self._db(jobs.submitted, job, outcome, note="told by who has sent it")
                    else:
                        failure, bill = outcome
                        await self._db(jobs.failed, job, failure, bill=bill)
                    break
                except LedgerError:
                    # It was not in this state, or the ledger's answer was lost once more.
                    there = await self._db(jobs.settled, job.key)
                    if there.submitted_at != intent.moment or there.state not in _IN_DOUBT:
                        break
                    job = there
            if job.state is JobState.UNKNOWN:
                await self._db(withdraw_doubt, self._ledger, job)
        except LedgerError as error:
            _LOG.warning("%s shot %d: what became of its submit is not noted: %s", job.clip_id, job.shot, error)

    async def _unreachable(self, provider: Provider) -> str:
        """Why nothing is sent to a provider that gives no answer at all; empty when it does.

        A submit that breaks off may stay in doubt for good. So one that was not heard lately is asked something free
        before it is sent what costs money; whoever asks meanwhile waits for the same answer.
        """
        if provider.terms.recovery in (Recovery.IDEMPOTENCY_KEY, Recovery.REPEAT):
            return ""
        heard_at = self._heard_at.get(provider.name)
        if heard_at is not None and asyncio.get_running_loop().time() - heard_at < _REACHED_S:
            return ""
        greeting = self._greetings.get(provider.name)
        if greeting is None or greeting.done():
            greeting = self._greetings[provider.name] = asyncio.create_task(self._greeted(provider))
        return await asyncio.shield(greeting)

    async def _greeted(self, provider: Provider) -> str:
        try:
            await provider.reach()
        except VendorError as error:
            return str(error)
        self._heard(provider.name)
        return ""

    def _heard(self, provider: str) -> None:
        self._heard_at[provider] = asyncio.get_running_loop().time()

    def _unanswered(self, provider: str, error: NotAccepted | SubmitUnknown | Undecided) -> None:
        """Whoever leaves a question without any answer is asked something free before it is sent a submit."""
        if error.answer is None:
            self._heard_at.pop(provider, None)

    async def _sent(self, job: Job, shown: Job, intent: _Intent) -> Job:
        """Send a submit whose `intent` is committed, as `shown`: with its pictures. Raises SubmitUnknown."""
        for wait_s in (*self._policy.backoff_s, None):
            try:
                # Since it was asked before the intent, or turned the submit away, it may have gone silent.
                if silent := await self._unreachable(self._provider(job)):
                    raise NotAccepted(FailureKind.TRANSIENT, silent)
                receipt = await self._provider(job).submit(
                    shown, before=intent.goes_out, webhook=self._webhooks.address(job)
                )
            except NotAccepted as error:
                self._unanswered(job.provider, error)
                if error.documented:
                    intent.outcome = _refusal(error), _refusal_bill(error)
                again = error.kind is FailureKind.TRANSIENT and wait_s is not None and not error.usd
                if again:
                    _LOG.warning("%s was not accepted (%s); again in %s s", job.clip_id, error.reason, wait_s)
                    await asyncio.sleep(max(wait_s or 0, min(error.retry_after_s or 0, _LONGEST_RETRY_S)))
                # Right before it would be sent again: by then a history shows most.
                found = None if error.documented else await self._taken_all_the_same(job, error)
                if found is not None:
                    intent.outcome, how = found
                    return await self._submitted(job, intent.outcome, note=f"{error.reason}; {how}")
                intent.outcome = _refusal(error), _refusal_bill(error)
                if not again:
                    return await self._refused(job, error)
            except SubmitUnknown as error:
                self._unanswered(job.provider, error)
                raise
            else:
                intent.outcome = receipt
                self._heard(job.provider)
                checkpoints.reached("generation.accepted")
                return await self._submitted(job, receipt)
        raise AssertionError("the last try returns")

    async def _taken_all_the_same(self, job: Job, error: NotAccepted) -> tuple[Receipt, str] | None:
        """The receipt of a job whose answer only sounded like a refusal, and how it was found.

        None when the provider does not know it. Raises SubmitUnknown when nobody can tell.
        """
        if self._provider(job).terms.recovery is not Recovery.SEARCH:
            raise SubmitUnknown(error.reason, answer=error.answer)
        try:
            return await self._looked_up(job)
        except Undecided as undecided:
            # A later run that finds the history readable has to know that it was no lost answer.
            await self._db(self._jobs.noted, job, f"{_TURNED_AWAY}{error.reason}"[:_LONGEST_REASON], error.answer)
            raise SubmitUnknown(f"{error.reason}; {undecided}", answer=error.answer) from undecided

    async def _refused(self, job: Job, error: NotAccepted) -> Job:
        return await self._fail(job, _refusal(error), bill=_refusal_bill(error), answer=error.answer)

    async def _submitted(self, job: Job, receipt: Receipt, *, note: str = "") -> Job:
        job = await self._db(self._jobs.submitted, job, receipt, note=note)
        checkpoints.reached("generation.submitted")
        return job

    async def _recovered(self, job: Job, why: str, answer: Kept | None = None, *, wanted: bool = True) -> Job:
        """A submit whose answer was lost: recovered as the provider allows, and never bought again.

        One that nobody has heard of yet would be bought by sending it again, under its key as well: what is not
        `wanted` is not sent. Where nothing is sold it has ended then; else a person tells whether it was bought.
        """
        told = await self._told(job)
        if told is not None:
            return await self._submitted(job, told, note=f"{why}; {_TOLD}")
        terms = self._provider(job).terms
        remembered = terms.recovery is Recovery.IDEMPOTENCY_KEY and _age_s(job) < terms.key_lifetime_s
        if remembered or terms.recovery is Recovery.REPEAT:
            if wanted:
                return await self._sent_again(job, why)
            if terms.recovery is Recovery.REPEAT:
                return await self._fail(job, Failure(FailureKind.CANCELED, f"{why}, and nobody wants it any more"))
            why = f"{why}, and nobody wants it any more, so that it is not sent again under its key"
        if terms.recovery is Recovery.SEARCH:
            try:
                found = await self._looked_up(job)
            except Undecided as error:
                why, answer = f"{why}; {error}", answer or error.answer
                # Who cannot be asked now can be later; a person would have to wait for the same.
                later = _age_s(job) < _UNTOLD_S and not isinstance(error, Ambiguous)
                return await (self._untold if later else self._in_doubt)(job, why, answer)
            if found is not None:
                receipt, how = found
                return await self._submitted(job, receipt, note=f"{why}; {how}")
            if turned_away := await self._turned_away(job):
                # Its breaker has heard of it when it happened.
                failure = Failure(FailureKind.TRANSIENT, turned_away)
                return await self._db(self._jobs.failed, job, failure, bill=NOTHING_BILLED)
            why = f"{why}, and {job.provider} does not list it"
        return await self._in_doubt(job, why, answer)

    async def _untold(self, job: Job, why: str, answer: Kept | None) -> Job:
        """Leave a submit as it is, as the provider cannot be asked what became of it; the next run asks again."""
        why = why[:_LONGEST_REASON]
        await self._tell(messages.submit_untold(job, why))
        await self._report(job, BreakerCause.OUTAGE, why)
        return await self._db(self._jobs.noted, job, why, answer)

    async def _turned_away(self, job: Job) -> str:
        """The words in which the submit was turned away, which nobody could confirm then; empty for a lost answer."""
        events = await self._db(self._ledger.jobs.events, job.key)
        notes = [event["note"] for event in events if event["note"].startswith(_TURNED_AWAY)]
        return notes[-1].removeprefix(_TURNED_AWAY) if notes else ""

    async def _sent_again(self, job: Job, why: str) -> Job:
        """The same key gives the job that is there, or buys it for the first time; without keys nothing is bought.

        That this call is turned away for now says nothing of the one before, which may have been taken.
        """
        said = why
        keyed = self._provider(job).terms.recovery is Recovery.IDEMPOTENCY_KEY
        for wait_s in (*self._policy.backoff_s, None):
            try:
                receipt = await self._provider(job).submit(
                    await self._pictures.handed_over(job),
                    before=self._lease.check,
                    webhook=self._webhooks.address(job),
                )
            except TooDear as error:
                return await self._in_doubt(job, f"{why}; {error.reason}", error.answer)
            except NotAccepted as error:
                if error.documented and (error.usd or error.kind in (FailureKind.MODERATION, FailureKind.INVALID)):
                    return await self._refused(job, error)
                said = error.reason
            except SubmitUnknown as error:
                said = str(error)
            else:
                checkpoints.reached("generation.accepted")
                return await self._submitted(job, receipt, note=f"{why}; sent again{' under its key' * keyed}")
            if wait_s is not None:
                await asyncio.sleep(wait_s)
        if not keyed:
            # Nothing is owed there, so that the shot need not wait for it.
            return await self._fail(job, Failure(FailureKind.TRANSIENT, said))
        await self._report(job, BreakerCause.OUTAGE, said)
        await self._tell(messages.submit_unanswered(job, said))
        return job

    async def _looked_up(self, job: Job) -> tuple[Receipt, str] | None:
        """Look for it twice among the provider's requests; a webhook may tell of it meanwhile.

        The receipt, and how it was found; None when neither look finds it. Raises Undecided when neither does and
        the second could not be read: a request may be listed late.
        """
        provider, sent = self._provider(job), await self._pictures.handed_over(job)
        for look in range(2):
            if look:
                await self._wait(job, self._policy.lookup_wait_s)
                told = await self._told(job)
                if told is not None:
                    return told, _TOLD
            known = await self._db(self._jobs.provider_ids, job.provider)
            try:
                found = await provider.find(sent, known_ids=known)
            except Undecided as error:
                self._unanswered(job.provider, error)
                if look:
                    raise
                _LOG.warning("%s could not be asked for its history, trying again: %s", job.provider, error)
                continue
            if found is not None:
                return found, f"found at {job.provider}"
        return None

    async def _told(self, job: Job) -> Receipt | None:
        """The receipt of a lost submit that a webhook has told of; the provider must know its request by our key."""
        provider = self._providers.get(job.provider)
        if provider is None or self._webhooks.terms(job) is None:
            return None
        for request_id in await self._db(self._calls.named, job):
            receipt = provider.receipt(job, request_id)
            try:
                # A webhook is called when a request has ended: one that has not, for us, is another's.
                ours = await provider.poll(replace(job, provider_job_id=request_id, receipt=receipt.document))
            except VendorError as error:
                if isinstance(error, Undecided):
                    self._unanswered(job.provider, error)
                _LOG.warning("%s does not show %s what a webhook has told: %s", job.provider, job.clip_id, error)
            else:
                if ours:
                    return receipt
        return None

    async def _in_doubt(self, job: Job, why: str, answer: Kept | None) -> Job:
        why = why[:_LONGEST_REASON]
        await self._tell(messages.submit_in_doubt(job, why))
        return await self._db(self._jobs.unknown, job, why, answer=answer)

    async def _called_off(self, job: Job, reason: str) -> Job:
        """Ask the provider to cancel a job, and see what comes of that; it may have ended already."""
        job = await self._db(self._jobs.noted, job, f"called off: {reason}"[:_LONGEST_REASON])
        checkpoints.reached("generation.called_off")
        try:
            await self._provider(job).cancel(job)
        except JobFailed as error:
            return await self._ended(job, error)
        except VendorError as error:
            _LOG.warning("%s could not be asked to cancel a job of %s: %s", job.provider, job.clip_id, error)
        return await self._await_result(job, limit_s=self._policy.moderation_verdict_s)

    async def _await_result(self, job: Job, *, limit_s: float | None = None) -> Job:
        """Poll until the job ends; trouble on the way never gives the job up (G2.1).

        A run leaves a job as it is after `limit_s`, when its polls fail for too long, and when it is late, which
        counts from its submit on. The next run asks again under the same id; it is never bought again.
        """
        provider, loop = self._provider(job), asyncio.get_running_loop()
        started = loop.time()
        trouble_since, said = None, ""
        while True:
            waited_s = loop.time() - started
            self._lease.check()
            known = await self._known_calls(job)
            try:
                rendered = await provider.result(job) if await provider.poll(job) else None
            except JobFailed as error:
                return await self._ended(job, error)
            except Undecided as error:
                self._unanswered(job.provider, error)
                said = str(error)[:_LONGEST_REASON]
                first = trouble_since is None
                if trouble_since is None:
                    trouble_since = loop.time()
                    _LOG.warning("%s shot %d: %s; asking again", job.clip_id, job.shot, error)
                job = await self._db(self._jobs.noted, job, said, error.answer)
                silent = loop.time() - trouble_since >= self._policy.poll_patience_s
                # One failed poll is enough where others have found the same.
                if silent or (first and await self._is_down(job)):
                    return await self._left(job, said)
            else:
                trouble_since = None
                self._heard(job.provider)
                if rendered is not None:
                    if limit_s is None:
                        self._cadences[job.provider].rendered(job.model, waited_s)
                    return await self._rendered(job, rendered)
                if job.state is JobState.SUBMITTED:
                    job = await self._db(self._jobs.processing, job)
                    checkpoints.reached("generation.processing")
            # Who was asked and said nothing may have had it all along.
            if limit_s is not None and waited_s >= limit_s and trouble_since is None:
                return job
            if waited_s >= self._policy.moderation_verdict_s and _age_s(job) > self._policy.poll_timeout_s:
                return await (self._late(job) if trouble_since is None else self._left(job, said))
            await self._until_next_poll(job, waited_s, known)

    async def _ended(self, job: Job, failed: JobFailed) -> Job:
        """End a job without a file, as the provider has said."""
        failure = Failure(failed.kind, failed.reason, retry_allowed=failed.retry_allowed, ending=failed.ending)
        return await self._fail(job, failure, bill=self._bill(job, failed), answer=failed.answer)

    async def _until_next_poll(self, job: Job, waited_s: float, known_calls: int) -> None:
        # A verdict's time begins when the job is sent: a provider that moderates at submit has used it by its answer.
        cadence, early = self._cadences[job.provider], _age_s(job) < self._policy.moderation_verdict_s
        wait_s = cadence.wait_s(job.model, waited_s, self._poll_interval_s(job), early=early)
        wait_s = max(wait_s, self._least_poll_s(job))
        with cadence.waiting():
            told = await self._wait(job, wait_s, since=known_calls)
            if not early:
                await cadence.turn(job.model, waited_s + wait_s, told=told)

    async def _is_down(self, job: Job) -> bool:
        """Whether a job's provider or model is left alone because it does not work."""
        in_the_way = await self._db(self._breakers.in_the_way, job.provider, job.model, self._rules)
        return any(one.cause is BreakerCause.OUTAGE for one in in_the_way)

    async def _left(self, job: Job, reason: str) -> Job:
        """The provider does not tell of the job now, whatever becomes of it; a later run asks again."""
        self._silent[job.key] = datetime.now(UTC) + look_again_in(self._rules, _age_s(job))
        await self._report(job, BreakerCause.OUTAGE, reason, polling=True)
        await self._tell(messages.provider_silent(job, reason))
        return job

    async def _late(self, job: Job) -> Job:
        """The provider answers, and is still at it; a later run asks again."""
        age_s = _age_s(job)
        if age_s > self._rules.slow_after_s:
            await self._report(job, BreakerCause.SLOW, f"no result after {age_s:.0f} s")
        await self._tell(messages.job_late(job, age_s))
        return job

    def _poll_interval_s(self, job: Job) -> float:
        """Seconds between two polls: the policy's, else the longer one of webhooks, else the provider's."""
        called, limits = self._webhooks.terms(job), self._limits(job.provider)
        declared_s = called.poll_interval_s if called else self._provider(job).terms.poll_interval_s
        return limits.poll_interval_s or declared_s

    def _least_poll_s(self, job: Job) -> float:
        """Seconds that two polls lie apart at least, as the provider asks; 0 where the policy has an interval."""
        return 0.0 if self._limits(job.provider).poll_interval_s else self._provider(job).terms.least_poll_s

    async def _known_calls(self, job: Job) -> int:
        """How many calls of webhooks there are of the job; 0 without webhooks, or while nobody can tell."""
        if self._webhooks.terms(job) is None:
            return 0
        try:
            return await self._db(self._calls.count, job)
        except LedgerError as error:
            # It is only waited meanwhile, and polled as without webhooks.
            _LOG.warning("the ledger could not be asked for webhooks of %s: %s", job.clip_id, error)
            return 0

    async def _wait(self, job: Job, seconds: float, *, since: int | None = None) -> bool:
        """Wait, and no longer than until there are more than `since` webhook calls of the job (or than now).

        Whether there are.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        known = await self._known_calls(job) if since is None else since
        called = self._webhooks.terms(job) is not None
        while (left_s := until - loop.time()) > 0:
            await asyncio.sleep(min(_NEWS_S, left_s) if called else left_s)
            if await self._known_calls(job) > known:
                return True
        return False

    async def _rendered(self, job: Job, rendered: Rendered) -> Job:
        checkpoints.reached("generation.rendered")
        return await self._db(
            self._jobs.rendered,
            job,
            media_url=rendered.media_url,
            media_bytes=rendered.size_bytes,
            bill=self._bill_of_file(job, rendered),
        )

    def _bill_of_file(self, job: Job, rendered: Rendered) -> Bill:
        """What a job has cost that has ended with a file: what is told of it, else the price of its order.

        Where the file's own length decides, that is the price of so many seconds.
        """
        if rendered.gpu_s is not None:
            return Bill(self._electricity.gpu_usd(rendered.gpu_s), job.requested_s)
        seconds = rendered.billed_s or job.requested_s
        if rendered.usd is not None:
            return Bill(rendered.usd, seconds)
        if rendered.billed_s is not None and job.requested_s > 0:
            usd = job.expected_usd * Decimal(str(seconds)) / Decimal(str(job.requested_s))
            return Bill(usd.quantize(_MICRODOLLAR), seconds)
        return list_price(job)

    def _bill(self, job: Job, failed: JobFailed) -> Bill:
        """What a job has cost that has ended without a file: what is told of it, else what the terms say."""
        if failed.usd is not None:
            return Bill(failed.usd, job.requested_s if failed.usd else 0.0)
        return list_price(job) if failed.ending in self._billed(job) else NOTHING_BILLED

    def is_owed(self, job: Job) -> bool:
        """Whether a job is, or may be, paid for, and may still hand its file over."""
        bought = not job.state.final and job.state not in (JobState.PLANNED, JobState.REFUSED, JobState.RESERVED)
        return bought and job.provider in self._providers and not self.outlived(job)

    def outlived(self, job: Job) -> bool:
        """Whether a job under way is older than its file would live: a person must look, as asking will not help."""
        provider = self._providers.get(job.provider)
        return provider is not None and _age_s(job) > provider.terms.url_lifetime_s

    # --- the verdict -------------------------------------------------------------------------------------------

    async def _judge(self, job: Job, decision: Decision) -> Job:
        """Accept or reject what was rendered (Q1); a picture to anchor on only has to be there."""
        verdict: dict[str, Any] | None = None
        passed = True
        if job.kind is JobKind.VIDEO:
            # What the model was asked for: what the shot does not need is cut off at assembly.
            said = job.order.script is not None
            expected = Expectation(
                size=decision.size or (0, 0),
                shaped=True,
                # What is said is as long as it is: the file has to be what was billed.
                duration_s=job.billed_s if said and job.billed_s else job.requested_s,
                wanted_s=0.0 if said else decision.wanted_s,
                audio=decision.audio,
                tolerance=self._pace_tolerance if said else self._tolerance,
            )
            async with self._checks:
                judged = await asyncio.to_thread(self._checked, job.media_key or "", expected)
            verdict, passed = judged.model_dump(mode="json"), not judged.useless
        return await self._db(self._jobs.accepted if passed else self._jobs.rejected, job, verdict)

    def _checked(self, key: str, expected: Expectation) -> ClipVerdict:
        with self._store.local_copy(key) as path:
            return pass_gate(path, expected, self._quality, gate=Gate.RAW)

    async def _fail(
        self, job: Job, failure: Failure, *, bill: Bill = NOTHING_BILLED, answer: Kept | None = None
    ) -> Job:
        """End a job without a clip, free its reservation and say so where it is not part of the plan."""
        failure = replace(failure, reason=failure.reason[:_LONGEST_REASON])
        if failure.kind in _CAUSES:
            await self._tell(messages.provider_failing(job, failure))
        asked = job.submitted_at is not None
        job = await self._db(self._jobs.failed, job, failure, bill=bill, answer=answer)
        if failure.kind in _CAUSES:
            await self._report(job, _CAUSES[failure.kind], failure.reason)
        elif failure.kind is FailureKind.MODERATION and asked:
            await self._db(self._breakers.judge_refusals, job.provider, job.model, self._rules)
        return job

    async def _report(self, job: Job, cause: BreakerCause, reason: str, *, polling: bool = False) -> None:
        """Count trouble with a job's provider, for all workers."""
        trouble = Trouble(job.provider, job.model, cause, job.key, reason[:_LONGEST_REASON], polling)
        await self._db(self._breakers.report, trouble, self._rules)
        checkpoints.reached("generation.reported")

    async def _tell(self, alert: Alert) -> None:
        await asyncio.to_thread(self._notifier.notify, alert)


def _refusal(error: NotAccepted) -> Failure:
    ending = Ending.PROMPT_REFUSED if error.kind is FailureKind.MODERATION else None
    return Failure(error.kind, error.reason[:_LONGEST_REASON], retry_allowed=error.retry_allowed, ending=ending)


def _refusal_bill(error: NotAccepted) -> Bill:
    """What a refusal costs: no second of video."""
    return Bill(error.usd) if error.usd else NOTHING_BILLED


def is_overdue(job: Job, policy: GenerationPolicy) -> bool:
    """Whether a bought job no longer keeps its shot from another model (`generation.give_up_after_s`)."""
    bought = job.state in (JobState.SUBMITTED, JobState.PROCESSING, JobState.RENDERED)
    return bought and _age_s(job) > policy.give_up_after_s


def _age_s(job: Job) -> float:
    """Seconds since the intent to buy it was committed."""
    return (datetime.now(UTC) - job.submitted_at).total_seconds() if job.submitted_at else 0.0
