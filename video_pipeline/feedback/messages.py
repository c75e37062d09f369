"""What feedback tells people: changed tiers and standings, a week's costs, what works (G4.2, G4.3, G4.5, G4.7)."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

from video_pipeline.alerts import Alert
from video_pipeline.feedback.costs import CostReport
from video_pipeline.feedback.drift import TierStatus
from video_pipeline.feedback.patterns import EditorialPattern
from video_pipeline.feedback.sheet import effect_words, gain_words, interval_words, named, sheets_of
from video_pipeline.feedback.standings import ModelStanding
from video_pipeline.policy import GuidancePolicy


def transition_alerts(rows: Sequence[TierStatus | ModelStanding]) -> list[Alert]:
    """One alert for each tier or model whose state this night changed, with the numbers that caused it.

    And one for a tier whose clips begin to be dear at their own expected prices, which changes nothing.
    """
    changed = [
        _tier_changed(row) if isinstance(row, TierStatus) else _standing_changed(row) for row in rows if row.changed
    ]
    return changed + [_dear_as_planned(row) for row in rows if isinstance(row, TierStatus) and row.warning]


def weekly_alert(report: CostReport) -> Alert:
    """The weekly cost report for the channel."""
    per_usable = f"${report.usd_per_usable_clip:.3f}" if report.usd_per_usable_clip is not None else "no usable clip"
    return Alert(
        cause=f"weekly report {report.day}",
        title=f"Week of {report.day}: ${report.total_usd:.2f} for {report.usable} usable clips",
        text=f"{report.clips} clips, {report.usable} usable, {per_usable} a usable clip.",
        fields={
            "generation": f"${report.generation_usd:.2f}",
            "waste": f"${sum(report.waste.values(), Decimal(0)):.2f}",
            "saved by the cache": f"${report.saved_by_cache_usd:.2f}",
        },
        severity="info",
    )


def guidance_alert(week: date, rows: Sequence[EditorialPattern], policy: GuidancePolicy) -> Alert | None:
    """What works, for the channel, with what the defaults of open briefs did; None while nothing was seen."""
    sheets = sheets_of(rows, policy)
    if not sheets:
        return None
    effects = [f"{sheet.platform}: {effect_words(sheet.effect, policy)}" for sheet in sheets if sheet.effect]
    return Alert(
        cause=f"weekly guidance {week}",
        title=f"Week of {week}: which hooks and styles work",
        text=" ".join([*(sheet.verdict for sheet in sheets), *effects]),
        fields={
            f"{row.platform}: {named(row)}": f"{gain_words(row)} ({interval_words(row)}), {row.clips} clips"
            for sheet in sheets
            for row in sheet.works
        },
        severity="info",
    )


def _tier_changed(row: TierStatus) -> Alert:
    return _changed(f"the {row.tier} tier", row.state, row.day, row.reason, row.evidence)


def _dear_as_planned(row: TierStatus) -> Alert:
    return Alert(
        f"dear {row.tier} {row.day}", "Clips cost more than the limit, as planned", row.warning, row.evidence
    )


def _standing_changed(row: ModelStanding) -> Alert:
    fields = {
        "score": f"{row.score:.2f}",
        "attempts": str(row.attempts),
        "refused": f"{row.refusal_rate:.0%}",
    }
    return _changed(row.model, row.status, row.day, row.reason, fields)


def _changed(subject: str, state: str, day: date, reason: str, fields: Mapping[str, str]) -> Alert:
    title = f"{subject[0].upper()}{subject[1:]} is {state}"
    return Alert(f"transition {subject} {state} {day}", title, f"{day}: {reason}", fields=fields)
