"""How fast the upscaler is, model by model and path by path, beside RealESRGANer and (on a CPU) ncnn and onnxruntime.

    python benchmarks/upscale.py [--frames N] [--models A,B] [--paths plain,auto] [--quick] [--json PATH]

A clip is 5.2 s of 24 fps, 1280x720 to 1920x1080, from file to file: decoding, network, encoding, sound, mux. On a CPU
that takes hours, so there a few frames stand for a clip, of a small picture for the deep networks; the tables say so.
Every row is a process of its own (`upscale_row`). Networks whose weights no package carries are given random ones of
the right shape: their speed is the same, and nothing is said of their pictures. JSON is written after every row.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from film import CLIP_FRAMES, FPS, MOST_FRAMES, clip_pictures, film_clip, film_pictures, flicker, psnr, scores
from machine import describe, slug
from rich.console import Console
from rich.table import Column, Table
from upscale_row import Job, Pictures, as_json

from video_pipeline.media import ffmpeg_exe
from video_pipeline.upscaling import MODELS, PathName, UpscaleSettings
from video_pipeline.upscaling.engine import Precision
from video_pipeline.upscaling.networks import RRDBNet, SRVGGNetCompact
from video_pipeline.upscaling.weights import Model, load_weights

_HERE = Path(__file__).parent
_REFERENCE_PYTHON = _HERE.parent / ".venv-reference" / "bin" / "python"
_OUTSCALE = 1.5
_REFERENCE = "RealESRGANer"
# The second training of one of the others: the same work.
_LEFT_OUT = "realesr-general-wdn-x4v3"

Size = tuple[int, int]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured of a kind of network; `truth` is what the quality's pictures are cut to, and come from."""

    source: Size
    frames: int
    clips: int
    model_only_frames: int
    compared: int
    truth: Size
    truth_frames: int
    runtimes_source: Size
    rounds: int


# By device and architecture; all sides are even after the enlargement.
_EXTENTS = {
    ("cuda", "compact"): Extent((1280, 720), CLIP_FRAMES, 8, 128, 8, (1248, 702), 48, (0, 0), 0),
    ("cuda", "rrdb"): Extent((1280, 720), 48, 2, 16, 4, (1248, 702), 24, (0, 0), 0),
    ("cpu", "compact"): Extent((1280, 720), 6, 1, 3, 2, (624, 360), 8, (1280, 720), 5),
    ("cpu", "rrdb"): Extent((192, 108), 6, 1, 3, 2, (288, 162), 8, (192, 108), 5),
}
_QUICK = {
    "compact": Extent((320, 180), 4, 1, 2, 2, (288, 162), 4, (320, 180), 3),
    "rrdb": Extent((128, 72), 4, 1, 2, 2, (288, 162), 4, (128, 72), 3),
}
# (path, number format), the yardstick first and what a user gets by asking for nothing last.
_WAYS: dict[str, list[tuple[PathName, Precision]]] = {
    "cuda": [
        ("plain", "float32"),
        ("plain", "float16"),
        ("rewritten", "float16"),
        ("compiled", "float16"),
        ("auto", "auto"),
    ],
    "cpu": [("plain", "float32"), ("rewritten", "float32"), ("auto", "auto")],
}


def main() -> None:
    options = _options()
    machine = describe()
    device = str(machine["device"])
    target = options.json or _HERE / "results" / f"upscale-{slug(machine)}{'-quick' if options.quick else ''}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"machine": machine, "rows": [], "quality": [], "runtimes": []}
    console = Console() if sys.stdout.isatty() else Console(width=170)

    def keep() -> None:
        target.write_text(json.dumps(results, indent=2) + "\n")

    for name in options.models:
        extent = _extent(device, MODELS[name], options)
        with tempfile.TemporaryDirectory(prefix="upscale benchmark ") as folder:
            bench = _Bench(MODELS[name], extent, Path(folder), device, options.reference_python)
            for row in bench.rows(options.paths):
                results["rows"].append(row)
                console.print(_line(row), highlight=False)
                keep()
            results["quality"] += bench.quality()
            keep()
        if device == "cpu" and MODELS[name].packaged:
            results["runtimes"] += _runtimes(name, extent)
            keep()
    _show(console, results, options.reference_python)
    console.print(f"Numbers: {target}", highlight=False)
    sys.exit(any("failed" in row for row in results["rows"]))


