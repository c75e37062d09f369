"""The ledger: whatever costs money, publishes, freezes or was decided, in Postgres. The only SQL that writes."""

from video_pipeline.ledger.jobs import Hold, Reservation
from video_pipeline.ledger.ledger import Ledger, open_ledger
from video_pipeline.ledger.records import (
    NOTHING_BILLED,
    Bill,
    Failure,
    FailureKind,
    Job,
    JobKind,
    JobState,
    Publication,
    PublicationState,
    Receipt,
    Review,
    ReviewState,
    SpendCategory,
    SpendLine,
    StandingStatus,
    TierState,
    Transition,
)

__all__ = [
    "NOTHING_BILLED",
    "Bill",
    "Failure",
    "FailureKind",
    "Hold",
    "Job",
    "JobKind",
    "JobState",
    "Ledger",
    "Publication",
    "PublicationState",
    "Receipt",
    "Reservation",
    "Review",
    "ReviewState",
    "SpendCategory",
    "SpendLine",
    "StandingStatus",
    "TierState",
    "Transition",
    "open_ledger",
]
