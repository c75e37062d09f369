"""`upscale`: files, folders and globs through the upscaler, outside the pipeline."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Column, Table

from video_pipeline.cli.console import complaints, console, escaped, pixels
from video_pipeline.errors import ConfigurationError
from video_pipeline.policy import Encoder, Preset
from video_pipeline.settings import get_settings
from video_pipeline.upscaling import (
    Batch,
    Device,
    Engine,
    EngineName,
    Execution,
    LeftOut,
    Outcome,
    Plan,
    Precision,
    Task,
    UpscaleProgress,
    UpscaleSettings,
    describe_device,
    download_weights,
    engine_for,
    find_tasks,
    models_needed,
)

_ACTIONS = {
    "upscale": "upscale it",
    "resize": "resize it, without the network: it is as large already, or the blend is 0",
    "keep": "nothing: it is there already, from the same clip with the same settings",
}

# Of the files that are left out for one reason, so many are named.
_NAMES = 10


def upscale(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE... TARGET",
            help="Clips, folders of clips or quoted globs; then the .mp4, .mov or .mkv to write, or a folder.",
        ),
    ],
    size: Annotated[str, typer.Option(help="Target as WIDTHxHEIGHT.")] = "",
    short_side: Annotated[int, typer.Option(help="Without --size: what the shorter side becomes.")] = 1080,
    model: Annotated[str, typer.Option(help="Network to use.")] = "realesr-animevideov3",
    engine: Annotated[
        str, typer.Option(help="Who runs it: own, or realesrgan, that package's RealESRGANer (a yardstick).")
    ] = "own",
    weights: Annotated[Path | None, typer.Option(help="A weights file of your own for it, .pth or .param.")] = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="Download the model's official weights if needed.")] = False,
    blend: Annotated[float, typer.Option(help="Share of the network in the picture, 0 to 1.")] = 1.0,
    denoise: Annotated[float, typer.Option(help="realesr-general-x4v3 only: how much noise goes, 0 to 1.")] = 1.0,
    crf: Annotated[int, typer.Option(help="Constant quality of the encoder, 0 (best) to 51.")] = 18,
    preset: Annotated[str, typer.Option(help="x264's preset.")] = "veryfast",
    encoder: Annotated[str, typer.Option(help="auto, x264 or nvenc.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    execution: Annotated[
        str, typer.Option(help="How the network is run: auto, plain, rewritten or compiled.")
    ] = "auto",
    precision: Annotated[
        str, typer.Option(help="Number format of the network: auto, float32, float16 or bfloat16.")
    ] = "auto",
    again: Annotated[bool, typer.Option("--again", help="Also do what the folder holds already.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be done, and do nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON; all else to stderr.")] = False,
) -> None:
    """Upscale clips with Real-ESRGAN, keeping their frames, timing, sound and colour.

    Into a folder, what was done before from the same clip with the same settings is kept. Exits with 0 when all is
    done, with 1 when a clip could not be; a plan, with 1 when one would be refused.
    """
    if len(paths) < 2:
        raise ConfigurationError("Name one or more clips, and last the file or the folder to write to.")
    try:
        settings = UpscaleSettings(
            model=model,
            engine=_choice("engine", engine, EngineName),
            short_side=short_side,
            blend=blend,
            denoise=denoise,
            precision=_choice("precision", precision, Precision),
            crf=crf,
            preset=_choice("preset", preset, Preset),
            encoder=_choice("encoder", encoder, Encoder),
        )
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    where, how = _choice("device", device, Device), _choice("execution", execution, Execution)
    if settings.engine != "own" and (settings.precision, how) != ("auto", "auto"):
        raise ConfigurationError(
            f"--engine {engine} has a --precision and an --execution of its own; leave them out."
        )
    tasks, folder, left_out = find_tasks(paths[:-1], paths[-1])
    notes = complaints if as_json else console
    _show_left_out(left_out, notes)
    batch = Batch(tasks, settings, folder=folder, size=_size(size), again=again, weights=weights)
    if plan:
        plans = batch.plan()
        _show_plan(plans, as_json)
        if any(planned.action == "refuse" for planned in plans):
            raise typer.Exit(1)
        return
    weights_dir = get_settings().weights
    if fetch:
        for name in models_needed(model, denoise):
            download_weights(name, weights_dir)

    def loaded() -> Engine:
        made = engine_for(settings, execution=how, device=where, weights_path=weights, weights_dir=weights_dir)
        notes.print(describe_device(where), style="dim")
        return made

    with _bars(notes) as show:
        outcomes = list(batch.run(loaded, show))
    _show_outcomes(outcomes, as_json)
    if any(outcome.error for outcome in outcomes):
        raise typer.Exit(1)


@contextmanager
def _bars(notes: Console) -> "Iterator[Callable[[Task, UpscaleProgress], None]]":
    """A progress bar a clip in work; clips in flight move side by side."""
    # A name as long as a file system takes it would leave no room for the bar.
    name = TextColumn("{task.description}", table_column=Column(max_width=40, overflow="ellipsis", no_wrap=True))
    columns = (name, BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[fps]}"))
    with Bar(*columns, TimeRemainingColumn(), console=notes) as bar:
        shown: dict[Task, TaskID] = {}

        def show(task: Task, progress: UpscaleProgress) -> None:
            if task not in shown:
                shown[task] = bar.add_task(escaped(task.source.name), total=progress.frames_total, fps="")
            fps = f"{progress.fps:.2f} fps"
            bar.update(shown[task], completed=progress.frames_done, total=progress.frames_total, fps=fps)

        yield show


def _show_left_out(left_out: Sequence[LeftOut], notes: Console) -> None:
    """A line for each reason, with the first names and how many more there are."""
    reasons: dict[str, list[Path]] = {}
    for found in left_out:
        reasons.setdefault(found.reason, []).append(found.path)
    for reason, paths in reasons.items():
        names = ", ".join(str(path) for path in paths[:_NAMES])
        more = f" and {len(paths) - _NAMES} more" if len(paths) > _NAMES else ""
        notes.print(escaped(f"Left out ({reason}): {names}{more}"), style="dim", highlight=False, soft_wrap=True)


def _show_plan(plans: Sequence[Plan], as_json: bool) -> None:
    if as_json:
        console.print_json(data=[_plain(asdict(plan)) for plan in plans], ensure_ascii=True)
        return
    # A path that is cut off names no file.
    paths = (Column(title, overflow="fold") for title in ("source", "target"))
    table = Table(*paths, "size", "frames", "what will be done")
    for plan in plans:
        sizes = (
            f"{pixels(plan.source_size)} to {pixels(plan.target_size)}"
            if plan.source_size and plan.target_size
            else ""
        )
        said = plan.reason or " ".join([_ACTIONS[plan.action], *(f"({note})" for note in plan.notes)])
        table.add_row(
            escaped(str(plan.source)), escaped(str(plan.target)), sizes, str(plan.frames or "?"), escaped(said)
        )
    console.print(table)


def _show_outcomes(outcomes: Sequence[Outcome], as_json: bool) -> None:
    if as_json:
        console.print_json(data=[_json_of(outcome) for outcome in outcomes], ensure_ascii=True)
    for outcome in outcomes:
        if outcome.error:
            complaints.print(f"[red]{escaped(outcome.error)}[/red]", highlight=False, soft_wrap=True)
        elif not as_json:
            console.print(_sentence(outcome), highlight=False, soft_wrap=True)


def _sentence(outcome: Outcome) -> str:
    report, target = outcome.report, escaped(str(outcome.task.target))
    if report is None:
        return f"{target} is there already, from the same clip with the same settings."
    how = f"{report.model} ({report.execution}, {report.precision})" if report.network_used else "no network"
    sizes = f"{pixels(report.source_size)} to {pixels(report.target_size)}"
    fields = f" ({report.deinterlaced_frames} of them deinterlaced)" if report.deinterlaced_frames else ""
    return (
        f"{report.frames} frames{fields}, {sizes}, in {report.wall_s:.1f} s ({report.fps:.2f} fps) on the "
        f"{report.device} with {how}; {report.encoder}, {report.video_kbps:.0f} kbit/s; about "
        f"${report.electricity_usd} of electricity. Written to {target}. {escaped(' '.join(report.notes))}"
    ).rstrip()


def _json_of(outcome: Outcome) -> dict[str, Any]:
    report = outcome.report
    return _plain(
        {
            "source": outcome.task.source,
            "target": outcome.task.target,
            "status": "failed" if outcome.error else "done" if report else "kept",
            "error": outcome.error or None,
            "report": {**asdict(report), "fps": report.fps} if report else None,
        }
    )


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """With paths and money as strings."""
    return json.loads(json.dumps(value, default=str))


def _choice(option: str, value: str, known: Any) -> Any:
    """`value`, which is one of the literal type `known`'s."""
    if value not in get_args(known):
        *others, last = get_args(known)
        raise ConfigurationError(f"--{option} takes {', '.join(others)} or {last}, not {value}.")
    return value


def _size(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise ConfigurationError(f"--size is WIDTHxHEIGHT in pixels, such as 1920x1080, not {text}.")
    return int(width), int(height)
