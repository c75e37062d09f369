"""Jobs: one attempt at one shot, from intent to accepted clip, with the money it reserves and settles.

docs/ledger.md draws the state machine. Every change is one transaction that checks the state it leaves, so two
workers can never make the same change. What the change costs or frees is booked in the same transaction.
"""

from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, func, select, update
from sqlalchemy.dialects.postgresql import insert

from video_pipeline.errors import LedgerError
from video_pipeline.ledger.connecting import tried_again
from video_pipeline.ledger.governance import latest_transition
from video_pipeline.ledger.leases import Lease, fenced
from video_pipeline.ledger.locks import lock
from video_pipeline.ledger.records import (
    JOB_TRANSITIONS,
    NOTHING_BILLED,
    Actor,
    Bill,
    Failure,
    FailureKind,
    Job,
    JobKind,
    JobState,
    Receipt,
    SpendCategory,
    SpendLine,
    TierState,
)
from video_pipeline.ledger.schema import job_events, jobs, spend
from video_pipeline.ledger.spend import committed_usd
from video_pipeline.orders import RenderOrder
from video_pipeline.storage import StoredObject

_IN_FLIGHT = tuple(state.value for state in JobState if not state.final and state not in (JobState.PLANNED,))
# A job's fields and the columns that they are in; all but one have the same name.
_COLUMNS = {field.name: field.name for field in fields(Job)} | {"order": "render_order"}

_Values = dict[str, Any]


class Hold(StrEnum):
    """Why the budget guard did not grant a reservation."""

    CEILING = "ceiling"
    FROZEN = "frozen"
    IDENTICAL_IN_FLIGHT = "identical in flight"


@dataclass(frozen=True)
class Reservation:
    """The budget guard's answer: granted (`hold` is None), or held back with a sentence.

    `on` is the calendar day (UTC) that the money counts against, `committed_usd` that day's sum with the job in it.
    """

    on: date
    committed_usd: Decimal
    hold: Hold | None = None
    reason: str = ""
    twin: str = ""

    @property
    def granted(self) -> bool:
        return self.hold is None


