"""Taking a day's briefs in: read, validate, keep in the ledger, quarantine what is malformed and say so (G1.6)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from video_pipeline.alerts import Notifier
from video_pipeline.briefs.bibles import NO_FOLDER, BiblesFolder
from video_pipeline.briefs.brief import Brief, clip_id_of
from video_pipeline.briefs.folder import shown_name
from video_pipeline.briefs.guidance import AppliedGuidance, Guide, applied_guidance, no_guidance
from video_pipeline.briefs.inbox import (
    InboxReading,
    Quarantined,
    Refusals,
    Unread,
    arrival_name,
    arrived_at,
    arrived_days,
    claim_day_files,
    files_by_day,
    none_refused,
    read_files,
    unread,
)
from video_pipeline.briefs.messages import (
    bibles_broken,
    briefs_in_doubt,
    briefs_quarantined,
    inbox_left_out,
    metadata_missing,
)
from video_pipeline.ledger import Ledger


@dataclass(frozen=True)
class DayIntake:
    """What a day's inbox came to.

    `assumed` counts routing metadata that a cheapest default stands in for. `made_before` maps a brief to the day
    that has it already. `kept` names briefs that are in no file any more, but that money was spent on. `unread` is
    what lies beside the briefs and was not read. `told` is what people are told of the briefs that were read.
    `applied` maps a brief that left something open to what guidance had for it when it was taken in first.
    """

    briefs: list[Brief]
    quarantined: list[Quarantined]
    files: int
    assumed: dict[str, int]
    made_before: dict[str, date]
    kept: tuple[str, ...]
    examples: bool
    unread: Unread
    told: tuple[str, ...]
    applied: dict[str, AppliedGuidance]


def take_in(
    ledger: Ledger,
    notifier: Notifier,
    *,
    inbox: Path,
    platforms: Iterable[str],
    day: date,
    today: date,
    examples: Sequence[Path] = (),
    settle_s: float = 0.0,
    refusals: Refusals = none_refused,
    guide: Guide = no_guidance,
    bibles: BiblesFolder = NO_FOLDER,
) -> DayIntake:
    """The briefs of `day` from `inbox`, or from `examples` when the day's inbox is empty.

    Every brief and every quarantined document is in the ledger when this returns, and the briefs' clips wait there.
    A brief that another day has with the same content is left to that day. So a corrected file can be dropped again,
    and the rest of it is not made twice. A brief that money was spent on stays in its day although its file is gone.
    `platforms` are the names that a brief may give, as are the entries of `bibles`. A file that was touched in the
    last `settle_s` seconds is left to a later run. `refusals` says which platforms would refuse a brief. A brief
    that is public stays as it is, whatever its file has come to say. `guide` has defaults for what a new brief leaves
    open; a brief that was taken in before keeps those of then, or none.
    """
    begun_at = datetime.now(UTC)
    claimed = ledger.intake.claimed_files()
    # Before any of them is read: what changes meanwhile arrives anew.
    arrived = files_by_day(inbox, max(day, today), claimed, only=day, settle_s=settle_s).get(day, [])
    reading, beside, use_examples = read_day(
        ledger,
        inbox,
        day,
        today,
        claimed=claimed,
        claim=lambda name, sha256: ledger.intake.claim_file(sha256=sha256, name=name, day=day),
        platforms=platforms,
        refusals=refusals,
        examples=examples,
        settle_s=settle_s,
        bibles=bibles,
    )
    # They arrive anew, also when they come to be again what they were.
    left = {arrival_name(path, inbox) for path in reading.left}
    arrived = [line for line in arrived if line.rpartition(" ")[0] not in left]
    made_before: dict[str, date] = {}
    briefs: list[Brief] = []
    for brief in reading.briefs:
        twin = ledger.intake.day_of_twin(day=day, brief_id=brief.brief_id, sha256=brief.sha256)
        if twin is not None and not use_examples:
            made_before[brief.brief_id] = twin
            continue
        briefs.append(brief)
        default = guide(brief)
        ledger.intake.record_brief(
            clip_id=clip_id_of(day, brief.brief_id),
            day=day,
            brief_id=brief.brief_id,
            sha256=brief.sha256,
            document=brief.model_dump(mode="json", exclude_unset=True),
            # An example has lain there for ever: its way begins now.
            arrived_at=begun_at if use_examples else arrived_at(reading.file_of[brief.brief_id], day),
            applied=default and default.model_dump(mode="json"),
        )
    ledger.intake.record_quarantined(day, [item.as_row() for item in reading.quarantined])
    by_file: dict[str, list[Quarantined]] = {}
    for item in reading.quarantined:
        if not item.bible:
            by_file.setdefault(item.file, []).append(item)
    alerts = [briefs_quarantined(file, items, day) for file, items in by_file.items()]
    if bibles.broken:
        alerts.append(bibles_broken(bibles.broken, [item.source for item in reading.quarantined if item.bible], day))
    if reading.doubts:
        alerts.append(briefs_in_doubt(reading.doubts, day))
    for alert in alerts:
        notifier.notify(alert)
    if beside.left_out:
        notifier.notify(inbox_left_out(beside.left_out))
    present = {brief.brief_id for brief in briefs}
    # Unknown fields are refused from people; in the ledger they are of an older version of the brief.
    bought = [Brief.model_validate(document, extra="ignore") for document in ledger.intake.bought_briefs(day)]
    kept = [brief for brief in bought if brief.brief_id not in present]
    assumed = _assumed(briefs)
    if assumed:
        notifier.notify(metadata_missing(assumed, day))
    ledger.waits.take_up(day, [clip_id_of(day, brief.brief_id) for brief in briefs + kept], files=arrived)
    applied = applied_guidance(ledger, day)
    return DayIntake(
        briefs=briefs + kept,
        quarantined=reading.quarantined,
        files=reading.files,
        assumed=assumed,
        made_before=made_before,
        kept=tuple(brief.brief_id for brief in kept),
        examples=use_examples,
        unread=beside,
        told=tuple(alert.text for alert in alerts),
        applied={
            brief.brief_id: noted
            for brief in briefs + kept
            if (noted := applied.get(clip_id_of(day, brief.brief_id))) is not None
        },
    )


def read_day(
    ledger: Ledger,
    inbox: Path,
    day: date,
    today: date,
    *,
    claimed: Mapping[tuple[str, str], date],
    claim: Callable[[str, str], date],
    platforms: Iterable[str],
    refusals: Refusals,
    examples: Sequence[Path],
    settle_s: float,
    bibles: BiblesFolder = NO_FOLDER,
) -> tuple[InboxReading, Unread, bool]:
    """The briefs of `day`, what lies beside them and is not read, and whether they are the `examples`.

    Those stand in only while nothing at all lies there. `claimed` and `claim` are `claim_day_files`'s.
    """
    files = claim_day_files(inbox, day, today=today, claimed=claimed, claim=claim, settle_s=settle_s)
    beside = unread(inbox, today, only=day, settle_s=settle_s)
    if examples and not files and not beside.names:
        return read_files(examples, platforms=platforms, refusals=refusals, bibles=bibles), beside, True
    reading = read_files(files, platforms=platforms, refusals=refusals, inbox=inbox, claimed=files, bibles=bibles)
    _keep_what_is_public(ledger, day, reading)
    return reading, beside.and_left(reading.left, inbox), False


def days_not_taken_in(ledger: Ledger, inbox: Path, today: date, *, besides: date, settle_s: float) -> list[date]:
    """The days before `today`, but for `besides`, that have complete files which no run has taken in."""
    arrived = arrived_days(
        inbox, today, claimed=ledger.intake.claimed_files(), taken_in=ledger.waits.taken_in(), settle_s=settle_s
    )
    return sorted(day for day in arrived if day not in (today, besides))


def _keep_what_is_public(ledger: Ledger, day: date, reading: InboxReading) -> None:
    """Of a brief whose clip is public or on its way there, leave the one in force, and quarantine an edited one.

    Its clip would be bought, and could go nowhere: a clip goes public once. Another list of platforms is no edit.
    """
    public = ledger.intake.public_briefs(day)
    for at, brief in enumerate(reading.briefs):
        if brief.brief_id not in public:
            continue
        document, places = public[brief.brief_id]
        in_force = Brief.model_validate(document, extra="ignore")
        if in_force.model_copy(update={"platforms": brief.platforms}) == brief:
            continue
        reason = (
            f"brief_id: {brief.brief_id} is public or on its way ({', '.join(places)}), so editing it would buy "
            "a clip that can go nowhere; give it a brief_id of its own for a second clip, or put the old text back"
        )
        path, source = reading.file_of[brief.brief_id], reading.source_of[brief.brief_id]
        reading.quarantined.append(
            Quarantined(shown_name(path, path.parent), source, (reason,), brief.model_dump_json())
        )
        reading.briefs[at] = in_force


def _assumed(briefs: Sequence[Brief]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for brief in briefs:
        for name in brief.assumed:
            counted[name] = counted.get(name, 0) + 1
    return counted
