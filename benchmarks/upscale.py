"""How fast the upscaler is, by model and by execution, beside RealESRGANer and (on a CPU) ncnn and onnxruntime.

    python benchmarks/upscale.py [--frames N] [--models A,B] [--execution plain,auto] [--quick] [--json PATH]

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
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from film import CLIP_FRAMES, FPS, MOST_FRAMES, clip_pictures, film_clip, film_pictures, flicker, psnr, scores
from machine import describe, slug
from rich.console import Console
from upscale_row import Job, Pictures, as_json
from upscale_tables import REFERENCE, Row, show

from video_pipeline.media import ffmpeg_exe
from video_pipeline.upscaling import MODELS, Execution, UpscaleSettings
from video_pipeline.upscaling.compute.engine import Precision
from video_pipeline.upscaling.compute.networks import RRDBNet, SRVGGNetCompact
from video_pipeline.upscaling.compute.weights import UpscalingModel, load_weights

_HERE = Path(__file__).parent
_REFERENCE_PYTHON = _HERE.parent / ".venv-reference" / "bin" / "python"
_OUTSCALE = 1.5
# The second training of one of the others, which is the same work; and whatever somebody's own network is.
_LEFT_OUT = {"realesr-general-wdn-x4v3", "custom"}

Size = tuple[int, int]


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
    ("cuda", "compact"): Extent((1280, 720), CLIP_FRAMES, 16, 128, 8, (1248, 702), 48, (0, 0), 0),
    ("cuda", "rrdb"): Extent((1280, 720), 48, 2, 16, 4, (1248, 702), 24, (0, 0), 0),
    ("cpu", "compact"): Extent((1280, 720), 6, 1, 3, 2, (624, 360), 8, (1280, 720), 5),
    ("cpu", "rrdb"): Extent((192, 108), 6, 1, 3, 2, (288, 162), 8, (192, 108), 5),
}
_QUICK = {
    "compact": Extent((320, 180), 4, 1, 2, 2, (288, 162), 4, (320, 180), 3),
    "rrdb": Extent((128, 72), 4, 1, 2, 2, (288, 162), 4, (128, 72), 3),
}
_EXECUTIONS: tuple[Execution, ...] = ("plain", "rewritten", "compiled", "fused", "auto")
# (execution, number format), the yardstick first and what a user gets by asking for nothing last.
_USUAL: dict[str, list[tuple[Execution, Precision]]] = {
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
            for row in bench.rows(options.execution):
                results["rows"].append(row)
                console.print(_line(row), highlight=False)
                keep()
            results["quality"] += bench.quality()
            keep()
        if device == "cpu" and MODELS[name].packaged:
            results["runtimes"] += _runtimes(name, extent)
            keep()
    show(console, results)
    console.print(f"Numbers: {target}", highlight=False)
    sys.exit(any("failed" in row for row in results["rows"]))


def _options() -> argparse.Namespace:
    known = [name for name in MODELS if name not in _LEFT_OUT]

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
    parser.add_argument(
        "--execution", type=_executions, help=f"of {', '.join(_EXECUTIONS)}; by default what suits the device"
    )
    parser.add_argument("--quick", action="store_true", help="two models, few frames of a small picture")
    parser.add_argument("--json", type=Path, help="where the numbers go")
    parser.add_argument("--reference-python", type=Path, default=_REFERENCE_PYTHON, help="one that has realesrgan")
    options = parser.parse_args()
    if not 3 <= (options.frames or CLIP_FRAMES) <= MOST_FRAMES:
        parser.error(f"--frames is 3 to {MOST_FRAMES}")
    quick = ["realesr-animevideov3", "RealESRGAN_x4plus_anime_6B"]
    options.models = options.models or (quick if options.quick else known)
    return options


def _executions(text: str) -> list[Execution]:
    chosen: list[Execution] = [execution for execution in _EXECUTIONS if execution in text.split(",")]
    if len(chosen) != len(text.split(",")):
        raise argparse.ArgumentTypeError(f"known are {', '.join(_EXECUTIONS)}")
    return chosen


def _extent(device: str, model: UpscalingModel, options: argparse.Namespace) -> Extent:
    kind = model.architecture
    extent = _QUICK[kind] if options.quick else _EXTENTS[device, kind]
    return replace(extent, frames=options.frames or extent.frames, clips=options.clips or extent.clips)


class _Bench:
    """One model: its rows, the reference's, and its pictures' quality."""

    def __init__(
        self, model: UpscalingModel, extent: Extent, folder: Path, device: str, reference_python: Path
    ) -> None:
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

    def rows(self, executions: list[Execution] | None) -> Iterator[Row]:
        """The rows, one by one; the last is the reference's."""
        usual = _USUAL[self._device]
        asked = usual if executions is None else [row for row in usual if row[0] in executions]
        asked = asked + [(execution, "auto") for execution in executions or () if execution not in dict(usual)]
        ours: Row = {}
        for execution, precision in asked:
            ours = self._row(execution, precision)
            yield ours
        if self._reference_python.is_file():
            reference = self._reference()
            if "failed" not in reference and "failed" not in ours:
                reference["ours_over_reference"] = ours["clips_an_hour_warm"] / reference["clips_an_hour_warm"]
            yield reference

    def _row(self, execution: Execution, precision: Precision) -> Row:
        found = self._folder / f"{execution}-{precision}.npy"
        pictures = [Pictures("frames.npy", found.name, self._size)]
        if execution == "auto":
            pictures += [
                Pictures("small.npy", "quality-auto.npy", self._extent.truth),
                Pictures("small.npy", "quality-lanczos.npy", self._extent.truth, blend=0),
            ]
        if not self._model.packaged:
            pictures = []
        job = Job(
            model=self._model.name,
            execution=execution,
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
        row: Row = {**self._facts, "execution": execution, "precision": precision}
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
        row: Row = {**self._facts, "execution": REFERENCE, "precision": "", **_child(command, self._folder)}
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
        for method in ("auto", "reference", "lanczos"):
            file = self._folder / f"quality-{method}.npy"
            if file.is_file():
                shown = np.load(file)
                ratio = flicker(shown) / unrest
                facts = {
                    "model": self._model.name,
                    "method": method,
                    "size": self._extent.truth,
                    "frames": len(shown),
                }
                rows.append({**facts, **scores(shown, self._truth), "flicker_ratio": ratio})
        return rows


def _enlarged(size: Size) -> Size:
    return int(size[0] * _OUTSCALE), int(size[1] * _OUTSCALE)


def _export(model: UpscalingModel, file: Path) -> Path:
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
    return f"{row['model']}, {row['execution']} {row['precision']}: {said}"


if __name__ == "__main__":
    main()
