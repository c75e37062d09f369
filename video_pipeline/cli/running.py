"""`demo`, `run-day` and `dev`: a production day from the command line, told while it runs, or in Dagster's UI."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from video_pipeline import days
from video_pipeline.cli.arguments import Day, parse_day
from video_pipeline.cli.console import console, escaped, print_unused_keys
from video_pipeline.services import get_services

if TYPE_CHECKING:
    from video_pipeline.launcher import StageProgress
    from video_pipeline.services import Services


def demo(
    report: Annotated[Path, typer.Option(help="Where to write the report.")] = Path("demo-report.json"),
) -> None:
    """Run one production day through every stage on embedded parts, score it, and show what happened."""
    from video_pipeline.demo import run_demo, write_report

    services = get_services()
    print_unused_keys(services)
    result = run_demo(services, on_progress=_print_progress)
    write_report(result, report)
    document = result.as_document()
    _print_demo(document, report)


def run_day(
    day: Day = "today",
    all_days: Annotated[
        bool,
        typer.Option("--all", help="Every day that can go on now, and all missed nights and weeks, instead."),
    ] = False,
    score: Annotated[bool, typer.Option(help="Run the nightly scoring afterwards.")] = False,
) -> None:
    """Run (or continue) a production day from the command line."""
    from video_pipeline.launcher import run_job

    services = get_services()
    print_unused_keys(services)
    if all_days:
        _run_all(services, score=score)
        return
    # Once: today is another day after midnight.
    when = parse_day(day)
    for job in ("production_day", "nightly_scoring") if score else ("production_day",):
        run_job(job, when, services.settings, on_progress=_print_progress)
    _print_not_read(services, when)


def _print_not_read(services: "Services", day: date) -> None:
    """Whoever has run a day hears what of the inbox was not read for it."""
    from video_pipeline.briefs import days_not_taken_in, said_of, unread

    inbox, today = services.inbox, days.today()
    past = days_not_taken_in(services.ledger, inbox.folder, today, besides=day, settle_s=inbox.settle_s)
    beside = unread(inbox.folder, today, only=day, settle_s=inbox.settle_s)
    for sentence in said_of(beside, past=past):
        console.print(escaped(sentence), highlight=False)


def _run_all(services: "Services", *, score: bool) -> None:
    """Run each day that can go on, then score each that was missed; one that fails keeps no other from its run."""
    from video_pipeline.launcher import RunFailed, days_that_can_go_on, run_job

    found = days_that_can_go_on(services)
    for day in found.under_way:
        console.print(f"{day} has a run that is queued or under way.")
    # Nights in their order: standings build on the day before.
    nights = list(found.nights)
    if score:
        # A week comes last, as it is learned from its nights.
        nights = sorted({*nights, *(("nightly_scoring", day) for day in found.days)})
    if not found.days and not nights:
        console.print("Nothing else can go on now." if found.under_way else "Nothing can go on now.")
        console.print("`video-pipeline waiting` lists what waits, and why.")
        return
    if found.days:
        console.print(f"These days can go on now: {', '.join(map(str, found.days))}.", highlight=False)
    for job, said in (("nightly_scoring", "days were never scored"), ("weekly_learning", "weeks never learned from")):
        if missed := [str(day) for name, day in found.nights if name == job]:
            console.print(f"These {said}: {', '.join(missed)}.", highlight=False)
    failed: list[date] = []
    for job, day in [("production_day", day) for day in found.days] + nights:
        # A day that failed is not scored; a week is named by its first day, which is another thing.
        if day in failed and job != "weekly_learning":
            continue
        console.print(f"[bold]{day}[/bold] {job}", highlight=False)
        try:
            run_job(job, day, services.settings, on_progress=_print_progress)
        except RunFailed as error:
            console.print(f"[red]{escaped(str(error))}[/red]", highlight=False, soft_wrap=True)
            failed.append(day)
    if failed:
        days = ", ".join(map(str, failed))
        raise RunFailed(f"The run of {days} failed, as told above; the other days came to their end.")


def dev(port: Annotated[int, typer.Option(help="Port of this machine that the UI answers on.")] = 3000) -> None:
    """Dagster's UI, with its daemon, until Ctrl-C."""
    from video_pipeline.launcher import serve

    serve(get_services().settings, port=port)


