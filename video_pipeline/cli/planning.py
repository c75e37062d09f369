"""`plan`: a day's price before anything is bought."""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from video_pipeline import days
from video_pipeline.cli.arguments import Day, Prices, catalogue_at, parse_day
from video_pipeline.cli.console import console, escaped, pixels, print_unused_keys
from video_pipeline.services import Services, get_services

if TYPE_CHECKING:
    from collections.abc import Sequence

    from video_pipeline.briefs import BiblesFolder, InboxReading, Quarantined, TakenBrief
    from video_pipeline.routing import Catalogue, ClipPlan, DayPlan, RoutingState

_SHOWN = 5


def plan(
    day: Day = "today",
    prices: Prices = "",
    json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """What a day's briefs are expected to cost, before anything is bought. Needs no keys."""
    from video_pipeline.briefs import wait_until_settled
    from video_pipeline.feedback import routing_state
    from video_pipeline.generation import shots_not_to_buy
    from video_pipeline.routing import check_cap, price_day

    catalogue = catalogue_at(prices)
    services, when = get_services(), parse_day(day)
    wait_until_settled(services.inbox.folder, when, services.inbox.settle_s)
    bibles = services.inbox.bibles()
    reading, source, beside = _briefs(services, when, bibles)
    state = routing_state(services.ledger, services.policy.scoring)
    taken_in, held = _with_defaults(services, reading, when, bibles)
    clips = _clip_plans(services, catalogue, taken_in, when, state)
    # At other prices than those of the day's runs, the question is what the whole day would cost.
    bought = shots_not_to_buy(services.ledger, clips, services.policy, catalogue, state) if not prices else ()
    total = price_day(when, clips, max_attempts=services.policy.generation.max_attempts, bought=bought)
    left_alone = [breaker.sentence for breaker in services.ledger.breakers.not_closed()]
    if json:
        document = {
            "total": total.model_dump(mode="json"),
            "clips": [one.model_dump(mode="json") for one in clips],
            "left_alone": left_alone,
            "held": held,
            "not_read": beside,
        }
        console.print_json(data=document, ensure_ascii=True)
    else:
        _print_plan(clips, total, f"{catalogue.name}, {source}", reading.quarantined)
        for taken in taken_in:
            if taken.applied:
                console.print(escaped(f"{taken.brief_id}: {taken.applied.sentence}."), highlight=False)
        for sentence in (*(f"Held: {why}." for why in held.values()), *beside):
            console.print(escaped(sentence), highlight=False)
        for sentence in left_alone:
            console.print(f"{escaped(sentence)}. Other models serve meanwhile, where they are good enough.")
        print_unused_keys(services)
    check_cap(total, cap_usd=services.policy.budget.plan_cap_usd)


def _briefs(services: Services, day: date, bibles: "BiblesFolder") -> "tuple[InboxReading, str, list[str]]":
    """The day's briefs, or the packaged ones while the inbox has none, which of them, and what is not read."""
    from video_pipeline.briefs import days_not_taken_in, read_day, said_of

    inbox, today, ledger = services.inbox, days.today(), services.ledger
    claimed = ledger.intake.claimed_files()
    reading, beside, examples = read_day(
        ledger,
        inbox.folder,
        day,
        today,
        claimed=claimed,
        # A plan claims nothing: what no day has is looked at as if it were this day's.
        claim=lambda name, sha256: claimed.get((name, sha256), day),
        platforms=inbox.platforms,
        refusals=inbox.refusals,
        examples=inbox.examples,
        settle_s=inbox.settle_s,
        bibles=bibles,
    )
    past = days_not_taken_in(ledger, inbox.folder, today, besides=day, settle_s=inbox.settle_s)
    source = "the packaged examples (the inbox is empty)" if examples else "the inbox"
    said = said_of(beside, past=past)
    return reading, source, [f"{doubt}." for doubt in reading.doubts] + said


def _with_defaults(
    services: Services, reading: "InboxReading", day: date, bibles: "BiblesFolder"
) -> "tuple[list[TakenBrief], dict[str, str]]":
    """The briefs with the defaults and bibles that they would be given now; what was taken in keeps those of then.

    With them, why others cannot be made, by their ids.
    """
    from video_pipeline.briefs import (
        NO_BIBLES,
        TakenBrief,
        applied_guidance,
        bibles_in_force,
        clip_id_of,
        guide_in_force,
    )

    used = bibles_in_force(services.ledger, services.store, reading.briefs, bibles, day=day, today=days.today())
    guide = guide_in_force(services.ledger, holdout_share=services.policy.guidance.holdout_share)
    noted = applied_guidance(services.ledger, day)
    taken_in = [
        TakenBrief.of(
            brief,
            noted[clip_id] if (clip_id := clip_id_of(day, brief.brief_id)) in noted else guide(brief),
            used.of.get(brief.brief_id, NO_BIBLES),
        )
        for brief in reading.briefs
        if brief.brief_id not in used.held
    ]
    return taken_in, used.held


def _clip_plans(
    services: Services, catalogue: "Catalogue", taken_in: "Sequence[TakenBrief]", day: date, state: "RoutingState"
) -> "list[ClipPlan]":
    from video_pipeline.briefs import storyboard_of
    from video_pipeline.routing import plan_day

    policy = services.policy
    cap_s, draft_s = policy.generation.max_segment_s, policy.routing.levers.draft_seconds
    boards = [
        storyboard_of(taken.brief, day, cap_s=cap_s, draft_s=draft_s, defaults=taken.defaults, bibles=taken.bibles)
        for taken in taken_in
    ]
    return plan_day(
        services.ledger,
        boards,
        catalogue,
        policy.routing,
        state,
        max_attempts=policy.generation.max_attempts,
        exploration=policy.exploration,
        now=datetime.now(UTC),
        keep=False,
    )


def _print_plan(clips: "list[ClipPlan]", total: "DayPlan", basis: str, quarantined: "list[Quarantined]") -> None:
    table = Table(title=f"Plan for {days.named(total.day)}: {escaped(basis)}", title_justify="left")
    for name in ("brief", "tier", "model", "size", "sound"):
        table.add_column(name)
    for name in ("expected $", "p90 $"):
        table.add_column(name, justify="right")
    table.add_column("why")
    for one in clips:
        first = one.decisions[0]
        others = f"\nOthers: {first.instead}." if first.instead else ""
        # What is said of further segments alone: that they go on from the one before, or why not.
        segments = (other for other in one.decisions if one.storyboard.shots[other.shot].segment)
        why = dict.fromkeys(reason for decision in (first, *segments) for reason in decision.reasons)
        table.add_row(
            one.storyboard.brief.brief_id,
            first.tier,
            (one.held and "held") or escaped(first.serving or ""),
            pixels(first.size) if first.size else "",
            "yes" if first.audio else "",
            f"{one.expected_usd:.4f}",
            f"{one.p90_usd:.4f}",
            escaped(f"{'; '.join(why)}{others}"),
        )
    console.print(table)
    per_tier = ", ".join(f"{tier} ${usd:.4f}" for tier, usd in total.by_tier.items())
    console.print(f"Expected ${total.expected_usd:.4f}, 90 days in 100 under ${total.p90_usd:.4f} ({per_tier}).")
    console.print(f"Upscaling on our own GPU: ${total.upscaling_usd:.4f} of electricity.")
    if total.saves:
        each = ", ".join(f"{lever} ${usd:.4f}" for lever, usd in total.saves.items())
        console.print(f"What the levers are expected to save: {each}.")
    for one in clips:
        for decision in one.decisions:
            if decision.by_kind:
                name = f"{one.storyboard.brief.brief_id} #{decision.shot}"
                console.print(escaped(f"{name}: {decision.for_its_kind}."), highlight=False)
    if quarantined:
        are = "brief is" if len(quarantined) == 1 else "briefs are"
        console.print(f"{len(quarantined)} {are} malformed and would be quarantined.")
        for item in quarantined[:_SHOWN]:
            console.print(escaped(f"{item.source}: {'; '.join(item.reasons)}"), highlight=False)