class Jobs:
    """The rows of `jobs` with their events and money lines; the one place that moves a job from state to state."""

    def __init__(self, engine: Engine, lease: Lease | None = None) -> None:
        self._engine = engine
        self._lease = lease

    def under(self, lease: Lease) -> "Jobs":
        """The same rows for the holder of `lease`: every write raises LeaseLost when it is not held any more."""
        return Jobs(self._engine, lease)

    @tried_again
    def plan(self, job: Job) -> Job:
        """Write the intent of an attempt; the row that is there already when the key is known."""
        given = {column: getattr(job, name) for name, column in _COLUMNS.items()}
        values = {column: _plain(value) for column, value in given.items() if value is not None}
        with fenced(self._engine, self._lease) as connection:
            connection.execute(insert(jobs).values(**values).on_conflict_do_nothing())
            return _fetch(connection, job.key)

    def get(self, key: str) -> Job:
        with self._engine.connect() as connection:
            return _fetch(connection, key)

    def moved_at(self, key: str) -> datetime:
        """When the job was last moved, by the database's clock."""
        with self._engine.connect() as connection:
            return connection.execute(select(jobs.c.updated_at).where(jobs.c.key == key)).scalar_one()

    def history(self, clip_id: str, shot: int, shot_sha256: str) -> list[Job]:
        """All attempts at this very shot, in order; an edited shot starts a new history."""
        statement = (
            select(jobs)
            .where(jobs.c.clip_id == clip_id, jobs.c.shot == shot, jobs.c.shot_sha256 == shot_sha256)
            .order_by(jobs.c.attempt, jobs.c.created_at)
        )
        with self._engine.connect() as connection:
            return [_job(row) for row in connection.execute(statement).mappings()]

    def of_day(self, day: date) -> list[Job]:
        return self._where(jobs.c.day == day)

    def billed_between(self, start: datetime, end: datetime) -> list[Job]:
        """Jobs submitted in the span that were billed for anything; what a provider's books should show."""
        return self._where(jobs.c.billed_usd > 0, jobs.c.submitted_at >= start, jobs.c.submitted_at < end)

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

    def cached(self, request_sha256: str) -> Job | None:
        """An accepted job with this very request, whose media is in our store (G2.5)."""
        found = self._where(
            jobs.c.request_sha256 == request_sha256,
            jobs.c.state == JobState.ACCEPTED.value,
            jobs.c.kind == JobKind.VIDEO.value,
            jobs.c.cached_from.is_(None),
        )
        return found[0] if found else None

    def known_refusal(self, request_sha256: str) -> Job | None:
        """A job with this very request that the provider refused and said not to retry (G2.2)."""
        found = self._where(
            jobs.c.request_sha256 == request_sha256,
            jobs.c.failure_kind == FailureKind.MODERATION.value,
            jobs.c.retry_allowed == 0,
        )
        return found[0] if found else None

    @tried_again
    def reserve(self, job: Job, *, ceiling_usd: Decimal, cache_lost: bool = False, probes: int = 0) -> Reservation:
        """Budget check and reservation in one transaction; holds under any number of processes (G4.4).

        The ceiling is the calendar day's, so that running old days again or many days at once cannot pass it. A job
        identical to one in flight, or to one accepted in the meantime, is told to look at the cache (again) instead;
        `cache_lost` says that the accepted one's media is gone. Of a tier that cost drift has frozen, `probes` clips
        a calendar day are bought all the same.
        """
        on = datetime.now(UTC).date()
        with fenced(self._engine, self._lease) as connection:
            lock(connection, "budget")
            committed = committed_usd(connection, on)
            state = _fetch(connection, job.key).state
            if state is JobState.RESERVED:
                return Reservation(on, committed)
            # A picture's provider address is part of what is made from it, so pictures are not served from the cache.
            picture = job.kind is JobKind.IMAGE
            twin = connection.execute(
                select(jobs.c.key).where(
                    jobs.c.request_sha256 == job.request_sha256,
                    jobs.c.key != job.key,
                    jobs.c.cached_from.is_(None),
                    jobs.c.state.in_(_IN_FLIGHT if cache_lost or picture else (*_IN_FLIGHT, JobState.ACCEPTED.value)),
                )
            ).first()
            if twin is not None:
                reason = f"waits for the identical job {twin.key[:12]}"
                return Reservation(on, committed, Hold.IDENTICAL_IN_FLIGHT, reason, twin.key)
            refused = _refusal(connection, job, on, committed, ceiling_usd, probes)
            if refused is not None:
                reason = refused.reason
                if state is not JobState.REFUSED:
                    _change(connection, job.key, state, JobState.REFUSED, reason, {"failure_reason": reason})
                else:
                    connection.execute(update(jobs).where(jobs.c.key == job.key).values(failure_reason=reason))
                return refused
            _change(connection, job.key, state, JobState.RESERVED, "", {"failure_reason": None})
            _line(connection, job, SpendLine.RESERVE, job.expected_usd, on)
            return Reservation(on, committed + job.expected_usd)

    # --- the moves of a job: one transaction each, refused when the job has left the state that the caller saw ----

    def submitting(self, job: Job) -> Job:
        """Commit the intent to buy `job`; nothing has been sent yet."""
        return self._move(job, JobState.SUBMITTING, {"submitted_at": datetime.now(UTC)})

    def submitted(self, job: Job, receipt: Receipt, *, note: str = "") -> Job:
        """Keep the provider's receipt; also of a submit that was in doubt and has been found."""
        values = {
            "provider_job_id": receipt.provider_job_id,
            "receipt": receipt.document,
            "failure_reason": None,
        }
        return self._move(job, JobState.SUBMITTED, values, note=note)

    def processing(self, job: Job) -> Job:
        """The provider was seen at work on it."""
        return self._move(job, JobState.PROCESSING, {})

    def rendered(self, job: Job, *, media_url: str, media_bytes: int | None = None, bill: Bill) -> Job:
        """The provider has ended it with a file at `media_url`; the reservation becomes the bill.

        `media_bytes` is the file's size in the provider's words, until the file itself is stored.
        """
        return self._settle(job, JobState.RENDERED, bill, {"media_url": media_url, "media_bytes": media_bytes})

    def stored(self, job: Job, stored: StoredObject) -> Job:
        """Its file is in our own store."""
        return self._move(job, JobState.STORED, _media_values(stored.key, stored.sha256, stored.size_bytes))

    def accepted(self, job: Job, verdict: dict[str, Any] | None) -> Job:
        """Its file passed the checks; a picture has no verdict."""
        return self._move(job, JobState.ACCEPTED, {"verdict": verdict, "finished_at": datetime.now(UTC)})

    def rejected(self, job: Job, verdict: dict[str, Any] | None, *, note: str = "") -> Job:
        """Its file failed the checks, or nobody wants it any more; it stays paid for."""
        values = {"finished_at": datetime.now(UTC)} | ({} if verdict is None else {"verdict": verdict})
        return self._move(job, JobState.REJECTED, values, note=note)

    def served_from_cache(self, job: Job, hit: Job) -> Job:
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

    def failed(
        self, job: Job, failure: Failure, *, bill: Bill = NOTHING_BILLED, answer: _Values | None = None
    ) -> Job:
        """It ended without a clip; the reservation becomes the bill. `answer` is what the provider said."""
        if job.state is JobState.RENDERED:
            raise LedgerError(f"Job {job.key[:12]} is rendered: its bill is settled already.")
        return self._settle(job, JobState.FAILED, bill, _failure_values(failure), note=failure.reason, answer=answer)

    def given_up(self, job: Job, failure: Failure) -> Job:
        """A rendered job whose file will not be had; its bill was settled before and stays."""
        if job.state is not JobState.RENDERED:
            raise LedgerError(f"Job {job.key[:12]} is {job.state}, not rendered: its reservation is not settled yet.")
        return self._move(job, JobState.FAILED, _failure_values(failure), note=failure.reason)

    def unknown(self, job: Job, why: str, *, answer: _Values | None = None) -> Job:
        """Nobody can tell whether it was bought; the reservation stays until a person has looked."""
        return self._move(job, JobState.UNKNOWN, {"failure_reason": why}, note=why, answer=answer)

    @tried_again
    def note_media(self, job: Job, media_url: str, media_bytes: int | None) -> Job:
        """Keep a fresher address of a rendered file, and its size in bytes; the state stays."""
        with fenced(self._engine, self._lease) as connection:
            values = {"media_url": media_url, "media_bytes": media_bytes}
            connection.execute(
                update(jobs).where(jobs.c.key == job.key, jobs.c.state == JobState.RENDERED.value).values(**values)
            )
            return _fetch(connection, job.key)

    @tried_again
    def noted(self, job: Job, note: str, answer: _Values | None = None) -> Job:
        """Keep what was said of a job that decides nothing, once for as long as the same is said; the state stays."""
        with fenced(self._engine, self._lease) as connection:
            last = connection.execute(
                select(job_events.c.to_state, job_events.c.note)
                .where(job_events.c.job_key == job.key)
                .order_by(job_events.c.id.desc())
                .limit(1)
            ).first()
            if last is None or (last.to_state, last.note) != (job.state.value, note):
                _event(connection, job.key, job.state, job.state, note, answer)
            return _fetch(connection, job.key)

    @tried_again
    def _move(self, job: Job, to: JobState, values: _Values, *, note: str = "", answer: _Values | None = None) -> Job:
        with fenced(self._engine, self._lease) as connection:
            _change(connection, job.key, job.state, to, note, values, answer)
            return _fetch(connection, job.key)

    @tried_again
    def _settle(
        self,
        job: Job,
        to: JobState,
        bill: Bill,
        values: _Values,
        *,
        note: str = "",
        answer: _Values | None = None,
    ) -> Job:
        """Move a job on and replace its reservation by its bill."""
        with fenced(self._engine, self._lease) as connection:
            billed: _Values = {"billed_usd": bill.usd, "billed_s": bill.seconds}
            _change(connection, job.key, job.state, to, note, values | billed, answer)
            held = (SpendLine.RESERVE.value, SpendLine.RELEASE.value)
            held_usd, on = connection.execute(
                select(func.sum(spend.c.usd), func.max(spend.c.spent_on)).where(
                    spend.c.job_key == job.key, spend.c.line.in_(held)
                )
            ).one()
            # Against the day that it was reserved on: each job counts against one day's ceiling.
            on = on or datetime.now(UTC).date()
            if held_usd:
                _line(connection, job, SpendLine.RELEASE, -held_usd, on)
            if bill.usd:
                _line(connection, job, SpendLine.SETTLE, bill.usd, on)
            return _fetch(connection, job.key)

    def events(self, key: str) -> list[dict[str, Any]]:
        """The append-only trail of a job."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(job_events).where(job_events.c.job_key == key).order_by(job_events.c.id))
            return [dict(row) for row in rows.mappings()]

    def _where(self, *conditions: Any) -> list[Job]:
        with self._engine.connect() as connection:
            rows = connection.execute(select(jobs).where(*conditions).order_by(jobs.c.created_at, jobs.c.key))
            return [_job(row) for row in rows.mappings()]


def _refusal(
    connection: Connection, job: Job, on: date, committed: Decimal, ceiling_usd: Decimal, probes: int
) -> Reservation | None:
    """Why the job may not be bought, or None."""
    if _frozen(connection, job, on, probes):
        return Reservation(on, committed, Hold.FROZEN, f"the {job.tier} tier is frozen for new generation")
    if committed + job.expected_usd > ceiling_usd:
        reason = (
            f"the daily ceiling of ${ceiling_usd} would be passed: ${committed:.4f} is committed on {on} and this "
            f"job is expected to cost ${job.expected_usd:.4f}"
        )
        return Reservation(on, committed, Hold.CEILING, reason)
    return None


def _frozen(connection: Connection, job: Job, on: date, probes: int) -> bool:
    """Whether a freeze holds the job. A person's holds all; that of cost drift lets a few clips a day through."""
    latest = latest_transition(connection, job.tier)
    if latest is None or latest.state != TierState.FROZEN:
        return False
    if latest.by != Actor.DRIFT:
        return True
    bought = connection.execute(
        select(spend.c.clip_id)
        .distinct()
        .where(
            spend.c.spent_on == on,
            spend.c.tier == job.tier,
            spend.c.line == SpendLine.RESERVE.value,
            spend.c.at >= latest.at,
        )
    )
    clips = set(bought.scalars())
    return job.clip_id not in clips and len(clips) >= probes


