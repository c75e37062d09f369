"""Breakers: which providers and models are left alone, by the evidence of all workers; `circuit.py` has the rules.

A failure is reported by the worker that met it. Whether anything has worked since is read off the jobs' own events,
so that what works costs no row and a killed worker takes no evidence with it.
"""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    and_,
    exists,
    func,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import distinct_on, insert

from video_pipeline.ledger import circuit
from video_pipeline.ledger.circuit import Breaker, BreakerState, Trouble
from video_pipeline.ledger.connecting import tried_again
from video_pipeline.ledger.locks import lock
from video_pipeline.ledger.records import FailureKind, JobKind, JobState
from video_pipeline.ledger.schema import breaker_transitions, breakers, job_events, jobs
from video_pipeline.policy import BreakerCause, BreakerPolicy

# How a model ends a job that it has worked on, with or without a file.
_MODELS_OWN = (FailureKind.MODERATION.value, FailureKind.GENERATION.value)


@dataclass(frozen=True)
class BreakerTransition:
    """A change of a breaker's state, as it was right after it; `cause` is what opened it."""

    id: int
    before: BreakerState
    cause: BreakerCause
    after: Breaker
    at: datetime


class Breakers:
    """The rows of `breakers`; every change is one transaction that no other worker's can come between."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # --- evidence ----------------------------------------------------------------------------------------------

    @tried_again
    def report(self, trouble: Trouble, rules: BreakerPolicy) -> None:
        """Count a failure against the model and against its provider."""
        with self._engine.begin() as connection:
            lock(connection, f"breaker {trouble.provider}")
            now, seen = _now(connection), _newest_event(connection)
            known = _row(connection, trouble.provider, "")
            if known is not None and known.state is BreakerState.OPEN:
                # It was on its way when its provider was left alone.
                return
            provider = self._count_failure(connection, trouble, "", now, seen, rules)
            if provider.state is not BreakerState.CLOSED and provider.cause is BreakerCause.OUTAGE:
                # Then it is not the model's, and neither was what failed before.
                self._absorb(connection, trouble.provider, now)
            else:
                self._count_failure(connection, trouble, trouble.model, now, seen, rules)

    def _count_failure(
        self, connection: Connection, trouble: Trouble, model: str, now: datetime, seen: int, rules: BreakerPolicy
    ) -> Breaker:
        before = _row(connection, trouble.provider, model) or Breaker(trouble.provider, now, model)
        again = _has_worked(connection, before, trouble, rules) if before.failures else False
        if trouble.cause is BreakerCause.AUTH and not model:
            again = again or _takes_our_key(connection, trouble, now, rules)
        after = circuit.failed(before, trouble, now, answered=again, seen=seen, rules=rules)
        _keep(connection, before, after)
        return after

    def _absorb(self, connection: Connection, provider: str, now: datetime) -> None:
        models = (breakers.c.provider == provider, breakers.c.model != "", breakers.c.failed_at.is_not(None))
        for one in self._select(connection, *models, breakers.c.cause == BreakerCause.OUTAGE.value):
            _keep(connection, one, circuit.absorbed(one, now))

    @tried_again
    def judge_refusals(self, provider: str, model: str, rules: BreakerPolicy) -> None:
        """Open a model's breaker when it refuses too many of the clips that it was lately tried with."""
        with self._engine.begin() as connection:
            lock(connection, f"breaker {provider}")
            now = _now(connection)
            before = _row(connection, provider, model)
            since = now - timedelta(seconds=rules.refusal_window_s)
            if before is not None and before.openings:
                # What it was opened for is not held against it twice.
                since = max(since, before.since)
            before = before or Breaker(provider, now, model)
            good, bad = _tried(connection, provider, model, jobs.c.submitted_at >= since)
            seen = _newest_event(connection)
            _keep(connection, before, circuit.refused(before, bad, good + bad, now, seen=seen, rules=rules))

    # --- who may be bought from --------------------------------------------------------------------------------

    @tried_again
    def in_the_way(self, provider: str, model: str, rules: BreakerPolicy) -> list[Breaker]:
        """The breakers, the provider's first, that keep `model` from being bought now; one that works is closed."""
        of_both = (breakers.c.provider == provider, breakers.c.model.in_(("", model)))
        with self._engine.begin() as connection:
            if not self._select(connection, *of_both, breakers.c.state != BreakerState.CLOSED.value):
                return []
            lock(connection, f"breaker {provider}")
            found = self._select(connection, *of_both, breakers.c.state != BreakerState.CLOSED.value)
            now, seen = _now(connection), _newest_event(connection)
            left: list[Breaker] = []
            for before in found:
                good, bad = _answers(connection, before, rules)
                after = circuit.answered(before, good, bad, now, seen=seen, rules=rules)
                _keep(connection, before, after)
                if after.state is not BreakerState.CLOSED:
                    left.append(after)
            return left

    @tried_again
    def probe(self, provider: str, model: str, job_key: str, rules: BreakerPolicy) -> bool:
        """Make a job the probe of a breaker that is due; False when it is not due (any more).

        Asked by the holder of the lease on its probes, so nobody else is sending one. One whose probes have all come
        to nothing is left alone once more.
        """
        with self._engine.begin() as connection:
            lock(connection, f"breaker {provider}")
            now, before = _now(connection), _row(connection, provider, model)
            if before is None or before.state is BreakerState.CLOSED:
                return False
            if not before.is_due(now):
                if before.state is BreakerState.HALF_OPEN:
                    _keep(connection, before, circuit.exhausted(before, now, rules))
                return False
            _keep(connection, before, circuit.probing(before, job_key, now, rules))
            return True

    # --- to be shown -------------------------------------------------------------------------------------------

    def not_closed(self) -> list[Breaker]:
        """Every breaker that is open or half-open, providers before their models."""
        with self._engine.connect() as connection:
            return self._select(connection, breakers.c.state != BreakerState.CLOSED.value)

    def transitions(self, *, since: datetime) -> list[BreakerTransition]:
        """What has changed since a moment, oldest first."""
        return self._transitions(breaker_transitions.c.at >= since)

    def untold(self) -> list[BreakerTransition]:
        """Changes that nobody has been told of, oldest first."""
        return self._transitions(breaker_transitions.c.told_at.is_(None))

    def told(self, transition: BreakerTransition) -> None:
        """People have been told of it."""
        with self._engine.begin() as connection:
            connection.execute(
                update(breaker_transitions)
                .where(breaker_transitions.c.id == transition.id)
                .values(told_at=func.clock_timestamp())
            )

    def _transitions(self, condition: ColumnElement[bool]) -> list[BreakerTransition]:
        table = breaker_transitions
        with self._engine.connect() as connection:
            return [
                BreakerTransition(
                    id=row["id"],
                    before=BreakerState(row["from_state"]),
                    cause=BreakerCause(row["cause"]),
                    after=_breaker(row["breaker"]),
                    at=row["at"],
                )
                for row in connection.execute(select(table).where(condition).order_by(table.c.id)).mappings()
            ]

    def _select(self, connection: Connection, *conditions: ColumnElement[bool]) -> list[Breaker]:
        statement = select(breakers).where(*conditions).order_by(breakers.c.provider, breakers.c.model)
        return [_breaker(row) for row in connection.execute(statement).mappings()]


