"""Clip facts: one row a clip with everything about it, each number followed from ledger rows (G4.1)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict

from video_pipeline.briefs import AppliedGuidance, ShotKind, Storyboard
from video_pipeline.clips import ClipStatus, ReviewedClip
from video_pipeline.feedback.timing import ClipTimes
from video_pipeline.generation import is_own_gpu
from video_pipeline.ledger import (
    OUTSIDE_THE_SHOT,
    FailureKind,
    Job,
    JobKind,
    JobState,
    PublicationState,
    Review,
    ReviewStage,
    ReviewState,
    SpendCategory,
)
from video_pipeline.publishing import Engagement, PublishRecord


class ModelAttempts(BaseModel):
    """How a clip's attempts at one model ended; money in US dollars, rendered length in seconds.

    `tier` is the one that the shots were of, `own_tier` the model's in the catalogue: a promoted model serves a
    dearer tier too, and one that costs less for a shot a cheaper one. `own_tier` is empty for a model that the
    catalogue had lost, and in rows of older releases. `kinds` maps a kind of shot to (attempts, accepted).
    """

    model_config = ConfigDict(frozen=True)

    model: str
    model_version: str
    tier: str
    attempts: int = 0
    accepted: int = 0
    refusals: int = 0
    failures: int = 0
    rejections: int = 0
    billed_usd: Decimal = Decimal(0)
    billed_s: float = 0.0
    kinds: dict[str, tuple[int, int]] = {}
    own_tier: str = ""


class Outcome(StrEnum):
    """How an attempt at a model ended. `rejected`: the model made a file, and quality did not take it."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    REJECTED = "rejected"
    FAILED = "failed"


