"""Jobs: one attempt at one shot, from intent to accepted clip, with the money it reserves and settles.

docs/ledger.md draws the state machine. Every move is one statement that checks the lease and the state it leaves, so
two workers can never make the same move. What the move costs or frees is booked in the same statement. Moves of many
jobs are made in one transaction where they are asked for together (`Together`); each has its own outcome.
"""

from collections.abc import Collection
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert

from video_pipeline.errors import LedgerError
from video_pipeline.ledger import job_moves
from video_pipeline.ledger.connecting import tried_again
from video_pipeline.ledger.job_moves import Asked, Move, led_to
from video_pipeline.ledger.job_rows import Values, fetch, found
from video_pipeline.ledger.leases import Lease, fenced
from video_pipeline.ledger.records import (
    ENDED,
    NOTHING_BILLED,
    Bill,
    Failure,
    FailureKind,
    FirstAnswer,
    Job,
    JobKind,
    JobState,
    Receipt,
)
from video_pipeline.ledger.reserving import ToReserve, reserved
from video_pipeline.ledger.schema import job_events, jobs
from video_pipeline.ledger.spend import correction
from video_pipeline.ledger.together import together
from video_pipeline.storage import StoredObject

_move = together(job_moves.moved)


class Jobs:
    """The rows of `jobs` with their events and money lines; the one place that moves a job from state to state."""

    def __init__(self, engine: Engine, lease: Lease | None = None, intent: datetime | None = None) -> None:
        self._engine = engine
        self._lease = lease
        self._intent = intent

    def under(self, lease: Lease) -> "Jobs":
        """The same rows for the holder of `lease`: every write raises LeaseLost when it is not held any more."""
        return Jobs(self._engine, lease)

    def of_intent(self, moment: datetime) -> "Jobs":
        """The same rows for whoever wrote the intent of `moment`, and knows without a lease what became of it.

        Only a job with this very intent is moved.
        """
        return Jobs(self._engine, intent=moment)

    @property
    def engine(self) -> Engine:
        return self._engine

    @together(job_moves.planned)
    def plan(self, job: Job) -> Asked:
        """Write the intent of an attempt; the row that is there already when the key is known."""
        return Asked(job, self._lease)

    def get(self, key: str) -> Job:
        with self._engine.connect() as connection:
            return fetch(connection, key)

    @tried_again
    def settled(self, key: str) -> Job:
        """The job as it is once whatever moves it at the moment has been committed or taken back."""
        with self._engine.begin() as connection:
            connection.execute(select(jobs.c.key).where(jobs.c.key == key).with_for_update())
            return fetch(connection, key)

    def moved_at(self, key: str) -> datetime:
        """When the job was last moved, by the database's clock."""
        with self._engine.connect() as connection:
            return connection.execute(select(jobs.c.updated_at).where(jobs.c.key == key)).scalar_one()

    @together(job_moves.histories)
    def history(self, clip_id: str, shot: int, shot_sha256: str) -> tuple[str, int, str]:
        """All attempts at this very shot, in order; an edited shot starts a new history."""
        return clip_id, shot, shot_sha256

    def of_day(self, day: date) -> list[Job]:
        return self._where(jobs.c.day == day)

    def billed_between(self, start: datetime, end: datetime) -> list[Job]:
        """Jobs submitted in the span that were billed for anything; what a provider's books should show."""
        return self._where(jobs.c.billed_usd > 0, jobs.c.submitted_at >= start, jobs.c.submitted_at < end)

    def bought_between(self, provider: str, start: datetime, end: datetime) -> list[Job]:
        """Jobs that `provider` has given a request id, and that were submitted in the span."""
        return self._where(
            jobs.c.provider == provider,
            jobs.c.provider_job_id.is_not(None),
            jobs.c.submitted_at >= start,
            jobs.c.submitted_at < end,
        )

    def of_requests(self, provider: str, request_ids: Collection[str]) -> dict[str, Job]:
        """The jobs that these request ids of `provider` belong to, by id."""
        found_jobs = self._where(jobs.c.provider == provider, jobs.c.provider_job_id.in_(request_ids))
        return {job.provider_job_id: job for job in found_jobs if job.provider_job_id}

    def accepted_of(self, clip: str, *, until: date) -> list[Job]:
        """The accepted videos of a clip. `clip` is its id, or its brief's: then of the newest day up to `until`."""
        named = jobs.c.clip_id == clip if "/" in clip else func.split_part(jobs.c.clip_id, "/", 2) == clip
        made = self._where(
            named,
            jobs.c.day <= until,
            jobs.c.kind == JobKind.VIDEO.value,
            jobs.c.state == JobState.ACCEPTED.value,
        )
        newest = max((job.day for job in made), default=None)
        return [job for job in made if job.day == newest]

    def first_answers(self, since: datetime) -> list[FirstAnswer]:
        """What first attempts at shots have met that ended `since` then: refused, or made."""
        made = [state.value for state in (JobState.ACCEPTED, JobState.REJECTED)]
        refused = (jobs.c.state == JobState.FAILED.value) & (jobs.c.failure_kind == FailureKind.MODERATION.value)
        asked = select(jobs.c.render_order["prompt"].astext, jobs.c.model, refused).where(
            jobs.c.finished_at >= since,
            jobs.c.attempt == 0,
            jobs.c.kind == JobKind.VIDEO.value,
            # A file served from the cache shows nothing, and neither does what never left this house.
            jobs.c.cached_from.is_(None),
            jobs.c.submitted_at.is_not(None),
            jobs.c.state.in_(made) | refused,
        )
        with self._engine.connect() as connection:
            return [FirstAnswer(*row) for row in connection.execute(asked)]

    def passed_before(self, job: Job) -> bool:
        """Whether its model has once made something of the very prompt, from the very picture, for whichever clip."""
        made = (JobState.RENDERED, JobState.STORED, JobState.ACCEPTED, JobState.REJECTED)
        passed = exists().where(
            jobs.c.provider == job.provider,
            jobs.c.model == job.model,
            jobs.c.kind == job.kind.value,
            jobs.c.render_order["prompt"].astext == job.order.prompt,
            jobs.c.render_order["start_image"].astext.is_not_distinct_from(job.order.start_image),
            jobs.c.state.in_([state.value for state in made]),
            jobs.c.cached_from.is_(None),
            jobs.c.submitted_at.is_not(None),
        )
        with self._engine.connect() as connection:
            return connection.execute(select(passed)).scalar_one()

    def in_state(self, *states: JobState) -> list[Job]:
        return self._where(jobs.c.state.in_([state.value for state in states]))

    def provider_ids(self, provider: str) -> frozenset[str]:
        """Every request id of `provider` that belongs to a job."""
        with self._engine.connect() as connection:
            known = connection.execute(
                select(jobs.c.provider_job_id).where(jobs.c.provider == provider, jobs.c.provider_job_id.is_not(None))
            )
            return frozenset(known.scalars())

    def doubts(self, late_since: datetime) -> list[Job]:
        """Jobs that a person may look at: in doubt, or bought before `late_since` and still without a file."""
        late = (JobState.SUBMITTING, JobState.SUBMITTED, JobState.PROCESSING, JobState.RENDERED)
        return self._where(
            (jobs.c.state == JobState.UNKNOWN.value)
            | (jobs.c.state.in_([state.value for state in late]) & (jobs.c.submitted_at < late_since))
        )

    def last_finished_at(self) -> datetime | None:
        """When any job last came to its end."""
        with self._engine.connect() as connection:
            return connection.execute(select(func.max(jobs.c.finished_at))).scalar_one()

    @together(job_moves.cached)
    def cached(self, request_sha256: str) -> str:
        """An accepted job with this very request, whose media is in our store (G2.5); else None."""
        return request_sha256

    @together(job_moves.known_refusals)
    def known_refusal(self, request_sha256: str) -> str:
        """A job with this very request that the provider refused and said not to retry (G2.2); else None."""
        return request_sha256

    @together(reserved)
    def reserve(self, job: Job, *, ceiling_usd: Decimal, cache_lost: bool = False, probes: int = 0) -> ToReserve:
        """Budget check and reservation in one transaction; holds under any number of processes (G4.4).

        The ceiling is the calendar day's, so that running old days again or many days at once cannot pass it. A job
        identical to one in flight, or to one accepted in the meantime, is told to look at the cache (again) instead;
        `cache_lost` says that the accepted one's media is gone. Of a tier that cost drift has frozen, `probes` clips
        a calendar day are bought all the same.
        """
        return ToReserve(job, self._lease, ceiling_usd, cache_lost=cache_lost, probes=probes)

    # --- the moves of a job: each refused when the job has left the state that the caller saw -----------------------

    @_move
    def submitting(self, job: Job, moment: datetime | None = None) -> Move:
        """Commit the intent to buy `job`; nothing has been sent yet. By its `moment` its writer knows it again."""
        return self._move(job, JobState.SUBMITTING, {"submitted_at": moment or datetime.now(UTC)})

    @_move
    def submitted(self, job: Job, receipt: Receipt, *, note: str = "") -> Move:
        """Keep the provider's receipt; also of a submit that was in doubt and has been found."""
        values = {
            "provider_job_id": receipt.provider_job_id,
            "receipt": receipt.document,
            "failure_reason": None,
        }
        return self._move(job, JobState.SUBMITTED, values, note=note)

    @_move
    def processing(self, job: Job) -> Move:
        """The provider was seen at work on it."""
        return self._move(job, JobState.PROCESSING, {})

    @_move
    def rendered(self, job: Job, *, media_url: str, media_bytes: int | None = None, bill: Bill) -> Move:
        """The provider has ended it with a file at `media_url`; the reservation becomes the bill.

        `media_bytes` is the file's size in the provider's words, until the file itself is stored.
        """
        return self._move(job, JobState.RENDERED, {"media_url": media_url, "media_bytes": media_bytes}, bill=bill)

    @_move
    def stored(self, job: Job, stored: StoredObject) -> Move:
        """Its file is in our own store."""
        return self._move(job, JobState.STORED, _media_values(stored.key, stored.sha256, stored.size_bytes))

    @_move
    def accepted(self, job: Job, verdict: dict[str, Any] | None) -> Move:
        """Its file passed the checks; a picture has no verdict."""
        return self._move(job, JobState.ACCEPTED, {"verdict": verdict, "finished_at": datetime.now(UTC)})

    @_move
    def rejected(self, job: Job, verdict: dict[str, Any] | None, *, note: str = "") -> Move:
        """Its file failed the checks, or nobody wants it any more; it stays paid for."""
        values = {"finished_at": datetime.now(UTC)} | ({} if verdict is None else {"verdict": verdict})
        return self._move(job, JobState.REJECTED, values, note=note)

    @_move
    def served_from_cache(self, job: Job, hit: Job) -> Move:
        """`hit` is an accepted job with the same request: its file serves, and nothing is paid (G2.5)."""
        values = {
            "cached_from": hit.key,
            "saved_usd": job.expected_usd,
            "media_url": hit.media_url,
            "verdict": hit.verdict,
            "finished_at": datetime.now(UTC),
            **_media_values(hit.media_key, hit.media_sha256, hit.media_bytes),
        }
        note = f"served from the cache, first made by job {hit.key[:12]}"
        return self._move(job, JobState.ACCEPTED, values, note=note)

    @_move
    def failed(
        self, job: Job, failure: Failure, *, bill: Bill = NOTHING_BILLED, answer: Values | None = None
    ) -> Move:
        """It ended without a clip; the reservation becomes the bill. `answer` is what the provider said."""
        if job.state is JobState.RENDERED:
            raise LedgerError(f"Job {job.key[:12]} is rendered: its bill is settled already.")
        return self._move(
            job, JobState.FAILED, _failure_values(failure), note=failure.reason, answer=answer, bill=bill
        )

    @_move
    def given_up(self, job: Job, failure: Failure) -> Move:
        """A rendered job whose file will not be had; its bill was settled before and stays."""
        if job.state is not JobState.RENDERED:
            raise LedgerError(f"Job {job.key[:12]} is {job.state}, not rendered: its reservation is not settled yet.")
        return self._move(job, JobState.FAILED, _failure_values(failure), note=failure.reason)

    @_move
    def unknown(self, job: Job, why: str, *, answer: Values | None = None) -> Move:
        """Nobody can tell whether it was bought; the reservation stays until a person has looked."""
        return self._move(job, JobState.UNKNOWN, {"failure_reason": why}, note=why, answer=answer)

    @tried_again
    def vendor_billed(self, key: str, usd: Decimal, *, answer: Values | None = None) -> bool:
        """Book the job at what the vendor's own billing says, 0 or more; whether that was news of an ended job.

        The trail and the line items keep what it was booked at before. The same bill again changes nothing, and a job
        that has not ended is left as it is.
        """
        if usd < 0:
            raise LedgerError(f"Job {key[:12]} cannot have cost {usd}.")
        with self._engine.begin() as connection:
            row = connection.execute(select(jobs).where(jobs.c.key == key).with_for_update()).mappings().one_or_none()
            if row is None or JobState(row["state"]) not in ENDED or row["vendor_usd"] == usd:
                return False
            state, before = row["state"], row["billed_usd"]
            note = f"the provider's billing says {usd} US dollars; it was booked at {before}"
            event = {"job_key": key, "from_state": state, "to_state": state, "note": note, "answer": answer}
            connection.execute(insert(job_events).values(event))
            if usd != before:
                connection.execute(correction(connection, row, usd - before))
            connection.execute(update(jobs).where(jobs.c.key == key).values(billed_usd=usd, vendor_usd=usd))
        return True

    @tried_again
    def note_media(self, job: Job, media_url: str, media_bytes: int | None) -> Job:
        """Keep a fresher address of a rendered file, and its size in bytes; the state stays."""
        with fenced(self._engine, self._lease) as connection:
            values = {"media_url": media_url, "media_bytes": media_bytes}
            connection.execute(
                update(jobs).where(jobs.c.key == job.key, jobs.c.state == JobState.RENDERED.value).values(**values)
            )
            return fetch(connection, job.key)

    @tried_again
    def noted(self, job: Job, note: str, answer: Values | None = None) -> Job:
        """Keep what was said of a job that decides nothing, once for as long as the same is said; the state stays."""
        with fenced(self._engine, self._lease) as connection:
            last = connection.execute(
                select(job_events.c.to_state, job_events.c.note)
                .where(job_events.c.job_key == job.key)
                .order_by(job_events.c.id.desc())
                .limit(1)
            ).first()
            if last is None or (last.to_state, last.note) != (job.state.value, note):
                state = job.state.value
                event = {"job_key": job.key, "from_state": state, "to_state": state, "note": note, "answer": answer}
                connection.execute(insert(job_events).values(event))
            return fetch(connection, job.key)

    def _move(
        self,
        job: Job,
        to: JobState,
        changes: Values,
        *,
        note: str = "",
        answer: Values | None = None,
        bill: Bill | None = None,
    ) -> Move:
        """With a `bill` the job's reservation is replaced by it."""
        if bill is not None:
            changes = changes | {"billed_usd": bill.usd, "billed_s": bill.seconds}
        to = led_to(job, to)
        return Move(job, self._lease, to, changes, note=note, answer=answer, bill=bill, intent=self._intent)

    def events(self, key: str) -> list[dict[str, Any]]:
        """The append-only trail of a job."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(job_events).where(job_events.c.job_key == key).order_by(job_events.c.id))
            return [dict(row) for row in rows.mappings()]

    def _where(self, *conditions: Any) -> list[Job]:
        with self._engine.connect() as connection:
            return found(connection, *conditions)


def _media_values(key: str | None, sha256: str | None, size_bytes: int | None) -> Values:
    return {"media_key": key, "media_sha256": sha256, "media_bytes": size_bytes}


def _failure_values(failure: Failure) -> Values:
    return {
        "failure_kind": failure.kind,
        "failure_reason": failure.reason,
        "retry_allowed": failure.retry_allowed,
        "ending": failure.ending,
        "finished_at": datetime.now(UTC),
    }
