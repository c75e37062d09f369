"""What was decided: routing decisions that stick, tier freezes, model standings, weekly preferences.

All append-only; the latest row is in force. `version` changes when any of them does: it is the data version of
the external asset `routing_policy`.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Table, func, select
from sqlalchemy.dialects.postgresql import distinct_on, insert

from video_pipeline.ledger.locks import lock
from video_pipeline.ledger.records import StandingStatus, TierState, Transition
from video_pipeline.ledger.schema import (
    decisions,
    jobs,
    preferences,
    standing_transitions,
    tier_transitions,
)


class Governance:
    """Reads and writes what was decided. Telling it the same again adds no row, so a run may be repeated."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def stick(self, *, clip_id: str, shot: int, shot_sha256: str, document: dict[str, Any]) -> dict[str, Any]:
        """Keep a routing decision; the one in force.

        A shot that money was spent on keeps its decision whatever the policy says now, so that planning a day
        again can never buy it a second time from another model.
        """
        where = (
            decisions.c.clip_id == clip_id,
            decisions.c.shot == shot,
            decisions.c.shot_sha256 == shot_sha256,
        )
        with self._engine.begin() as connection:
            started = connection.execute(
                select(jobs.c.key)
                .where(
                    jobs.c.clip_id == clip_id,
                    jobs.c.shot == shot,
                    jobs.c.shot_sha256 == shot_sha256,
                    jobs.c.state.not_in(("planned", "refused")),
                )
                .limit(1)
            ).first()
            if started is not None:
                kept = connection.execute(select(decisions.c.document).where(*where)).scalar_one_or_none()
                if kept is not None:
                    return kept
            statement = insert(decisions).values(
                clip_id=clip_id, shot=shot, shot_sha256=shot_sha256, document=document
            )
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=list(decisions.primary_key.columns),
                    set_={"document": document, "decided_at": func.clock_timestamp()},
                )
            )
            return document

    def tier_states(self) -> dict[str, Transition]:
        """tier -> its latest transition; a tier that never changed is open and not in here."""
        return self._latest(tier_transitions, "tier", "state")

    def set_tier(self, tier: str, state: TierState, *, by: str, day: date, evidence: Mapping[str, Any]) -> bool:
        """Freeze or thaw a tier; False when it is in that state already."""
        with self._engine.begin() as connection:
            lock(connection, f"tier {tier}")
            if tier_state(connection, tier) is state:
                return False
            connection.execute(
                insert(tier_transitions).values(tier=tier, state=state.value, by=by, day=day, evidence=dict(evidence))
            )
            return True

    def standings(self) -> dict[str, Transition]:
        """`model` -> its latest standing; a model that was never judged is active and not in here."""
        return self._latest(standing_transitions, "model", "status")

    def standing_history(self) -> dict[str, list[Transition]]:
        """`model` -> every change of its standing, oldest first."""
        history: dict[str, list[Transition]] = {}
        statement = select(standing_transitions).order_by(standing_transitions.c.id)
        with self._engine.connect() as connection:
            for row in connection.execute(statement).mappings():
                history.setdefault(row["model"], []).append(_transition(row, row["model"], row["status"]))
        return history

    def set_standing(
        self,
        model: str,
        status: StandingStatus,
        *,
        model_version: str,
        tier: str,
        by: str,
        day: date,
        evidence: Mapping[str, Any],
    ) -> bool:
        """Promote, demote or restore a model; False when it stands so already."""
        with self._engine.begin() as connection:
            lock(connection, f"standing {model}")
            in_force = connection.execute(
                select(standing_transitions.c.status)
                .where(standing_transitions.c.model == model)
                .order_by(standing_transitions.c.id.desc())
                .limit(1)
            ).scalar_one_or_none()
            if (in_force or StandingStatus.ACTIVE) == status:
                return False
            connection.execute(
                insert(standing_transitions).values(
                    model=model,
                    model_version=model_version,
                    tier=tier,
                    status=status.value,
                    by=by,
                    day=day,
                    evidence=dict(evidence),
                )
            )
        return True

    def set_preference(self, name: str, document: Mapping[str, Any], *, week: date) -> bool:
        """Put a preference table in force; False when it is so already, or when the one in force is of a later time.

        `week` is the first day of the time that it was learned from.
        """
        with self._engine.begin() as connection:
            lock(connection, f"preference {name}")
            newest = connection.execute(
                select(func.max(preferences.c.week)).where(preferences.c.name == name)
            ).scalar_one()
            if (newest is not None and week < newest) or _preference(connection, name) == document:
                return False
            connection.execute(insert(preferences).values(name=name, document=dict(document), week=week))
        return True

    def judged(self, subject: str, day: date) -> bool:
        """Note that `subject` is judged for `day`; False when a later day has been judged, whose word stands."""
        with self._engine.begin() as connection:
            lock(connection, f"judged {subject}")
            name = f"judged {subject}"
            newest = connection.execute(
                select(func.max(preferences.c.week)).where(preferences.c.name == name)
            ).scalar_one()
            if newest is not None and day < newest:
                return False
            if newest != day:
                connection.execute(insert(preferences).values(name=name, document={}, week=day))
            return True

    def claim_world(self, world: str) -> str:
        """The world that this ledger belongs to, `sandbox` or `live`; the first to ask decides."""
        with self._engine.begin() as connection:
            lock(connection, "world")
            known = _preference(connection, "world").get("is")
            if known is None:
                row = {"name": "world", "document": {"is": world}, "week": date.min}
                connection.execute(insert(preferences).values(**row))
            return known or world

    def preference(self, name: str) -> dict[str, Any]:
        """The table in force under `name`; empty when there is none yet."""
        with self._engine.connect() as connection:
            return _preference(connection, name)

    def version(self) -> str:
        """A string that changes whenever a freeze, a standing, an affinity or what was measured does."""
        with self._engine.connect() as connection:
            parts = [
                connection.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one()
                for table in (tier_transitions, standing_transitions)
            ]
            measured = select(func.coalesce(func.max(preferences.c.id), 0)).where(
                preferences.c.name.in_(("style_affinity", "acceptance", "proven_kinds"))
            )
            parts.append(connection.execute(measured).scalar_one())
        return "-".join(str(part) for part in parts)

    def _latest(self, table: Table, subject: str, state: str) -> dict[str, Transition]:
        statement = select(table).ext(distinct_on(table.c[subject])).order_by(table.c[subject], table.c.id.desc())
        with self._engine.connect() as connection:
            rows = connection.execute(statement).mappings()
            return {row[subject]: _transition(row, row[subject], row[state]) for row in rows}


def _transition(row: RowMapping, subject: str, state: str) -> Transition:
    return Transition(
        subject=subject, state=state, by=row["by"], day=row["day"], evidence=row["evidence"], at=row["at"]
    )


def _preference(connection: Connection, name: str) -> dict[str, Any]:
    statement = (
        select(preferences.c.document).where(preferences.c.name == name).order_by(preferences.c.id.desc()).limit(1)
    )
    return connection.execute(statement).scalar_one_or_none() or {}


def tier_state(connection: Connection, tier: str) -> TierState:
    """The state in force inside the caller's transaction."""
    state = connection.execute(
        select(tier_transitions.c.state)
        .where(tier_transitions.c.tier == tier)
        .order_by(tier_transitions.c.id.desc())
        .limit(1)
    ).scalar_one_or_none()
    return TierState(state) if state else TierState.OPEN