# --- evidence, read off the jobs ------------------------------------------------------------------------------------


def _has_worked(connection: Connection, before: Breaker, trouble: Trouble, rules: BreakerPolicy) -> bool:
    """Whether what has failed now has worked since it failed last."""
    works = _works(before.provider, before.model, trouble.cause, trouble.polling, rules)
    return _count(connection, before.seen, works) > 0


def _takes_our_key(connection: Connection, trouble: Trouble, now: datetime, rules: BreakerPolicy) -> bool:
    """Whether the provider has lately accepted a job of another model, one that has not refused our key since."""
    refused_since = exists().where(
        breakers.c.provider == jobs.c.provider,
        breakers.c.model == jobs.c.model,
        breakers.c.cause == BreakerCause.AUTH.value,
        breakers.c.failed_at > job_events.c.at,
    )
    lately = job_events.c.at >= now - timedelta(seconds=rules.failure_window_s)
    accepted = _works(trouble.provider, "", BreakerCause.AUTH, False, rules)
    return _count(connection, 0, and_(accepted, lately, jobs.c.model != trouble.model, ~refused_since)) > 0


def _answers(connection: Connection, before: Breaker, rules: BreakerPolicy) -> tuple[int, int]:
    """How many good and bad answers there are that a breaker which is not closed has not seen."""
    assert before.cause is not None, "something has opened it"
    if before.cause is BreakerCause.REFUSALS:
        half_open = before.state is BreakerState.HALF_OPEN
        # What was sent since it opened, by the order of events: workers' clocks may be behind the database's.
        sent = exists().where(
            job_events.c.job_key == jobs.c.key,
            job_events.c.to_state == JobState.SUBMITTING.value,
            job_events.c.id > before.seen,
        )
        return _tried(connection, before.provider, before.model, sent, probes=True) if half_open else (0, 0)
    works = _works(before.provider, before.model, before.cause, before.polling, rules)
    if before.cause is BreakerCause.SLOW:
        # What was on its way when it got slow shows nothing.
        works = and_(works, jobs.c.submitted_at >= before.since)
    return _count(connection, before.seen, works), 0


