"""One row of `upscale.py`: one model, run one way, in a process of its own. Takes a job as JSON, prints JSON.

A process of its own gives the row a cold start (imports, weights, choice of execution, compiling) and a peak of
memory that nothing else has part in.
"""

import json
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from film import CLIP_FRAMES, clip_planes
from machine import matrix_rate, peak_gpu_mib, peak_rss_mib
from torch.utils.flop_counter import FlopCounterMode

from video_pipeline.upscaling import Engine, Execution, UpscaleReport, UpscaleSettings, upscale_file
from video_pipeline.upscaling.compute.engine import Enlargement, Precision
from video_pipeline.upscaling.compute.networks import build_network
from video_pipeline.upscaling.compute.planes import PlaneFormat
from video_pipeline.upscaling.compute.weights import load_weights
from video_pipeline.upscaling.concurrency import run_concurrently

# Batches on the device at a time: one is computed while the next is uploaded and the last comes back.
_ON_THE_WAY = 3


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures to enlarge beside the clips: a .npy of (N, H, W, 3) uint8 RGB, and where the result goes."""

    source: str
    target: str
    size: tuple[int, int]
    blend: float = 1.0


@dataclass(frozen=True, slots=True)
class Job:
    """What a row measures. `started` is the time at which its process was started."""

    model: str
    execution: Execution
    precision: Precision
    weights: str | None
    clip: str
    size: tuple[int, int]
    clips: int
    model_only_frames: int
    pictures: list[Pictures]
    started: float

    @property
    def weights_path(self) -> Path | None:
        """The weights file, where they are not the packaged ones."""
        return Path(self.weights) if self.weights else None


def main() -> None:
    facts = json.loads(sys.argv[1])
    pictures = [Pictures(**picture) for picture in facts.pop("pictures")]
    width, height = facts.pop("size")
    print(json.dumps(measure(Job(**facts, size=(width, height), pictures=pictures))))


def measure(job: Job) -> dict:
    """Cold, warm, the model alone, and the pictures, in this order."""
    if job.precision == "float32":
        # The yardstick is float32 proper, and not the GPU's 19-bit stand-in for it.
        torch.backends.cudnn.allow_tf32 = False
    clip = Path(job.clip)
    settings = UpscaleSettings(model=job.model)
    engine = Engine(job.model, execution=job.execution, precision=job.precision, weights_path=job.weights_path)

    def once(target: Path) -> UpscaleReport:
        return upscale_file(clip, target, settings=settings, size=job.size, engine=engine)

    cold = once(clip.with_name("cold.mp4"))
    cold_s = time.time() - job.started
    started = time.perf_counter()
    reports = list(run_concurrently(once, [clip.with_name(f"warm-{n}.mp4") for n in range(job.clips)]))
    warm_s = time.perf_counter() - started
    frames = sum(report.frames for report in reports)
    peaks = {"peak_rss_mib": peak_rss_mib(), "peak_gpu_mib": peak_gpu_mib()}
    a_clip = warm_s / frames * CLIP_FRAMES
    found = {
        "execution_used": engine.execution,
        "precision_used": engine.precision,
        "device": engine.device,
        "encoder": cold.encoder,
        "frames": cold.frames,
        "repeated_frames": cold.repeated_frames,
        "clips": len(reports),
        "cold_s": cold_s,
        "warm_s": warm_s,
        "clips_an_hour_warm": 3600 / a_clip,
        "clips_an_hour_cold": 3600 / (cold_s + a_clip * (1 - cold.frames / CLIP_FRAMES)),
        "busy_share": sum(report.network_s for report in reports) / warm_s,
        "stages_s_a_frame": {
            stage: sum(getattr(report, f"{stage}_s") for report in reports) / frames
            for stage in ("decode", "network", "encode")
        },
        "video_kbps": cold.video_kbps,
        "electricity_usd_a_clip": float(sum(r.electricity_usd for r in reports)) / frames * CLIP_FRAMES,
        **peaks,
        **_model_only(engine, job),
    }
    for pictures in job.pictures:
        _enlarge(engine, pictures)
    return found


def _model_only(engine: Engine, job: Job) -> dict[str, float]:
    """Seconds a frame on the device from the source's planes to the target's: no decoding, no encoding."""
    planes, source = clip_planes(Path(job.clip), job.model_only_frames)
    work = Enlargement(source, PlaneFormat(job.size, "yuv420p", "bt709", full_range=False))
    step = engine.frames_at_once
    on_the_way: deque = deque()
    seconds: list[float] = []

    def take() -> None:
        pending, frames = on_the_way.popleft()
        pending.result()
        seconds.append(pending.seconds / frames)

    for start in range(0, len(planes), step):
        batch = planes[start : start + step]
        on_the_way.append((engine.submit(batch, work), len(batch)))
        if engine.device == "cpu" or len(on_the_way) == _ON_THE_WAY:
            take()
    while on_the_way:
        take()
    a_frame = median(seconds)
    flops = plain_flops(job.model, job.weights_path, source.size)
    rate = matrix_rate(engine.device, engine.precision)
    return {
        "model_only_s_a_frame": a_frame,
        "model_only_fps": 1 / a_frame,
        "tflop_a_frame": flops / 1e12,
        "tflops": flops / a_frame / 1e12,
        "matrix_tflops": rate / 1e12,
        "share_of_matrix_rate": flops / a_frame / rate,
    }


def plain_flops(model: str, weights: Path | None, size: tuple[int, int]) -> int:
    """Operations of the plain network for one picture, counted without computing it."""
    network = build_network(load_weights(model, path=weights).state).to("meta")
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.empty(1, 3, size[1], size[0], device="meta"))
    return counter.get_total_flops()


def _enlarge(engine: Engine, pictures: Pictures) -> None:
    source = np.load(pictures.source)
    step = engine.frames_at_once
    batches = [source[start : start + step] for start in range(0, len(source), step)]
    size: tuple[int, int] = (pictures.size[0], pictures.size[1])
    np.save(
        pictures.target,
        np.concatenate([engine.upscale_rgb(batch, size=size, blend=pictures.blend) for batch in batches]),
    )


def as_json(job: Job) -> str:
    """What `main` reads."""
    return json.dumps(asdict(job))


if __name__ == "__main__":
    main()
