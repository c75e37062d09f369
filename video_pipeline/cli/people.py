"""What only a person can do: `review`, `decide`, `resolve` and `thaw`."""

from datetime import UTC, datetime
from typing import Annotated

import httpx
import typer
from rich.table import Table

from video_pipeline.cli.console import console, escaped
from video_pipeline.errors import ConfigurationError
from video_pipeline.services import get_services


def review() -> None:
    """List the clips that wait for a person, and the paid calls that are in doubt."""
    from video_pipeline.ledger import JobState

    ledger = get_services().ledger
    table = Table("what", "stage", "reason", "since", title="Waiting for a person")
    for row in ledger.reviews.waiting():
        table.add_row(escaped(row.clip_id), row.stage, escaped(row.reason), f"{row.opened_at:%Y-%m-%d %H:%M}")
    for job in ledger.jobs.in_state(JobState.UNKNOWN):
        since = f"{job.submitted_at:%Y-%m-%d %H:%M}" if job.submitted_at else ""
        table.add_row(f"job {job.key[:16]}", "submit", escaped(f"{job.clip_id}: {job.failure_reason}"), since)
    console.print(table if table.row_count else "Nothing waits for a person.")


def decide(
    clip_id: Annotated[str, typer.Argument(help="The clip, as `review` lists it.")],
    approve: Annotated[bool, typer.Option("--approve/--reject", help="What the person says.")],
    by: Annotated[str, typer.Option(help="Who says it.")],
    reason_code: Annotated[str, typer.Option(help="Why; feeds the scores.")] = "",
) -> None:
    """Approve or reject a waiting clip; the next run of its day acts on it."""
    from video_pipeline.ledger import ReviewStage, ReviewState

    reviews = get_services().ledger.reviews
    waiting = [review for review in reviews.waiting() if review.clip_id == clip_id]
    if not waiting:
        raise ConfigurationError(f"Nothing waits for a person on {clip_id}; `video-pipeline review` lists what does.")
    if approve and any(review.stage == ReviewStage.GENERATION for review in waiting):
        raise ConfigurationError(
            f"{clip_id} has no picture to approve: {waiting[0].reason}. Change the brief's words or its B-roll and "
            "drop it again, or --reject it."
        )
    state = ReviewState.APPROVED if approve else ReviewState.REJECTED
    for review in waiting:
        reviews.decide(clip_id, review.stage, state, by=by, reason_code=reason_code)
    console.print(f"{escaped(clip_id)} is {state}. Materialise its day again to act on it.")


def resolve(
    job: Annotated[str, typer.Argument(help="The job's key, or its first characters.")],
    found: Annotated[str, typer.Option(help="The provider's request id, if the job is there.")] = "",
    not_found: Annotated[bool, typer.Option("--not-found", help="The provider never got it.")] = False,
) -> None:
    """Say what became of a paid call whose answer was lost; only a person can."""
    from video_pipeline.generation import find_unknown, resolve_unknown

    if bool(found) == not_found:
        raise ConfigurationError("Give either --found REQUEST_ID or --not-found.")
    services = get_services()
    unknown = find_unknown(services.ledger, job)
    provider = services.providers(httpx.AsyncClient())[unknown.provider]
    resolved = resolve_unknown(
        services.ledger, provider, unknown, request_id=found or None, policy=services.policy.generation
    )
    console.print(f"Job {resolved.key[:16]} is {resolved.state}. Materialise {resolved.day} again to go on.")


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
    today = datetime.now(UTC).date()
    evidence = {"reason": reason} | ({"who": by} if by else {})
    if changed := services.ledger.governance.set_tier(
        tier, TierState.OPEN, by=Actor.PERSON, day=today, evidence=evidence
    ):
        services.notifier.notify(opened_by_hand(tier, today, reason))
    console.print(f"The {tier} tier is open." if changed else f"The {tier} tier was open already.")