def _works(
    provider: str, model: str, cause: BreakerCause, polling: bool, rules: BreakerPolicy
) -> ColumnElement[bool]:
    """Events that show that a provider, or a model, does what `cause` says that it does not.

    A provider works when it accepts a job; where its polls have failed, when it tells of one. A model works when it
    ends a job by itself, with or without a file; one that was slow, when it makes a file in time.
    """
    rendered = job_events.c.to_state == JobState.RENDERED.value
    ended = or_(
        rendered,
        and_(job_events.c.to_state == JobState.FAILED.value, jobs.c.failure_kind.in_(_MODELS_OWN)),
    )
    moved = job_events.c.to_state != job_events.c.from_state
    if cause is BreakerCause.SLOW:
        in_time = job_events.c.at - jobs.c.submitted_at <= timedelta(seconds=rules.slow_after_s)
        return and_(moved, jobs.c.provider == provider, jobs.c.model == model, rendered, in_time)
    if model:
        return and_(moved, jobs.c.provider == provider, jobs.c.model == model, ended)
    told = or_(ended, job_events.c.to_state == JobState.PROCESSING.value)
    accepted = and_(
        job_events.c.to_state == JobState.SUBMITTED.value, job_events.c.from_state == JobState.SUBMITTING.value
    )
    return and_(moved, jobs.c.provider == provider, told if polling else accepted)


def _count(connection: Connection, seen: int, condition: ColumnElement[bool]) -> int:
    return connection.execute(
        select(func.count())
        .select_from(job_events.join(jobs, jobs.c.key == job_events.c.job_key))
        # A file served from the cache shows nothing, and neither does what never left this house.
        .where(job_events.c.id > seen, condition, jobs.c.cached_from.is_(None), jobs.c.submitted_at.is_not(None))
    ).scalar_one()


