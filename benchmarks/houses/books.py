"""What a ledger keeps of standings and of what was learned, in memory: for one house, judged in order of its days."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any, cast

from video_pipeline.ledger import (
    Actor,
    ByHand,
    Decided,
    Ledger,
    NightJudgement,
    Preference,
    StandingStatus,
    TierState,
    Transition,
)

_NIGHT = datetime(2026, 1, 6, 2, tzinfo=UTC)


class Books:
    """The part of `Governance` that a plan and a nightly judgement ask for, always as of now."""

    def __init__(self) -> None:
        self._history: dict[str, list[Transition[StandingStatus]]] = {}
        self._preferences: dict[Preference, dict[str, Any]] = {}
        self._judged: dict[NightJudgement, date] = {}

    def standing_history(self, **_: object) -> dict[str, list[Transition[StandingStatus]]]:
        return self._history

    def standings(self, **_: object) -> dict[str, Transition[StandingStatus]]:
        return {model: changes[-1] for model, changes in self._history.items()}

    def set_standing(
        self, model: str, status: StandingStatus, *, by: Actor, day: date, evidence: Mapping[str, Any], **_: object
    ) -> bool:
        changes = self._history.setdefault(model, [])
        changes.append(Transition(model, status, by, day, dict(evidence), _NIGHT))
        return True

    def preference(self, name: Preference, **_: object) -> dict[str, Any]:
        return self._preferences.get(name, {})

    def set_preference(self, name: Preference, document: Mapping[str, Any], *, learned_from: date) -> bool:
        self._preferences[name] = dict(document)
        return True

    def judge_night(self, judgement: NightJudgement, day: date) -> bool:
        newest = day >= self._judged.get(judgement, day)
        self._judged[judgement] = max(day, self._judged.get(judgement, day))
        return newest

    def tier_states(self, **_: object) -> dict[str, Transition[TierState]]:
        return {}

    def by_hand(self, **_: object) -> list[ByHand]:
        return []

    def version(self) -> str:
        return ""

    def decided_on(self, day: date) -> list[Decided]:
        # A day is planned whole, and once.
        return []

    def stick(self, *, document: dict[str, Any], **_: object) -> dict[str, Any]:
        # Each clip is planned once, so that every decision is the fresh one.
        return document

    def as_ledger(self) -> Ledger:
        """As what the product's functions take; what they ask beyond these books is not there."""
        return cast(Ledger, SimpleNamespace(governance=self))
