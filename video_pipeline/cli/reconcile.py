"""`reconcile`: what vendors have billed, request by request, beside what the ledger has booked."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from video_pipeline import days
from video_pipeline.cli.arguments import parse_day
from video_pipeline.cli.console import console, escaped
from video_pipeline.errors import ConfigurationError
from video_pipeline.services import get_services

if TYPE_CHECKING:
    from video_pipeline.feedback import DayBill

_SHOWN = 50


def reconcile(
    day: Annotated[
        str, typer.Option(help="Only what was bought on this day, YYYY-MM-DD; else today and the days before.")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Ask vendors what they have billed, and book it. Exits with 1 where that is otherwise than was booked."""
    from video_pipeline.feedback import days_to_compare
    from video_pipeline.feedback import reconcile as compared

    services = get_services()
    rules, asked = services.policy.reconcile, [parse_day(day)] if day else []
    if asked and asked[0] > days.today():
        raise ConfigurationError(
            f"--day {day} is to come, and nothing was bought on it yet: give today or a day before."
        )
    asked = asked or days_to_compare(days.today(), rules)
    bills = compared(services.ledger, services.enquiries, rules, asked)
    if json:
        document = {
            "first": asked[0].isoformat(),
            "last": asked[-1].isoformat(),
            "days": [bill.model_dump(mode="json") | {"off_usd": str(bill.off_usd)} for bill in bills],
        }
        console.print_json(data=document, ensure_ascii=True)
    else:
        _print(bills, asked, rules.again_days)
    if any(bill.off_usd for bill in bills):
        raise typer.Exit(1)


def _print(bills: "Sequence[DayBill]", asked: Sequence[date], again_days: int) -> None:
    span = f"on {days.named(asked[0])}" if len(asked) == 1 else f"from {asked[0]} to {days.named(asked[-1])}"
    if not bills:
        console.print(f"Nothing was bought from a provider {span}.", highlight=False)
        return
    told = [bill for bill in bills if not bill.why_not]
    if told:
        console.print(_days(told))
        _print_differences(told, again_days)
    for why in dict.fromkeys(bill.why_not for bill in bills if bill.why_not):
        untold = [bill for bill in bills if bill.why_not == why]
        requests = sum(bill.requests for bill in untold)
        console.print(
            f"Nothing could be compared for {requests} requests at {untold[0].provider}, which stay at list prices: "
            f"{escaped(why)}.",
            highlight=False,
            style="yellow",
        )


def _days(bills: "Sequence[DayBill]") -> Table:
    table = Table(title="What was billed", title_justify="left")
    for name in ("bought on", "provider"):
        table.add_column(name)
    for name in ("requests", "as booked", "booked $", "billed $", "otherwise $"):
        table.add_column(name, justify="right")
    for bill in bills:
        table.add_row(
            str(bill.day),
            bill.provider,
            str(bill.requests),
            str(bill.equal),
            f"{bill.booked_usd:.4f}",
            f"{bill.billed_usd:.4f}",
            f"{bill.off_usd:.4f}",
        )
    return table


def _print_differences(bills: "Sequence[DayBill]", again_days: int) -> None:
    """Every request that is not as booked, the largest differences first."""
    found = [(bill.day, one) for bill in bills for one in bill.differences]
    if not found:
        console.print("Every bill is as booked.")
        return
    found.sort(key=lambda pair: (-abs(pair[1].off_usd), pair[1].request_id))
    table = Table(title="Not as booked", title_justify="left")
    for name in ("bought on", "request", "clip", "model"):
        table.add_column(name, overflow="fold")
    for name in ("booked $", "billed $", "more $", "more %"):
        table.add_column(name, justify="right")
    table.add_column("what")
    for bought_on, one in found[:_SHOWN]:
        share = f"{one.off_usd / one.booked_usd:+.0%}" if one.booked_usd else ""
        table.add_row(
            str(bought_on),
            escaped(one.request_id),
            escaped(one.clip_id),
            escaped(one.model or one.what),
            f"{one.booked_usd:.4f}",
            f"{one.billed_usd:.4f}",
            f"{one.off_usd:+.4f}",
            share,
            escaped(f"{one.match}, bought with {one.buyer}" if one.buyer and not one.job_key else one.match),
        )
    console.print(table)
    if len(found) > _SHOWN:
        console.print(f"And {len(found) - _SHOWN} more, see --json.", highlight=False)
    console.print(
        "What was billed otherwise is booked as billed now. What is not billed yet stays at its list price, and is "
        f"asked for on {again_days} more nights.",
        highlight=False,
    )
    in_doubt = max(bill.in_doubt for bill in bills)
    if in_doubt:
        console.print(
            f"{in_doubt} jobs are in doubt, and one of them may be what no job knows: see `video-pipeline review`.",
            highlight=False,
        )