class FirstTry(BaseModel):
    """A clip's first attempt at one version of a model; the one observation of it that the clip is.

    `seconds` from the submit to the end, `billed_usd` in US dollars. `rescue` says that another model had refused or
    failed the shot before, so that this one met a harder one.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    model_version: str
    kind: str = ""
    outcome: Outcome
    seconds: float = 0.0
    billed_usd: Decimal = Decimal(0)
    rescue: bool = False


class Expectation(BaseModel):
    """What a clip's plan expected, beside what came of it; money in US dollars.

    `planned_usd` is the whole clip at its plan's prices, also while a freeze holds it. The other fields are of the
    shots that were tried at a model: what they were expected to cost, how many attempts have ended, how many of them
    were accepted and expected to be, and what their files were billed beyond an attempt's planned price: `leak_usd`
    of those that a dearer tier's model made than was planned, `price_usd` of the others. `assumed` says that the
    brief lacks metadata which steers routing.
    """

    model_config = ConfigDict(frozen=True)

    planned_usd: Decimal
    expected_usd: Decimal
    attempts: int
    accepted: int
    expected_accepted: float
    price_usd: Decimal
    leak_usd: Decimal
    assumed: bool


class ClipFact(BaseModel):
    """A row of the asset `clip_facts`. `waste` maps a cause to what was paid for nothing.

    `expectation` is None for a clip without a plan, as are those of versions that did not note it. The times are
    those of `ClipTimes`, in seconds; `seconds` maps a part of the way (`Part`) to what it took. `kind` is that of the
    shots that take most of the clip, `length_s` what the brief asks for. `approved` is a person's word on the
    finished clip, None where nobody was asked. Facts of older releases have no `firsts`; read `first_tries`.
    `hook` and `style` are as a person wrote them; `applied` says what guidance had for those that were left open.
    `vendor_usd` is what of generation and retries vendors' own bills say, `own_gpu_usd` what is the team's own GPU's;
    the rest of these is by list prices.
    """

    model_config = ConfigDict(frozen=True)

    clip_id: str
    brief_id: str
    day: date
    title: str
    status: ClipStatus
    reason: str
    usable: bool
    tier: str
    model: str | None
    model_version: str | None
    strategy: str
    attempts: int
    cached: bool
    saved_usd: Decimal
    generation_usd: Decimal
    retry_usd: Decimal
    upscaling_usd: Decimal
    audio_usd: Decimal
    distribution_usd: Decimal
    total_usd: Decimal
    waste: dict[str, Decimal]
    generation_s: float
    rendered_s: float
    final_size: tuple[int, int] | None
    platforms: tuple[str, ...]
    published_urls: tuple[str, ...]
    hook: str
    style: str
    views: int | None
    completion: float | None
    shares: int | None
    by_model: tuple[ModelAttempts, ...]
    expectation: Expectation | None = None
    to_preview_s: float | None = None
    to_preview_provider_s: float | None = None
    to_published_s: float | None = None
    to_published_provider_s: float | None = None
    seconds: dict[str, float] = {}
    kind: str = ""
    length_s: float = 0.0
    approved: bool | None = None
    firsts: tuple[FirstTry, ...] = ()
    applied: AppliedGuidance | None = None
    vendor_usd: Decimal = Decimal(0)
    own_gpu_usd: Decimal = Decimal(0)

    @property
    def list_usd(self) -> Decimal:
        """What of generation and retries is booked by list prices."""
        return self.generation_usd + self.retry_usd - self.vendor_usd - self.own_gpu_usd

    @property
    def first_tries(self) -> tuple[FirstTry, ...]:
        """The first attempt at each model and version; of a fact without them as its attempts let one tell.

        What went wrong at all went wrong before the attempt that was accepted, and the model that a shot came to
        after another is a rescue.
        """
        if self.firsts or not self.by_model:
            return self.firsts
        went_wrong = False
        firsts: list[FirstTry] = []
        for entry in self.by_model:
            if entry.refusals:
                outcome = Outcome.REFUSED
            elif entry.rejections:
                outcome = Outcome.REJECTED
            else:
                outcome = Outcome.FAILED if entry.failures else Outcome.ACCEPTED
            firsts.append(
                FirstTry(
                    model=entry.model,
                    model_version=entry.model_version,
                    kind=next(iter(entry.kinds), ""),
                    outcome=outcome,
                    billed_usd=entry.billed_usd / max(1, entry.attempts),
                    rescue=went_wrong,
                )
            )
            went_wrong = went_wrong or outcome is not Outcome.ACCEPTED
        return tuple(firsts)

    @property
    def mixed(self) -> bool:
        """Whether several models, or several versions of one, are in the clip."""
        return "+" in (self.model or "") or "+" in (self.model_version or "")


def build_facts(
    *,
    storyboards: Mapping[str, Storyboard],
    clips: Sequence[ReviewedClip],
    jobs: Sequence[Job],
    costs: Mapping[str, Mapping[SpendCategory, Decimal]],
    records: Sequence[PublishRecord],
    engagement: Sequence[Engagement],
    own_tiers: Mapping[str, str],
    expectations: Mapping[str, Expectation],
    times: Mapping[str, ClipTimes],
    reviews: Sequence[Review] = (),
    applied: Mapping[str, AppliedGuidance | None] = MappingProxyType({}),
) -> list[ClipFact]:
    """One fact a clip of the day; `clips` with the final verdicts.

    Storyboards, costs, expectations, times and applied guidance are by clip id. `own_tiers` maps a
    model to its tier in the catalogue.
    """
    on_files = (ReviewStage.RAW, ReviewStage.TECHNICAL)
    # A stage has the hash of the file behind its name; the newest word comes last.
    words = {review.clip_id: review for review in reviews if review.stage.partition(" ")[0] in on_files}
    jobs_of: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        jobs_of[job.clip_id].append(job)
    records_of: dict[str, list[PublishRecord]] = defaultdict(list)
    for record in records:
        records_of[record.clip_id].append(record)
    metrics_of: dict[str, list[Engagement]] = defaultdict(list)
    for metrics in engagement:
        metrics_of[metrics.clip_id].append(metrics)
    return [
        _fact(
            clip,
            storyboards[clip.clip_id],
            jobs_of[clip.clip_id],
            costs.get(clip.clip_id, {}),
            records_of[clip.clip_id],
            metrics_of[clip.clip_id],
            own_tiers,
            expectations.get(clip.clip_id),
            times.get(clip.clip_id, ClipTimes()),
            words.get(clip.clip_id),
            applied.get(clip.clip_id),
        )
        for clip in clips
    ]


def _fact(
    clip: ReviewedClip,
    storyboard: Storyboard,
    jobs: Sequence[Job],
    costs: Mapping[SpendCategory, Decimal],
    records: Sequence[PublishRecord],
    metrics: Sequence[Engagement],
    own_tiers: Mapping[str, str],
    expectation: Expectation | None,
    times: ClipTimes,
    word: Review | None,
    applied: AppliedGuidance | None,
) -> ClipFact:
    line = {category: costs.get(category, Decimal(0)) for category in SpendCategory}
    usable = clip.status is ClipStatus.PASSED
    brief = storyboard.brief
    kinds = {storyboard.shot_sha256(shot): shot.kind for shot in storyboard.shots}
    return ClipFact(
        clip_id=clip.clip_id,
        brief_id=clip.brief_id,
        day=clip.day,
        title=brief.title,
        status=clip.status,
        reason=clip.reason,
        usable=usable,
        tier=clip.tier,
        model=clip.model,
        model_version=clip.model_version,
        strategy=clip.strategy,
        attempts=clip.attempts,
        cached=clip.cached,
        saved_usd=clip.saved_usd,
        generation_usd=line[SpendCategory.GENERATION],
        retry_usd=line[SpendCategory.RETRY],
        upscaling_usd=line[SpendCategory.UPSCALING],
        audio_usd=line[SpendCategory.AUDIO],
        distribution_usd=line[SpendCategory.DISTRIBUTION],
        total_usd=sum(line.values(), Decimal(0)),
        waste=_waste(jobs, usable=usable, status=clip.status),
        generation_s=_generation_s(jobs),
        rendered_s=sum(job.billed_s for job in jobs),
        final_size=clip.final_size,
        platforms=tuple(brief.platforms),
        published_urls=tuple(
            record.url for record in records if record.state is PublicationState.PUBLISHED and record.url
        ),
        hook=brief.hook,
        style=brief.style,
        **metrics_of(metrics),
        by_model=_by_model(jobs, kinds, own_tiers),
        expectation=expectation,
        to_preview_s=times.to_preview_s,
        to_preview_provider_s=times.to_preview_provider_s,
        to_published_s=times.to_published_s,
        to_published_provider_s=times.to_published_provider_s,
        seconds=dict(times.parts),
        kind=_main_kind(storyboard),
        length_s=sum(shot.duration_s for shot in storyboard.shots),
        approved=None if word is None or word.state is ReviewState.WAITING else word.state is ReviewState.APPROVED,
        firsts=_first_tries(jobs, kinds),
        applied=applied,
        vendor_usd=sum((job.vendor_usd for job in jobs if job.vendor_usd is not None), Decimal(0)),
        own_gpu_usd=sum((job.billed_usd for job in jobs if is_own_gpu(job.provider)), Decimal(0)),
    )


def metrics_of(rows: Sequence[Engagement]) -> dict[str, Any]:
    """A clip's views, completion and shares over its platforms, from snapshots of one day."""
    return {
        "views": _total(row.views for row in rows),
        "completion": _mean([row.completion for row in rows if row.completion is not None]),
        "shares": _total(row.shares for row in rows),
    }


