"""`plan`: a day's price before anything is bought."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from video_pipeline.cli.arguments import Day, parse_day
from video_pipeline.cli.console import console, pixels
from video_pipeline.errors import ConfigurationError
from video_pipeline.services import Services
from video_pipeline.settings import get_settings


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
    services, when = Services(get_settings()), parse_day(day)
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
            pixels(first.size) if first.size else "",
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