def _change(
    connection: Connection,
    key: str,
    expected: JobState,
    to: JobState,
    note: str,
    values: _Values,
    answer: _Values | None = None,
) -> None:
    if to not in JOB_TRANSITIONS[expected]:
        raise LedgerError(f"Job {key[:12]} cannot go from {expected} to {to}.")
    plain = {column: _plain(value) for column, value in values.items()}
    changed = connection.execute(
        update(jobs)
        .where(jobs.c.key == key, jobs.c.state == expected.value)
        .values(state=to.value, updated_at=func.clock_timestamp(), **plain)
    )
    if changed.rowcount != 1:
        raise LedgerError(f"Job {key[:12]} is no longer {expected}: another worker has moved it.")
    _event(connection, key, expected, to, note, answer)


def _event(connection: Connection, key: str, old: JobState, new: JobState, note: str, answer: _Values | None) -> None:
    connection.execute(
        insert(job_events).values(job_key=key, from_state=old.value, to_state=new.value, note=note, answer=answer)
    )


def _line(connection: Connection, job: Job, line: SpendLine, usd: Decimal, on: date) -> None:
    category = SpendCategory.GENERATION if job.attempt == 0 else SpendCategory.RETRY
    connection.execute(
        insert(spend).values(
            day=job.day,
            spent_on=on,
            clip_id=job.clip_id,
            job_key=job.key,
            tier=job.tier,
            category=category.value,
            line=line.value,
            usd=usd,
        )
    )