def _waste(jobs: Sequence[Job], *, usable: bool, status: ClipStatus) -> dict[str, Decimal]:
    """What was paid for attempts that are in no usable clip, by cause."""
    waste: dict[str, Decimal] = defaultdict(Decimal)
    for job in jobs:
        if job.state is JobState.ACCEPTED:
            cause = "" if usable else f"clip {status}"
        elif job.state is JobState.REJECTED:
            cause = "quality"
        else:
            cause = job.failure_kind.value if job.failure_kind else job.state.value
        if cause and job.billed_usd:
            waste[cause] += job.billed_usd
    return dict(waste)


def _by_model(
    jobs: Sequence[Job], kinds: Mapping[str, ShotKind], own_tiers: Mapping[str, str]
) -> tuple[ModelAttempts, ...]:
    """Attempts that reached a model: not those served from the cache or never sent.

    `kinds` maps a shot's hash to its kind; what was tried for a shot as it stood before an edit is of no known kind.
    A refusal is the model's that refused. Of a shot that every model refuses only the first one's count: the others
    are sent nothing but what was refused before, so it would seem that they refuse all.
    """
    made = {job.shot_sha256 for job in jobs if job.kind is JobKind.VIDEO and job.state is JobState.ACCEPTED}
    first_to_refuse: dict[str, str] = {}
    for job in sorted(jobs, key=lambda job: job.attempt):
        if job.kind is JobKind.VIDEO and job.failure_kind is FailureKind.MODERATION:
            first_to_refuse.setdefault(job.shot_sha256, job.model)
    counted: dict[tuple[str, str], ModelAttempts] = {}
    for job in jobs:
        if job.kind is not JobKind.VIDEO or job.cached_from or not job.state.final or job.submitted_at is None:
            continue
        refused = job.failure_kind is FailureKind.MODERATION
        if refused and job.model != first_to_refuse[job.shot_sha256] and job.shot_sha256 not in made:
            continue
        known = counted.get((job.model, job.model_version)) or ModelAttempts(
            model=job.model,
            model_version=job.model_version,
            tier=job.tier,
            own_tier=own_tiers.get(job.model, ""),
        )
        failure = job.failure_kind
        accepted = job.state is JobState.ACCEPTED
        kind = kinds.get(job.shot_sha256)
        tried, kept = known.kinds.get(kind, (0, 0)) if kind else (0, 0)
        counted[(job.model, job.model_version)] = known.model_copy(
            update={
                "attempts": known.attempts + 1,
                "accepted": known.accepted + accepted,
                "refusals": known.refusals + refused,
                "failures": known.failures + (failure is not None and not refused),
                "rejections": known.rejections + (job.state is JobState.REJECTED),
                "billed_usd": known.billed_usd + job.billed_usd,
                "billed_s": known.billed_s + job.billed_s,
                "kinds": known.kinds | ({kind.value: (tried + 1, kept + accepted)} if kind else {}),
            }
        )
    return tuple(counted.values())


