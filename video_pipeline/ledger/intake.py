"""What came in: inbox files and the day that claimed them, briefs in force, quarantined documents."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Engine, func, null, select
from sqlalchemy.dialects.postgresql import insert

from video_pipeline.ledger.connecting import tried_again
from video_pipeline.ledger.records import PublicationState
from video_pipeline.ledger.schema import briefs, inbox_files, jobs, publications, quarantine

_AT_THE_PLATFORM = (
    PublicationState.PUBLISHING,
    PublicationState.PROCESSING,
    PublicationState.PUBLISHED,
    PublicationState.UNKNOWN,
)


class Intake:
    """Reads and writes what came in; taking in the same file, brief or malformed document again changes nothing."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @tried_again
    def claim_file(self, *, sha256: str, name: str, day: date) -> date:
        """Give an inbox file to `day`; the day it belongs to, which is an earlier one if already claimed."""
        with self._engine.begin() as connection:
            connection.execute(insert(inbox_files).values(sha256=sha256, name=name, day=day).on_conflict_do_nothing())
            return connection.execute(
                select(inbox_files.c.day).where(inbox_files.c.sha256 == sha256, inbox_files.c.name == name)
            ).scalar_one()

    def claimed_files(self) -> dict[tuple[str, str], date]:
        """(name, sha256) -> the day that has claimed the file."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(inbox_files.c.name, inbox_files.c.sha256, inbox_files.c.day))
            return {(row.name, row.sha256): row.day for row in rows}

    @tried_again
    def record_brief(
        self,
        *,
        clip_id: str,
        day: date,
        brief_id: str,
        sha256: str,
        document: Any,
        arrived_at: datetime | None = None,
        applied: Any = None,
    ) -> None:
        """Keep the brief that is in force for a clip; an edited brief replaces it.

        `arrived_at` is when its file came into the inbox, `applied` what guidance had for the fields that it
        left open, or None; those of the first time stay.
        """
        statement = insert(briefs).values(
            clip_id=clip_id,
            day=day,
            brief_id=brief_id,
            sha256=sha256,
            document=document,
            arrived_at=arrived_at,
            applied=null() if applied is None else applied,
        )
        statement = statement.on_conflict_do_update(
            index_elements=["clip_id"],
            set_={"sha256": sha256, "document": document, "updated_at": func.clock_timestamp()},
            where=briefs.c.sha256 != sha256,
        )
        with self._engine.begin() as connection:
            connection.execute(statement)

    def day_of_twin(self, *, day: date, brief_id: str, sha256: str) -> date | None:
        """Another day that has this very brief already; None when it is new, changed, or this day's from before."""
        own = select(briefs.c.clip_id).where(briefs.c.brief_id == brief_id, briefs.c.day == day)
        with self._engine.connect() as connection:
            if connection.execute(own).first() is not None:
                return None
            return connection.execute(
                select(briefs.c.day)
                .where(briefs.c.brief_id == brief_id, briefs.c.sha256 == sha256, briefs.c.day != day)
                .order_by(briefs.c.day)
                .limit(1)
            ).scalar_one_or_none()

    def bought_briefs(self, day: date) -> list[dict[str, Any]]:
        """Documents of the day's briefs that a provider was asked to render: they stay a part of the day."""
        asked = select(jobs.c.clip_id).where(jobs.c.day == day, jobs.c.submitted_at.is_not(None))
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(briefs.c.document)
                .where(briefs.c.day == day, briefs.c.clip_id.in_(asked))
                .order_by(briefs.c.created_at, briefs.c.clip_id)
            )
            return list(rows.scalars())

    def applied_guidance(self, day: date) -> dict[str, dict[str, Any] | None]:
        """Clip id -> what guidance had for the fields that its brief left open, or None; every brief of `day`."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(briefs.c.clip_id, briefs.c.applied).where(briefs.c.day == day))
            return {row.clip_id: row.applied for row in rows}

    def public_briefs(self, day: date) -> dict[str, tuple[dict[str, Any], list[str]]]:
        """Brief id -> the document in force, and where its clip is public, on its way, or may be: of `day`."""
        statement = (
            select(briefs.c.brief_id, briefs.c.document, publications.c.platform, publications.c.url)
            .join(publications, publications.c.clip_id == briefs.c.clip_id)
            .where(briefs.c.day == day, publications.c.state.in_(_AT_THE_PLATFORM))
            .order_by(publications.c.platform)
        )
        found: dict[str, tuple[dict[str, Any], list[str]]] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(statement):
                _, places = found.setdefault(row.brief_id, (row.document, []))
                places.append(f"{row.platform}: {row.url}" if row.url else row.platform)
        return found

    @tried_again
    def record_quarantined(self, day: date, documents: Sequence[Mapping[str, Any]]) -> None:
        """Keep documents that could not be taken, each with its source, sha256, reasons and raw text, once a day."""
        if not documents:
            return
        with self._engine.begin() as connection:
            rows = [{"day": day, **document} for document in documents]
            connection.execute(insert(quarantine).on_conflict_do_nothing(), rows)

    def quarantined(self, day: date) -> list[dict[str, Any]]:
        with self._engine.connect() as connection:
            rows = connection.execute(select(quarantine).where(quarantine.c.day == day).order_by(quarantine.c.id))
            return [dict(row) for row in rows.mappings()]
