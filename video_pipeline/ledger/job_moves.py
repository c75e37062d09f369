"""What is asked of many jobs at once, in one statement: to be planned, moved on, or read.

A move checks the lease and the state that it leaves, and writes the job's event and its money lines, all in one
statement. Each item has its own outcome, so that nobody's lost lease is another's trouble.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping

from video_pipeline import days
from video_pipeline.errors import LedgerError
from video_pipeline.ledger.job_rows import COLUMNS, Values, as_json, found, job_of
from video_pipeline.ledger.leases import HELD, Lease, LeaseLost
from video_pipeline.ledger.records import (
    JOB_TRANSITIONS,
    Bill,
    FailureKind,
    Job,
    JobKind,
    JobState,
    SpendCategory,
    SpendLine,
)
from video_pipeline.ledger.schema import jobs


@dataclass(frozen=True)
class Asked:
    """What is asked of a job by whoever holds `lease`; None asks without one."""

    job: Job
    lease: Lease | None


@dataclass(frozen=True)
class Move(Asked):
    """From the state that `job` is in to another. `changes` are columns; `reserve_usd` is set aside for it.

    With an `intent` only a job that was to be bought by the intent of that moment is moved.
    """

    to: JobState
    changes: Values
    note: str = ""
    answer: Values | None = None
    bill: Bill | None = None
    reserve_usd: Decimal | None = None
    intent: datetime | None = None


def led_to(job: Job, to: JobState) -> JobState:
    """`to`, when the protocol leads there."""
    if to not in JOB_TRANSITIONS[job.state]:
        raise LedgerError(f"Job {job.key[:12]} cannot go from {job.state} to {to}.")
    return to


# What a move may change beside the state.
_CHANGING = (
    "failure_kind, failure_reason, retry_allowed, ending, provider_job_id, receipt, media_url, media_key, "
    "media_sha256, media_bytes, verdict, billed_usd, billed_s, cached_from, saved_usd, submitted_at, finished_at"
)
# The leases are locked first, in one order for all. Without its lease a job is only moved by who wrote its intent.
_MOVE = f"""
WITH asked AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(moves)s::jsonb) AS asked (
        number int, key text, expected text, state text, changes jsonb, note text, answer jsonb,
        resource text, token bigint, intent timestamptz, reserve numeric, bill numeric
    )
), {HELD}, moved AS (
    UPDATE jobs SET (state, updated_at, {_CHANGING}) = (
        SELECT asked.state, clock_timestamp(), {_CHANGING} FROM jsonb_populate_record(jobs, asked.changes)
    )
    FROM asked LEFT JOIN held USING (resource, token)
    WHERE jobs.key = asked.key AND jobs.state = asked.expected
        AND (asked.token IS NULL OR held.token IS NOT NULL)
        AND (asked.intent IS NULL OR jobs.submitted_at = asked.intent)
    RETURNING asked.number, jobs.*
), told AS (
    INSERT INTO job_events (job_key, from_state, to_state, note, answer)
    SELECT asked.key, asked.expected, asked.state, asked.note, asked.answer
    FROM asked JOIN moved USING (number) ORDER BY number
), booked AS (
    INSERT INTO spend (day, spent_on, clip_id, job_key, tier, category, line, usd)
    SELECT moved.day, booking.spent_on, moved.clip_id, moved.key, moved.tier,
        CASE moved.attempt WHEN 0 THEN %(first)s ELSE %(again)s END, booking.line, booking.usd
    FROM asked JOIN moved USING (number)
    LEFT JOIN LATERAL (
        -- Against the day that it was reserved on: each job counts against one day's ceiling.
        SELECT sum(usd) AS usd, max(spent_on) AS spent_on FROM spend
        WHERE asked.bill IS NOT NULL AND job_key = moved.key AND line IN (%(reserve)s, %(release)s)
    ) AS kept ON true
    CROSS JOIN LATERAL (
        VALUES (1, %(reserve)s, asked.reserve, %(today)s::date),
            (2, %(release)s, -kept.usd, coalesce(kept.spent_on, %(today)s::date)),
            (3, %(settle)s, asked.bill, coalesce(kept.spent_on, %(today)s::date))
    ) AS booking (place, line, usd, spent_on)
    WHERE booking.usd <> 0 OR booking.place = 1 AND booking.usd IS NOT NULL
    ORDER BY number, place
)
SELECT asked.number AS place, asked.token IS NULL OR held.token IS NOT NULL AS held, moved.*
FROM asked LEFT JOIN held USING (resource, token) LEFT JOIN moved USING (number) ORDER BY place
"""
_WORDS = {
    "first": SpendCategory.GENERATION.value,
    "again": SpendCategory.RETRY.value,
    "reserve": SpendLine.RESERVE.value,
    "release": SpendLine.RELEASE.value,
    "settle": SpendLine.SETTLE.value,
}


def moved(engine: Engine, moves: Sequence[Move]) -> Sequence[Job | Exception]:
    with engine.begin() as connection:
        return make_moves(connection, moves, days.today())


def make_moves(connection: Connection, moves: Sequence[Move], today: date) -> list[Job | Exception]:
    """The job of each as it is after its move, or why it was not moved."""
    # A connection may have been waited for: whoever would not act on the move any more does not make it.
    lost = {number: error for number, move in enumerate(moves) if (error := _lost(move.lease)) is not None}
    asked = [_asked(number, move) for number, move in enumerate(moves) if number not in lost]
    if not asked:
        return list(lost.values())
    rows = connection.exec_driver_sql(_MOVE, {"moves": json.dumps(asked), "today": today, **_WORDS})
    outcomes: dict[int, Job | Exception] = {}
    for row in rows.mappings():
        number = int(row["place"])
        outcomes[number] = _outcome(moves[number], row)
    outcomes |= lost
    return [outcomes[number] for number in range(len(moves))]


def _lost(lease: Lease | None) -> LeaseLost | None:
    try:
        if lease is not None:
            lease.check()
    except LeaseLost as error:
        return error
    return None


def _asked(number: int, move: Move) -> Values:
    lease = move.lease
    return {
        "number": number,
        "key": move.job.key,
        "expected": move.job.state.value,
        "state": move.to.value,
        "changes": {column: as_json(value) for column, value in move.changes.items()},
        "note": move.note,
        "answer": move.answer,
        "resource": lease.resource if lease else None,
        "token": lease.token if lease else None,
        "intent": as_json(move.intent),
        "reserve": as_json(move.reserve_usd),
        "bill": as_json(move.bill.usd if move.bill else None),
    }


def _outcome(move: Move, row: RowMapping) -> Job | Exception:
    if not row["held"] and move.lease is not None:
        return move.lease.lost()
    if row["key"] is None:
        job = move.job
        return LedgerError(f"Job {job.key[:12]} is no longer {job.state}: another worker has moved it.")
    return job_of(row)


_COLUMN_NAMES = ", ".join(COLUMNS.values())
_PLAN = f"""
WITH held AS MATERIALIZED (
    SELECT resource, token FROM leases
    WHERE (resource, token) IN (SELECT * FROM unnest(%(resources)s::text[], %(tokens)s::bigint[]))
        AND until > clock_timestamp()
    ORDER BY resource FOR SHARE
), planned AS (
    INSERT INTO jobs ({_COLUMN_NAMES})
    SELECT {_COLUMN_NAMES.replace("created_at", "coalesce(created_at, clock_timestamp())")}
    FROM jsonb_array_elements(%(jobs)s::jsonb) AS asked
    LEFT JOIN held ON held.token = (asked ->> 'token')::bigint
    CROSS JOIN LATERAL jsonb_populate_record(NULL::jobs, asked -> 'job')
    WHERE asked ->> 'token' IS NULL OR held.token IS NOT NULL
    ON CONFLICT DO NOTHING
    RETURNING *
)
SELECT held.token AS held, planned.* FROM planned FULL JOIN held ON false
"""


def planned(engine: Engine, asked: Sequence[Asked]) -> Sequence[Job | Exception]:
    leases = {one.lease.token: one.lease for one in asked if one.lease is not None}
    rows = [{"token": one.lease.token if one.lease else None, "job": _row_of(one.job)} for one in asked]
    given = {
        "jobs": json.dumps(rows),
        "resources": [lease.resource for lease in leases.values()],
        "tokens": list(leases),
    }
    with engine.begin() as connection:
        answers = connection.exec_driver_sql(_PLAN, given).mappings().all()
        held = {row["held"] for row in answers}
        there = {row["key"]: job_of(row) for row in answers if row["key"]}
        missing = [one.job.key for one in asked if one.job.key not in there]
        there |= {job.key: job for job in found(connection, jobs.c.key.in_(missing))} if missing else {}
    return [
        one.lease.lost() if one.lease is not None and one.lease.token not in held else there[one.job.key]
        for one in asked
    ]


def _row_of(job: Job) -> Values:
    values = {column: getattr(job, name) for name, column in COLUMNS.items()}
    return {column: as_json(value) for column, value in values.items() if value is not None}


_HISTORIES = """
SELECT * FROM jobs WHERE (clip_id, shot, shot_sha256) IN (
    SELECT * FROM unnest(%(clips)s::text[], %(shots)s::int[], %(hashes)s::text[])
) ORDER BY attempt, created_at
"""


def histories(engine: Engine, shots: Sequence[tuple[str, int, str]]) -> Sequence[list[Job] | Exception]:
    clips, numbers, hashes = zip(*shots, strict=True)
    given = {"clips": list(clips), "shots": list(numbers), "hashes": list(hashes)}
    histories: dict[tuple[str, int, str], list[Job]] = {shot: [] for shot in shots}
    with engine.connect() as connection:
        for row in connection.exec_driver_sql(_HISTORIES, given).mappings():
            histories[row["clip_id"], row["shot"], row["shot_sha256"]].append(job_of(row))
    return [histories[shot] for shot in shots]


def cached(engine: Engine, requests: Sequence[str]) -> Sequence[Job | Exception | None]:
    return _first_each(
        engine,
        requests,
        jobs.c.state == JobState.ACCEPTED.value,
        jobs.c.kind == JobKind.VIDEO.value,
        jobs.c.cached_from.is_(None),
    )


def known_refusals(engine: Engine, requests: Sequence[str]) -> Sequence[Job | Exception | None]:
    return _first_each(
        engine, requests, jobs.c.failure_kind == FailureKind.MODERATION.value, jobs.c.retry_allowed == 0
    )


def _first_each(engine: Engine, requests: Sequence[str], *conditions: Any) -> Sequence[Job | Exception | None]:
    """The first job of each request hash that the conditions hold for."""
    with engine.connect() as connection:
        there = found(connection, jobs.c.request_sha256.in_(set(requests)), *conditions)
    first = {job.request_sha256: job for job in reversed(there)}
    return [first.get(request) for request in requests]
