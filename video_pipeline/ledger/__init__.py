"""The ledger: whatever costs money, publishes, freezes or was decided, in Postgres. The only SQL that writes."""

from video_pipeline.ledger.alerts import AlertRows, Claim, Delivery, DueAlert, Outcome
from video_pipeline.ledger.breakers import BreakerTransition
from video_pipeline.ledger.circuit import Breaker, BreakerCause, BreakerState, Trouble
from video_pipeline.ledger.jobs import Hold, Reservation
from video_pipeline.ledger.leases import Lease, LeaseLost
from video_pipeline.ledger.ledger import Ledger, open_ledger
from video_pipeline.ledger.records import (
    NOTHING_BILLED,
    Actor,
    Bill,
    Failure,
    FailureKind,
    Job,
    JobKind,
    JobState,
    NightJudgement,
    Preference,
    Publication,
    PublicationState,
    Receipt,
    Review,
    ReviewStage,
    ReviewState,
    SpendCategory,
    SpendLine,
    StandingStatus,
    TierState,
    Transition,
)
from video_pipeline.ledger.runs import BEAT_S, Beat
from video_pipeline.ledger.waits import Standing, Wait, WaitCause, What, Why
from video_pipeline.ledger.webhooks import CallStanding

__all__ = [
    "BEAT_S",
    "NOTHING_BILLED",
    "Actor",
    "AlertRows",
    "Beat",
    "Bill",
    "Breaker",
    "BreakerCause",
    "BreakerState",
    "BreakerTransition",
    "CallStanding",
    "Claim",
    "Delivery",
    "DueAlert",
    "Failure",
    "FailureKind",
    "Hold",
    "Job",
    "JobKind",
    "JobState",
    "Lease",
    "LeaseLost",
    "Ledger",
    "NightJudgement",
    "Outcome",
    "Preference",
    "Publication",
    "PublicationState",
    "Receipt",
    "Reservation",
    "Review",
    "ReviewStage",
    "ReviewState",
    "SpendCategory",
    "SpendLine",
    "Standing",
    "StandingStatus",
    "TierState",
    "Transition",
    "Trouble",
    "Wait",
    "WaitCause",
    "What",
    "Why",
    "open_ledger",
]
