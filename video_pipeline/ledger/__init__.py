"""The ledger: whatever costs money, publishes, freezes or was decided, in Postgres. The only SQL that writes."""

from video_pipeline.ledger.jobs import Hold, Reservation
from video_pipeline.ledger.ledger import Ledger, open_ledger
from video_pipeline.ledger.records import (
    FailureKind,
    Job,
    JobKind,
    JobState,
    Publication,
    PublicationState,
    Review,
    ReviewState,
    SpendCategory,
    StandingStatus,
    TierState,
    Transition,
)

__all__ = [
    "FailureKind",
    "Hold",
    "Job",
    "JobKind",
    "JobState",
    "Ledger",
    "Publication",
    "PublicationState",
    "Reservation",
    "Review",
    "ReviewState",
    "SpendCategory",
    "StandingStatus",
    "TierState",
    "Transition",
    "open_ledger",
]
