"""What each provider has made of a day's shots, and which of them it has rescued: those that were refused before."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from video_pipeline.generation import is_own_gpu
from video_pipeline.ledger import FailureKind, Job, JobKind, JobState


@dataclass(frozen=True)
class ProviderDay:
    """A provider's part in a day; money in US dollars.

    `asked` counts the jobs that were for it, pictures to start from among them; `refused` are those that its
    moderation turned away, now or in the same words before, and `made` the shots that came of the others. `rescued`
    are shots of these that had been refused, by the strategy (`Strategy`) that got them through, and
    `refused_elsewhere` those that another provider had refused. `usd` is what all of its jobs are booked at;
    `rescued_usd` is all that was paid for the shots that it has rescued, to whomever.
    """

    provider: str
    own_gpu: bool
    asked: int
    refused: int
    made: int
    rescued: Mapping[str, int] = field(default_factory=dict[str, int])
    refused_elsewhere: int = 0
    usd: Decimal = Decimal(0)
    rescued_usd: Decimal = Decimal(0)

    @property
    def rescued_shots(self) -> int:
        return sum(self.rescued.values())


def providers_of_day(jobs: Iterable[Job]) -> list[ProviderDay]:
    """Each provider that a day's jobs went to, by name. What came from the store went to nobody."""
    sent = [job for job in jobs if job.cached_from is None and (job.provider_job_id or _was_refused(job))]
    shots: dict[tuple[str, int, str], list[Job]] = defaultdict(list)
    for job in sent:
        shots[job.clip_id, job.shot, job.shot_sha256].append(job)
    rescued: dict[str, list[tuple[Job, list[Job]]]] = defaultdict(list)
    for history in shots.values():
        shot = next((job for job in history if _makes_the_shot(job)), None)
        if shot is not None and any(_was_refused(job) for job in history):
            rescued[shot.provider].append((shot, history))
    return [
        ProviderDay(
            provider=provider,
            own_gpu=is_own_gpu(provider),
            asked=len(own),
            refused=sum(_was_refused(job) for job in own),
            made=sum(_makes_the_shot(job) for job in own),
            rescued=dict(sorted(Counter(shot.strategy for shot, _ in rescued[provider]).items())),
            refused_elsewhere=sum(
                any(_was_refused(job) and job.provider != provider for job in history)
                for _, history in rescued[provider]
            ),
            usd=sum((job.billed_usd for job in own), Decimal(0)),
            rescued_usd=sum((job.billed_usd for _, history in rescued[provider] for job in history), Decimal(0)),
        )
        for provider in sorted({job.provider for job in sent})
        for own in ([job for job in sent if job.provider == provider],)
    ]


def _makes_the_shot(job: Job) -> bool:
    return job.kind is JobKind.VIDEO and job.state is JobState.ACCEPTED


def _was_refused(job: Job) -> bool:
    return job.failure_kind is FailureKind.MODERATION
