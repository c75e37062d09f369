"""Where a clip's seconds went, from the moments that the ledger has of it; pure.

Every moment between the arrival of a brief and its publication belongs to exactly one part, so the parts add up to
the whole. Where several things went on at a time, the first of `Part` counts: a clip that waits for a provider waits
for nobody else.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import pairwise

from video_pipeline.ledger import ClipTrail, JobState, Mark, PublicationState, Trail


class Part(StrEnum):
    """What a clip's time went to."""

    PROVIDER = "provider"
    """At least one of its jobs is at a provider: from the intent to submit until the result is ready."""
    DOWNLOAD = "download"
    CHECK = "check"
    UPSCALE = "upscale"
    REVIEW = "review"
    """The technical checks of the finished file."""
    PUBLISHING = "publishing"
    """From the intent until the platform has all bytes, or says that it is public."""
    PLATFORM = "platform"
    """The platform has all bytes, and it is not public yet."""
    PERSON = "person"
    """A person was asked and had not answered."""
    QUEUE = "queue"
    """Planned and not at a provider: the pool, the provider's slots, the budget."""
    PLANNING = "planning"
    INBOX = "inbox"
    """In the inbox, until its brief was taken in."""
    OTHER = "other"
    """No stage was at it: steps that start, the day's other clips, a run that stopped."""


_RANK = {part: rank for rank, part in enumerate(Part)}
# Of each state: what the time in it goes to, and whether that holds only while a run is at it.
_States = Mapping[str, tuple[Part, bool]]
_JOB: _States = {
    JobState.PLANNED: (Part.QUEUE, False),
    JobState.REFUSED: (Part.QUEUE, False),
    JobState.RESERVED: (Part.QUEUE, True),
    JobState.SUBMITTING: (Part.PROVIDER, True),
    JobState.SUBMITTED: (Part.PROVIDER, True),
    JobState.PROCESSING: (Part.PROVIDER, True),
    JobState.RENDERED: (Part.DOWNLOAD, True),
    JobState.STORED: (Part.CHECK, True),
    JobState.UNKNOWN: (Part.PERSON, False),
}
_PUBLICATION: _States = {
    PublicationState.PLANNED: (Part.PUBLISHING, True),
    PublicationState.PUBLISHING: (Part.PUBLISHING, True),
    PublicationState.PROCESSING: (Part.PLATFORM, False),
    PublicationState.UNKNOWN: (Part.PERSON, False),
}
_STAGES = {Mark.UPSCALING: (Mark.UPSCALED, Part.UPSCALE), Mark.REVIEWING: (Mark.REVIEWED, Part.REVIEW)}
# Between these and what happened last before them, no run was at the clip.
_RESUMED = (Mark.TAKEN_UP, *_STAGES)


@dataclass(frozen=True)
class ClipTimes:
    """A clip's times in seconds, none of them negative.

    `to_preview_s` is from when the brief was taken in until the first accepted file, `to_published_s` from when it
    arrived until the clip is public on the first platform; None while that has not come. The provider's part of each
    is in the field beside it. `parts` add up to the time from the arrival to the publication, or to the last thing
    that happened.
    """

    to_preview_s: float | None = None
    to_preview_provider_s: float | None = None
    to_published_s: float | None = None
    to_published_provider_s: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict[str, float])


class Total(StrEnum):
    """What a clip's times come to; `own` is without the time in which it was at a provider."""

    TO_PREVIEW = "to preview"
    TO_PREVIEW_OWN = "to preview, provider apart"
    TO_PUBLISHED = "to published"
    TO_PUBLISHED_OWN = "to published, provider apart"


