"""What looking at a clip costs: CPU of both gates on one core, and memory; and what harmless footage scores.

    python -m benchmarks.gates [--json PATH]

A clip is looked at raw and again finished; both times are those of `pass_gate` with the packaged policy. The
footage is real (Big Buck Bunny). The classifiers are loaded before anything is counted, once a process; how long that
takes is told by itself. Memory is the process' most so far, so that it never falls from one row to the next.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.film import big_buck_bunny
from benchmarks.seams import SCENES, real_clips
from video_pipeline.media import run_ffmpeg
from video_pipeline.policy import load_policy
from video_pipeline.quality import Expectation, Gate, pass_gate
from video_pipeline.quality.classifiers import load_classifier
from video_pipeline.quality.gate import look_at
from video_pipeline.quality.verdict import SafetyFinding
from video_pipeline.sandbox.footage import Take, render_video
from video_pipeline.scratch import scratch_folder

_CASES = (("raw, 720p", (1280, 720), Gate.RAW), ("finished, 1080p", (1920, 1080), Gate.FINAL))


@dataclass(frozen=True)
class Row:
    what: str
    length_s: float
    cpu_s: float
    wall_s: float
    frames_scored: int
    most_mb_so_far: float


def _footage(path: Path, height: int, length_s: float) -> None:
    """Big Buck Bunny with its sound, as often as it takes."""
    coded = ("-vf", f"scale=-2:{height}", "-c:v", "libx264", "-preset", "veryfast", "-c:a", "aac")
    arguments = ("-stream_loop", "-1", "-i", str(big_buck_bunny()), "-t", f"{length_s:g}", *coded, "-y", str(path))
    run_ffmpeg(arguments, timeout_s=600, what=f"making {path.name}")


def _harmless(folder: Path) -> Iterator[tuple[str, Path]]:
    """Footage that nobody would hold back."""
    for number, prompt in enumerate(SCENES):
        path, take = folder / "scene.mp4", Take("bench", prompt, number, (270, 480))
        render_video(path, take, duration_s=3, fps=24, audio=False, image=None, faults={})
        yield f"sandbox: {prompt}", path
    for path in real_clips():
        yield path.name, path


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(
    target: Annotated[Path | None, typer.Option("--json", help="Write the rows here as well.")] = None,
    lengths: Annotated[str, typer.Option(help="Lengths in seconds, parted by commas.")] = "5,20",
) -> None:
    """Measure, and print a table."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    quality = load_policy().quality
    begun = time.process_time()
    for classifier in quality.safety.in_use.values():
        load_classifier(classifier)
    loading_s = time.process_time() - begun
    rows: list[Row] = []
    found: dict[str, SafetyFinding] = {}
    with scratch_folder("gates") as folder:
        for length_s in map(float, lengths.split(",")):
            for what, size, gate in _CASES:
                path = folder / f"{length_s:g}-{size[0]}.mp4"
                _footage(path, size[1], length_s)
                expected = Expectation(size=size, duration_s=length_s, audio=True)
                cpu, wall = time.process_time(), time.monotonic()
                verdict = pass_gate(path, expected, quality, gate=gate)
                cpu, wall = time.process_time() - cpu, time.monotonic() - wall
                scored = sum(len(one.scores) for one in verdict.safety.classifiers) if verdict.safety else 0
                rows.append(Row(what, length_s, cpu, wall, scored, _peak_mb()))
        for name, path in _harmless(Path(folder)):
            found[name] = look_at(path, quality)
    table = Table(title=f"Both gates on one core; loading the classifiers took {loading_s:.2f} s of CPU, once")
    for name in ("clip", "s", "CPU s", "wall s", "frames scored", "most MB so far"):
        table.add_column(name, justify="left" if name == "clip" else "right")
    for row in rows:
        seconds = (f"{row.length_s:g}", f"{row.cpu_s:.2f}", f"{row.wall_s:.2f}")
        table.add_row(row.what, *seconds, f"{row.frames_scored}", f"{row.most_mb_so_far:.0f}")
    Console().print(table)
    scores = Table("footage", "worst score of a frame", "outcome", title="What harmless footage scores")
    for name, one in found.items():
        scores.add_row(name, "none" if one.worst is None else f"{one.worst:.2f}", one.outcome.value)
    Console().print(scores)
    if target is not None:
        document = {
            "loading_s": loading_s,
            "python": sys.version.split()[0],
            "rows": [asdict(row) for row in rows],
            "harmless": {name: {"worst": one.worst, "outcome": one.outcome.value} for name, one in found.items()},
        }
        target.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