def _tried(
    connection: Connection, provider: str, model: str, sent: ColumnElement[bool], *, probes: bool = False
) -> tuple[int, int]:
    """Clips whose jobs were `sent` to the model, as its `probes` or not: how many it did not refuse, and did.

    Attempts at one clip are no independent evidence, so only its first one counts. That it refuses a clip that
    another model has refused before is none at all: whoever is sent what others refuse would seem to refuse
    everything. That it makes one is good news of a probe.
    """
    before = jobs.alias("before")
    refused_before = exists().where(
        before.c.clip_id == jobs.c.clip_id,
        before.c.model != jobs.c.model,
        before.c.kind == JobKind.VIDEO.value,
        before.c.failure_kind == FailureKind.MODERATION.value,
        before.c.submitted_at < jobs.c.submitted_at,
    )
    firsts = (
        select(jobs.c.clip_id, jobs.c.state, jobs.c.failure_kind, refused_before.label("refused_before"))
        .ext(distinct_on(jobs.c.clip_id))
        .where(
            jobs.c.provider == provider,
            jobs.c.model == model,
            sent,
            jobs.c.kind == JobKind.VIDEO.value,
            true() if probes else ~refused_before,
        )
        .order_by(jobs.c.clip_id, jobs.c.submitted_at)
        .subquery()
    )
    was_refused = and_(
        firsts.c.state == JobState.FAILED.value,
        firsts.c.failure_kind == FailureKind.MODERATION.value,
        ~firsts.c.refused_before,
    )
    made = (JobState.RENDERED, JobState.STORED, JobState.ACCEPTED, JobState.REJECTED)
    if not probes:
        # A refusal is told in seconds, a clip in minutes: of a burst, refusals are known first. So what is under way
        # counts as not refused.
        made = (*made, JobState.SUBMITTED, JobState.PROCESSING)
    was_not = or_(
        firsts.c.state.in_([state.value for state in made]),
        and_(firsts.c.state == JobState.FAILED.value, firsts.c.failure_kind == FailureKind.GENERATION.value),
    )
    good, bad = connection.execute(
        select(func.count().filter(was_not), func.count().filter(was_refused)).select_from(firsts)
    ).one()
    return good, bad


# --- rows -----------------------------------------------------------------------------------------------------------


def _now(connection: Connection) -> datetime:
    return connection.execute(text("SELECT clock_timestamp()")).scalar_one()


def _newest_event(connection: Connection) -> int:
    return connection.execute(select(func.coalesce(func.max(job_events.c.id), 0))).scalar_one()


def _row(connection: Connection, provider: str, model: str) -> Breaker | None:
    row = connection.execute(
        select(breakers).where(breakers.c.provider == provider, breakers.c.model == model)
    ).mappings()
    found = row.one_or_none()
    return None if found is None else _breaker(found)


def _keep(connection: Connection, before: Breaker, after: Breaker) -> None:
    """Write the breaker when it has changed, and its transition when it has moved."""
    if after == before:
        return
    values = _values(after)
    statement = insert(breakers).values(**values)
    connection.execute(
        statement.on_conflict_do_update(index_elements=list(breakers.primary_key.columns), set_=values)
    )
    if after.state is not before.state:
        cause = after.cause or before.cause
        assert cause is not None, "what moves has a cause"
        connection.execute(
            insert(breaker_transitions).values(
                provider=after.provider,
                model=after.model,
                from_state=before.state.value,
                to_state=after.state.value,
                cause=cause.value,
                breaker=_document(values),
                at=after.since,
            )
        )


def _values(breaker: Breaker) -> dict[str, Any]:
    values = asdict(breaker)
    return values | {
        "state": breaker.state.value,
        "cause": breaker.cause and breaker.cause.value,
        "failed_jobs": list(breaker.failed_jobs),
        "failed_models": list(breaker.failed_models),
    }


_MOMENTS = ("since", "failed_at", "opened_at", "next_probe_at")


def _document(values: dict[str, Any]) -> dict[str, Any]:
    return values | {name: values[name] and values[name].isoformat() for name in _MOMENTS}


def _breaker(row: RowMapping | dict[str, Any]) -> Breaker:
    values: dict[str, Any] = dict(row)
    moments: dict[str, Any] = {name: _moment(values[name]) for name in _MOMENTS}
    words: dict[str, Any] = {
        "state": BreakerState(values["state"]),
        "cause": BreakerCause(values["cause"]) if values["cause"] else None,
        "failed_jobs": tuple(values["failed_jobs"]),
        "failed_models": tuple(values["failed_models"]),
    }
    return Breaker(**(values | moments | words))


def _moment(value: datetime | str | None) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value