def _options() -> argparse.Namespace:
    known = [name for name in MODELS if name != _LEFT_OUT]

    def names(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := set(chosen) - set(known):
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: known are {', '.join(known)}")
        return chosen

    parser = argparse.ArgumentParser(description="Speed, memory and fidelity of the upscaler.")
    parser.add_argument(
        "--frames", type=int, help=f"frames of a clip, at most {MOST_FRAMES}; {CLIP_FRAMES} are 5.2 s"
    )
    parser.add_argument("--clips", type=int, help="clips in the warm measurement")
    parser.add_argument("--models", type=names, help="separated by commas; by default all")
    parser.add_argument("--paths", type=lambda text: text.split(","), help="of plain, rewritten, compiled, auto")
    parser.add_argument("--quick", action="store_true", help="two models, few frames of a small picture")
    parser.add_argument("--json", type=Path, help="where the numbers go")
    parser.add_argument("--reference-python", type=Path, default=_REFERENCE_PYTHON, help="one that has realesrgan")
    options = parser.parse_args()
    quick = ["realesr-animevideov3", "RealESRGAN_x4plus_anime_6B"]
    options.models = options.models or (quick if options.quick else known)
    return options


def _extent(device: str, model: Model, options: argparse.Namespace) -> Extent:
    kind = model.architecture
    extent = _QUICK[kind] if options.quick else _EXTENTS[device, kind]
    return replace(extent, frames=options.frames or extent.frames, clips=options.clips or extent.clips)


class _Bench:
    """One model: its rows, the reference's, and its pictures' quality."""

    def __init__(self, model: Model, extent: Extent, folder: Path, device: str, reference_python: Path) -> None:
        self._model = model
        self._extent = extent
        self._folder = folder
        self._device = device
        self._reference_python = reference_python
        self._clip = film_clip(folder / "clip.mp4", extent.frames, extent.source)
        self._weights = _export(model, folder / "weights.pth")
        self._size = _enlarged(extent.source)
        self._facts = {"model": model.name, "real_weights": model.packaged is not None, "source": extent.source}
        np.save(folder / "frames.npy", clip_pictures(self._clip, extent.compared))
        shrunk = (extent.truth[0] * 2 // 3, extent.truth[1] * 2 // 3)
        self._truth = film_pictures(extent.truth_frames, extent.truth)
        np.save(folder / "small.npy", film_pictures(extent.truth_frames, extent.truth, shrunk))

    def rows(self, paths: list[str] | None):
        """The rows, one by one; the last is the reference's."""
        ways = [way for way in _WAYS[self._device] if paths is None or way[0] in paths]
        ours: Row = {}
        for path, precision in ways:
            ours = self._row(path, precision)
            yield ours
        if self._reference_python.is_file():
            reference = self._reference()
            if "failed" not in reference and "failed" not in ours:
                reference["ours_is_faster"] = ours["clips_an_hour_warm"] / reference["clips_an_hour_warm"]
            yield reference

    def _row(self, path: PathName, precision: Precision) -> Row:
        found = self._folder / f"{path}-{precision}.npy"
        pictures = [Pictures("frames.npy", found.name, self._size)]
        if path == "auto":
            pictures += [
                Pictures("small.npy", "quality-auto.npy", self._extent.truth),
                Pictures("small.npy", "quality-lanczos.npy", self._extent.truth, blend=0),
            ]
        if not self._model.packaged:
            pictures = []
        job = Job(
            model=self._model.name,
            path=path,
            precision=precision,
            weights=None if self._model.packaged else str(self._weights),
            clip=str(self._clip),
            size=self._size,
            # The yardstick's speed matters little, and it is slow.
            clips=1 if precision == "float32" else self._extent.clips,
            model_only_frames=self._extent.model_only_frames,
            pictures=pictures,
            started=time.time(),
        )
        row: Row = {**self._facts, "path": path, "precision": precision}
        row |= _child([sys.executable, str(_HERE / "upscale_row.py"), as_json(job)], self._folder)
        exact = self._folder / "plain-float32.npy"
        if "failed" not in row and exact.is_file() and found != exact:
            row["psnr_to_plain_float32"] = psnr(np.load(found), np.load(exact))
        return row

    def _reference(self) -> Row:
        width, height = self._extent.source
        settings = UpscaleSettings()
        command = [str(self._reference_python), str(_HERE / "reference_realesrganer.py")]
        command += ["--model", self._model.name, "--weights", str(self._weights), "--clip", str(self._clip)]
        command += ["--size", str(width), str(height), "--fps", str(FPS), "--outscale", str(_OUTSCALE)]
        command += ["--encoding", "crf", str(settings.crf), "preset", settings.preset, "--ffmpeg", ffmpeg_exe()]
        if self._model.packaged:
            command += ["--pictures", "small.npy", "quality-reference.npy"]
        command += ["--started", str(time.time())]
        row: Row = {**self._facts, "path": _REFERENCE, "precision": "", **_child(command, self._folder)}
        if "failed" not in row:
            a_clip = row["warm_s"] / row["frames"] * CLIP_FRAMES
            row["clips_an_hour_warm"] = 3600 / a_clip
            row["clips_an_hour_cold"] = 3600 / (row["cold_s"] + a_clip * (1 - row["frames"] / CLIP_FRAMES))
        return row

    def quality(self) -> list[Row]:
        """The enlarged pictures against those that they were made from; flicker against that of Lanczos."""
        lanczos = self._folder / "quality-lanczos.npy"
        if not lanczos.is_file():
            return []
        unrest = flicker(np.load(lanczos))
        rows: list[Row] = []
        for way in ("auto", "reference", "lanczos"):
            file = self._folder / f"quality-{way}.npy"
            if file.is_file():
                shown = np.load(file)
                ratio = flicker(shown) / unrest
                facts = {"model": self._model.name, "way": way, "size": self._extent.truth, "frames": len(shown)}
                rows.append({**facts, **scores(shown, self._truth), "flicker_ratio": ratio})
        return rows


def _enlarged(size: Size) -> Size:
    return int(size[0] * _OUTSCALE), int(size[1] * _OUTSCALE)


def _export(model: Model, file: Path) -> Path:
    """The weights as a .pth that RealESRGANer reads too; random ones where no package carries the real ones."""
    if model.packaged:
        state = load_weights(model.name).state
    else:
        torch.manual_seed(0)
        compact = model.architecture == "compact"
        network = SRVGGNetCompact(64, 32, model.scale) if compact else RRDBNet(64, 32, 23, model.scale)
        state = network.state_dict()
    torch.save({"params": state}, file)
    return file


def _child(command: list[str], folder: Path) -> Row:
    """What a process says in JSON on its last line, or its complaint; what was compiled before does not help it."""
    with tempfile.TemporaryDirectory(prefix="compiled ") as compiled:
        # env adds to the environment: reading it is the settings' business.
        started = ["env", f"TORCHINDUCTOR_CACHE_DIR={compiled}", f"TRITON_CACHE_DIR={compiled}/triton", *command]
        done = subprocess.run(started, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def _runtimes(model: str, extent: Extent) -> list[Row]:
    size = [str(side) for side in extent.runtimes_source]
    command = [sys.executable, str(_HERE / "upscale_runtimes.py"), "--model", model, "--size", *size]
    done = subprocess.run([*command, "--rounds", str(extent.rounds)], stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def _line(row: Row) -> str:
    said = row.get("failed") or f"{row['clips_an_hour_warm']:.2f} clips/h warm"
    return f"{row['model']}, {row['path']} {row['precision']}: {said}"


def _show(console: Console, results: dict[str, Any], reference_python: Path) -> None:
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
    if not reference_python.is_file():
        notes.append("RealESRGANer was not measured: `make bench-reference-env` (6 GB) builds what it needs.")
    for note in notes:
        console.print(note, highlight=False)
    if results["quality"]:
        console.print(_qualities(results["quality"]))
    if results["runtimes"]:
        console.print(_beside(results["runtimes"]))


def _speeds(rows: list[Row]) -> Table:
    columns = ["model", "path", "format", "source", "frames", "clips/h warm", "cold", "x RealESRGANer"]
    columns += ["model alone fps", "TFLOP/s", "of matrix product", "device busy", "PSNR to float32"]
    table = Table(*columns, title="Upscaling by 1.5, file to file")
    warm = {
        row["model"]: row["clips_an_hour_warm"] for row in rows if row["path"] == "RealESRGANer" and "frames" in row
    }
    for row in rows:
        if "failed" in row:
            table.add_row(row["model"], row["path"], row["precision"], row["failed"])
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
    columns = ["path", "format", "decode s/frame", "network", "encode", "cold s", "warm s", "RSS MiB", "GPU MiB"]
    table = Table(Column("model", no_wrap=True), *columns, "encoder", title="Stages and memory")
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
    columns = ["model", "way", "size", "frames", "VMAF-NEG", "PSNR luma", "SSIM", "flicker / Lanczos"]
    table = Table(*columns, title=title)
    for row in rows:
        numbers = (
            f"{row['vmaf_neg']:.2f}",
            f"{row['psnr_y']:.2f}",
            f"{row['ssim']:.4f}",
            f"{row['flicker_ratio']:.2f}",
        )
        table.add_row(row["model"], row["way"], "x".join(map(str, row["size"])), str(row["frames"]), *numbers)
    return table


def _beside(rows: list[Row]) -> Table:
    title = f"The same picture by other runtimes, turn by turn, {rows[0]['threads']} threads"
    columns = [
        "model",
        "source",
        "runtime",
        "format",
        "min s/frame",
        "median",
        "median / ours",
        "dB to plain float32",
    ]
    table = Table(*columns, title=title)
    for row in rows:
        seconds = (_number(row[key]) for key in ("min_s", "median_s", "times_ours"))
        source = "x".join(map(str, row["size"]))
        table.add_row(row["model"], source, row["runtime"], row["precision"], *seconds, _decibels(row["db_to_plain"]))
    return table


def _who(row: Row) -> tuple[str, str, str]:
    path = row["path"]
    if path == "auto":
        path = f"auto: {row['path_used']}"
    return row["model"] + ("" if row["real_weights"] else " *"), path, row["precision_used"]


def _number(value: float | None) -> str:
    """Three digits that say something."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _decibels(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


if __name__ == "__main__":
    main()
