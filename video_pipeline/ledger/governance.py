"""What was decided: routing decisions, tier freezes, model standings, learned preferences; and the ledger's world.

Decisions on tiers, models and preferences are append-only rows; the latest is in force. `version` changes when one
that steers routing is added. It is the data version of the external asset `routing_policy`.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, Table, exists, func, select, update
from sqlalchemy.dialects.postgresql import distinct_on, insert

from video_pipeline.ledger.connecting import tried_again
from video_pipeline.ledger.leases import Lease, fenced
from video_pipeline.ledger.locks import lock
from video_pipeline.ledger.records import (
    OUTSIDE_THE_SHOT,
    Actor,
    ByHand,
    Decided,
    FailureKind,
    HandAct,
    JobState,
    NightJudgement,
    Preference,
    StandingStatus,
    TierState,
    Transition,
)
from video_pipeline.ledger.schema import (
    decisions,
    jobs,
    learned_preferences,
    nights_judged,
    standing_transitions,
    tier_transitions,
    world,
)
from video_pipeline.settings import Mode

_UNSPENT = (JobState.PLANNED, JobState.REFUSED)
# What failed so, and cost nothing, says nothing of the shot: it does not keep the shot at its model.
_NO_PIN = OUTSIDE_THE_SHOT - {FailureKind.LOST}
# The key of a standing's evidence under which it says what a person has done.
_BY_HAND = "by_hand"
_STEERS_ROUTING = (
    Preference.STYLE_AFFINITY,
    Preference.BELIEFS,
    Preference.TRIALS,
    Preference.RESTS,
    Preference.ACCEPTANCE,
    Preference.PROVEN_KINDS,
)


class Governance:
    """Reads and writes what was decided. Telling it the same again adds no row, so a run may be repeated."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @tried_again
    def stick(self, *, clip_id: str, shot: int, shot_sha256: str, document: dict[str, Any]) -> dict[str, Any]:
        """Keep a routing decision and return the one in force.

        A shot that money was spent on, or that is under way or refused, keeps its decision, whatever the policy says
        now. So planning a day again never buys it a second time from another model.
        """
        where = (
            decisions.c.clip_id == clip_id,
            decisions.c.shot == shot,
            decisions.c.shot_sha256 == shot_sha256,
        )
        with self._engine.begin() as connection:
            mine = (jobs.c.clip_id == clip_id, jobs.c.shot == shot, jobs.c.shot_sha256 == shot_sha256)
            started = connection.execute(select(jobs.c.key).where(*mine, _begun()).limit(1)).first()
            if started is not None:
                kept = connection.execute(select(decisions.c.document).where(*where)).scalar_one_or_none()
                if kept is not None:
                    return kept
            _decide(connection, clip_id=clip_id, shot=shot, shot_sha256=shot_sha256, document=document)
            return document

    def decided_on(self, day: date) -> list[Decided]:
        """The decisions on the clips of a production day, and whether money was spent on their shots."""
        same = (
            (jobs.c.clip_id == decisions.c.clip_id)
            & (jobs.c.shot == decisions.c.shot)
            & (jobs.c.shot_sha256 == decisions.c.shot_sha256)
        )
        begun = exists().where(same, _begun()).label("begun")
        statement = (
            select(decisions.c.clip_id, decisions.c.shot_sha256, decisions.c.document, begun)
            .where(decisions.c.clip_id.startswith(f"{day.isoformat()}/", autoescape=True))
            .order_by(decisions.c.clip_id, decisions.c.shot, decisions.c.decided_at)
        )
        with self._engine.connect() as connection:
            return [Decided(**row) for row in connection.execute(statement).mappings()]

    @tried_again
    def reroute(
        self, *, clip_id: str, shot: int, shot_sha256: str, document: dict[str, Any], lease: Lease | None = None
    ) -> None:
        """Replace the decision in force, as its model cannot serve; for the holder of the clip's lease."""
        with fenced(self._engine, lease) as connection:
            _decide(connection, clip_id=clip_id, shot=shot, shot_sha256=shot_sha256, document=document)

    def decided(self, clip_ids: Collection[str]) -> dict[tuple[str, int, str], dict[str, Any]]:
        """The decision in force on each shot of the clips, by (clip id, shot, the shot's hash)."""
        statement = select(decisions).where(decisions.c.clip_id.in_(clip_ids))
        with self._engine.connect() as connection:
            return {
                (row["clip_id"], row["shot"], row["shot_sha256"]): row["document"]
                for row in connection.execute(statement).mappings()
            }

    def tier_states(self, *, for_day: date | None = None) -> dict[str, Transition[TierState]]:
        """Each tier's latest transition; with `for_day` the one that held when that day was planned.

        A tier that never changed is open and not in here.
        """
        table = tier_transitions
        latest = select(table).ext(distinct_on(table.c.tier)).order_by(table.c.tier, table.c.id.desc())
        latest = latest.where(*_known_by(table, for_day))
        with self._engine.connect() as connection:
            return {
                row["tier"]: Transition(
                    subject=row["tier"],
                    state=TierState(row["state"]),
                    by=Actor(row["by"]),
                    day=row["day"],
                    evidence=row["evidence"],
                    at=row["at"],
                )
                for row in connection.execute(latest).mappings()
            }

    @tried_again
    def set_tier(self, tier: str, state: TierState, *, by: Actor, day: date, evidence: Mapping[str, Any]) -> bool:
        """Freeze or thaw a tier; False when it is in that state already."""
        with self._engine.begin() as connection:
            lock(connection, f"tier {tier}")
            if tier_state(connection, tier) is state:
                return False
            connection.execute(
                insert(tier_transitions).values(tier=tier, state=state, by=by, day=day, evidence=dict(evidence))
            )
            return True

    def standings(self, *, for_day: date | None = None) -> dict[str, Transition[StandingStatus]]:
        """Each model's latest standing; with `for_day` the one that held when that day was planned.

        A model that was never judged is active and not in here.
        """
        return {model: changes[-1] for model, changes in self.standing_history(for_day=for_day).items()}

    def standing_history(self, *, for_day: date | None = None) -> dict[str, list[Transition[StandingStatus]]]:
        """Every change of each model's standing, oldest first; with `for_day` those known when it was planned."""
        history: dict[str, list[Transition[StandingStatus]]] = {}
        table = standing_transitions
        statement = select(table).where(*_known_by(table, for_day)).order_by(table.c.id)
        with self._engine.connect() as connection:
            for row in connection.execute(statement).mappings():
                change = Transition(
                    subject=row["model"],
                    state=StandingStatus(row["status"]),
                    by=Actor(row["by"]),
                    day=row["day"],
                    evidence=row["evidence"],
                    at=row["at"],
                )
                history.setdefault(change.subject, []).append(change)
        return history

    @tried_again
    def set_standing(
        self,
        model: str,
        status: StandingStatus,
        *,
        model_version: str,
        tier: str,
        by: Actor,
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
            if StandingStatus(in_force or StandingStatus.ACTIVE) is status:
                return False
            connection.execute(
                insert(standing_transitions).values(
                    model=model,
                    model_version=model_version,
                    tier=tier,
                    status=status,
                    by=by,
                    day=day,
                    evidence=dict(evidence),
                )
            )
            return True

    def by_hand(self, *, for_day: date | None = None) -> list[ByHand]:
        """What people have set for models and not lifted; with `for_day` what was set when that day was planned.

        Oldest first; of a tier's pins the newest, also when its last day is over.
        """
        with self._engine.connect() as connection:
            return list(_by_hand(connection, for_day).values())

    @tried_again
    def set_by_hand(self, one: ByHand, *, model_version: str, own_tier: str) -> bool:
        """Pin, bench or release a model; False when that is so already. It holds until it is released.

        The model stands as demoted while it is benched, else as active until a night judges it.
        """
        with self._engine.begin() as connection:
            lock(connection, f"standing {one.model}")
            in_force = _by_hand(connection).get(one.model)
            if in_force is None and one.act is HandAct.RELEASE:
                return False
            if in_force is not None and replace(in_force, day=one.day) == one:
                return False
            until = {"until": one.until.isoformat()} if one.until else {}
            pin = {"tier": one.tier, **until} if one.act is HandAct.PIN else {}
            connection.execute(
                insert(standing_transitions).values(
                    model=one.model,
                    model_version=model_version,
                    tier=own_tier,
                    status=StandingStatus.DEMOTED if one.act is HandAct.BENCH else StandingStatus.ACTIVE,
                    by=Actor.PERSON,
                    day=one.day,
                    evidence={_BY_HAND: one.act.value, **pin},
                )
            )
            return True

    def preference(self, name: Preference, *, learned_before: date | None = None) -> dict[str, Any]:
        """The table in force under `name`, or the newest that was learned before a day; empty without one."""
        with self._engine.connect() as connection:
            return _learned(connection, name, learned_before)[0]

    def learned(self, name: Preference) -> tuple[dict[str, Any], date | None]:
        """The table in force under `name` and the day or week that it was learned from; empty and None before any."""
        with self._engine.connect() as connection:
            return _learned(connection, name)

    @tried_again
    def set_preference(self, name: Preference, document: Mapping[str, Any], *, learned_from: date) -> bool:
        """Put a learned table in force. False when it is so already, or when the one in force is of a later time.

        `learned_from` is the day whose night has learned it, or the first day of the week that it was learned from.
        """
        with self._engine.begin() as connection:
            lock(connection, f"preference {name}")
            newest = connection.execute(
                select(func.max(learned_preferences.c.learned_from)).where(learned_preferences.c.name == name)
            ).scalar_one()
            if (newest is not None and learned_from < newest) or _learned(connection, name)[0] == document:
                return False
            connection.execute(
                insert(learned_preferences).values(name=name, document=dict(document), learned_from=learned_from)
            )
            return True

    @tried_again
    def judge_night(self, judgement: NightJudgement, day: date) -> bool:
        """Note that the night of `day` is judged; False when a later one was judged, whose outcome stands."""
        with self._engine.begin() as connection:
            lock(connection, f"judged {judgement}")
            newest = connection.execute(
                select(func.max(nights_judged.c.day)).where(nights_judged.c.subject == judgement)
            ).scalar_one()
            if newest is not None and day < newest:
                return False
            connection.execute(insert(nights_judged).values(subject=judgement, day=day).on_conflict_do_nothing())
            return True

    @tried_again
    def claim_world(self, mode: Mode) -> Mode:
        """The mode that this ledger belongs to. The first to ask decides."""
        with self._engine.begin() as connection:
            connection.execute(insert(world).values(mode=mode).on_conflict_do_nothing())
            return Mode(connection.execute(select(world.c.mode)).scalar_one())

    @tried_again
    def claim_zone(self, name: str) -> str:
        """The time zone (IANA name) whose days a claimed ledger counts. The first to ask decides."""
        with self._engine.begin() as connection:
            connection.execute(update(world).where(world.c.time_zone.is_(None)).values(time_zone=name))
            return connection.execute(select(world.c.time_zone)).scalar_one()

    @tried_again
    def move_to_zone(self, name: str) -> None:
        """From now on the days of a claimed ledger are those of the zone of this IANA name."""
        with self._engine.begin() as connection:
            connection.execute(update(world).values(time_zone=name))

    def version(self) -> str:
        """A string that changes exactly when a freeze, a standing or a preference that steers routing does."""
        newest = (
            select(func.max(tier_transitions.c.id)),
            select(func.max(standing_transitions.c.id)),
            select(func.max(learned_preferences.c.id)).where(learned_preferences.c.name.in_(_STEERS_ROUTING)),
        )
        with self._engine.connect() as connection:
            return "-".join(str(connection.execute(statement).scalar_one() or 0) for statement in newest)


def _by_hand(connection: Connection, for_day: date | None = None) -> dict[str, ByHand]:
    """What is set by hand, by model, inside the caller's transaction. A tier's newest pin takes the others' place."""
    table = standing_transitions
    person = (table.c.by == Actor.PERSON, table.c.evidence.has_key(_BY_HAND))
    statement = select(table).where(*person, *_known_by(table, for_day))
    found: dict[str, ByHand] = {}
    for row in connection.execute(statement.order_by(table.c.id)).mappings():
        evidence = row["evidence"]
        until = date.fromisoformat(evidence["until"]) if "until" in evidence else None
        one = ByHand(row["model"], HandAct(evidence[_BY_HAND]), row["day"], evidence.get("tier", ""), until)
        found.pop(one.model, None)
        if one.act is HandAct.PIN:
            found = {model: other for model, other in found.items() if other.tier != one.tier}
        if one.act is not HandAct.RELEASE:
            found[one.model] = one
    return found


def _begun() -> ColumnElement[bool]:
    """Of a job: money was spent on it, or may be, or its model has answered."""
    told = jobs.c.failure_kind.is_(None) | jobs.c.failure_kind.not_in(_NO_PIN) | (jobs.c.billed_usd > 0)
    return jobs.c.state.not_in(_UNSPENT) & told


def _decide(connection: Connection, **values: Any) -> None:
    statement = insert(decisions).values(**values)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(decisions.primary_key.columns),
            set_={"document": values["document"], "decided_at": func.clock_timestamp()},
        )
    )


