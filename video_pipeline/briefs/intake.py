"""Taking a day's briefs in: read, validate, keep in the ledger, quarantine what is malformed and say so (G1.6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from video_pipeline.alerts import Alert, Notifier
from video_pipeline.briefs.brief import Brief, clip_id_of
from video_pipeline.briefs.inbox import Quarantined, claim_day_files, read_files
from video_pipeline.ledger import Ledger


@dataclass(frozen=True)
class Intake:
    """What a day's inbox came to. `assumed` counts routing metadata that a cheapest default stands in for."""

    briefs: list[Brief]
    quarantined: list[Quarantined]
    files: int
    assumed: dict[str, int]
    examples: bool


def take_in(
    ledger: Ledger, notifier: Notifier, *, inbox: Path, day: date, today: date, examples: Sequence[Path] = ()
) -> Intake:
    """The briefs of `day` from `inbox`, or from `examples` when the day's inbox is empty.

    Every brief and every quarantined document is in the ledger when this returns.
    """
    files = claim_day_files(
        inbox,
        day,
        today=today,
        claimed=ledger.intake.claimed_files(),
        claim=lambda name, sha256: ledger.intake.claim_file(sha256=sha256, name=name, day=day),
    )
    use_examples = not files and bool(examples)
    reading = read_files(examples if use_examples else files)
    for brief in reading.briefs:
        ledger.intake.record_brief(
            clip_id=clip_id_of(day, brief.brief_id),
            day=day,
            brief_id=brief.brief_id,
            sha256=brief.sha256,
            document=brief.model_dump(mode="json"),
        )
    for item in reading.quarantined:
        new = ledger.intake.record_quarantine(
            day=day, source=item.source, sha256=item.sha256, reasons=item.reasons, raw=item.raw
        )
        if new:
            notifier.notify(_quarantine_alert(item, day))
    assumed = _assumed(reading.briefs)
    if assumed:
        notifier.notify(_drift_alert(assumed, day))
    return Intake(reading.briefs, reading.quarantined, reading.files, assumed, use_examples)


def _assumed(briefs: Sequence[Brief]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for brief in briefs:
        for name in brief.assumed:
            counted[name] = counted.get(name, 0) + 1
    return counted


def _quarantine_alert(item: Quarantined, day: date) -> Alert:
    return Alert(
        cause=f"quarantine {day} {item.source} {item.sha256[:12]}",
        title="A brief could not be taken",
        text=f"{item.source} of {day}: {'; '.join(item.reasons)}. Correct it and drop it again.",
        fields={},
        severity="warning",
    )


def _drift_alert(assumed: dict[str, int], day: date) -> Alert:
    missing = ", ".join(f"{name} ({count})" for name, count in sorted(assumed.items()))
    return Alert(
        cause=f"schema drift {day} {missing}",
        title="Briefs lack routing metadata",
        text=f"Briefs of {day} leave out {missing}; each is routed as the cheapest choice until it is given.",
        fields={},
        severity="warning",
    )
