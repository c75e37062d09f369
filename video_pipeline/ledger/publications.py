"""Publications: one clip on one platform, exactly once, and the metrics read back from there.

What a platform says is kept clean; its raw answer, cut by whoever has read it, stands with the event that it led to.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, Select, func, or_, select, update
from sqlalchemy.dialects.postgresql import Insert, insert

from video_pipeline.errors import LedgerError
from video_pipeline.ledger.connecting import tried_again
from video_pipeline.ledger.leases import Lease, fenced
from video_pipeline.ledger.records import Publication, PublicationState
from video_pipeline.ledger.schema import engagement_snapshots, publication_events, publications
from video_pipeline.wire import clean

_ENDINGS = frozenset(
    {PublicationState.PUBLISHED, PublicationState.UNKNOWN, PublicationState.FAILED, PublicationState.REFUSED}
)

PUBLICATION_TRANSITIONS: dict[PublicationState, frozenset[PublicationState]] = {
    PublicationState.PLANNED: frozenset(
        {PublicationState.PUBLISHING, PublicationState.FAILED, PublicationState.NOT_CONNECTED}
    ),
    PublicationState.PUBLISHING: _ENDINGS | {PublicationState.PROCESSING},
    # Back to publishing: the platform says that bytes are missing after all.
    PublicationState.PROCESSING: _ENDINGS | {PublicationState.PUBLISHING},
    # A person has looked on the platform: it is there, or it is not.
    PublicationState.UNKNOWN: frozenset({PublicationState.PUBLISHED, PublicationState.FAILED}),
    # The reason was outside (quota, credentials, no connection): asked again, it starts over. It goes on in the
    # session of before when that has not come to nothing after all.
    # It is unknown when that session can no longer be asked.
    PublicationState.FAILED: frozenset(
        {PublicationState.PLANNED, PublicationState.PUBLISHING, PublicationState.UNKNOWN}
    ),
    # The reason was the clip or its words: asked with others, it starts over in the same way.
    PublicationState.REFUSED: frozenset(
        {PublicationState.PLANNED, PublicationState.PUBLISHING, PublicationState.UNKNOWN}
    ),
    PublicationState.NOT_CONNECTED: frozenset({PublicationState.PLANNED}),
    PublicationState.PUBLISHED: frozenset(),
}

_FIELDS = frozenset(Publication.__dataclass_fields__)
_UNDER_WAY = (PublicationState.PLANNED, PublicationState.PUBLISHING, PublicationState.PROCESSING)

_ID_LENGTH, _TEXT_LENGTH = 200, 1000
# The note of a question that was answered again after some that were not.
_ANSWERED = "the platform answers again"

_Values = dict[str, Any]
_Answer = dict[str, Any] | None


class Publications:
    """The rows of `publications` with their events and metrics; the one place that moves a publication on."""

    def __init__(self, engine: Engine, lease: Lease | None = None) -> None:
        self._engine = engine
        self._lease = lease

    def under(self, lease: Lease) -> "Publications":
        """The same rows for the holder of `lease`: every write raises LeaseLost when it is not held any more."""
        return Publications(self._engine, lease)

    @tried_again
    def plan(self, publication: Publication) -> Publication:
        """Write the intent; the row that is there already when the clip was planned for the platform."""
        values = {name: getattr(publication, name) for name in _FIELDS}
        values["state"] = publication.state.value
        with fenced(self._engine, self._lease) as connection:
            connection.execute(insert(publications).values(**values).on_conflict_do_nothing())
            row = connection.execute(
                select(publications).where(
                    publications.c.clip_id == publication.clip_id,
                    publications.c.platform == publication.platform,
                )
            )
            return _publication(row.mappings().one())

    # --- the moves of a publication: one transaction each, refused when another worker has moved it before ----------

    def publishing(self, publication: Publication) -> Publication:
        """Commit the intent to publish; from now on the upload session is asked before anything is sent."""
        return self._move(publication, PublicationState.PUBLISHING, {"reason": None})

    @tried_again
    def with_session(self, publication: Publication, session: dict[str, Any]) -> Publication:
        """Keep the upload session before any byte is sent to it; LedgerError when another worker has one."""
        with fenced(self._engine, self._lease) as connection:
            noted = connection.execute(
                update(publications)
                .where(publications.c.key == publication.key, publications.c.session.is_(None))
                .values(session=session, updated_at=func.clock_timestamp())
            )
            if noted.rowcount != 1:
                raise LedgerError(f"Publication {publication.key[:12]} has an upload session of another worker.")
            return _fetch(connection, publication.key)

    def processing(self, publication: Publication) -> Publication:
        """The platform has all bytes and works on them."""
        return self._move(publication, PublicationState.PROCESSING, {"reason": None})

    def published(
        self, publication: Publication, *, remote_id: str, url: str, note: str = "", answer: _Answer = None
    ) -> Publication:
        """It is public under `url`; `remote_id` is what the platform calls it."""
        values = {
            "remote_id": clean(remote_id, _ID_LENGTH),
            "url": clean(url, _TEXT_LENGTH),
            "reason": None,
            "published_at": datetime.now(UTC),
        }
        return self._move(publication, PublicationState.PUBLISHED, values, note=note, answer=answer)

    def unknown(self, publication: Publication, reason: str, *, answer: _Answer = None) -> Publication:
        """Nobody can tell whether it went public; it is never sent again."""
        return self._ended(publication, PublicationState.UNKNOWN, reason, answer)

    def failed(self, publication: Publication, reason: str, *, answer: _Answer = None) -> Publication:
        """It did not go public, for a reason that may pass."""
        return self._ended(publication, PublicationState.FAILED, reason, answer)

    def refused(self, publication: Publication, reason: str, *, answer: _Answer = None) -> Publication:
        """The platform refused the clip or its words."""
        return self._ended(publication, PublicationState.REFUSED, reason, answer)

    def not_found(self, publication: Publication, reason: str) -> Publication:
        """A person has looked, and it is not there: what comes next begins anew, without the session of before."""
        return self._ended(publication, PublicationState.FAILED, reason, None, session=None)

    def not_connected(self, publication: Publication, reason: str) -> Publication:
        """A dry run: the platform has no account here."""
        return self._move(publication, PublicationState.NOT_CONNECTED, {"reason": reason})

    def replanned(
        self, publication: Publication, *, document: dict[str, Any], media_key: str, media_sha256: str
    ) -> Publication:
        """Begin anew, without the session of before, with the request and the file as they are asked now."""
        values = {"document": document, "media_key": media_key, "media_sha256": media_sha256}
        return self._move(publication, PublicationState.PLANNED, values | {"session": None, "reason": None})

    @tried_again
    def undecided(self, publication: Publication, reason: str, *, answer: _Answer = None) -> Publication:
        """Note, once a different answer, that the platform's word decides nothing; the state stays.

        While it is under way, its row says why.
        """
        reason = clean(reason, _TEXT_LENGTH)
        with fenced(self._engine, self._lease) as connection:
            if publication.state in _UNDER_WAY:
                connection.execute(
                    update(publications)
                    .where(publications.c.key == publication.key, publications.c.state == publication.state.value)
                    .values(reason=reason)
                )
            noted = connection.execute(_undecided(publication.key)).mappings()
            if (reason, _said(answer)) not in [(event["note"], _said(event["answer"])) for event in noted]:
                connection.execute(_event(publication, publication.state, reason, answer))
            return _fetch(connection, publication.key)

    @tried_again
    def answered(self, publication: Publication) -> Publication:
        """The platform's word decides again: what was undecided before counts no more."""
        with fenced(self._engine, self._lease) as connection:
            connection.execute(
                update(publications)
                .where(publications.c.key == publication.key, publications.c.state == publication.state.value)
                .values(reason=None)
            )
            connection.execute(_event(publication, publication.state, _ANSWERED, None))
            return _fetch(connection, publication.key)

    def undecided_s(self, publication: Publication) -> float:
        """Seconds in which no word of the platform has decided anything, by the database's clock; 0 if one did."""
        events = _undecided(publication.key).subquery()
        with self._engine.connect() as connection:
            seconds = connection.execute(
                select(func.extract("epoch", func.clock_timestamp() - func.min(events.c.at)))
            ).scalar_one()
        return float(seconds or 0)

    def _ended(
        self, publication: Publication, to: PublicationState, reason: str, answer: _Answer, **values: Any
    ) -> Publication:
        reason = clean(reason, _TEXT_LENGTH)
        return self._move(publication, to, {"reason": reason} | values, note=reason, answer=answer)

    @tried_again
    def _move(
        self,
        publication: Publication,
        to: PublicationState,
        values: _Values,
        *,
        note: str = "",
        answer: _Answer = None,
    ) -> Publication:
        if to not in PUBLICATION_TRANSITIONS[publication.state]:
            raise LedgerError(f"Publication {publication.key[:12]} cannot go from {publication.state} to {to}.")
        with fenced(self._engine, self._lease) as connection:
            changed = connection.execute(
                update(publications)
                .where(publications.c.key == publication.key, publications.c.state == publication.state.value)
                .values(state=to.value, updated_at=func.clock_timestamp(), **values)
            )
            if changed.rowcount != 1:
                raise LedgerError(
                    f"Publication {publication.key[:12]} is no longer {publication.state}: another worker has it."
                )
            connection.execute(_event(publication, to, note, answer))
            return _fetch(connection, publication.key)

    def get(self, key: str) -> Publication:
        with self._engine.connect() as connection:
            return _fetch(connection, key)

    def moved_at(self, key: str) -> datetime:
        """When the publication was last moved, by the database's clock."""
        with self._engine.connect() as connection:
            return connection.execute(select(publications.c.updated_at).where(publications.c.key == key)).scalar_one()

    def find(self, clip_id: str, platform: str) -> Publication | None:
        """The publication of a clip on a platform, if it was ever planned."""
        found = self._where(publications.c.clip_id == clip_id, publications.c.platform == platform)
        return found[0] if found else None

    def named(self, key_start: str) -> list[Publication]:
        """Those whose key starts so."""
        return self._where(func.starts_with(publications.c.key, key_start))

    def with_keys(self, keys: Sequence[str]) -> list[Publication]:
        """Those with one of these keys."""
        return self._where(publications.c.key.in_(keys)) if keys else []

    def with_remote_id(self, platform: str, remote_id: str) -> list[Publication]:
        """Those that the platform calls so; there is one at most, unless somebody has erred."""
        return self._where(publications.c.platform == platform, publications.c.remote_id == remote_id)

    def of_days(self, first: date, last: date) -> list[Publication]:
        """Publications of the clips of the days `first` to `last`, both included."""
        return self._where(publications.c.day >= first, publications.c.day <= last)

    def published_between(self, start: datetime, end: datetime) -> list[Publication]:
        return self._where(publications.c.published_at >= start, publications.c.published_at < end)

    def in_state(self, state: PublicationState) -> list[Publication]:
        return self._where(publications.c.state == state.value)

    @tried_again
    def record_metrics(
        self, publication: Publication, *, day: date, age_days: int, metrics: Mapping[str, Any]
    ) -> None:
        """Keep the metrics as read on `day`; a later reading of the same day replaces it."""
        statement = insert(engagement_snapshots).values(
            publication_key=publication.key, day=day, age_days=age_days, metrics=dict(metrics)
        )
        with fenced(self._engine, self._lease) as connection:
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

    def _where(self, *conditions: ColumnElement[bool]) -> list[Publication]:
        with self._engine.connect() as connection:
            rows = connection.execute(select(publications).where(*conditions).order_by(publications.c.created_at))
            return [_publication(row) for row in rows.mappings()]


