"""What was alerted: one row a cause, so that a cause alerts once and repeats are only counted (MISSION O1)."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.dialects.postgresql import insert

from video_pipeline.ledger.schema import alerts


class AlertRows:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def count(self, *, cause: str, severity: str, title: str, text: str) -> int:
        """Note that `cause` occurred; how often it has by now, 1 meaning that it is new."""
        statement = insert(alerts).values(cause=cause, severity=severity, title=title, text=text, deliveries=[])
        statement = statement.on_conflict_do_update(
            index_elements=["cause"],
            set_={"count": alerts.c.count + 1, "last_at": func.clock_timestamp()},
        ).returning(alerts.c.count)
        with self._engine.begin() as connection:
            return connection.execute(statement).scalar_one()

    def record_deliveries(self, cause: str, deliveries: Sequence[str]) -> None:
        """Keep what became of the messages: sent where, or why not."""
        with self._engine.begin() as connection:
            connection.execute(alerts.update().where(alerts.c.cause == cause).values(deliveries=list(deliveries)))

    def latest(self, limit: int = 50) -> list[dict[str, Any]]:
        with self._engine.connect() as connection:
            rows = connection.execute(select(alerts).order_by(alerts.c.last_at.desc()).limit(limit))
            return [dict(row) for row in rows.mappings()]
