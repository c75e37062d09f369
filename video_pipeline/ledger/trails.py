"""When what happened to a clip, read from the rows of all subjects; and the marks of what none of them tells."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime

from sqlalchemy import Engine, Executable, RowMapping, insert, literal, or_, select

from video_pipeline.ledger.records import ENDED, ClipTrail, JobKind, Mark, Trail
from video_pipeline.ledger.schema import (
    briefs,
    clip_marks,
    decisions,
    job_events,
    jobs,
    publication_events,
    publications,
    reviews,
)


class Trails:
    """Writes marks, and reads the trails of a day's clips. Nothing is decided by what is read here."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def mark(self, clip_id: str, mark: Mark, *, unless: Mark | None = None) -> None:
        """Note the moment, by the database's clock, unless the clip has the mark `unless` already."""
        values = select(literal(clip_id), literal(mark.value))
        if unless is not None:
            known = select(clip_marks.c.id).where(clip_marks.c.clip_id == clip_id, clip_marks.c.mark == unless.value)
            values = values.where(~known.exists())
        with self._engine.begin() as connection:
            connection.execute(insert(clip_marks).from_select(["clip_id", "mark"], values))

    def of_day(self, day: date) -> dict[str, ClipTrail]:
        """The trail of each clip of the day, by clip id."""
        clips = select(briefs.c.clip_id).where(briefs.c.day == day)
        own_jobs, own_publications = jobs.c.day == day, publications.c.day == day
        to_end = job_events.c.to_state.in_([state.value for state in ENDED])
        with self._engine.connect() as connection:

            def rows(statement: Executable) -> list[RowMapping]:
                return list(connection.execute(statement).mappings())

            taken_in = rows(select(briefs).where(briefs.c.day == day))
            decided = _by_clip(
                rows(select(decisions).where(decisions.c.clip_id.in_(clips)).order_by(decisions.c.decided_at))
            )
            asked = _by_clip(rows(select(reviews).where(reviews.c.clip_id.in_(clips)).order_by(reviews.c.opened_at)))
            marks = _by_clip(
                rows(select(clip_marks).where(clip_marks.c.clip_id.in_(clips)).order_by(clip_marks.c.id))
            )
            job_rows = _by_clip(
                rows(select(jobs.c.clip_id, jobs.c.key, jobs.c.kind, jobs.c.created_at).where(own_jobs))
            )
            job_moves = _moves(
                rows(
                    select(job_events.c.job_key.label("key"), job_events.c.at, job_events.c.to_state)
                    .join(jobs, jobs.c.key == job_events.c.job_key)
                    # What is said of a job that has ended, such as its bill, is no moment of the clip's way.
                    .where(own_jobs, or_(job_events.c.from_state != job_events.c.to_state, ~to_end))
                    .order_by(job_events.c.id)
                )
            )
            publication_rows = _by_clip(
                rows(
                    select(publications.c.clip_id, publications.c.key, publications.c.created_at).where(
                        own_publications
                    )
                )
            )
            events = publication_events.c
            publication_moves = _moves(
                rows(
                    select(events.publication_key.label("key"), events.at, events.to_state)
                    .join(publications, publications.c.key == events.publication_key)
                    .where(own_publications)
                    .order_by(events.id)
                )
            )
        return {
            brief["clip_id"]: ClipTrail(
                arrived_at=brief["arrived_at"],
                taken_in_at=brief["created_at"],
                decided_at=next((row["decided_at"] for row in decided[brief["clip_id"]]), None),
                jobs=tuple(
                    Trail(row["created_at"], tuple(job_moves[row["key"]]), video=row["kind"] == JobKind.VIDEO.value)
                    for row in job_rows[brief["clip_id"]]
                ),
                asked=tuple((row["opened_at"], row["decided_at"]) for row in asked[brief["clip_id"]]),
                publications=tuple(
                    Trail(row["created_at"], tuple(publication_moves[row["key"]]))
                    for row in publication_rows[brief["clip_id"]]
                ),
                marks=tuple((row["at"], Mark(row["mark"])) for row in marks[brief["clip_id"]]),
            )
            for brief in taken_in
        }


def _by_clip(rows: Iterable[RowMapping]) -> dict[str, list[RowMapping]]:
    found: dict[str, list[RowMapping]] = defaultdict(list)
    for row in rows:
        found[row["clip_id"]].append(row)
    return found


def _moves(rows: Iterable[RowMapping]) -> dict[str, list[tuple[datetime, str]]]:
    found: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for row in rows:
        found[row["key"]].append((row["at"], row["to_state"]))
    return found