def _event(publication: Publication, to: PublicationState, note: str, answer: _Answer) -> Insert:
    return insert(publication_events).values(
        publication_key=publication.key,
        from_state=publication.state.value,
        to_state=to.value,
        note=note,
        answer=answer,
    )


def _undecided(key: str) -> Select[Any]:
    """The events of a publication since the last word that has decided anything."""
    events = publication_events.c
    decided = select(func.coalesce(func.max(events.id), 0)).where(
        events.publication_key == key, or_(events.from_state != events.to_state, events.note == _ANSWERED)
    )
    return select(publication_events).where(events.publication_key == key, events.id > decided.scalar_subquery())


def _said(answer: _Answer) -> tuple[Any, Any]:
    """What makes an answer another one: not its headers, which hold the time."""
    return (None, None) if answer is None else (answer.get("status"), answer.get("body"))


def _fetch(connection: Connection, key: str) -> Publication:
    row = connection.execute(select(publications).where(publications.c.key == key)).mappings().one_or_none()
    if row is None:
        raise LedgerError(f"There is no publication {key[:12]} in the ledger.")
    return _publication(row)


def _publication(row: RowMapping) -> Publication:
    values = {name: row[name] for name in _FIELDS}
    values["state"] = PublicationState(row["state"])
    return Publication(**values)