def _first_tries(jobs: Sequence[Job], kinds: Mapping[str, ShotKind]) -> tuple[FirstTry, ...]:
    """The first attempt at each model and version that the model itself has answered."""
    told = [
        job
        for job in sorted(jobs, key=lambda job: (job.attempt, job.shot))
        if job.kind is JobKind.VIDEO
        and job.state.final
        and job.submitted_at is not None
        and not job.cached_from
        and job.failure_kind not in OUTSIDE_THE_SHOT
    ]
    firsts: dict[tuple[str, str], FirstTry] = {}
    unsolved: dict[str, set[str]] = defaultdict(set)
    for job in told:
        others = unsolved[job.shot_sha256] - {job.model}
        kind = kinds.get(job.shot_sha256)
        firsts.setdefault(
            (job.model, job.model_version),
            FirstTry(
                model=job.model,
                model_version=job.model_version,
                kind=kind.value if kind else "",
                outcome=_outcome(job),
                seconds=(job.finished_at - job.submitted_at).total_seconds()
                if job.finished_at and job.submitted_at
                else 0.0,
                billed_usd=job.billed_usd,
                rescue=bool(others),
            ),
        )
        if job.state is not JobState.ACCEPTED:
            unsolved[job.shot_sha256].add(job.model)
    return tuple(firsts.values())


def _outcome(job: Job) -> Outcome:
    if job.state is JobState.ACCEPTED:
        return Outcome.ACCEPTED
    if job.state is JobState.REJECTED:
        return Outcome.REJECTED
    return Outcome.REFUSED if job.failure_kind is FailureKind.MODERATION else Outcome.FAILED


def _main_kind(storyboard: Storyboard) -> str:
    """The kind of shot that fills most of the clip."""
    lengths: dict[str, float] = defaultdict(float)
    for shot in storyboard.shots:
        lengths[shot.kind.value] += shot.duration_s
    return max(sorted(lengths), key=lambda kind: lengths[kind], default="")


def _generation_s(jobs: Sequence[Job]) -> float:
    """From the first submit to the last accepted file."""
    starts = [job.submitted_at for job in jobs if job.submitted_at]
    ends = [job.finished_at for job in jobs if job.submitted_at and job.finished_at]
    return (max(ends) - min(starts)).total_seconds() if starts and ends else 0.0


def _total(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
