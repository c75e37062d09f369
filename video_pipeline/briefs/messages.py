"""What the intake tells people: briefs that could not be taken, and routing metadata that briefs leave out (G1.6)."""

from collections.abc import Mapping
from datetime import date

from video_pipeline.alerts import Alert
from video_pipeline.briefs.inbox import Quarantined


def brief_quarantined(item: Quarantined, day: date) -> Alert:
    """A document that is no valid brief; once a document and day."""
    return Alert(
        f"quarantine {day} {item.source} {item.sha256[:12]}",
        "A brief could not be taken",
        f"{item.source} of {day}: {'; '.join(item.reasons)}. Correct it and drop it again.",
    )


def metadata_missing(assumed: Mapping[str, int], day: date) -> Alert:
    """Schema drift: fields that briefs leave out, with how many briefs lack each."""
    missing = ", ".join(f"{name} ({count})" for name, count in sorted(assumed.items()))
    return Alert(
        f"schema drift {day} {missing}",
        "Briefs lack routing metadata",
        f"Briefs of {day} leave out {missing}; each is routed as the cheapest choice until it is given.",
    )
