"""What the ledger's rows look like to the rest of the pipeline: closed vocabularies and frozen records."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, TypeVar

from video_pipeline.orders import Ending, RenderOrder


class JobKind(StrEnum):
    VIDEO = "video"
    IMAGE = "image"


class JobState(StrEnum):
    """A job is one attempt at one shot; docs/ledger.md draws the transitions."""

    PLANNED = "planned"
    RESERVED = "reserved"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    PROCESSING = "processing"
    RENDERED = "rendered"
    STORED = "stored"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FAILED = "failed"
    REFUSED = "refused"
    UNKNOWN = "unknown"

    @property
    def final(self) -> bool:
        return self in _FINAL_JOB_STATES


_FINAL_JOB_STATES = {
    JobState.ACCEPTED,
    JobState.REJECTED,
    JobState.FAILED,
    JobState.REFUSED,
    JobState.UNKNOWN,
}

# An end at the provider, or none of its business any more: nothing leads on from there.
ENDED = frozenset({JobState.ACCEPTED, JobState.REJECTED, JobState.FAILED})

# Which state may follow which; anything else is a defect and raises LedgerError.
JOB_TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.PLANNED: frozenset({JobState.RESERVED, JobState.REFUSED, JobState.ACCEPTED, JobState.FAILED}),
    JobState.RESERVED: frozenset({JobState.SUBMITTING, JobState.FAILED}),
    JobState.SUBMITTING: frozenset({JobState.SUBMITTED, JobState.UNKNOWN, JobState.FAILED}),
    JobState.SUBMITTED: frozenset({JobState.PROCESSING, JobState.RENDERED, JobState.FAILED}),
    JobState.PROCESSING: frozenset({JobState.RENDERED, JobState.FAILED}),
    JobState.RENDERED: frozenset({JobState.STORED, JobState.FAILED}),
    JobState.STORED: frozenset({JobState.ACCEPTED, JobState.REJECTED}),
    # A person has looked the submit up at the provider: it was accepted there, or it never arrived.
    JobState.UNKNOWN: frozenset({JobState.SUBMITTED, JobState.FAILED}),
    JobState.REFUSED: frozenset({JobState.RESERVED, JobState.ACCEPTED, JobState.FAILED}),
    JobState.ACCEPTED: frozenset(),
    JobState.REJECTED: frozenset(),
    JobState.FAILED: frozenset(),
}


class FailureKind(StrEnum):
    """Why a job failed (G2.3)."""

    MODERATION = "moderation"
    GENERATION = "generation"
    TRANSIENT = "transient"
    INVALID = "invalid"
    AUTH = "auth"
    QUOTA = "quota"
    CANCELED = "canceled"
    NOT_SENT = "not_sent"
    # It was paid for, and nobody will have its file: a person has said so.
    LOST = "lost"


# Nothing was said of the shot: the provider failed, nobody wanted it for the moment, or a person has settled it. None
# of these count on the ladder; a 422 says that this model cannot serve the request, which another one may.
OUTSIDE_THE_SHOT = frozenset(
    {
        FailureKind.TRANSIENT,
        FailureKind.INVALID,
        FailureKind.AUTH,
        FailureKind.QUOTA,
        FailureKind.CANCELED,
        FailureKind.NOT_SENT,
        FailureKind.LOST,
    }
)


class SpendLine(StrEnum):
    """The kinds of line items: `reserve` and `release` cancel out, `settle` and `adjust` are what was spent."""

    RESERVE = "reserve"
    RELEASE = "release"
    SETTLE = "settle"
    ADJUST = "adjust"


class SpendCategory(StrEnum):
    """The cost lines of a clip (G4.1)."""

    GENERATION = "generation"
    RETRY = "retry"
    UPSCALING = "upscaling"
    AUDIO = "audio"
    DISTRIBUTION = "distribution"


class PublicationState(StrEnum):
    """Where a clip stands on a platform; docs/ledger.md draws the transitions.

    `processing`: the platform has the bytes and has not said yet what becomes of them. `failed` may be tried again as
    it is; `refused` only after the clip or its text has changed.
    """

    PLANNED = "planned"
    PUBLISHING = "publishing"
    PROCESSING = "processing"
    PUBLISHED = "published"
    UNKNOWN = "unknown"
    FAILED = "failed"
    REFUSED = "refused"
    NOT_CONNECTED = "not_connected"


class TierState(StrEnum):
    OPEN = "open"
    FROZEN = "frozen"


class StandingStatus(StrEnum):
    """`promoted`: besides its own tier, the model serves the one above it."""

    ACTIVE = "active"
    PROMOTED = "promoted"
    DEMOTED = "demoted"


class Actor(StrEnum):
    """Who changed a tier or a standing: a person, the cost drift's judgement, or the scores'."""

    PERSON = "person"
    DRIFT = "drift"
    SCORE = "score"


class Preference(StrEnum):
    """The tables that feedback learns and puts in force. `acceptance` is of releases before there were beliefs.

    `trials` maps the models that may be tried in the tier above their own to their tier. `rests` maps demoted models
    to the day since which they rest from probation.
    """

    ACCEPTANCE = "acceptance"
    BELIEFS = "beliefs"
    TRIALS = "trials"
    RESTS = "rests"
    PROVEN_KINDS = "proven_kinds"
    STYLE_AFFINITY = "style_affinity"
    EDITORIAL_GUIDANCE = "editorial_guidance"


class NightJudgement(StrEnum):
    """What is judged once a night."""

    DRIFT = "drift"
    STANDINGS = "standings"


class ReviewStage(StrEnum):
    """Where a person is asked about a clip: before there is a file, about one raw or finished file, about its words.

    The last three have the hash of what is asked about behind them.
    """

    GENERATION = "generation"
    RAW = "raw"
    TECHNICAL = "technical"
    WORDING = "wording"


class ReviewState(StrEnum):
    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"


class Mark(StrEnum):
    """What a stage notes of a clip where no other row tells when it was at work on it.

    `taken_up`: a run goes on with what an earlier one left under way. `left`: a run leaves it under way. `held`: it
    was planned, and may not be bought.
    """

    TAKEN_UP = "taken up"
    LEFT = "left"
    HELD = "held"
    UPSCALING = "upscaling"
    UPSCALED = "upscaled"
    REVIEWING = "reviewing"
    REVIEWED = "reviewed"


@dataclass(frozen=True)
class Receipt:
    """What a provider gave for a job: its id there, and whatever else the adapter needs to ask for it again."""

    provider_job_id: str
    document: dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """Why a job ended without a clip. `retry_allowed` is False where the provider says that the same would fail.

    `ending` is there where the provider has ended it: of a refusal it says whether the prompt was refused, or what
    was made of it.
    """

    kind: FailureKind
    reason: str
    retry_allowed: bool = True
    ending: Ending | None = None


@dataclass(frozen=True)
class FirstAnswer:
    """What a shot's first attempt met: its prompt, the model, and whether that refused it."""

    prompt: str
    model: str
    refused: bool


