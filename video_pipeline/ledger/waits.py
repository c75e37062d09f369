"""What waits: since when, for what, and until when. One row a thing, from its brief's intake to its end.

Whoever finds out why something waits notes it here. Whether it may go on is never kept: it is asked of what it hinges
on (`Standing`), so that a person's answer, a thaw or a raised ceiling need nobody to tell it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, case, delete, func, select, text, union, update
from sqlalchemy.dialects.postgresql import insert

from video_pipeline.ledger.leases import held_now
from video_pipeline.ledger.records import PublicationState
from video_pipeline.ledger.schema import (
    JOBS_OPEN,
    PUBLICATIONS_OPEN,
    REVIEWS_OPEN,
    intakes,
    jobs,
    publications,
    waits,
)
from video_pipeline.wire import clean

_TEXT_LENGTH = 1000


class What(StrEnum):
    """What waits: a clip, a publication (by its key), files of a day that nobody has taken in, or a day's scoring.

    Of nights there are no rows: whether one was scored is Dagster's to tell.
    """

    CLIP = "clip"
    PUBLICATION = "publication"
    INTAKE = "intake"
    NIGHT = "night"


class WaitCause(StrEnum):
    """Why something waits; docs/architecture.md says what wakes it."""

    CEILING = "ceiling"
    FROZEN = "frozen"
    MODEL = "model"
    PRICE = "price"
    PROVIDER = "provider"
    QUOTA = "quota"
    PERSON = "person"
    LEASE = "lease"
    TWIN = "twin"
    RESULT = "result"
    RUN = "run"
    RETRY = "retry"


BREAKER = "breaker "
"""What a wait's `hinges_on` begins with where a breaker is in the way; the name of who is left alone follows."""


def breaker_of(subject: str) -> str:
    """`hinges_on` of a wait for the breaker of a provider or a model."""
    return f"{BREAKER}{subject}"


@dataclass(frozen=True)
class Why:
    """Why something waits, in words, and what that hinges on.

    `hinges_on` is the tier (frozen), the provider or platform (provider, quota, result), what `breaker_of` gives
    (provider), the model (price), the other job's key (twin), the version of routing (model), or which ceiling: `day`
    or `plan`.
    `usd` is what it needs of the ceiling. `until` is the moment at which it can go on, where that is known.
    """

    cause: WaitCause
    reason: str
    hinges_on: str = ""
    usd: Decimal | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Wait:
    """A row of `waits`; `subject` is a clip id, a publication's key, or a day."""

    what: What
    subject: str
    day: date
    why: Why
    since: datetime | None = None
    taken_up_at: datetime | None = None
    woken_at: datetime | None = None
    tries: int = 0
    tried_at: datetime | None = None

    @property
    def key(self) -> tuple[What, str]:
        return self.what, self.subject

    @property
    def cause(self) -> WaitCause:
        """Why it waits now: what a run has in hand waits for that run, whatever it waited for before."""
        return self.why.cause if self.taken_up_at is None else WaitCause.LEASE


@dataclass(frozen=True)
class Standing:
    """What waits hinge on, as it stands now.

    `asked` are the clips that a person is asked about, `in_doubt` the keys of publications. `at_work` has the clips
    and publications that live workers hold. `jobs_open` are the keys of jobs under way.
    """

    asked: frozenset[str] = frozenset()
    in_doubt: frozenset[str] = frozenset()
    at_work: frozenset[str] = frozenset()
    jobs_open: frozenset[str] = frozenset()


