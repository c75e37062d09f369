"""`guidance`: what whoever writes briefs should know of the last weeks' hooks and styles."""

from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from video_pipeline.cli.console import console, escaped
from video_pipeline.services import Services, get_services

if TYPE_CHECKING:
    from video_pipeline.feedback import EditorialPattern, PlatformSheet

_PARTS = {"works": "works", "open": "could be luck", "worse": "probably less", "few": "too few clips"}


def guidance(json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False) -> None:
    """Which hooks and styles work on each platform, how sure that is, and what was tried too little to tell."""
    from video_pipeline.feedback import sheets_of

    services = get_services()
    week, rows = _newest(services)
    if json:
        document = {
            "week": week and week.isoformat(),
            "in_force": _in_force(services),
            "rows": [row.model_dump(mode="json") for row in rows],
        }
        console.print_json(data=document, ensure_ascii=True)
        return
    policy = services.policy.guidance
    if week is None:
        console.print(
            "Nothing has been learned yet. Hooks and styles are judged once a week, when it is over; "
            "in Dagster, the job weekly_learning does it."
        )
        return
    if not rows:
        console.print(
            f"The weeks up to that of {week} tell nothing yet: no clip that names a hook or a style has been seen "
            f"at the age of {policy.age_days} days."
        )
        return
    for sheet in sheets_of(rows, policy):
        _print_sheet(sheet, week, services)
    console.print(_applied(services), highlight=False)


def _newest(services: Services) -> "tuple[date | None, list[EditorialPattern]]":
    """The last week that was learned from, and its rows; None and none before any."""
    from video_pipeline.feedback import EditorialPattern
    from video_pipeline.storage import read_rows, tables_of

    keys = list(services.store.list(tables_of("editorial_patterns")))
    if not keys:
        return None, []
    week = date.fromisoformat(keys[-1].rsplit("/", 1)[1].split(".")[0])
    return week, read_rows(EditorialPattern, services.store.read_bytes(keys[-1]), table=keys[-1])


def _print_sheet(sheet: "PlatformSheet", week: date, services: Services) -> None:
    from video_pipeline.feedback import effect_words, gain_words, interval_words, sure_words

    table = Table(title=f"{escaped(sheet.platform)}, weeks up to that of {week}", title_justify="left")
    for name in ("", "parameter", "value"):
        table.add_column(name, overflow="fold")
    for name in ("gain", "between", "over 0 with", "clips"):
        table.add_column(name, justify="right")
    for part, words in _PARTS.items():
        for row in getattr(sheet, part):
            table.add_row(
                row.verdict if part == "works" else words,
                row.parameter,
                escaped(row.value),
                gain_words(row),
                interval_words(row),
                sure_words(row),
                str(row.clips),
            )
    console.print(table)
    console.print(escaped(sheet.verdict), highlight=False)
    if sheet.effect:
        console.print(f"Defaults: {effect_words(sheet.effect, services.policy.guidance)}", highlight=False)


def _applied(services: Services) -> str:
    """What open briefs are given now, and how many are held out."""
    in_force = _in_force(services)
    if in_force is None:
        return "Briefs that leave hook or style open are made as they are: nothing works surely enough."
    share = services.policy.guidance.holdout_share
    return (
        "Briefs that leave hook or style open are made with what works, by the guidance of the week of "
        f"{in_force['learned_from']} (version {in_force['version']}); {share:.0%} of them are held out."
    )


def _in_force(services: Services) -> dict[str, object] | None:
    from video_pipeline.briefs import guidance_version
    from video_pipeline.ledger import Preference

    guidance, learned_from = services.ledger.governance.learned(Preference.EDITORIAL_GUIDANCE)
    if not guidance:
        return None
    return {"version": guidance_version(guidance), "learned_from": str(learned_from), "preferred": guidance}
