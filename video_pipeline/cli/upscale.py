"""`upscale`: one file through the upscaler, outside the pipeline."""

from pathlib import Path
from typing import Annotated

import typer

from video_pipeline.cli.console import console, pixels
from video_pipeline.errors import ConfigurationError


def upscale(
    source: Annotated[Path, typer.Argument(help="Any video file.")],
    target: Annotated[Path, typer.Argument(help="Where to write it: .mp4, .mov or .mkv.")],
    size: Annotated[str, typer.Option(help="Target as WIDTHxHEIGHT; by default the short side becomes 1080.")] = "",
    model: Annotated[str, typer.Option(help="Network to use.")] = "realesr-animevideov3",
    weights: Annotated[Path | None, typer.Option(help="An official .pth instead of the packaged weights.")] = None,
    blend: Annotated[float, typer.Option(help="Share of the network in the picture, 0 to 1.")] = 1.0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Upscale one file with Real-ESRGAN, keeping its frames, timing, sound and colour."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from video_pipeline.upscaling import Engine, Progress, UpscaleSettings, describe_device, upscale_file

    try:
        settings = UpscaleSettings(model=model, blend=blend)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigurationError(f"--device takes auto, cpu or cuda, not {device}.")
    engine = Engine(model, device=device, weights_path=weights)
    console.print(describe_device(device))
    columns = (TextColumn("upscaling"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[fps]}"))
    with Bar(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("upscale", total=None, fps="")

        def show(progress: Progress) -> None:
            fps = f"{progress.fps:.2f} fps"
            bar.update(task, completed=progress.frames_done, total=progress.frames_total, fps=fps)

        report = upscale_file(source, target, settings=settings, size=_size(size), engine=engine, progress=show)
    console.print(
        f"{report.frames} frames, {pixels(report.source_size)} to {pixels(report.target_size)}, "
        f"in {report.wall_s:.1f} s ({report.fps:.2f} fps) on {report.device}; about ${report.electricity_usd} of "
        f"electricity. Written to {target}."
    )


def _size(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise ConfigurationError(f"--size is WIDTHxHEIGHT in pixels, such as 1920x1080, not {text}.")
    return int(width), int(height)
