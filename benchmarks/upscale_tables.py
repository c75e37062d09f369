"""The tables that `upscale.py` prints of its numbers."""

from typing import Any

from film import CLIP_FRAMES
from rich.console import Console
from rich.table import Column, Table

REFERENCE = "RealESRGANer"
"""What stands for an execution in the reference's rows."""

Row = dict[str, Any]


def show(console: Console, results: dict[str, Any]) -> None:
    """All tables, and what is to be known to read them."""
    machine = results["machine"]
    console.print(", ".join(f"{name} {value}" for name, value in machine.items()), highlight=False)
    console.print(_speeds(results["rows"]), _stages(results["rows"]))
    notes = [
        f"A clip is {CLIP_FRAMES} frames; where fewer were measured, the rest is counted at the warm rate.",
        "clips/h is of the source size in the row: do not compare rows of different sizes.",
        "model fps: planes to planes on the device, with resizing and colour; FLOPs are the plain network's.",
        "of matmul: against a large matrix product in the same format; a Winograd convolution may do better.",
        "x reference: clips/h warm over those of RealESRGANer, the network kept loaded for it too.",
        "RSS: ours holds decoder and encoder, RealESRGANer's are processes of their own and not in it.",
    ]
    if any(not row["real_weights"] for row in results["rows"]):
        notes.append("*: random weights, for speed only.")
    if not any(row["execution"] == REFERENCE for row in results["rows"]):
        notes.append("RealESRGANer was not measured: `make bench-reference-env` (6 GB) builds what it needs.")
    for note in notes:
        console.print(note, highlight=False)
    if results["quality"]:
        console.print(_qualities(results["quality"]))
    if results["runtimes"]:
        console.print(_beside(results["runtimes"]))


def _speeds(rows: list[Row]) -> Table:
    columns = ["execution", "format", "source", "frames", "clips/h warm", "cold", "x reference"]
    columns += ["model fps", "TFLOP/s", "of matmul", "busy", "dB to float32"]
    table = Table(_model(), *columns, title="Upscaling by 1.5, file to file")
    references = [row for row in rows if row["execution"] == REFERENCE and "failed" not in row]
    warm = {row["model"]: row["clips_an_hour_warm"] for row in references}
    for row in rows:
        if "failed" in row:
            table.add_row(row["model"], row["execution"], row["precision"], row["failed"])
            continue
        reference = warm.get(row["model"])
        table.add_row(
            *_who(row),
            "x".join(map(str, row["source"])),
            str(row["frames"] * row.get("clips", 1)),
            _number(row["clips_an_hour_warm"]),
            _number(row["clips_an_hour_cold"]),
            _number(row["clips_an_hour_warm"] / reference) if reference else "",
            *(_number(row.get(key)) for key in ("model_only_fps", "tflops")),
            *(_share(row.get(key)) for key in ("share_of_matrix_rate", "busy_share")),
            _decibels(row.get("psnr_to_plain_float32")),
        )
    return table


def _stages(rows: list[Row]) -> Table:
    columns = ["execution", "format", "decode s/frame", "network", "encode", "cold s", "warm s", "RSS MiB", "GPU MiB"]
    table = Table(_model(), *columns, "encoder", title="Stages and memory")
    for row in rows:
        if "failed" in row:
            continue
        stages = row.get("stages_s_a_frame", {})
        table.add_row(
            *_who(row),
            *(_number(stages.get(stage)) for stage in ("decode", "network", "encode")),
            *(_number(row[key]) for key in ("cold_s", "warm_s")),
            *(f"{row[key]:.0f}" if row[key] else "" for key in ("peak_rss_mib", "peak_gpu_mib")),
            row.get("encoder", "libx264"),
        )
    return table


def _qualities(rows: list[Row]) -> Table:
    title = "Pictures made smaller by 1.5 and enlarged again, against the originals"
    columns = ["model", "method", "size", "frames", "VMAF-NEG", "PSNR luma", "SSIM", "flicker / Lanczos"]
    table = Table(*columns, title=title)
    for row in rows:
        numbers = (
            f"{row['vmaf_neg']:.2f}",
            f"{row['psnr_y']:.2f}",
            f"{row['ssim']:.4f}",
            f"{row['flicker_ratio']:.2f}",
        )
        table.add_row(row["model"], row["method"], "x".join(map(str, row["size"])), str(row["frames"]), *numbers)
    return table


def _beside(rows: list[Row]) -> Table:
    title = f"The same picture by other runtimes, turn by turn, {rows[0]['threads']} threads"
    columns = ["source", "runtime", "format", "min s/frame", "median", "median / ours", "dB to plain float32"]
    table = Table(_model(), *columns, title=title)
    for row in rows:
        seconds = (_number(row[key]) for key in ("min_s", "median_s", "times_ours"))
        source = "x".join(map(str, row["size"]))
        table.add_row(row["model"], source, row["runtime"], row["precision"], *seconds, _decibels(row["db_to_plain"]))
    return table


def _who(row: Row) -> tuple[str, str, str]:
    execution = row["execution"]
    if execution == "auto":
        execution = f"auto: {row['execution_used']}"
    return row["model"] + ("" if row["real_weights"] else " *"), execution, row["precision_used"]


def _number(value: float | None) -> str:
    """Three digits that say something."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _decibels(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _model() -> Column:
    """Its name is read whole or not at all."""
    return Column("model", no_wrap=True)
