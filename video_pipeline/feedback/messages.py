"""What feedback tells people: changed tiers and standings, a week's costs, what works, bills that are otherwise.

(G4.2, G4.3, G4.5, G4.7, O6)
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal

from video_pipeline.alerts import Alert, Severity
from video_pipeline.feedback.billing import OFF, DayBill, Match
from video_pipeline.feedback.costs import CostReport
from video_pipeline.feedback.drift import TierStatus
from video_pipeline.feedback.patterns import EditorialPattern
from video_pipeline.feedback.price_watch import TROUBLE, ListedModel, PriceState
from video_pipeline.feedback.sheet import effect_words, gain_words, interval_words, named, sheets_of
from video_pipeline.feedback.standings import ModelStanding
from video_pipeline.policy import GuidancePolicy, ReconcilePolicy


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
            "generation": f"${report.generation_usd:.2f}, ${report.list_usd:.2f} of it at list prices",
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


def billing_alert(bill: DayBill, policy: ReconcilePolicy) -> Alert | None:
    """One message on a day's differences, told again only when there are others; None where they are not much."""
    off_usd = bill.off_usd
    if not off_usd or (off_usd <= policy.alert_usd and off_usd <= bill.booked_usd * Decimal(str(policy.alert_share))):
        return None
    which = _hash(f"{one.request_id} {one.match} {one.billed_usd}" for one in bill.of(*OFF))
    leaks = bill.of(Match.LEAK)
    buyers = sorted({one.buyer for one in leaks if one.buyer})
    sentences = [
        f"{bill.provider} has billed ${bill.billed_usd:.4f} for what was booked at ${bill.booked_usd:.4f}, and the "
        "ledger has the bills now.",
        *([f"Who bought what no job knows: {', '.join(buyers)}."] if buyers else []),
        *([f"{bill.in_doubt} jobs are in doubt, see `video-pipeline review`."] if leaks and bill.in_doubt else []),
        f"`video-pipeline reconcile --day {bill.day}` lists them all.",
    ]
    return Alert(
        cause=f"bills {bill.provider} {bill.day} {which}",
        title=f"{bill.provider} has billed otherwise than was booked on {bill.day}",
        text=" ".join(sentences),
        fields={match: _counted(bill, match) for match in Match if match in OFF and bill.of(match)},
        once=True,
    )


def price_alerts(rows: Sequence[ListedModel], before: Sequence[ListedModel]) -> list[Alert]:
    """One message on the prices that are in trouble since this night, and one on those that are no more."""
    was = {row.model for row in before if row.state in TROUBLE}
    new = [row for row in rows if row.state in TROUBLE and row.since == row.day]
    mended = [row for row in rows if row.state not in TROUBLE and row.model in was]
    alerts: list[Alert] = []
    if new:
        words = {PriceState.DIFFERS: "other than listed", PriceState.STALE: "stale"}
        count = {state: sum(row.state is state for row in new) for state in words}
        counted = ", ".join(f"{number} {words[state]}" for state, number in count.items() if number)
        text = (
            "Plans, decisions and the ledger go by the catalogue. `video-pipeline prices` lists all prices, and with "
            "`--write FILE` takes over what vendors list; a stale one is to be read on the vendor's page."
        )
        alerts.append(_on_prices(new, f"Prices of the catalogue: {counted}", text))
    if mended:
        title = f"Prices of the catalogue: {len(mended)} {'is' if len(mended) == 1 else 'are'} in order again"
        alerts.append(_on_prices(mended, title, "They are confirmed by the vendor, or were read anew.", "info"))
    return alerts


def _on_prices(rows: Sequence[ListedModel], title: str, text: str, severity: Severity = "warning") -> Alert:
    which = _hash(f"{row.model} {row.state} {row.why}" for row in rows)
    fields = {row.model: f"{row.state}: {row.why}" for row in rows}
    return Alert(f"prices {rows[0].day} {which}", title, text, fields, severity, once=True)


def _hash(told: Iterable[str]) -> str:
    """The same for the same things, whatever their order."""
    return hashlib.sha256("\n".join(sorted(told)).encode()).hexdigest()[:12]


def _counted(bill: DayBill, match: Match) -> str:
    """`12 requests, $+0.1200 (+27%)`."""
    found = bill.of(match)
    booked_usd = sum((one.booked_usd for one in found), Decimal(0))
    off_usd = sum((one.off_usd for one in found), Decimal(0))
    share = f" ({off_usd / booked_usd:+.0%})" if booked_usd else ""
    return f"{len(found)} {'request' if len(found) == 1 else 'requests'}, ${off_usd:+.4f}{share}"


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
