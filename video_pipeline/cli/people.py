"""What only a person can do: `review`, `decide`, `resolve` and `thaw`.

`review` lists everything that waits for a person, each with the command that answers it. Words of others are shown
as they are, never as markup.
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import httpx
import typer
from rich.text import Text

from video_pipeline import days
from video_pipeline.cli.console import console
from video_pipeline.errors import ConfigurationError, LedgerError
from video_pipeline.services import get_services
from video_pipeline.wire import clean

if TYPE_CHECKING:
    from video_pipeline.ledger import Job, Ledger, Publication, Review

# A file that was paid for is there within minutes, as long as anybody works on it.
_FILE_IS_LATE = timedelta(hours=1)


@dataclass(frozen=True)
class _Question:
    """Something that waits: whose (a clip, or a publication's key), what about, since when, why, and the command."""

    subject: str
    what: str
    stage: str
    since: datetime | None
    reason: str
    command: str


def review() -> None:
    """List all that waits for a person: clips to decide on, paid calls and publications in doubt."""
    questions = list(_questions(get_services().ledger))
    if not questions:
        console.print("Nothing waits for a person.")
        return
    console.print("Waiting for a person:")
    for question in questions:
        since = f" since {question.since:%Y-%m-%d %H:%M}" if question.since else ""
        lines = (f"{question.what}: {question.stage}{since}", f"  {question.reason}", f"  {question.command}")
        # A command that was broken into lines could not be copied.
        console.print(Text("\n".join(clean(line.replace("\n", " "), 500) for line in lines)), soft_wrap=True)


def _questions(ledger: "Ledger") -> Iterator[_Question]:
    from video_pipeline.ledger import PublicationState
    from video_pipeline.publishing import answer_with

    doubtful = ledger.jobs.doubts(late_since=datetime.now(UTC) - _FILE_IS_LATE)
    for row in ledger.reviews.waiting():
        mine = [job for job in doubtful if job.clip_id == row.clip_id]
        yield _Question(row.clip_id, row.clip_id, row.stage, row.opened_at, row.reason, _answer_to(row, mine))
    for job in doubtful:
        stage, reason = _standing(job)
        what, about = f"job {job.key[:16]}", f"{job.clip_id}: {reason}"
        yield _Question(job.clip_id, what, stage, job.submitted_at, about, _answer_on(job))
    for publication in ledger.publications.in_state(PublicationState.UNKNOWN):
        reason = f"{publication.clip_id} on {publication.platform}: {publication.reason}"
        since = ledger.publications.moved_at(publication.key)
        what = f"publication {publication.key[:16]}"
        yield _Question(publication.key, what, "publishing", since, reason, answer_with(publication))


def answers(ledger: "Ledger") -> dict[str, str]:
    """Clip, or key of a publication, that a person is asked about -> the command that answers it."""
    found: dict[str, str] = {}
    for question in _questions(ledger):
        # A clip's review comes before its jobs.
        found.setdefault(question.subject, question.command)
    return found


def _answer_to(row: "Review", doubtful: "list[Job]") -> str:
    """The command for a clip; one that waits for a job in doubt goes on when that is settled."""
    from video_pipeline.ledger import ReviewStage

    if row.stage == ReviewStage.GENERATION:
        if doubtful:
            return _answer_on(doubtful[0])
        return f"video-pipeline decide {shlex.quote(row.clip_id)} --reject --by NAME"
    return f"video-pipeline decide {shlex.quote(row.clip_id)} --approve --by NAME (or --reject)"


def _standing(job: "Job") -> tuple[str, str]:
    """At which stage a job in doubt stands, and what is known of it."""
    from video_pipeline.ledger import JobState

    match job.state:
        case JobState.UNKNOWN:
            return "submit", job.failure_reason or ""
        case JobState.SUBMITTING:
            return "submit", f"{job.provider} has not answered yet; `video-pipeline run-day {job.day}` asks again"
        case JobState.RENDERED:
            again = f"`video-pipeline run-day {job.day}` asks again"
            return "download", f"it is paid for, and its file has not come from {job.provider}; {again}"
        case _:
            return "render", f"{job.provider} has not ended it yet, as {job.provider_job_id}"


def _answer_on(job: "Job") -> str:
    from video_pipeline.ledger import JobState

    answers = {
        JobState.UNKNOWN: "--found REQUEST_ID (or --not-found, or --lost)",
        JobState.RENDERED: "--lost",
    }
    return f"video-pipeline resolve {job.key[:16]} {answers.get(job.state, '--not-found (or --lost)')}"


def decide(
    clip_id: Annotated[str, typer.Argument(help="The clip, as `review` lists it.")],
    approve: Annotated[bool, typer.Option("--approve/--reject", help="What the person says.")],
    by: Annotated[str, typer.Option(help="Who says it.")],
    reason_code: Annotated[str, typer.Option(help="Why; feeds the scores.")] = "",
) -> None:
    """Approve or reject a waiting clip; the night watch, or the next run of its day, acts on it."""
    from video_pipeline.ledger import ReviewStage, ReviewState

    ledger = get_services().ledger
    waiting = [review for review in ledger.reviews.waiting() if review.clip_id == clip_id]
    commands = _doubts_about(ledger, clip_id)
    if not waiting and commands:
        raise ConfigurationError(f"{clean(clip_id, 200)} is in doubt, which is answered with `{commands[0]}`.")
    if not waiting:
        raise ConfigurationError(
            f"Nothing waits for a person on {clean(clip_id, 200)}; `video-pipeline review` lists what does."
        )
    if approve and any(review.stage == ReviewStage.GENERATION for review in waiting):
        instead = (
            f"Answer with `{commands[0]}`" if commands else "Change the brief's words or its B-roll and drop it again"
        )
        raise ConfigurationError(
            f"{clip_id} has no picture to approve: {clean(waiting[0].reason, 500)}. {instead}, or --reject it."
        )
    state = ReviewState.APPROVED if approve else ReviewState.REJECTED
    for review in waiting:
        ledger.reviews.decide(clip_id, review.stage, state, by=by, reason_code=reason_code)
    console.print(Text(f"{clip_id} is {state}. {_goes_on(clip_id.partition('/')[0])}"), soft_wrap=True)


def _doubts_about(ledger: "Ledger", named: str) -> list[str]:
    """The commands that settle what is in doubt about a clip, or of the job or publication with that key."""
    from video_pipeline.ledger import PublicationState
    from video_pipeline.publishing import answer_with

    key = named.removeprefix("job ").removeprefix("publication ")

    def is_meant(clip_id: str, of: str) -> bool:
        return clip_id == named or (bool(key) and of.startswith(key))

    jobs = ledger.jobs.doubts(late_since=datetime.now(UTC) - _FILE_IS_LATE)
    publications = ledger.publications.in_state(PublicationState.UNKNOWN)
    return [
        *(_answer_on(job) for job in jobs if is_meant(job.clip_id, job.key)),
        *(answer_with(publication) for publication in publications if is_meant(publication.clip_id, publication.key)),
    ]


def resolve(
    key: Annotated[str, typer.Argument(help="The key of the job or publication, or its first characters.")],
    found: Annotated[
        str, typer.Option(help="The provider's request id, or the platform's video id or address, if it is there.")
    ] = "",
    not_found: Annotated[bool, typer.Option("--not-found", help="It is not there, and never was.")] = False,
    lost: Annotated[bool, typer.Option("--lost", help="It was paid for, and its file will never be had.")] = False,
) -> None:
    """Say what became of a paid call or of a publication whose answer was lost; only a person can."""
    from video_pipeline.generation import find_unknown, resolve_unknown
    from video_pipeline.publishing import resolve_publication

    if [bool(found), not_found, lost].count(True) != 1:
        raise ConfigurationError("Give one of --found REQUEST_ID, --not-found and --lost.")
    services = get_services()
    publication = _publication_named(services.ledger, key)
    if publication is not None:
        if lost:
            raise ConfigurationError("A publication is there or not: answer with --found VIDEO_ID or --not-found.")
        platform = services.platforms.get(publication.platform)
        if platform is None:
            raise ConfigurationError(f"There is no platform {publication.platform} any more that could be asked.")
        resolved = resolve_publication(services.ledger, platform, publication, found=found or None)
        said = f"Publication {resolved.key[:16]} is {resolved.state}{f' at {resolved.url}' if resolved.url else ''}."
        console.print(Text(f"{said} {_goes_on(resolved.day)}"), soft_wrap=True)
        return
    unknown = find_unknown(services.ledger, key)
    provider = services.providers(httpx.AsyncClient())[unknown.provider]
    job = resolve_unknown(
        services.ledger,
        provider,
        unknown,
        request_id=found or None,
        lost=lost,
        policy=services.policy.generation,
    )
    console.print(Text(f"Job {job.key[:16]} is {job.state}. {_goes_on(job.day)}"), soft_wrap=True)


def _goes_on(day: object) -> str:
    """What acts on an answer: the night watch at once, and a command where no sensor is on."""
    return f"The night watch goes on with it at once; without sensors, `video-pipeline run-day {day}` does."


def _publication_named(ledger: "Ledger", key: str) -> "Publication | None":
    """The publication that is meant, or None where it is a job. Raises LedgerError when it may be another one too."""
    if not key:
        raise ConfigurationError("Give the key of what is in doubt, as `video-pipeline review` lists it.")
    found = ledger.publications.named(key)
    jobs = [job for job in ledger.jobs.doubts(late_since=datetime.now(UTC)) if job.key.startswith(key)]
    if found and len(found) + len(jobs) > 1:
        raise LedgerError(f"{len(found) + len(jobs)} keys start with {clean(key, 64)}; give more of it.")
    return found[0] if found else None


def thaw(
    tier: Annotated[str, typer.Argument(help="The frozen tier.")] = "preview",
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "by hand",
    by: Annotated[str, typer.Option(help="Who says it, for the record.")] = "",
) -> None:
    """Open a frozen tier by hand; the count of dear days starts anew."""
    from video_pipeline.cli.messages import opened_by_hand
    from video_pipeline.ledger import Actor, TierState
    from video_pipeline.routing import Tier

    if tier not in [known.value for known in Tier]:
        raise ConfigurationError(f"There is no tier {tier}; there are {', '.join(known.value for known in Tier)}.")
    services = get_services()
    today = days.today()
    evidence = {"reason": reason} | ({"who": by} if by else {})
    if changed := services.ledger.governance.set_tier(
        tier, TierState.OPEN, by=Actor.PERSON, day=today, evidence=evidence
    ):
        services.notifier.notify(opened_by_hand(tier, today, reason))
    console.print(f"The {tier} tier is open." if changed else f"The {tier} tier was open already.")
    console.print(
        "The night watch goes on with clips that have waited. Without sensors, `video-pipeline run-day --all` does."
    )
