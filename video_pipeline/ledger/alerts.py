"""What was alerted: one row a cause, so that a cause alerts once and repeats are only counted (O1)."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, func, select
from sqlalchemy.dialects.postgresql import insert

from video_pipeline.ledger.schema import alerts

if TYPE_CHECKING:
    from video_pipeline.alerts import Alert, Delivery


_TELLING_TAKES = timedelta(minutes=2)


class AlertRows:
    """The ledger's side of `video_pipeline.alerts.AlertLog`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def first_time(self, alert: "Alert") -> bool:
        """Count the alert under its cause; True for the first, and again after every channel failed."""
        statement = insert(alerts).values(
            cause=alert.cause, severity=alert.severity, title=alert.title, text=alert.text, deliveries=[]
        )
        statement = statement.on_conflict_do_update(
            index_elements=["cause"],
            set_={"count": alerts.c.count + 1, "last_at": func.clock_timestamp()},
        ).returning(alerts.c.count, alerts.c.deliveries, alerts.c.last_at - alerts.c.first_at)
        with self._engine.begin() as connection:
            count, deliveries, age = connection.execute(statement).one()
        if not deliveries:
            # Nobody has told what became of it for a while: whoever was first has died before telling.
            return count == 1 or age > _TELLING_TAKES
        return all(item["outcome"] == "failed" for item in deliveries)

    def record(self, alert: "Alert", deliveries: "Sequence[Delivery]") -> None:
        """Keep what became of the messages: sent where, or why not."""
        values = [asdict(delivery) for delivery in deliveries]
        with self._engine.begin() as connection:
            connection.execute(alerts.update().where(alerts.c.cause == alert.cause).values(deliveries=values))

    def latest(self, limit: int = 50) -> list[dict[str, Any]]:
        """The alerts that occurred last, newest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(alerts).order_by(alerts.c.last_at.desc()).limit(limit))
            return [dict(row) for row in rows.mappings()]
