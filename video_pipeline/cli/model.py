"""`model`: what a person has to say about models: pin one to a tier, bench one, release one, and see them all."""

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from video_pipeline import days
from video_pipeline.cli.arguments import parse_day
from video_pipeline.cli.console import console, escaped
from video_pipeline.errors import ConfigurationError
from video_pipeline.services import Services, get_services

if TYPE_CHECKING:
    from video_pipeline.ledger import ByHand, HandAct
    from video_pipeline.routing import Model, RoutingState

model = typer.Typer(no_args_is_help=True, help="Pin a model to a tier, bench one, release one, or list them all.")

_Name = Annotated[str, typer.Argument(metavar="MODEL", help="The model, as the catalogue names it.")]
_FROM_NOW = "It holds from the next plan on."


@model.command()
def pin(
    name: _Name,
    tier: Annotated[str, typer.Option(help="The tier whose shots it is to serve, wherever it can.")],
    until: Annotated[str, typer.Option(help="The last production day of it; without one until it is released.")] = "",
) -> None:
    """Let a model serve a tier, whatever else is known; another one that is pinned there is released."""
    from video_pipeline.ledger import HandAct
    from video_pipeline.routing import Tier

    if tier not in [known.value for known in Tier]:
        raise ConfigurationError(f"There is no tier {tier}; there are {', '.join(known.value for known in Tier)}.")
    last = parse_day(until) if until else None
    if last is not None and last < days.today():
        raise ConfigurationError(f"{last} is over; a pin ends today or later.")
    how_long = last or f"`video-pipeline model release {name}`"
    done = f"{name} is pinned to the {tier} tier until {how_long}. {_FROM_NOW}"
    _set(name, HandAct.PIN, tier=tier, until=last, done=done, already=f"{name} was pinned so already.")


@model.command()
def bench(name: _Name) -> None:
    """Take a model out: it serves nothing until it is released, and proves itself on nothing."""
    from video_pipeline.ledger import HandAct

    done = f"{name} is benched until `video-pipeline model release {name}`. {_FROM_NOW}"
    _set(name, HandAct.BENCH, done=done, already=f"{name} was benched already.")


@model.command()
def release(name: _Name) -> None:
    """Lift what was set by hand; from then on the nights judge the model again."""
    from video_pipeline.ledger import HandAct

    done, already = f"{name} is released. {_FROM_NOW}", f"Nothing is set by hand for {name}."
    _set(name, HandAct.RELEASE, done=done, already=already)


@model.command("list")
def list_(
    json: Annotated[bool, typer.Option("--json", help="Print the models as JSON.")] = False,
) -> None:
    """Every model: where it stands, what is believed of it, and whether it is new."""
    from video_pipeline.feedback import routing_state

    services = get_services()
    today = days.today()
    state = routing_state(services.ledger, services.policy.scoring).on(today)
    by_hand = {one.model: one for one in services.ledger.governance.by_hand() if one.holds_on(today)}
    rows = [_row(services, one, state, by_hand.get(one.model)) for one in services.catalogue.models]
    if json:
        console.print_json(data=rows, ensure_ascii=True)
        return
    table = Table(title="Models", title_justify="left")
    for column in ("model", "tier", "stands", "accepted", "worth", "clips", "known", "by hand"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            escaped(f"{row['model']} {row['version']}"),
            row["tier"],
            row["stands"],
            f"{row['acceptance']:.0%}",
            f"{row['worth']:.2f} ± {row['worth_sd']:.2f}" if row["worth_sd"] is not None else "not known",
            str(row["clips"]),
            "yes" if row["known"] else f"new: {row['clips_a_day']} clips a day where a known one can serve",
            escaped(row["by_hand"] or "–"),
        )
    console.print(table)


def _row(services: Services, one: "Model", state: "RoutingState", by_hand: "ByHand | None") -> dict[str, Any]:
    rules, belief = services.policy.exploration, state.belief_in(one)
    clips = belief.clips if belief else 0
    standing = "benched" if one.model in state.benched else "demoted" if one.model in state.demoted else "active"
    return {
        "model": one.model,
        "version": one.version,
        "tier": one.tier.value,
        "stands": "promoted" if one.model in state.promoted else standing,
        "acceptance": state.estimate_of(one, "").acceptance,
        "worth": belief.worth if belief else 1.0,
        "worth_sd": belief.worth_sd if belief else None,
        "clips": clips,
        "known": clips >= rules.known_clips,
        "clips_a_day": rules.new_clips_a_day,
        "by_hand": _said(by_hand) if by_hand else None,
    }


def _said(one: "ByHand") -> str:
    tier = f" to {one.tier}" if one.tier else ""
    until = f" until {one.until}" if one.until else ""
    return f"{one.act}{tier}{until} since {one.day}"


def _set(name: str, act: "HandAct", *, done: str, already: str, tier: str = "", until: date | None = None) -> None:
    """Note what a person says of a model, and tell that it is `done`, or was so `already`."""
    from video_pipeline.ledger import ByHand

    services = get_services()
    found = services.catalogue.find(name)
    if found is None:
        known = ", ".join(one.model for one in services.catalogue.models)
        raise ConfigurationError(f"There is no model {name} in the catalogue; there are {known}.")
    changed = services.ledger.governance.set_by_hand(
        ByHand(name, act, days.today(), tier, until), model_version=found.version, own_tier=found.tier
    )
    console.print(escaped(done if changed else already))