def _fetch(connection: Connection, key: str) -> Job:
    row = connection.execute(select(jobs).where(jobs.c.key == key)).mappings().one_or_none()
    if row is None:
        raise LedgerError(f"There is no job {key[:12]} in the ledger.")
    return _job(row)


def _media_values(key: str | None, sha256: str | None, size_bytes: int | None) -> _Values:
    return {"media_key": key, "media_sha256": sha256, "media_bytes": size_bytes}


def _failure_values(failure: Failure) -> _Values:
    return {
        "failure_kind": failure.kind,
        "failure_reason": failure.reason,
        "retry_allowed": failure.retry_allowed,
        "finished_at": datetime.now(UTC),
    }


def _job(row: RowMapping) -> Job:
    values = {name: row[column] for name, column in _COLUMNS.items()}
    values["order"] = RenderOrder.model_validate(row["render_order"])
    values["kind"] = JobKind(row["kind"])
    values["state"] = JobState(row["state"])
    values["failure_kind"] = FailureKind(row["failure_kind"]) if row["failure_kind"] else None
    values["retry_allowed"] = bool(row["retry_allowed"])
    return Job(**values)


def _plain(value: Any) -> Any:
    """What the columns hold: enums by their value, booleans as 0 and 1, an order as JSON."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, RenderOrder):
        return value.document()
    return value.value if isinstance(value, StrEnum) else value
