"""Money: append-only line items. Committed money is the sum of all lines; spent money is what was settled.

reserve +x   before a job is submitted          settle  +y   what the job was billed
release -x   when the job is settled or failed  adjust  ±z   what its vendor's bill corrects, or what is no job's
"""

from collections.abc import Collection
from datetime import date
from decimal import Decimal

from sqlalchemy import Connection, Engine, Insert, RowMapping, func, select
from sqlalchemy.dialects.postgresql import insert

from video_pipeline.days import today
from video_pipeline.ledger.connecting import tried_again
from video_pipeline.ledger.records import SpendCategory, SpendLine
from video_pipeline.ledger.schema import spend

_SETTLED = (SpendLine.SETTLE.value, SpendLine.ADJUST.value)


class Spend:
    """Books what is not a job's, and sums over all lines; a job's own lines are written by `Jobs` as it moves."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @tried_again
    def book_once(
        self,
        once: str,
        *,
        day: date,
        clip_id: str,
        tier: str,
        category: SpendCategory,
        usd: Decimal,
        note: str,
    ) -> bool:
        """Book a cost that is not a job's; `once` names its cause, and a second booking of it is refused."""
        statement = (
            insert(spend)
            .values(
                once=once,
                day=day,
                spent_on=today(),
                clip_id=clip_id,
                tier=tier,
                category=category.value,
                line=SpendLine.ADJUST.value,
                usd=usd,
                note=note,
            )
            .on_conflict_do_nothing()
            .returning(spend.c.id)
        )
        with self._engine.begin() as connection:
            return connection.execute(statement).first() is not None

    def settled(self, keys: Collection[str]) -> dict[str, Decimal]:
        """What each of these jobs was booked at when it ended, before any vendor's bill; 0 where nothing was."""
        statement = (
            select(spend.c.job_key, func.sum(spend.c.usd).label("usd"))
            .where(spend.c.job_key.in_(keys), spend.c.line == SpendLine.SETTLE.value)
            .group_by(spend.c.job_key)
        )
        with self._engine.connect() as connection:
            return dict.fromkeys(keys, Decimal(0)) | {row.job_key: row.usd for row in connection.execute(statement)}

    def committed_usd(self, on: date) -> Decimal:
        """Spent plus reserved on the calendar day `on`: what the ceiling is held against."""
        with self._engine.connect() as connection:
            return committed_usd(connection, on)

    def by_clip(self, day: date) -> dict[str, dict[SpendCategory, Decimal]]:
        """clip id -> category -> settled US dollars."""
        statement = (
            select(spend.c.clip_id, spend.c.category, func.sum(spend.c.usd).label("usd"))
            .where(spend.c.day == day, spend.c.line.in_(_SETTLED))
            .group_by(spend.c.clip_id, spend.c.category)
        )
        costs: dict[str, dict[SpendCategory, Decimal]] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(statement):
                costs.setdefault(row.clip_id, {})[SpendCategory(row.category)] = row.usd
        return costs


def correction(connection: Connection, job: RowMapping, usd: Decimal) -> Insert:
    """The line that corrects what a row of `jobs` is booked at, against the day that it was reserved on."""
    reserved_on = select(func.max(spend.c.spent_on)).where(spend.c.job_key == job["key"])
    category = SpendCategory.RETRY if job["attempt"] else SpendCategory.GENERATION
    return insert(spend).values(
        day=job["day"],
        spent_on=connection.execute(reserved_on).scalar_one() or today(),
        clip_id=job["clip_id"],
        job_key=job["key"],
        tier=job["tier"],
        category=category.value,
        line=SpendLine.ADJUST.value,
        usd=usd,
        note="as its vendor's billing says",
    )


def committed_usd(connection: Connection, on: date) -> Decimal:
    """The sum of all lines that count against the calendar day `on`, inside the caller's transaction."""
    total = connection.execute(select(func.sum(spend.c.usd)).where(spend.c.spent_on == on)).scalar_one()
    return total or Decimal(0)