def tier_state(connection: Connection, tier: str) -> TierState:
    """The state in force inside the caller's transaction."""
    latest = latest_transition(connection, tier)
    return TierState(latest.state) if latest else TierState.OPEN


def latest_transition(connection: Connection, tier: str) -> Row[Any] | None:
    """The tier's newest row, inside the caller's transaction; None of a tier that never changed."""
    newest = tier_transitions.c.id.desc()
    return connection.execute(
        select(tier_transitions).where(tier_transitions.c.tier == tier).order_by(newest).limit(1)
    ).one_or_none()


def _known_by(table: Table, for_day: date | None) -> tuple[ColumnElement[bool], ...]:
    """Restricts transitions to what a plan of `for_day` knew: those of earlier nights, and what people have done."""
    if for_day is None:
        return ()
    by_hand = (table.c.by == Actor.PERSON) & (table.c.day == for_day)
    return ((table.c.day < for_day) | by_hand,)


def _learned(
    connection: Connection, name: Preference, learned_before: date | None = None
) -> tuple[dict[str, Any], date | None]:
    """The newest table under `name` and when it was learned, inside the caller's transaction."""
    table = learned_preferences
    statement = (
        select(table.c.document, table.c.learned_from)
        .where(table.c.name == name)
        .order_by(table.c.id.desc())
        .limit(1)
    )
    if learned_before is not None:
        statement = statement.where(table.c.learned_from < learned_before)
    row = connection.execute(statement).one_or_none()
    return (row.document, row.learned_from) if row else ({}, None)
