"""Signs of life of runs, by the database's clock: for whoever cannot see a run's processes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Engine, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from video_pipeline.ledger.schema import run_beats

BEAT_S = 10.0
"""Seconds between two signs of life of a run."""
SILENT_S = 45.0
"""After as many seconds without one, nobody is at work for the run."""
_FORGOTTEN = "30 days"


@dataclass(frozen=True)
class Beat:
    """The last sign of life of a run: its production day, if it has one, and how many seconds ago it was."""

    day: date | None
    age_s: float

    @property
    def silent(self) -> bool:
        return self.age_s > SILENT_S


class RunBeats:
    """One row a run, renewed from its start to its end."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def beat(self, run_id: str, day: date | None) -> None:
        """The run is alive; `day` is its production day."""
        new = insert(run_beats).values(run_id=run_id, day=day)
        again = new.on_conflict_do_update(index_elements=["run_id"], set_={"beat_at": func.clock_timestamp()})
        with self._engine.begin() as connection:
            connection.execute(again)

    def ended(self, run_id: str) -> None:
        """The run has come to its end."""
        with self._engine.begin() as connection:
            connection.execute(delete(run_beats).where(run_beats.c.run_id == run_id))

    def last(self) -> Mapping[str, Beat]:
        """Run -> its last sign of life, of those that have had one in the last days."""
        age = func.extract("epoch", func.clock_timestamp() - run_beats.c.beat_at).label("age_s")
        recent = run_beats.c.beat_at > func.clock_timestamp() - text(f"interval '{_FORGOTTEN}'")
        with self._engine.connect() as connection:
            rows = connection.execute(select(run_beats.c.run_id, run_beats.c.day, age).where(recent))
            return {row.run_id: Beat(row.day, float(row.age_s)) for row in rows}

    def forget(self) -> None:
        """Remove what is so old that no run can be meant."""
        old = run_beats.c.beat_at < func.clock_timestamp() - text(f"interval '{_FORGOTTEN}'")
        with self._engine.begin() as connection:
            connection.execute(delete(run_beats).where(old))
