"""Time, processor time and peak memory of the review stage against the number of clips, each in its own process.

Prints a table and writes JSON. The clips are small and synthetic; `--size` and `--seconds` make larger ones.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import machine
from rich.console import Console
from rich.table import Table

from video_pipeline.media import run_ffmpeg

_FPS = 24
_DIFFERENT = 8

_CHILD = """
import json, resource, sys, time
from datetime import date
from pathlib import Path

import dagster as dg

from video_pipeline.clips import ClipStatus, UpscaledClip
from video_pipeline.definitions import build_defs
from video_pipeline.defs.resources import resources_of
from video_pipeline.services import Services
from video_pipeline.settings import Settings
from video_pipeline.storage import table_key, write_rows

state_dir, day, clips, side, seconds = sys.argv[1], date.fromisoformat(sys.argv[2]), *map(int, sys.argv[3:6])
files = sorted(Path(sys.argv[6]).glob("*.mp4"))
services = Services(Settings(state_dir=state_dir))
routing = services.policy.routing.model_copy(update={"delivered_short_side": side})
services = Services(Settings(state_dir=state_dir), services.policy.model_copy(update={"routing": routing}))
rows = []
for number in range(clips):
    stored = services.store.put_file(
        f"upscaled/{day}/clip-{number}.mp4", files[number % len(files)], content_type="video/mp4"
    )
    rows.append(UpscaledClip(
        clip_id=f"{day}/clip-{number}", brief_id=f"clip-{number}", day=day, status=ClipStatus.UPSCALED,
        tier="preview", model="model", expected_s=seconds, audio=True, audio_expected=True, final_key=stored.key,
        final_sha256=stored.sha256, final_bytes=stored.size_bytes,
    ))
services.store.put_bytes(
    table_key("upscaled_clips", str(day)), write_rows(UpscaledClip, rows), content_type="application/octet-stream",
    overwrite=True,
)
job = build_defs(policy=services.policy, resources=resources_of(services)).resolve_implicit_global_asset_job_def()


def peak_rss_mib():
    # Not getrusage's, which survives exec. Not machine's either, which loads torch.
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def spent():
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in (own, children))


before_mib, started, cpu = peak_rss_mib(), time.perf_counter(), spent()
error, passed = "", 0
with dg.DagsterInstance.ephemeral() as instance:
    done = job.execute_in_process(
        asset_selection=[dg.AssetKey("reviewed_clips")], partition_key=str(day), instance=instance,
        raise_on_error=False, run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    for event in done.all_events:
        if event.is_step_failure and event.step_failure_data.error is not None:
            failure = event.step_failure_data.error
            error = (failure.cause or failure).message.strip()
        if event.is_step_materialization:
            passed = event.step_materialization_data.materialization.metadata["passed"].value
print(json.dumps({
    "clips": clips, "passed": passed, "error": error, "wall_s": time.perf_counter() - started,
    "cpu_s_a_clip": (spent() - cpu) / clips, "before_mib": before_mib, "peak_mib": peak_rss_mib(),
}))
"""


def make_clips(folder: Path, size: tuple[int, int], seconds: int) -> None:
    """A few clips of test pictures that move, each of another hue, with a tone."""
    for number in range(_DIFFERENT):
        picture = f"testsrc2=size={size[0]}x{size[1]}:rate={_FPS},hue=h={45 * number}"
        sound = f"sine=frequency={300 + 50 * number}"
        coded = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-t", str(seconds)]
        inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
        run_ffmpeg([*inputs, *coded, str(folder / f"{number}.mp4")], timeout_s=300, what="making a clip")


def measure(state_dir: Path, day: str, clips: int, side: int, seconds: int, folder: Path) -> dict:
    """What a process used that reviews `clips` clips through Dagster, from the table before it to its own."""
    arguments = [str(state_dir), day, str(clips), str(side), str(seconds), str(folder)]
    done = subprocess.run([sys.executable, "-c", _CHILD, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--size", type=int, nargs=2, default=[270, 480], metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/review-scale.json"))
    options = parser.parse_args()

    described = machine.describe()
    rows = []
    with tempfile.TemporaryDirectory(prefix="review-", ignore_cleanup_errors=True) as name:
        state_dir, folder = Path(name) / "state", Path(name) / "clips"
        Path(name).chmod(0o755)
        folder.mkdir()
        make_clips(folder, options.size, options.seconds)
        # A warm-up process starts the ledger's server, so that no measured one does.
        for number, clips in enumerate([1, *options.clips]):
            day = f"2026-02-{number + 1:02d}"
            rows.append(measure(state_dir, day, clips, min(options.size), options.seconds, folder))
    result = {"machine": described, "size": options.size, "seconds": options.seconds, "rows": rows[1:]}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n")
    title = f"Review of clips of {options.size[0]}x{options.size[1]}, {options.seconds} s"
    table = Table("clips", "passed", "wall s", "CPU s a clip", "peak MiB", "peak before MiB", "error", title=title)
    for row in rows[1:]:
        numbers = (f"{row['wall_s']:.1f}", f"{row['cpu_s_a_clip']:.3f}", f"{row['peak_mib']:.0f}")
        table.add_row(
            str(row["clips"]), str(row["passed"]), *numbers, f"{row['before_mib']:.0f}", row["error"] or "none"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
