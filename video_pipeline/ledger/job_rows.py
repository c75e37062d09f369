"""A row of `jobs` as the rest of the pipeline knows it, and what a job's columns hold."""

from dataclasses import fields
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from video_pipeline.errors import LedgerError
from video_pipeline.ledger.records import FailureKind, Job, JobKind, JobState
from video_pipeline.ledger.schema import jobs
from video_pipeline.orders import Ending, RenderOrder

# A job's fields and the columns that they are in; all but one have the same name.
COLUMNS = {field.name: field.name for field in fields(Job)} | {"order": "render_order"}
Values = dict[str, Any]


def found(connection: Connection, *conditions: Any) -> list[Job]:
    """The jobs that the conditions hold for, oldest first."""
    rows = connection.execute(select(jobs).where(*conditions).order_by(jobs.c.created_at, jobs.c.key))
    return [job_of(row) for row in rows.mappings()]


def fetch(connection: Connection, key: str) -> Job:
    """The job with this key. Raises LedgerError when there is none."""
    row = connection.execute(select(jobs).where(jobs.c.key == key)).mappings().one_or_none()
    if row is None:
        raise LedgerError(f"There is no job {key[:12]} in the ledger.")
    return job_of(row)


def job_of(row: RowMapping) -> Job:
    values = {name: row[column] for name, column in COLUMNS.items()}
    values["order"] = RenderOrder.model_validate(row["render_order"])
    values["kind"] = JobKind(row["kind"])
    values["state"] = JobState(row["state"])
    values["failure_kind"] = FailureKind(row["failure_kind"]) if row["failure_kind"] else None
    values["retry_allowed"] = bool(row["retry_allowed"])
    values["ending"] = Ending(row["ending"]) if row["ending"] else None
    return Job(**values)


def as_json(value: Any) -> Any:
    """A column's value as it stands in JSON, exactly: booleans are 0 and 1, an order is a document."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, RenderOrder):
        return value.document()
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return value.value if isinstance(value, StrEnum) else value
