"""The budget guard: whether a job may be bought, and the money that is set aside for it, in one transaction."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import Connection, Engine, RowMapping, select, update

from video_pipeline.days import today
from video_pipeline.errors import LedgerError
from video_pipeline.ledger.governance import latest_transition
from video_pipeline.ledger.job_moves import Asked, Move, led_to, make_moves
from video_pipeline.ledger.job_rows import job_of
from video_pipeline.ledger.leases import HELD
from video_pipeline.ledger.locks import lock
from video_pipeline.ledger.records import Actor, Job, JobKind, JobState, SpendLine, TierState
from video_pipeline.ledger.schema import jobs, spend

_IN_FLIGHT = [state.value for state in JobState if not state.final and state is not JobState.PLANNED]


class Hold(StrEnum):
    """Why the budget guard did not grant a reservation."""

    CEILING = "ceiling"
    FROZEN = "frozen"
    IDENTICAL_IN_FLIGHT = "identical in flight"


@dataclass(frozen=True)
class Reservation:
    """The budget guard's answer: granted (`hold` is None), or held back with a sentence.

    `job` is the job as it stands now, `on` the calendar day that the money counts against, `committed_usd` that
    day's sum with the job in it.
    """

    job: Job
    on: date
    committed_usd: Decimal
    hold: Hold | None = None
    reason: str = ""
    twin: str = ""

    @property
    def granted(self) -> bool:
        return self.hold is None


@dataclass(frozen=True)
class ToReserve(Asked):
    ceiling_usd: Decimal
    cache_lost: bool
    probes: int


# Each job as it is, an identical one that it would have to wait for, and what the day has committed so far.
_BEFORE_RESERVING = f"""
WITH asked AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(asked)s::jsonb) AS asked (
        number int, key text, alone bool, resource text, token bigint
    )
), {HELD}
SELECT jobs.*, twin.key AS twin, asked.token IS NULL OR held.token IS NOT NULL AS held,
    (SELECT coalesce(sum(usd), 0) FROM spend WHERE spent_on = %(today)s::date) AS committed_usd
FROM asked LEFT JOIN held USING (resource, token) LEFT JOIN jobs USING (key)
LEFT JOIN LATERAL (
    SELECT twins.key FROM jobs AS twins
    WHERE twins.request_sha256 = jobs.request_sha256 AND twins.key <> jobs.key AND twins.cached_from IS NULL
        AND (twins.state = ANY(%(in_flight)s) OR NOT asked.alone AND twins.state = %(accepted)s)
    LIMIT 1
) AS twin ON true
ORDER BY number
"""


def reserved(engine: Engine, asked: Sequence[ToReserve]) -> Sequence[Reservation | Exception]:
    on = today()
    given = [
        {
            "number": number,
            "key": one.job.key,
            # A picture's provider address is part of what is made from it, so pictures are not served from the cache.
            "alone": one.cache_lost or one.job.kind is JobKind.IMAGE,
            "resource": one.lease.resource if one.lease else None,
            "token": one.lease.token if one.lease else None,
        }
        for number, one in enumerate(asked)
    ]
    words = {"asked": json.dumps(given), "today": on, "in_flight": _IN_FLIGHT, "accepted": JobState.ACCEPTED.value}
    with engine.begin() as connection:
        lock(connection, "budget")
        rows = connection.exec_driver_sql(_BEFORE_RESERVING, words).mappings().all()
        books = _Books(connection, on, rows[0]["committed_usd"])
        answers = [_answer(books, one, row) for one, row in zip(asked, rows, strict=True)]
        refused_again = [answer for move, answer in answers if move is None and isinstance(answer, Reservation)]
        for answer in refused_again:
            if answer.hold in (Hold.CEILING, Hold.FROZEN):
                change = update(jobs).where(jobs.c.key == answer.job.key)
                connection.execute(change.values(failure_reason=answer.reason))
        moves = {number: answer for number, (answer, _) in enumerate(answers) if isinstance(answer, Move)}
        moved = dict(zip(moves, make_moves(connection, list(moves.values()), on), strict=True)) if moves else {}
    return [_reservation(moved.get(number), answer) for number, (_, answer) in enumerate(answers)]


def _reservation(moved: Job | Exception | None, answer: Reservation | Exception) -> Reservation | Exception:
    """The answer with the job as it is after its move, if there was one."""
    if moved is None or isinstance(answer, Exception):
        return answer
    return moved if isinstance(moved, Exception) else replace(answer, job=moved)


def _answer(books: "_Books", asked: ToReserve, row: RowMapping) -> tuple[Move | None, Reservation | Exception]:
    """The budget guard's answer to one, and the move that follows from it."""
    if not row["held"] and asked.lease is not None:
        return None, asked.lease.lost()
    if row["key"] is None:
        return None, LedgerError(f"There is no job {asked.job.key[:12]} in the ledger.")
    job = job_of(row)
    if job.state is JobState.RESERVED:
        return None, Reservation(job, books.on, books.committed_usd)
    twin = books.twin_of(asked.job) or row["twin"]
    if twin is not None:
        reason = f"waits for the identical job {twin[:12]}"
        return None, Reservation(job, books.on, books.committed_usd, Hold.IDENTICAL_IN_FLIGHT, reason, twin)
    refused = books.refused(asked, job)
    if refused is not None and job.state is JobState.REFUSED:
        # Again, maybe for another reason.
        return None, replace(refused, job=replace(job, failure_reason=refused.reason))
    to = JobState.RESERVED if refused is None else JobState.REFUSED
    try:
        to = led_to(job, to)
    except LedgerError as error:
        return None, error
    if refused is not None:
        changes = {"failure_reason": refused.reason}
        return Move(job, asked.lease, to, changes, note=refused.reason), refused
    books.grant(asked.job)
    changes = {"failure_reason": None}
    move = Move(job, asked.lease, to, changes, reserve_usd=asked.job.expected_usd)
    return move, Reservation(job, books.on, books.committed_usd)


