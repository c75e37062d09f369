"""What the intake tells people: briefs that could not be taken, and routing metadata that briefs leave out (G1.6)."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date

from video_pipeline.alerts import Alert
from video_pipeline.briefs.bibles import BrokenBible
from video_pipeline.briefs.folder import LeftOut
from video_pipeline.briefs.inbox import Quarantined, Unread
from video_pipeline.days import zone_name

_SHOWN_DOCUMENTS, _SHOWN_REASONS, _SHOWN_NAMES = 3, 5, 10


def briefs_quarantined(file: str, items: Sequence[Quarantined], day: date) -> Alert:
    """The documents of a file that are no valid briefs, however many; once a file, its content and a day."""
    content = hashlib.sha256("\n".join(f"{item.source} {item.sha256}" for item in items).encode()).hexdigest()
    said = "; ".join(f"{item.source} of {day}: {_reasons(item)}" for item in items[:_SHOWN_DOCUMENTS])
    cause = f"quarantine {day} {file} {content[:12]}"
    if len(items) == 1:
        return Alert(cause, "A brief could not be taken", f"{said}. Correct it and drop it again.")
    more = f"; and {len(items) - _SHOWN_DOCUMENTS:,} more" if len(items) > _SHOWN_DOCUMENTS else ""
    return Alert(
        cause, f"{len(items):,} briefs could not be taken", f"{said}{more}. Correct them and drop {file} again."
    )


def bibles_broken(broken: Sequence[BrokenBible], waiting: Sequence[str], day: date) -> Alert:
    """Files of bibles that give no entry, and the briefs that are `waiting` for them; once for the same and a day."""
    said = "; ".join(one.sentence for one in broken[:_SHOWN_NAMES])
    more = f"; and {len(broken) - _SHOWN_NAMES:,} more" if len(broken) > _SHOWN_NAMES else ""
    content = hashlib.sha256("\n".join([*(one.sentence for one in broken), *waiting]).encode()).hexdigest()
    nobody = f"No brief of {day} names them; correct them before one does."
    verb = "waits" if len(waiting) == 1 else "wait"
    needed = (
        f"Of {day}, {_listed(waiting)} {verb} for them: correct them, then run the day once more with "
        f"`video-pipeline run-day {day}`. `video-pipeline bibles` checks them."
    )
    return Alert(
        f"bibles {day} {content[:12]}", "Bibles cannot be used", f"{said}{more}. {needed if waiting else nobody}"
    )


def briefs_in_doubt(doubts: Sequence[str], day: date) -> Alert:
    """What of briefs that were taken will not come out as written; once for the same and a day."""
    content = hashlib.sha256("\n".join(doubts).encode()).hexdigest()
    more = f"; and {len(doubts) - _SHOWN_NAMES:,} more" if len(doubts) > _SHOWN_NAMES else ""
    return Alert(
        f"doubts {day} {content[:12]}",
        "Briefs are taken, but not all that they ask can be done",
        f"Of {day}: {'; '.join(doubts[:_SHOWN_NAMES])}{more}.",
    )


def inbox_left_out(items: Sequence[LeftOut]) -> Alert:
    """What of the inbox nothing is read from, and why; once for the same names."""
    content = hashlib.sha256("\n".join(sorted(f"{item.name} {item.why}" for item in items)).encode()).hexdigest()
    return Alert(f"left out of the inbox {content[:12]}", "Not all of the inbox is read", _left_out(items))


def said_of(unread: Unread, *, past: Sequence[date] = ()) -> list[str]:
    """A sentence on each thing of the inbox that is not read now; none where all of it is.

    `past` are days that have files which no run has taken in.
    """
    said = [_left_out(unread.left_out)] if unread.left_out else []
    if unread.growing:
        verb = "is" if len(unread.growing) == 1 else "are"
        said.append(f"{_listed(unread.growing)} {verb} not complete yet, and waited for.")
    if unread.to_come:
        days = (f"{day} ({count} file{'s' * (count > 1)})" for day, count in sorted(unread.to_come.items()))
        said.append(f"Days to come have briefs: {_listed(list(days))}. A day begins at 00:00 {zone_name()}.")
    if past:
        said.append(
            f"{_listed([str(day) for day in past])}: files that no run has taken in; the night watch runs such days, "
            "and so does `video-pipeline run-day DAY`."
        )
    return said


def _left_out(items: Sequence[LeftOut]) -> str:
    by_reason: dict[str, list[str]] = {}
    for item in items:
        by_reason.setdefault(item.why, []).append(item.name)
    reasons = list(by_reason.items())
    said = "; ".join(f"{_listed(names)}: {why}" for why, names in reasons[:_SHOWN_NAMES])
    more = f"; and {len(reasons) - _SHOWN_NAMES:,} more reasons" if len(reasons) > _SHOWN_NAMES else ""
    return f"Nothing is read from {said}{more}."


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN_NAMES:,} more" if len(names) > _SHOWN_NAMES else ""
    return ", ".join(names[:_SHOWN_NAMES]) + more


def metadata_missing(assumed: Mapping[str, int], day: date) -> Alert:
    """Schema drift: fields that briefs leave out, with how many briefs lack each."""
    missing = ", ".join(f"{name} ({count})" for name, count in sorted(assumed.items()))
    return Alert(
        f"schema drift {day} {missing}",
        "Briefs lack routing metadata",
        f"Briefs of {day} leave out {missing}; each is routed as the cheapest choice until it is given.",
    )


def _reasons(item: Quarantined) -> str:
    more = f"; and {len(item.reasons) - _SHOWN_REASONS:,} more" if len(item.reasons) > _SHOWN_REASONS else ""
    return "; ".join(item.reasons[:_SHOWN_REASONS]) + more