@dataclass(frozen=True)
class Bill:
    """What a job cost in the end: US dollars, and the seconds of video that they are for."""

    usd: Decimal = Decimal(0)
    seconds: float = 0.0


NOTHING_BILLED = Bill()


@dataclass(frozen=True)
class Job:
    """A row of `jobs`; money in US dollars, `*_s` in seconds.

    `order` is what is asked for. `request` and `receipt` are the adapter's own: what it sends, and what came back.
    `billed_usd` is what it is booked at: by the list price, until the vendor's own billing has told `vendor_usd`.
    """

    key: str
    kind: JobKind
    day: date
    clip_id: str
    shot: int
    shot_sha256: str
    attempt: int
    strategy: str
    reason: str
    tier: str
    provider: str
    model: str
    model_version: str
    order: RenderOrder
    request: dict[str, Any]
    request_sha256: str
    expected_usd: Decimal
    state: JobState
    run_id: str
    failure_kind: FailureKind | None = None
    failure_reason: str | None = None
    retry_allowed: bool = True
    provider_job_id: str | None = None
    receipt: dict[str, Any] | None = None
    media_url: str | None = None
    media_key: str | None = None
    media_sha256: str | None = None
    media_bytes: int | None = None
    verdict: dict[str, Any] | None = None
    billed_usd: Decimal = Decimal(0)
    billed_s: float = 0.0
    vendor_usd: Decimal | None = None
    ending: Ending | None = None
    cached_from: str | None = None
    saved_usd: Decimal = Decimal(0)
    created_at: datetime | None = None
    submitted_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def requested_s(self) -> float:
        """Length that was ordered, in seconds; 0 for a picture."""
        return self.order.duration_s


@dataclass(frozen=True)
class Publication:
    """A row of `publications`: one clip on one platform.

    `document` is the publish request as JSON. `session` is the platform's own JSON, which only its adapter reads.
    """

    key: str
    day: date
    clip_id: str
    platform: str
    state: PublicationState
    document: dict[str, Any]
    media_key: str
    media_sha256: str
    session: dict[str, Any] | None = None
    remote_id: str | None = None
    url: str | None = None
    reason: str | None = None
    published_at: datetime | None = None


@dataclass(frozen=True)
class Review:
    """A clip that waits for a person, or what the person said."""

    clip_id: str
    stage: str
    reason: str
    state: ReviewState
    opened_at: datetime
    decided_by: str | None = None
    reason_code: str | None = None
    decided_at: datetime | None = None


State = TypeVar("State", TierState, StandingStatus)


@dataclass(frozen=True)
class Transition(Generic[State]):
    """A change of a tier's state or of a model's standing, with the numbers that caused it.

    `subject` is the tier or the model. `day` is the production day that was judged.
    """

    subject: str
    state: State
    by: Actor
    day: date
    evidence: dict[str, Any]
    at: datetime


class HandAct(StrEnum):
    """What a person does with a model: binds a tier to it, takes it out, or lifts either."""

    PIN = "pin"
    BENCH = "bench"
    RELEASE = "release"


@dataclass(frozen=True)
class ByHand:
    """What a person has set for a model and not lifted. A pin is of a `tier`, up to and with the day `until`."""

    model: str
    act: HandAct
    day: date
    tier: str = ""
    until: date | None = None

    def holds_on(self, day: date) -> bool:
        """Whether it is in force for a production day."""
        return self.until is None or day <= self.until


@dataclass(frozen=True)
class Decided:
    """A routing decision in force on a shot; `begun` says that money was spent on the shot, or may be."""

    clip_id: str
    shot_sha256: str
    document: dict[str, Any]
    begun: bool


@dataclass(frozen=True)
class Trail:
    """The moves of a job or of a publication: when it was planned, and when it came into which state, in order.

    An event from a state to the same one is among them. `video` is False for a picture's job.
    """

    planned_at: datetime
    moves: tuple[tuple[datetime, str], ...] = ()
    video: bool = True


@dataclass(frozen=True)
class ClipTrail:
    """Every moment that the ledger knows of a clip.

    `arrived_at` is by the file system's clock, and None for briefs that releases before took in. `asked` is when a
    person was asked, and answered.
    """

    arrived_at: datetime | None
    taken_in_at: datetime
    decided_at: datetime | None = None
    jobs: tuple[Trail, ...] = ()
    asked: tuple[tuple[datetime, datetime | None], ...] = ()
    publications: tuple[Trail, ...] = ()
    marks: tuple[tuple[datetime, Mark], ...] = ()
