"""Clips that wait for a person, with the reason, and what the person decided (Q6)."""

from datetime import UTC, date, datetime

from sqlalchemy import ColumnElement, Engine, RowMapping, delete, func, not_, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from video_pipeline.errors import LedgerError
from video_pipeline.ledger.connecting import tried_again
from video_pipeline.ledger.records import Review, ReviewStage, ReviewState
from video_pipeline.ledger.schema import briefs, reviews


class Reviews:
    """Questions to people, one for each clip and stage: a stage asks, and a person decides or the stage withdraws."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @tried_again
    def open(self, clip_id: str, stage: str, reason: str) -> bool:
        """Ask a person; True the first time. A decision that was taken stays taken."""
        statement = (
            insert(reviews)
            .values(clip_id=clip_id, stage=stage, reason=reason, state=ReviewState.WAITING.value)
            .on_conflict_do_nothing()
            .returning(reviews.c.clip_id)
        )
        with self._engine.begin() as connection:
            return connection.execute(statement).first() is not None

    @tried_again
    def decide(self, clip_id: str, stage: str, state: ReviewState, *, by: str, reason_code: str = "") -> None:
        """Record a person's word on a waiting clip; LedgerError when nothing waits there."""
        with self._engine.begin() as connection:
            changed = connection.execute(
                update(reviews)
                .where(
                    reviews.c.clip_id == clip_id,
                    reviews.c.stage == stage,
                    reviews.c.state == ReviewState.WAITING.value,
                )
                .values(state=state.value, decided_by=by, reason_code=reason_code, decided_at=datetime.now(UTC))
            )
            if changed.rowcount != 1:
                raise LedgerError(f"No decision on {clip_id} is waiting at the {stage} stage.")

    @tried_again
    def withdraw(self, clip_id: str, stage: str) -> None:
        """Take back a question that nobody has to answer any more; a decision that was taken stays taken."""
        with self._engine.begin() as connection:
            connection.execute(
                delete(reviews).where(
                    reviews.c.clip_id == clip_id,
                    reviews.c.stage == stage,
                    reviews.c.state == ReviewState.WAITING.value,
                )
            )

    @tried_again
    def withdraw_others(self, clip_id: str, kind: ReviewStage, *, keep: str) -> None:
        """Take back what is asked about earlier files or texts of a kind, and about which nobody has decided."""
        with self._engine.begin() as connection:
            connection.execute(
                delete(reviews).where(
                    reviews.c.clip_id == clip_id,
                    func.starts_with(reviews.c.stage, f"{kind} "),
                    reviews.c.stage != keep,
                    reviews.c.state == ReviewState.WAITING.value,
                )
            )

    def get(self, clip_id: str, stage: str) -> Review | None:
        found = self._where(reviews.c.clip_id == clip_id, reviews.c.stage == stage)
        return found[0] if found else None

    def rejected(self, clip_id: str, stage: str) -> Review | None:
        """A person's no that still stands: the clip's brief has not been changed since."""
        changed_at = select(briefs.c.updated_at).where(briefs.c.clip_id == clip_id).scalar_subquery()
        found = self._where(
            reviews.c.clip_id == clip_id,
            reviews.c.stage == stage,
            reviews.c.state == ReviewState.REJECTED.value,
            or_(changed_at.is_(None), reviews.c.decided_at >= changed_at),
        )
        return found[0] if found else None

    def refusal_of(self, clip_id: str) -> Review | None:
        """A no that was ever said to a file or to the making of a clip; one to its words says nothing of either."""
        found = self._where(
            reviews.c.clip_id == clip_id,
            reviews.c.state == ReviewState.REJECTED.value,
            not_(func.starts_with(reviews.c.stage, f"{ReviewStage.WORDING} ")),
        )
        return found[-1] if found else None

    def waiting(self) -> list[Review]:
        return self._where(reviews.c.state == ReviewState.WAITING.value)

    def of_day(self, day: date) -> list[Review]:
        return self._where(func.starts_with(reviews.c.clip_id, f"{day}/"))

    def _where(self, *conditions: ColumnElement[bool]) -> list[Review]:
        with self._engine.connect() as connection:
            rows = connection.execute(select(reviews).where(*conditions).order_by(reviews.c.opened_at))
            return [_review(row) for row in rows.mappings()]


def _review(row: RowMapping) -> Review:
    values = {name: row[name] for name in Review.__dataclass_fields__}
    values["state"] = ReviewState(row["state"])
    return Review(**values)