class _Books:
    """What one transaction of reservations knows of the day's money; it counts in what it has granted itself."""

    def __init__(self, connection: Connection, on: date, committed_usd: Decimal) -> None:
        self.on = on
        self.committed_usd = committed_usd
        self._connection = connection
        self._granted: dict[str, Job] = {}
        self._freezes: dict[str, _Freeze] = {}

    def twin_of(self, job: Job) -> str | None:
        """An identical job that has been granted in this very transaction."""
        twin = self._granted.get(job.request_sha256)
        return twin.key if twin is not None and twin.key != job.key else None

    def grant(self, job: Job) -> None:
        self.committed_usd += job.expected_usd
        self._granted[job.request_sha256] = job
        self._freeze(job.tier).bought.add(job.clip_id)

    def refused(self, asked: ToReserve, job: Job) -> Reservation | None:
        """Why the job may not be bought, or None."""
        if self._freeze(job.tier).holds(job, asked.probes):
            reason = f"the {job.tier} tier is frozen for new generation"
            return Reservation(job, self.on, self.committed_usd, Hold.FROZEN, reason)
        expected_usd = asked.job.expected_usd
        if self.committed_usd + expected_usd <= asked.ceiling_usd:
            return None
        reason = (
            f"the daily ceiling of ${asked.ceiling_usd} would be passed: ${self.committed_usd:.4f} is committed on "
            f"{self.on} and this job is expected to cost ${expected_usd:.4f}"
        )
        return Reservation(job, self.on, self.committed_usd, Hold.CEILING, reason)

    def _freeze(self, tier: str) -> "_Freeze":
        if tier not in self._freezes:
            self._freezes[tier] = _freeze(self._connection, tier, self.on)
        return self._freezes[tier]


@dataclass(frozen=True)
class _Freeze:
    """A tier's freeze, if it has one, and the clips that were bought in it on the day all the same."""

    by: str | None
    bought: set[str]

    def holds(self, job: Job, probes: int) -> bool:
        """Whether it holds the job. A person's holds all; that of cost drift lets a few clips a day through."""
        if self.by is None or self.by != Actor.DRIFT:
            return self.by is not None
        return job.clip_id not in self.bought and len(self.bought) >= probes


def _freeze(connection: Connection, tier: str, on: date) -> _Freeze:
    latest = latest_transition(connection, tier)
    if latest is None or latest.state != TierState.FROZEN:
        return _Freeze(None, set())
    bought = connection.execute(
        select(spend.c.clip_id)
        .distinct()
        .where(
            spend.c.spent_on == on,
            spend.c.tier == tier,
            spend.c.line == SpendLine.RESERVE.value,
            spend.c.at >= latest.at,
        )
    )
    return _Freeze(latest.by, set(bought.scalars()))
