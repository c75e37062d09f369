"""A model's HTML page (`model_report.html`): what each night knew of it, its standings, its costs (O3)."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from video_pipeline.feedback import ClipFact, ModelScore
from video_pipeline.ledger import Ledger, StandingStatus, Transition
from video_pipeline.reports.charts import history_chart
from video_pipeline.reports.model_facts import (
    Measured,
    explored,
    given_of,
    numbers_of,
    rescues,
    tries_by_kind,
    values_of,
    worth_of,
)
from video_pipeline.reports.pages import CHART_WIDTH, template
from video_pipeline.reports.plots import value_svg
from video_pipeline.routing import Purpose
from video_pipeline.storage import ObjectStore, StoredObject, read_rows, report_key, tables_of

# How far back a page looks.
_NIGHTS = 60
_MOST_MOVES = 30
_FOLDER = "models"
_SCORES = tables_of("model_scores")
_PURPOSES = {
    Purpose.LEARN: "to learn of it",
    Purpose.PROBATION: "to prove itself while demoted",
    Purpose.TRIAL: "tried in the tier above its own",
}


@dataclass(frozen=True)
class _Move:
    """A change of the model's standing: what it became, who decided, why, and the numbers."""

    transition: Transition[StandingStatus]

    @property
    def reason(self) -> str:
        return str(self.transition.evidence.get("reason", ""))

    @property
    def numbers(self) -> list[tuple[str, str]]:
        return numbers_of(self.transition.evidence)


def model_page_key(model: str) -> str:
    """Where a model's page is kept. Names that people or vendors give are told apart by their hash."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", model).strip("-").lower()[:60]
    return report_key(_FOLDER, f"{words or 'model'}-{hashlib.sha256(model.encode()).hexdigest()[:8]}.html")


def model_pages(
    store: ObjectStore, ledger: Ledger, scores: Sequence[ModelScore], facts: Sequence[ClipFact]
) -> dict[str, StoredObject]:
    """Write the page of every model in the night's `scores`; by model. `facts` are of the days that were scored.

    A page is of the newest night: where a later one was scored, nothing is written. Raises StorageError.
    """
    if not scores:
        return {}
    history = _history(store, scores)
    if history[-1][0].day > scores[0].day:
        return {}
    moves = ledger.governance.standing_history()
    compiled = template("model_report.html")
    values, days = values_of(scores, facts), sorted({fact.day for fact in facts})
    given = given_of(row for day in days for row in ledger.governance.decided_on(day))
    shared = {
        "value_svg": value_svg(values, width=CHART_WIDTH),
        "days": len(days),
        "why_explored": _PURPOSES,
        "most_moves": _MOST_MOVES,
        "made_at": datetime.now(UTC),
    }
    written: dict[str, StoredObject] = {}
    for model in dict.fromkeys(score.model for score in scores):
        of_model = [score for night in history for score in night if score.model == model]
        score = of_model[-1]
        own, version = [one for one in of_model if one.model_version == score.model_version], score.model_version
        changes = moves.get(model, [])
        page = compiled.render(
            shared,
            score=score,
            worth=worth_of(score),
            value=next((one for one in values if (one.model, one.version) == (model, version)), None),
            standing=changes[-1].state.value if changes else StandingStatus.ACTIVE.value,
            moves=[_Move(change) for change in reversed(changes)],
            versions=_versions(of_model),
            chart=history_chart(_nights(own), moves=_within(changes, own), width=CHART_WIDTH).svg,
            nights=own,
            worth_of=worth_of,
            kinds=tries_by_kind(model, version, facts),
            explored=explored(model, version, facts, given),
            rescues=rescues(model, version, facts),
        )
        key = model_page_key(model)
        written[model] = store.put_bytes(key, page.encode(), content_type="text/html", overwrite=True)
    return written


def newest_scores(store: ObjectStore) -> list[ModelScore]:
    """The scores of the newest night that has some; empty before the first."""
    for key in reversed(list(store.list(_SCORES))):
        rows = read_rows(ModelScore, store.read_bytes(key), table=key)
        if rows:
            return rows
    return []


def _history(store: ObjectStore, scores: Sequence[ModelScore]) -> list[list[ModelScore]]:
    """The rows of the last nights, oldest first; the night's own are not stored before its asset has ended."""
    keys = list(store.list(_SCORES))[-_NIGHTS:]
    nights = [read_rows(ModelScore, store.read_bytes(key), table=key) for key in keys]
    by_day = {rows[0].day: rows for rows in nights if rows}
    by_day[scores[0].day] = list(scores)
    return [by_day[day] for day in sorted(by_day)]


def _nights(scores: Sequence[ModelScore]) -> list[dict[str, Any]]:
    """The rows of the chart, measure by measure."""
    rows: list[dict[str, Any]] = []
    for measure, unit, measured in _MEASURES:
        for score in scores:
            found = measured(score)
            if found is not None:
                low, high = min(found.low, found.value), max(found.high, found.value)
                row = {"day": score.day, "measure": measure, "unit": unit, "value": found.value}
                rows.append(row | {"low": low, "high": high})
    return rows


def _price(score: ModelScore) -> Measured | None:
    usd = score.usd_per_accepted_s
    return None if usd is None else Measured(usd, usd, usd)


# What the chart shows, a panel each: what it is called, how its numbers are written, and how they are read.
_MEASURES: tuple[tuple[str, str, Callable[[ModelScore], Measured | None]], ...] = (
    ("acceptance", ".0%", lambda one: Measured(one.acceptance, one.acceptance_low, one.acceptance_high)),
    ("refused", ".0%", lambda one: Measured(one.refusal_rate, one.refusal_low, one.refusal_high)),
    ("worth, 1 is as usual", ".1f", worth_of),
    ("US dollars a second that was kept", "$.3f", _price),
)


def _within(changes: Sequence[Transition[StandingStatus]], scores: Sequence[ModelScore]) -> set[date]:
    """The days of the changes that lie within the nights that are drawn."""
    return {one.day for one in changes if scores[0].day <= one.day <= scores[-1].day}


def _versions(scores: Sequence[ModelScore]) -> list[tuple[ModelScore, ModelScore]]:
    """The first and the last row of each version, newest version first."""
    found: dict[str, tuple[ModelScore, ModelScore]] = {}
    for score in scores:
        found[score.model_version] = (found.get(score.model_version, (score, score))[0], score)
    return sorted(found.values(), key=lambda pair: pair[1].day, reverse=True)