class Waits:
    """Reads and writes what waits; noting the same again keeps its since."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def note(self, found: Iterable[Wait]) -> None:
        """Why things wait, as a run has just found it; another cause than before begins to count anew."""
        rows = {wait.key: _row(wait) for wait in found}
        if not rows:
            return
        new = insert(waits).values(list(rows.values()))
        same = (waits.c.cause == new.excluded.cause) & (waits.c.hinges_on == new.excluded.hinges_on)
        words = {name: new.excluded[name] for name in ("day", "cause", "reason", "hinges_on", "usd", "until")}
        statement = new.on_conflict_do_update(
            index_elements=["what", "subject"],
            set_=words
            | {
                "since": case((same, waits.c.since), else_=func.clock_timestamp()),
                "tries": case((same, waits.c.tries), else_=0),
                "taken_up_at": None,
                "woken_at": None,
            },
        )
        with self._engine.begin() as connection:
            connection.execute(statement)

    def end(self, what: What, subjects: Iterable[str]) -> None:
        """They have come to their end, or to where others are noted for them."""
        named = list(subjects)
        if named:
            with self._engine.begin() as connection:
                connection.execute(delete(waits).where(waits.c.what == what, waits.c.subject.in_(named)))

    def end_others(self, what: What, day: date, wanted: Sequence[str]) -> None:
        """Those of `day` that are not `wanted` wait no longer, except publications in doubt: nobody wants them."""
        doubted = select(publications.c.key).where(publications.c.state == PublicationState.UNKNOWN)
        mine = (waits.c.what == what) & (waits.c.day == day) & waits.c.subject.not_in(doubted)
        with self._engine.begin() as connection:
            connection.execute(delete(waits).where(mine, waits.c.subject.not_in(wanted)))

    def take_up(self, day: date, clip_ids: Iterable[str], *, files: Sequence[str]) -> None:
        """A run of `day` has taken in `files`, a line each, and has these clips in hand now.

        Clips of the day that are not among them wait no longer: nobody wants them any more.
        """
        ids = list(clip_ids)
        with self._engine.begin() as connection:
            taken = insert(intakes).values(day=day, files=list(files))
            again = {"files": taken.excluded.files, "at": func.clock_timestamp()}
            connection.execute(taken.on_conflict_do_update(index_elements=["day"], set_=again))
            nobodys = (waits.c.what == What.CLIP) & waits.c.subject.not_in(ids)
            connection.execute(delete(waits).where(waits.c.day == day, (waits.c.what == What.INTAKE) | nobodys))
            if not ids:
                return
            why = Why(WaitCause.RUN, "its brief is taken in, and no run has brought it to an end")
            rows = [_row(Wait(What.CLIP, clip_id, day, why)) for clip_id in ids]
            new = insert(waits).values([row | {"taken_up_at": func.clock_timestamp()} for row in rows])
            taken_up = {"taken_up_at": new.excluded.taken_up_at, "woken_at": None}
            connection.execute(new.on_conflict_do_update(index_elements=["what", "subject"], set_=taken_up))

    def taken_in(self) -> dict[date, list[str] | None]:
        """Day -> the files that were taken in last for it, a line each; None where a release did not keep them."""
        with self._engine.connect() as connection:
            return {row.day: row.files for row in connection.execute(select(intakes.c.day, intakes.c.files))}

    def all(self) -> list[Wait]:
        """Everything that waits, oldest day first."""
        order = (waits.c.day, waits.c.since, waits.c.subject)
        with self._engine.connect() as connection:
            return [_wait(row) for row in connection.execute(select(waits).order_by(*order)).mappings()]

    def causes(self, day: date, what: What) -> dict[WaitCause, int]:
        """Cause -> how many of `day` wait for it, of those of which a run has said why."""
        mine = (waits.c.day == day) & (waits.c.what == what) & waits.c.taken_up_at.is_(None)
        counted = select(waits.c.cause, func.count().label("number")).where(mine).group_by(waits.c.cause)
        with self._engine.connect() as connection:
            return {WaitCause(row.cause): row.number for row in connection.execute(counted.order_by(waits.c.cause))}

    def days_with_work(self, first: date, last: date) -> list[date]:
        """The days from `first` to `last` that have jobs or publications, oldest first."""
        worked = [select(table.c.day).where(table.c.day.between(first, last)) for table in (jobs, publications)]
        with self._engine.connect() as connection:
            return sorted(connection.execute(union(*worked)).scalars())

    def adopt(self) -> None:
        """Give work under way that has no row one of its own: whoever had it in hand may have died."""
        with self._engine.begin() as connection:
            connection.execute(text(_ADOPTED))

    def standing(self) -> Standing:
        """What waits hinge on; money, tiers and breakers are others' to tell."""
        with self._engine.connect() as connection:
            return Standing(
                asked=_strings(connection, f"SELECT clip_id FROM reviews WHERE {REVIEWS_OPEN}")
                | _strings(connection, f"SELECT clip_id FROM jobs WHERE state = 'unknown' AND {JOBS_OPEN}"),
                in_doubt=_strings(
                    connection, f"SELECT key FROM publications WHERE state = 'unknown' AND {PUBLICATIONS_OPEN}"
                ),
                # A lease is named by what is done and to what.
                at_work=frozenset(name.partition(" ")[2] for name in held_now(connection)),
                jobs_open=_strings(connection, f"SELECT key FROM jobs WHERE {JOBS_OPEN}"),
            )

    def woken(self, can: Sequence[Wait], cannot: Sequence[Wait]) -> None:
        """Note, once, since when things can go on; what is held up by something has not been tried in vain."""
        new = [wait for wait in can if wait.woken_at is None]
        # What a worker has in hand is being tried: that says nothing of how often it was.
        held_up = [wait for wait in cannot if wait.taken_up_at is None and wait.why.cause is not WaitCause.LEASE]
        with self._engine.begin() as connection:
            if new:
                connection.execute(_BY_KEY.values(woken_at=func.clock_timestamp()), [_named(wait) for wait in new])
            changed = [wait for wait in held_up if wait.woken_at is not None or wait.tried_at is not None]
            if changed:
                anew = _BY_KEY.values(woken_at=None, tries=0, tried_at=None)
                connection.execute(anew, [_named(wait) for wait in changed])

    def tried(self, waiting: Sequence[Wait]) -> None:
        """A run of their day is asked for because of these."""
        if waiting:
            tried = _BY_KEY.values(tries=waits.c.tries + 1, tried_at=func.clock_timestamp())
            with self._engine.begin() as connection:
                connection.execute(tried, [_named(wait) for wait in waiting])


