"""What the intake tells people: briefs that could not be taken, and routing metadata that briefs leave out (G1.6)."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date

from video_pipeline.alerts import Alert
from video_pipeline.briefs.inbox import Quarantined
from video_pipeline.briefs.reading import SUFFIXES

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


def files_ignored(names: Sequence[str], day: date) -> Alert:
    """What is in a day's folder and is no file of briefs; once for the same names and a day."""
    more = f" and {len(names) - _SHOWN_NAMES:,} more" if len(names) > _SHOWN_NAMES else ""
    shown = ", ".join(names[:_SHOWN_NAMES]) + more
    content = hashlib.sha256("\n".join(names).encode("utf-8", "replace")).hexdigest()
    return Alert(
        f"not taken {day} {content[:12]}",
        "Files of the inbox are not taken",
        f"Nothing is read from {shown} in the folder of {day}. Briefs are files of the kinds {', '.join(SUFFIXES)}.",
    )


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