def median_and_p90(seconds: Mapping[str, Sequence[float]]) -> tuple[dict[str, float], dict[str, float]]:
    """The median and the 90th percentile of each, by nearest rank: values that were measured; none where none was."""
    ranked = {what: sorted(values) for what, values in seconds.items() if values}

    def percentile(percent: int) -> dict[str, float]:
        return {what: values[-(-len(values) * percent // 100) - 1] for what, values in ranked.items()}

    return percentile(50), percentile(90)


@dataclass(frozen=True)
class _Span:
    """A time that went to `part`; `at_work` says that it did so only while a run was at the clip."""

    part: Part
    start: datetime
    end: datetime
    at_work: bool = False


def times_of(trail: ClipTrail) -> ClipTimes:
    """The times of a clip; none when nobody has noted when its brief arrived."""
    if trail.arrived_at is None:
        return ClipTimes()
    # The file system's clock may be ahead of the database's.
    arrived = min(trail.arrived_at, trail.taken_in_at)
    moments = sorted(_moments(trail))
    published = _first(trail.publications, PublicationState.PUBLISHED)
    accepted = _first([job for job in trail.jobs if job.video], JobState.ACCEPTED)
    end = published or moments[-1]
    spans, idle = list(_spans(trail, arrived, end)), list(_idle(trail, moments))
    whole = _seconds(spans, idle, arrived, end)
    to_preview = _seconds(spans, idle, trail.taken_in_at, accepted or trail.taken_in_at)
    return ClipTimes(
        to_preview_s=sum(to_preview.values()) if accepted else None,
        to_preview_provider_s=to_preview.get(Part.PROVIDER, 0.0) if accepted else None,
        to_published_s=sum(whole.values()) if published else None,
        to_published_provider_s=whole.get(Part.PROVIDER, 0.0) if published else None,
        parts={part.value: whole[part] for part in Part if part in whole},
    )


def _moments(trail: ClipTrail) -> Iterator[datetime]:
    """Every moment at which something is known to have happened, in no order."""
    yield trail.taken_in_at
    if trail.decided_at is not None:
        yield trail.decided_at
    for way in (*trail.jobs, *trail.publications):
        yield way.planned_at
        yield from (at for at, _ in way.moves)
    yield from (at for asked in trail.asked for at in asked if at is not None)
    yield from (at for at, _ in trail.marks)


def _first(ways: Sequence[Trail], state: str) -> datetime | None:
    """When the first of them came into a state."""
    return min((at for way in ways for at, to in way.moves if to == state), default=None)


def _spans(trail: ClipTrail, arrived: datetime, end: datetime) -> Iterator[_Span]:
    yield _Span(Part.INBOX, arrived, trail.taken_in_at)
    bought = min((job.planned_at for job in trail.jobs), default=end)
    # A clip that is held back is decided on anew by every run.
    held = min((at for at, mark in trail.marks if mark is Mark.HELD), default=end)
    planned = min(trail.decided_at or bought, bought, held)
    yield _Span(Part.PLANNING, trail.taken_in_at, planned)
    yield _Span(Part.QUEUE, planned, bought)
    for job in trail.jobs:
        yield from _along(job, JobState.PLANNED, _JOB, end)
    for publication in trail.publications:
        yield from _along(publication, PublicationState.PLANNED, _PUBLICATION, end)
    for asked, answered in trail.asked:
        yield _Span(Part.PERSON, asked, answered or end)
    for (start, mark), (until, then) in pairwise(trail.marks):
        if mark in _STAGES and then is _STAGES[mark][0]:
            yield _Span(_STAGES[mark][1], start, until)


def _along(way: Trail, first: str, states: _States, end: datetime) -> Iterator[_Span]:
    """The time in each state; an end of its own takes none."""
    for (start, state), (until, _) in pairwise([(way.planned_at, first), *way.moves, (end, "")]):
        if state in states:
            part, at_work = states[state]
            yield _Span(part, start, until, at_work)


def _idle(trail: ClipTrail, moments: Sequence[datetime]) -> Iterator[tuple[datetime, datetime]]:
    """When no run was at the clip: the time before one resumes it."""
    for at, mark in trail.marks:
        before = bisect_left(moments, at)
        if mark in _RESUMED and before:
            yield moments[before - 1], at


def _seconds(
    spans: Sequence[_Span], idle: Sequence[tuple[datetime, datetime]], start: datetime, end: datetime
) -> dict[Part, float]:
    """The seconds from `start` to `end` by part, all of them and each once."""
    limits = {at for span in spans for at in (span.start, span.end)} | {at for pause in idle for at in pause}
    edges = [start, *sorted(at for at in limits if start < at < end), end]
    parts: dict[Part, float] = defaultdict(float)
    for left, right in pairwise(edges):
        if right <= left:
            continue
        at_rest = any(begin <= left and right <= until for begin, until in idle)
        running = [
            span.part for span in spans if span.start <= left and right <= span.end and not (at_rest and span.at_work)
        ]
        part = min(running, key=_RANK.__getitem__, default=Part.OTHER)
        parts[part] += (right - left).total_seconds()
    return dict(parts)
