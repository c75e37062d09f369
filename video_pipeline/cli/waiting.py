"""`waiting`: everything that waits, why, since when, until when, and what wakes it."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from video_pipeline.cli.console import console, escaped
from video_pipeline.cli.people import answers
from video_pipeline.services import get_services

if TYPE_CHECKING:
    from video_pipeline.ledger import Ledger, Wait

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400


def waiting(
    json: Annotated[bool, typer.Option("--json", help="Print what waits as JSON.")] = False,
) -> None:
    """List all that waits: for a ceiling, a freeze, a provider, a quota, a person, or only for a run."""
    from video_pipeline.launcher import nights_that_wait
    from video_pipeline.waiting import look

    services = get_services()
    outlook = look(services.ledger, services.policy, services.inbox.folder)
    nights = nights_that_wait(services)
    unscored = {night for night in nights if night.taken_up_at is None}
    rows = _rows(services.ledger, [*outlook.can, *outlook.cannot, *nights], {*outlook.can, *unscored})
    left_alone = [breaker.sentence for breaker in services.ledger.breakers.not_closed()]
    if json:
        document = {"at": outlook.at.isoformat(), "waiting": rows, "left_alone": left_alone}
        console.print_json(data=document, ensure_ascii=True)
        return
    for sentence in left_alone:
        console.print(f"Left alone: {escaped(sentence)}.", highlight=False)
    if not rows:
        console.print("Nothing waits.")
        return
    console.print(_table(rows, outlook.at))
    counts = Counter(row["cause"] for row in rows)
    said = ", ".join(f"{count} {cause}" for cause, count in counts.most_common())
    # A day, its night and the week that begins with it are three runs.
    runs = len(set(outlook.days())) + len(unscored)
    goes = (
        f"`video-pipeline run-day --all` makes {runs} {'run' if runs == 1 else 'runs'} that can go on now"
        if runs
        else "nothing can go on now"
    )
    console.print(f"{len(rows)} wait ({said}); {goes}.", highlight=False)


def _rows(ledger: "Ledger", waits: "list[Wait]", can: "set[Wait]") -> list[dict[str, Any]]:
    """A JSON object a thing that waits, oldest day first."""
    from video_pipeline.ledger import What
    from video_pipeline.waiting import waker

    publications = ledger.publications.with_keys([wait.subject for wait in waits if wait.what is What.PUBLICATION])
    named = {one.key: f"{one.clip_id} on {one.platform}" for one in publications}
    command = answers(ledger)
    return [
        {
            "what": wait.what.value,
            "name": "new files in the inbox" if wait.what is What.INTAKE else named.get(wait.subject, wait.subject),
            "subject": wait.subject,
            "day": wait.day.isoformat(),
            "cause": wait.cause.value,
            "reason": wait.why.reason,
            "since": wait.since.isoformat() if wait.since else None,
            "until": wait.why.until.isoformat() if wait.why.until else None,
            "can_go_on": wait in can,
            "woken_by": waker(wait),
            "command": command.get(wait.subject),
        }
        for wait in sorted(waits, key=lambda wait: wait.day)
    ]


def _table(rows: list[dict[str, Any]], at: datetime) -> Table:
    table = Table(title="Waiting", title_justify="left")
    for name in ("what", "day", "why", "for", "until (UTC)", "what wakes it"):
        table.add_column(name, overflow="fold")
    for row in rows:
        since = datetime.fromisoformat(row["since"]) if row["since"] else at
        wakes = f"{row['woken_by']}\n{row['command']}" if row["command"] else row["woken_by"]
        table.add_row(
            escaped(row["name"]),
            row["day"],
            escaped(f"{row['cause']}: {row['reason']}"),
            _age(at - since),
            _until(row, at),
            escaped(wakes),
        )
    return table


def _until(row: dict[str, Any], at: datetime) -> str:
    if row["can_go_on"]:
        return "can go on now"
    if row["until"] is None:
        return "–"
    until = datetime.fromisoformat(row["until"]).astimezone(UTC)
    return f"{until:%Y-%m-%d %H:%M}, in {_age(until - at)}"


def _age(span: timedelta) -> str:
    """How long in one unit, as people say it."""
    seconds = max(0, int(span.total_seconds()))
    for unit_s, unit in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds // unit_s} {unit}"
    return f"{seconds} s"