def _print_progress(progress: "StageProgress") -> None:
    stamp = datetime.now(UTC).strftime("%H:%M:%S")
    if progress.seconds is not None:
        console.print(f"[dim]{stamp}[/dim] [green]✓[/green] {progress.step} [dim]{progress.seconds:.1f} s[/dim]")
    elif progress.message == "started":
        console.print(f"[dim]{stamp}[/dim] [bold]{progress.step}[/bold]")
    else:
        console.print(f"[dim]{stamp}[/dim]   {escaped(progress.message)}", highlight=False)


def _print_demo(document: dict[str, Any], report: Path) -> None:
    """What a demo came to, from its report's document."""
    console.print(_clips_table(document))
    for brief in document["briefs"]:
        if brief["reason"]:
            console.print(escaped(f"{brief['brief']}: {brief['reason']}"), highlight=False)
    console.print(_providers_table(document))
    _print_money(document)
    console.print(
        "The sandbox renders small, short clips (108x192 and 180x320 at 12 frames a second), so that a CPU can "
        "upscale every one of them; prices are the sandbox's own.",
        style="dim",
    )
    places = f"Next: open {document['report']}, or `make dev` for Dagster. Figures: {report}"
    console.print(escaped(places), highlight=False)


def _clips_table(document: dict[str, Any]) -> Table:
    table = Table(title=f"Production day {document['day']}", title_justify="left")
    for name in ("brief", "tier", "model", "attempts", "strategy", "cost $", "final size", "status", "published"):
        numeric = name in ("attempts", "cost $")
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for brief in document["briefs"]:
        dry = ", ".join(f"{platform}: not connected" for platform in brief["not_connected"])
        table.add_row(
            escaped(brief["brief"]),
            brief["tier"] or "–",
            escaped(brief["model"] or "–"),
            str(brief["attempts"]),
            brief["strategy"] or "–",
            f"{float(brief['cost_usd']):.4f}",
            brief["final_size"] or "–",
            brief["status"],
            escaped(" ".join(part for part in (brief["published_url"], dry) if part) or "–"),
        )
    return table


def _providers_table(document: dict[str, Any]) -> Table:
    """Who made the shots, and which of them had been refused before."""
    table = Table(title="Providers, and what they rescued", title_justify="left")
    for name in ("provider", "jobs", "refused", "shots made", "rescued", "refused elsewhere", "cost $"):
        table.add_column(name, justify="left" if name in ("provider", "rescued") else "right", overflow="fold")
    for one in document["providers"]:
        rescued = ", ".join(f"{shots} by {how.replace('_', ' ')}" for how, shots in one["rescued"].items())
        table.add_row(
            f"{one['provider']} (own GPU)" if one["own_gpu"] else one["provider"],
            str(one["jobs"]),
            str(one["refused"]),
            str(one["shots_made"]),
            rescued or "–",
            str(one["refused_elsewhere"]),
            f"{float(one['cost_usd']):.{6 if one['own_gpu'] else 4}f}",
        )
    return table


def _print_money(document: dict[str, Any]) -> None:
    """What was paid, beside what the sandbox's own books say."""
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
    seconds = document["median_seconds"]
    if "to published" in seconds:
        console.print(
            f"A brief's first preview after {seconds['to preview']:.1f} s, its clip public after "
            f"{seconds['to published']:.1f} s, without the provider's time after "
            f"{seconds['to published, provider apart']:.1f} s (medians).",
            highlight=False,
        )
    if document["new_billed_jobs"] == 0 and document["new_published"] == 0:
        console.print("[green]This run paid for nothing and published nothing new: all of it had been done.[/green]")
    else:
        console.print(f"This run: {document['new_billed_jobs']} jobs bought, {document['new_published']} published.")
