"""`bibles`: the character and scene bibles, what is wrong with any, and the prompts of briefs with them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from video_pipeline import days
from video_pipeline.cli.console import console, escaped
from video_pipeline.services import Services, get_services

if TYPE_CHECKING:
    from video_pipeline.briefs import BiblesFolder, Storyboard

_LONGEST = 90


def bibles(
    brief: Annotated[Path | None, typer.Argument(help="A file of briefs, whose prompts are shown.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """List and check the bibles; with a file of briefs, show what each of their shots would be asked for."""
    services = get_services()
    found = services.inbox.bibles()
    boards, refused = _boards(services, brief, found) if brief else ([], [])
    if json:
        document = {
            "folder": str(services.settings.bibles),
            "bibles": found.model_dump(mode="json", exclude={"broken", "files"}),
            "versions": {bible.file: bible.version for bible in (*found.characters.values(), *found.scenes.values())},
            "broken": [one.sentence for one in found.broken],
            "briefs": [board.model_dump(mode="json") for board in boards],
            "refused": refused,
        }
        console.print_json(data=document, ensure_ascii=True)
    elif brief:
        _print_prompts(boards)
    else:
        _print_bibles(found, services.settings.bibles)
    for sentence in (*(one.sentence for one in found.broken), *refused):
        if not json:
            console.print(escaped(f"{sentence}."), style="red", highlight=False)
    if found.broken or refused:
        raise typer.Exit(1)


def _boards(services: Services, file: Path, found: "BiblesFolder") -> "tuple[list[Storyboard], list[str]]":
    """The storyboards of a file's briefs, and what is wrong with others."""
    from video_pipeline.briefs import read_files, storyboard_of

    reading = read_files([file], platforms=services.inbox.platforms, bibles=found)
    cap_s, today = services.policy.generation.max_segment_s, days.today()
    boards = [storyboard_of(one, today, cap_s=cap_s, bibles=found) for one in reading.briefs]
    refused = [f"{item.source}: {'; '.join(item.reasons)}" for item in reading.quarantined]
    if not (boards or refused):
        refused.append(f"{file} is not there")
    return boards, refused


def _print_bibles(found: "BiblesFolder", folder: Path) -> None:
    if not (found.characters or found.scenes or found.broken):
        console.print(
            f"There are no bibles in {escaped(folder)}. Write characters/NAME.yaml or scenes/NAME.yaml there, as "
            "docs/bibles.md shows; a brief then names them in characters and scene."
        )
        return
    table = Table(title=f"Bibles of {escaped(folder)}", title_justify="left")
    for name in ("kind", "id", "version"):
        table.add_column(name)
    table.add_column("pictures", justify="right")
    table.add_column("says")
    for id, one in found.characters.items():
        worn = ", ".join(one.entry.wardrobe)
        says = f"{one.entry.name}: {one.entry.appearance}" + (f" (wardrobe: {worn})" if worn else "")
        table.add_row("character", id, one.version, str(len(one.pictures)), escaped(_short(says)))
    for id, one in found.scenes.items():
        says = ". ".join(filter(None, (one.entry.setting, one.entry.continuity)))
        table.add_row("scene", id, one.version, str(len(one.pictures)), escaped(_short(says)))
    console.print(table)


def _print_prompts(boards: "list[Storyboard]") -> None:
    for board in boards:
        for shot in board.shots:
            used = ", ".join(one.name for one in shot.bibles) or "no bibles"
            pictures = f", {len(shot.references)} reference pictures" if shot.references else ""
            title = f"[bold]{escaped(board.brief.brief_id)} #{shot.index}[/bold] with {escaped(used)}{pictures}"
            console.print(title, highlight=False)
            console.print(escaped(shot.prompt), highlight=False, soft_wrap=True)


def _short(words: str) -> str:
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1].rstrip()}…"
