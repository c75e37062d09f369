"""Whether the upscaler's memory is flat in a clip's length: peaks of fresh processes for a short and a long clip.

    python benchmarks/upscale_memory.py [--long-limit-s N] [--quick] [--json PATH]

10 s and 10 minutes at 1280x720, with the network on a GPU. On a CPU the network would take days for that; there the
same chain of decoder, planes, conversion and encoder runs without it (blend 0), to the largest size that the machine
does 10 minutes of within the limit, and beside it the network is run on a small picture, 60 frames and 240. The
picture moves, for a frame that equals the one before it is not computed again.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from film import FPS, moving_clip
from machine import describe, peak_gpu_mib, peak_rss_mib, slug
from rich.console import Console
from rich.table import Table

from video_pipeline.upscaling import UpscaleSettings, upscale_file

_SOURCE = (1280, 720)
_TARGETS = [(1920, 1080), (1280, 720), (640, 360), (320, 180)]
_SHORT_FRAMES, _TIMES = 10 * FPS, 60
_SMALL_SOURCE, _SMALL_TARGET = (160, 90), (320, 180)
_SMALL_FRAMES, _SMALL_TIMES = 60, 4
_MODEL = "realesr-animevideov3"


@dataclass(frozen=True, slots=True)
class Job:
    """What a process upscales."""

    clip: str
    size: tuple[int, int]
    blend: float


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory of the upscaler against the clip's length.")
    parser.add_argument("--long-limit-s", type=float, default=360, help="what the 10 minutes may take")
    parser.add_argument("--quick", action="store_true", help="only the small picture")
    parser.add_argument("--json", type=Path, help="where the numbers go")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        print(json.dumps(_upscale(Job(**json.loads(options.job)))))
        return
    machine = describe()
    pairs: list[list[dict]] = []
    with tempfile.TemporaryDirectory(prefix="upscale memory ") as folder:
        on_gpu = machine["device"] == "cuda"
        if not options.quick:
            pairs.append(_ten_minutes(Path(folder), options.long_limit_s, blend=1.0 if on_gpu else 0.0))
        pairs.append(_small(Path(folder)))
    found = [
        {"rows": pair, "ratio": pair[1]["peak_rss_mib"] / pair[0]["peak_rss_mib"], "frames_ratio": _times(pair)}
        for pair in pairs
    ]
    name = f"upscale-memory-{slug(machine)}{'-quick' if options.quick else ''}.json"
    target = options.json or Path(__file__).parent / "results" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"machine": machine, "pairs": found}, indent=2) + "\n")
    _show(found)


def _upscale(job: Job) -> dict:
    """In a process of its own: upscale, and say how much memory it took at most."""
    clip = Path(job.clip)
    settings = UpscaleSettings(model=_MODEL, blend=job.blend)
    size = (job.size[0], job.size[1])
    report = upscale_file(clip, clip.with_suffix(".upscaled.mp4"), settings=settings, size=size)
    if report.repeated_frames:
        raise SystemExit(f"{report.repeated_frames} frames of the test clip equal the one before them.")
    return {
        "frames": report.frames,
        "source": report.source_size,
        "target": report.target_size,
        "network": report.execution,
        "device": report.device,
        "wall_s": report.wall_s,
        "fps": report.fps,
        "peak_rss_mib": peak_rss_mib(),
        "peak_gpu_mib": peak_gpu_mib(),
    }


def _run(job: Job) -> dict:
    command = [sys.executable, __file__, "--job", json.dumps(asdict(job))]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def _ten_minutes(folder: Path, limit_s: float, blend: float) -> list[dict]:
    short = moving_clip(folder / "short.mp4", _SHORT_FRAMES, _SOURCE)
    long = moving_clip(folder / "long.mp4", _SHORT_FRAMES, _SOURCE, times=_TIMES)
    for size in _TARGETS:
        first = _run(Job(str(short), size, blend))
        if first["frames"] * _TIMES / first["fps"] <= limit_s or size == _TARGETS[-1]:
            return [first, _run(Job(str(long), size, blend))]
    raise AssertionError("the last size is taken whatever it costs")


def _small(folder: Path) -> list[dict]:
    clips = [
        moving_clip(folder / f"{times}.mp4", _SMALL_FRAMES, _SMALL_SOURCE, times=times) for times in (1, _SMALL_TIMES)
    ]
    return [_run(Job(str(clip), _SMALL_TARGET, 1.0)) for clip in clips]


def _times(pair: list[dict]) -> float:
    return pair[1]["frames"] / pair[0]["frames"]


def _show(found: list[dict]) -> None:
    columns = ["frames", "source", "target", "network", "s", "fps", "RSS MiB", "GPU MiB"]
    table = Table(*columns, title="Upscaling: peak memory against the clip's length")
    for pair in found:
        table.add_section()
        for row in pair["rows"]:
            sizes = ("x".join(map(str, row[side])) for side in ("source", "target"))
            gpu = f"{row['peak_gpu_mib']:.0f}" if row["peak_gpu_mib"] else ""
            numbers = (f"{row['wall_s']:.1f}", f"{row['fps']:.1f}", f"{row['peak_rss_mib']:.0f}", gpu)
            table.add_row(str(row["frames"]), *sizes, row["network"], *numbers)
    console = Console()
    console.print(table)
    for pair in found:
        console.print(f"{pair['frames_ratio']:.0f} times the frames: {pair['ratio']:.3f} times the memory")


if __name__ == "__main__":
    main()
