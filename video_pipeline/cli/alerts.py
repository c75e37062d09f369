"""`alerts`: what people were told, or are to be told, and what became of it."""

from typing import Annotated, Any

import typer
from rich.table import Table

from video_pipeline.cli.console import console, escaped
from video_pipeline.services import get_services


def alerts(limit: Annotated[int, typer.Option(min=1, help="How many of the last ones.")] = 50) -> None:
    """List the alerts, those that occurred last first, with how often they did and whom they reached."""
    heads = ("last (UTC)", "times", "severity", "title", "text", "delivery")
    table = Table(*heads, title="Alerts", title_justify="left")
    for row in get_services().ledger.alerts.latest(limit):
        table.add_row(
            f"{row['last_at']:%Y-%m-%d %H:%M}",
            f"{row['count']:,}",
            row["severity"],
            escaped(row["title"]),
            escaped(row["text"]),
            escaped(_delivery(row)),
        )
    console.print(table if table.row_count else "There was nothing to tell.")


def _delivery(row: dict[str, Any]) -> str:
    """What became of an alert, a clause a channel; why, where it was not sent."""
    clauses = [
        f"sent to {item['channel']}" if item["outcome"] == "sent" else item["detail"] for item in row["deliveries"]
    ]
    if row["next_try_at"] is not None and not clauses:
        clauses = ["is to be sent"]
    return "; ".join(clauses)
