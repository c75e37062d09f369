"""Publications: one clip on one platform, exactly once, and the metrics read back from there."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, func, select, update
from sqlalchemy.dialects.postgresql import insert

from video_pipeline.errors import LedgerError
from video_pipeline.ledger.records import Publication, PublicationState
from video_pipeline.ledger.schema import engagement_snapshots, publication_events, publications

PUBLICATION_TRANSITIONS: dict[PublicationState, frozenset[PublicationState]] = {
    PublicationState.PLANNED: frozenset(
        {PublicationState.PUBLISHING, PublicationState.FAILED, PublicationState.NOT_CONNECTED}
    ),
    PublicationState.PUBLISHING: frozenset(
        {PublicationState.PUBLISHED, PublicationState.UNKNOWN, PublicationState.FAILED, PublicationState.REFUSED}
    ),
    # A person has looked on the platform: it is there, or it is not.
    PublicationState.UNKNOWN: frozenset({PublicationState.PUBLISHED, PublicationState.FAILED}),
    # The reason was outside (quota, credentials, no connection): asked again, it starts over.
    PublicationState.FAILED: frozenset({PublicationState.PLANNED}),
    # The reason was the clip or its words: asked with others, it starts over.
    PublicationState.REFUSED: frozenset({PublicationState.PLANNED}),
    PublicationState.NOT_CONNECTED: frozenset({PublicationState.PLANNED}),
    PublicationState.PUBLISHED: frozenset(),
}

_FIELDS = frozenset(Publication.__dataclass_fields__)


class Publications:
    """The rows of `publications` with their events and metrics; the one place that moves a publication on."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def plan(self, publication: Publication) -> Publication:
        """Write the intent; the row that is there already when the clip was planned for the platform."""
        values = {name: getattr(publication, name) for name in _FIELDS}
        values["state"] = publication.state.value
        with self._engine.begin() as connection:
            connection.execute(insert(publications).values(**values).on_conflict_do_nothing())
            row = connection.execute(
                select(publications).where(
                    publications.c.clip_id == publication.clip_id,
                    publications.c.platform == publication.platform,
                )
            )
            return _publication(row.mappings().one())

    def advance(
        self, publication: Publication, to: PublicationState, *, note: str = "", **fields: Any
    ) -> Publication:
        """Move a publication on; LedgerError when another worker has moved it."""
        if to not in PUBLICATION_TRANSITIONS[publication.state]:
            raise LedgerError(f"Publication {publication.key[:12]} cannot go from {publication.state} to {to}.")
        with self._engine.begin() as connection:
            changed = connection.execute(
                update(publications)
                .where(publications.c.key == publication.key, publications.c.state == publication.state.value)
                .values(state=to.value, updated_at=func.clock_timestamp(), **fields)
            )
            if changed.rowcount != 1:
                raise LedgerError(
                    f"Publication {publication.key[:12]} is no longer {publication.state}: another worker has it."
                )
            connection.execute(
                insert(publication_events).values(
                    publication_key=publication.key,
                    from_state=publication.state.value,
                    to_state=to.value,
                    note=note,
                )
            )
            return _fetch(connection, publication.key)

    def note_session(self, publication: Publication, session_url: str) -> Publication:
        """Keep the upload session's address before any byte is sent to it; LedgerError when another has one."""
        with self._engine.begin() as connection:
            noted = connection.execute(
                update(publications)
                .where(publications.c.key == publication.key, publications.c.session_url.is_(None))
                .values(session_url=session_url, updated_at=func.clock_timestamp())
            )
            if noted.rowcount != 1:
                raise LedgerError(f"Publication {publication.key[:12]} has an upload session of another worker.")
            return _fetch(connection, publication.key)

    def get(self, key: str) -> Publication:
        with self._engine.connect() as connection:
            return _fetch(connection, key)

    def of_days(self, first: date, last: date) -> list[Publication]:
        """Publications of the clips of the days `first` to `last`, both included."""
        return self._where(publications.c.day >= first, publications.c.day <= last)

    def published_between(self, start: datetime, end: datetime) -> list[Publication]:
        return self._where(publications.c.published_at >= start, publications.c.published_at < end)

    def in_state(self, state: PublicationState) -> list[Publication]:
        return self._where(publications.c.state == state.value)

    def record_metrics(
        self, publication: Publication, *, day: date, age_days: int, metrics: Mapping[str, Any]
    ) -> None:
        """Keep the metrics as read on `day`; a later reading of the same day replaces it."""
        statement = insert(engagement_snapshots).values(
            publication_key=publication.key, day=day, age_days=age_days, metrics=dict(metrics)
        )
        with self._engine.begin() as connection:
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["publication_key", "day"],
                    set_={"metrics": dict(metrics), "at": func.clock_timestamp()},
                )
            )

    def metrics_on(self, day: date) -> dict[str, dict[str, Any]]:
        """publication key -> the age and the metrics as read on `day`."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(engagement_snapshots).where(engagement_snapshots.c.day == day))
            return {
                row["publication_key"]: {"age_days": row["age_days"], **row["metrics"]} for row in rows.mappings()
            }

    def open_days(self, unmoved_since: datetime) -> set[date]:
        """Days with a publication that was begun and that nobody has moved since."""
        begun = (PublicationState.PLANNED.value, PublicationState.PUBLISHING.value)
        with self._engine.connect() as connection:
            return set(
                connection.execute(
                    select(publications.c.day).where(
                        publications.c.state.in_(begun), publications.c.updated_at < unmoved_since
                    )
                ).scalars()
            )

    def _where(self, *conditions: Any) -> list[Publication]:
        with self._engine.connect() as connection:
            rows = connection.execute(select(publications).where(*conditions).order_by(publications.c.created_at))
            return [_publication(row) for row in rows.mappings()]


def _fetch(connection: Connection, key: str) -> Publication:
    row = connection.execute(select(publications).where(publications.c.key == key)).mappings().one_or_none()
    if row is None:
        raise LedgerError(f"There is no publication {key[:12]} in the ledger.")
    return _publication(row)


def _publication(row: RowMapping) -> Publication:
    values = {name: row[name] for name in _FIELDS}
    values["state"] = PublicationState(row["state"])
    return Publication(**values)
