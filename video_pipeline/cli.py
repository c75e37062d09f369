"""The command line: `video-pipeline …`. Every error a user can cause ends as one sentence and a non-zero exit."""

import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from video_pipeline.errors import ConfigurationError, VideoPipelineError
from video_pipeline.services import Services
from video_pipeline.settings import get_settings

app = typer.Typer(
    help="A self-hosted AI-video pipeline.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
# Into a file or a pipe there is no width to keep to.
console = Console(width=None if sys.stdout.isatty() else 180)
complaints = Console(stderr=True)

Day = Annotated[str, typer.Argument(help="Production day, YYYY-MM-DD; `today` for the current one (UTC).")]


def main() -> None:
    """Entry point: a known error is told in its own sentence, without a traceback."""
    try:
        app()
    except (VideoPipelineError, OSError, SQLAlchemyError, httpx.HTTPError) as error:
        # The outer world's own words come last, and without their technical tail.
        words = str(error).strip().splitlines() or [type(error).__name__]
        complaints.print(f"[red]{escape(words[0])}[/red]", highlight=False, soft_wrap=True)
        sys.exit(1)


@app.command()
def plan(
    day: Day = "today",
    prices: Annotated[
        str, typer.Option(help="`list` for the real providers' list prices, `sandbox` for the sandbox's models.")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """What a day's briefs are expected to cost, before anything is bought. Needs no keys."""
    from video_pipeline.briefs import claim_day_files, read_files, storyboard_of
    from video_pipeline.routing import check_cap, load_catalogue, plan_clip, price_day

    if prices not in ("", "list", "sandbox"):
        raise ConfigurationError(f"--prices takes `list` or `sandbox`, not {prices}.")
    services, when = Services(get_settings()), _day(day)
    catalogue = services.catalogue if not prices else load_catalogue(sandbox=prices == "sandbox")
    policy = services.policy
    max_attempts = 1 + policy.generation.max_ladder_attempts
    files = claim_day_files(
        services.settings.inbox,
        when,
        today=datetime.now(UTC).date(),
        claimed=services.ledger.intake.claimed_files(),
        # A plan claims nothing: what no day has is looked at as if it were this day's.
        claim=lambda name, sha256: services.ledger.intake.claimed_files().get((name, sha256), when),
    )
    reading = read_files(files or services.example_files)
    state = services.routing_state()
    plans = [
        plan_clip(
            storyboard_of(brief, when, cap_s=policy.generation.max_segment_s),
            catalogue,
            policy.routing,
            state,
            max_attempts=max_attempts,
        )
        for brief in reading.briefs
    ]
    total = price_day(when, plans, max_attempts=max_attempts)
    if json:
        document = {"total": total.model_dump(mode="json"), "clips": [one.model_dump(mode="json") for one in plans]}
        console.print_json(data=document)
    else:
        _print_plan(plans, total, catalogue.name, examples=not files, quarantined=len(reading.quarantined))
    check_cap(total, cap_usd=policy.budget.plan_cap_usd)


@app.command()
def demo(
    report: Annotated[Path, typer.Option(help="Where to write the report.")] = Path("demo-report.json"),
) -> None:
    """Run one production day through every stage on embedded parts, score it, and show what happened."""
    from video_pipeline.demo import run_demo, write_report

    services = Services(get_settings())
    result = run_demo(services, on_progress=_progress_printer())
    write_report(result, report)
    document = result.as_document()
    _print_demo(document, report)


@app.command("run-day")
def run_day(
    day: Day = "today",
    score: Annotated[bool, typer.Option(help="Run the nightly scoring afterwards.")] = False,
) -> None:
    """Run (or continue) a production day from the command line."""
    from video_pipeline.launcher import run_job

    for job in ("production_day", "nightly_scoring")[: 2 if score else 1]:
        run_job(job, _day(day), get_settings(), on_progress=_progress_printer())


@app.command()
def upscale(
    source: Annotated[Path, typer.Argument(help="Any video file.")],
    target: Annotated[Path, typer.Argument(help="Where to write it: .mp4, .mov or .mkv.")],
    size: Annotated[str, typer.Option(help="Target as WIDTHxHEIGHT; by default the short side becomes 1080.")] = "",
    model: Annotated[str, typer.Option(help="Network to use.")] = "realesr-animevideov3",
    weights: Annotated[Path | None, typer.Option(help="An official .pth instead of the packaged weights.")] = None,
    blend: Annotated[float, typer.Option(help="Share of the network in the picture, 0 to 1.")] = 1.0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Upscale one file with Real-ESRGAN, keeping its frames, timing, sound and colour."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from video_pipeline.upscaling import Engine, Progress, UpscaleSettings, describe_device, upscale_file

    try:
        settings = UpscaleSettings(model=model, blend=blend)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigurationError(f"--device takes auto, cpu or cuda, not {device}.")
    engine = Engine(model, device=device, weights_path=weights)
    console.print(describe_device(device))
    columns = (TextColumn("upscaling"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[fps]}"))
    with Bar(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("upscale", total=None, fps="")

        def show(progress: Progress) -> None:
            fps = f"{progress.fps:.2f} fps"
            bar.update(task, completed=progress.frames_done, total=progress.frames_total, fps=fps)

        report = upscale_file(source, target, settings=settings, size=_size(size), engine=engine, progress=show)
    console.print(
        f"{report.frames} frames, {_pixels(report.source_size)} to {_pixels(report.target_size)}, "
        f"in {report.wall_s:.1f} s ({report.fps:.2f} fps) on {report.device}; about ${report.electricity_usd} of "
        f"electricity. Written to {target}."
    )


@app.command()
def review() -> None:
    """List the clips that wait for a person, and the paid calls that are in doubt."""
    from video_pipeline.ledger import JobState

    ledger = Services(get_settings()).ledger
    table = Table("what", "stage", "reason", "since", title="Waiting for a person")
    for row in ledger.reviews.waiting():
        table.add_row(row.clip_id, row.stage, row.reason, f"{row.opened_at:%Y-%m-%d %H:%M}")
    for job in ledger.jobs.in_state(JobState.UNKNOWN):
        since = f"{job.submitted_at:%Y-%m-%d %H:%M}" if job.submitted_at else ""
        table.add_row(f"job {job.key[:16]}", "submit", f"{job.clip_id}: {job.failure_reason}", since)
    console.print(table if table.row_count else "Nothing waits for a person.")


@app.command()
def decide(
    clip_id: Annotated[str, typer.Argument(help="The clip, as `review` lists it.")],
    approve: Annotated[bool, typer.Option("--approve/--reject", help="What the person says.")],
    by: Annotated[str, typer.Option(help="Who says it.")],
    reason_code: Annotated[str, typer.Option(help="Why; feeds the scores.")] = "",
) -> None:
    """Approve or reject a waiting clip; the next run of its day acts on it."""
    from video_pipeline.ledger import ReviewState

    reviews = Services(get_settings()).ledger.reviews
    waiting = [review for review in reviews.waiting() if review.clip_id == clip_id]
    if not waiting:
        raise ConfigurationError(f"Nothing waits for a person on {clip_id}; `video-pipeline review` lists what does.")
    if approve and any(review.stage == "generation" for review in waiting):
        raise ConfigurationError(
            f"{clip_id} has no picture to approve: {waiting[0].reason}. Change the brief's words or its B-roll and "
            "drop it again, or --reject it."
        )
    state = ReviewState.APPROVED if approve else ReviewState.REJECTED
    for review in waiting:
        reviews.decide(clip_id, review.stage, state, by=by, reason_code=reason_code)
    console.print(f"{clip_id} is {state}. Materialise its day again to act on it.")


@app.command()
def resolve(
    job: Annotated[str, typer.Argument(help="The job's key, or its first characters.")],
    found: Annotated[str, typer.Option(help="The provider's request id, if the job is there.")] = "",
    not_found: Annotated[bool, typer.Option("--not-found", help="The provider never got it.")] = False,
) -> None:
    """Say what became of a paid call whose answer was lost; only a person can."""
    from video_pipeline.generation import find_unknown, resolve_unknown

    if bool(found) == not_found:
        raise ConfigurationError("Give either --found REQUEST_ID or --not-found.")
    services = Services(get_settings())
    unknown = find_unknown(services.ledger, job)
    provider = services.providers(httpx.AsyncClient())[unknown.provider]
    resolved = resolve_unknown(services.ledger, provider, unknown, request_id=found or None)
    console.print(f"Job {resolved.key[:16]} is {resolved.state}. Materialise {resolved.day} again to go on.")


@app.command()
def thaw(
    tier: Annotated[str, typer.Argument(help="The frozen tier.")] = "preview",
    by: Annotated[str, typer.Option(help="Why, for the record.")] = "by hand",
) -> None:
    """Open a frozen tier by hand; the count of dear days starts anew."""
    from video_pipeline.alerts import Alert
    from video_pipeline.ledger import TierState
    from video_pipeline.routing import Tier

    if tier not in [known.value for known in Tier]:
        raise ConfigurationError(f"There is no tier {tier}; there are {', '.join(known.value for known in Tier)}.")
    services = Services(get_settings())
    today = datetime.now(UTC).date()
    changed = services.ledger.governance.set_tier(
        tier, TierState.OPEN, by="person", day=today, evidence={"reason": by}
    )
    if changed:
        text = f"{today}: opened by hand ({by}); the count of dear days starts anew."
        services.notifier.notify(Alert(f"transition {tier} open by hand {today}", f"The {tier} tier is open", text))
    console.print(f"The {tier} tier is open." if changed else f"The {tier} tier was open already.")


def _print_plan(plans: list, total, catalogue: str, *, examples: bool, quarantined: int) -> None:
    source = "the packaged examples (the inbox is empty)" if examples else "the inbox"
    table = Table(title=f"Plan for {total.day}: {catalogue}, {source}", title_justify="left")
    for name in ("brief", "tier", "model", "size", "sound"):
        table.add_column(name)
    for name in ("expected $", "p90 $"):
        table.add_column(name, justify="right")
    table.add_column("why")
    for one in plans:
        first = one.decisions[0]
        table.add_row(
            one.storyboard.brief.brief_id,
            first.tier,
            (one.held and "held") or first.model or "",
            _pixels(first.size) if first.size else "",
            "yes" if first.audio else "",
            f"{one.expected_usd:.4f}",
            f"{one.p90_usd:.4f}",
            "; ".join(first.reasons),
        )
    console.print(table)
    per_tier = ", ".join(f"{tier} ${usd:.4f}" for tier, usd in total.by_tier.items())
    console.print(f"Expected ${total.expected_usd:.4f}, 90 days in 100 under ${total.p90_usd:.4f} ({per_tier}).")
    if quarantined:
        console.print(f"{quarantined} briefs are malformed and would be quarantined.")


def _progress_printer() -> Callable:
    from video_pipeline.launcher import Progress

    def show(progress: Progress) -> None:
        stamp = datetime.now(UTC).strftime("%H:%M:%S")
        if progress.seconds is not None:
            console.print(f"[dim]{stamp}[/dim] [green]✓[/green] {progress.step} [dim]{progress.seconds:.1f} s[/dim]")
        elif progress.message == "started":
            console.print(f"[dim]{stamp}[/dim] [bold]{progress.step}[/bold]")
        else:
            console.print(f"[dim]{stamp}[/dim]   {escape(progress.message)}", highlight=False)

    return show


def _print_demo(document: dict, report: Path) -> None:
    table = Table(title=f"Production day {document['day']}", title_justify="left")
    for name in ("brief", "tier", "model", "attempts", "strategy", "cost $", "final size", "status", "published"):
        numeric = name in ("attempts", "cost $")
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for brief in document["briefs"]:
        dry = ", ".join(f"{platform}: not connected" for platform in brief["not_connected"])
        table.add_row(
            brief["brief"],
            brief["tier"] or "–",
            brief["model"] or "–",
            str(brief["attempts"]),
            brief["strategy"] or "–",
            f"{float(brief['cost_usd']):.4f}",
            brief["final_size"] or "–",
            brief["status"],
            " ".join(part for part in (brief["published_url"], dry) if part) or "–",
        )
    console.print(table)
    for brief in document["briefs"]:
        if brief["reason"]:
            console.print(f"{brief['brief']}: {brief['reason']}", highlight=False)
    jobs, usd, published = document["billed_jobs"], document["billed_usd"], document["published"]
    console.print(
        f"Billed today: {jobs['ledger']} jobs, ${usd['ledger']} (the sandbox's own books: {jobs['sandbox']}, "
        f"${usd['sandbox']}). Published: {published['ledger']} ({published['sandbox']}). "
        f"Twice: {document['double_billed']} billed, {document['double_published']} published.",
        highlight=False,
    )
    console.print(
        f"Cost a clip ${document['cost_per_clip_usd']}, a usable clip ${document['cost_per_usable_clip_usd']}.",
        highlight=False,
    )
    if document["new_billed_jobs"] == 0 and document["new_published"] == 0:
        console.print("[green]This run paid for nothing and published nothing new: all of it had been done.[/green]")
    else:
        console.print(f"This run: {document['new_billed_jobs']} jobs bought, {document['new_published']} published.")
    console.print(
        "The sandbox renders small, short clips (108x192 and 180x320 at 12 frames a second), so that a CPU can "
        "upscale every one of them; prices are the sandbox's own.",
        style="dim",
    )
    console.print(f"Next: open {document['report']}, or `make dev` for Dagster. Figures: {report}", highlight=False)


def _day(text: str) -> date:
    if text == "today":
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"{text} is not a day; write it as YYYY-MM-DD.") from error


def _pixels(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _size(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise ConfigurationError(f"--size is WIDTHxHEIGHT in pixels, such as 1920x1080, not {text}.")
    return int(width), int(height)


if __name__ == "__main__":
    main()