_BY_KEY = update(waits).where(waits.c.what == bindparam("its_what"), waits.c.subject == bindparam("its_subject"))
_ADOPTED = f"""
    INSERT INTO waits (what, subject, day, cause, reason, since, woken_at, tries, tried_at)
    SELECT what, subject, day, 'lease', 'it is under way, and nobody has said how it stands', moved_at, moved_at,
        -- A run that has taken its day in since has not moved it: it goes by the longest pause from there on.
        CASE WHEN moved_at < intakes.at THEN 100 ELSE 0 END, CASE WHEN moved_at < intakes.at THEN intakes.at END
    FROM (
        SELECT 'clip' AS what, clip_id AS subject, min(day) AS day, max(updated_at) AS moved_at
        FROM jobs WHERE {JOBS_OPEN} AND state <> 'unknown' GROUP BY clip_id
        UNION ALL
        SELECT 'publication', key, day, updated_at
        FROM publications WHERE {PUBLICATIONS_OPEN} AND (
            state IN ('publishing', 'processing')
            -- What was given up long ago, as by an older release, does not go public by itself.
            OR state = 'planned' AND updated_at > clock_timestamp() - interval '14 days'
        )
    ) AS under_way LEFT JOIN intakes USING (day)
    WHERE NOT EXISTS (SELECT 1 FROM waits w WHERE w.what = under_way.what AND w.subject = under_way.subject)
    ON CONFLICT DO NOTHING
"""


def _named(wait: Wait) -> dict[str, str]:
    return {"its_what": wait.what.value, "its_subject": wait.subject}


def _strings(connection: Connection, statement: str) -> frozenset[str]:
    return frozenset(connection.execute(text(statement)).scalars())


def _row(wait: Wait) -> dict[str, Any]:
    why = wait.why
    return {
        "what": wait.what.value,
        "subject": wait.subject,
        "day": wait.day,
        "cause": why.cause.value,
        "reason": clean(why.reason, _TEXT_LENGTH),
        "hinges_on": why.hinges_on,
        "usd": why.usd,
        "until": why.until,
    }


def _wait(row: Any) -> Wait:
    why = Why(WaitCause(row["cause"]), row["reason"], row["hinges_on"], row["usd"], row["until"])
    return Wait(
        What(row["what"]),
        row["subject"],
        row["day"],
        why,
        since=row["since"],
        taken_up_at=row["taken_up_at"],
        woken_at=row["woken_at"],
        tries=row["tries"],
        tried_at=row["tried_at"],
    )
