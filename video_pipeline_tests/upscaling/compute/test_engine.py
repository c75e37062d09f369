"""The engine: the same picture whatever the batch, the strips or the memory, and honest about the device."""

import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from video_pipeline.upscaling import Engine, UpscaleSettings, UpscalingError, WeightsError, upscale_file
from video_pipeline.upscaling.compute.engine import Enlargement
from video_pipeline.upscaling.compute.networks import RRDBNet, SRVGGNetCompact
from video_pipeline.upscaling.compute.planes import PlaneFormat
from video_pipeline.upscaling.compute.weights import load_weights
from video_pipeline_tests.media.clips import big_buck_bunny, render
from video_pipeline_tests.upscaling.measures import psnr


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Three consecutive crops of 150x96 out of a real film, (3, 96, 150, 3)."""
    with av.open(str(big_buck_bunny())) as clip:
        decoded = [frame.to_ndarray(format="rgb24") for _, frame in zip(range(3), clip.decode(video=0), strict=False)]
    return np.stack([frame[300:396, 500:650] for frame in decoded])


@pytest.fixture(scope="module")
def exact() -> Engine:
    return Engine(device="cpu", precision="float32")


def test_without_a_size_the_network_enlarges_by_its_own_scale(exact: Engine, frames: np.ndarray) -> None:
    result = exact.upscale_rgb(frames[:1], keep_colour=False)
    assert result.dtype == np.uint8 and result.shape == (1, 384, 600, 3)
    with torch.inference_mode():
        from video_pipeline.upscaling.compute.networks import build_network

        network = build_network(load_weights("realesr-animevideov3").state)
        raw = network(torch.from_numpy(frames[:1]).permute(0, 3, 1, 2) / 255).clamp(0, 1)
    expected = (raw * 255).round().permute(0, 2, 3, 1).numpy()
    assert np.abs(result.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("size", [(600, 384), (225, 144), (151, 97), (700, 448)])
@pytest.mark.parametrize("rows", [17, 37])
def test_strips_equal_the_uncut_picture(exact: Engine, frames: np.ndarray, size: tuple[int, int], rows: int) -> None:
    whole = exact.upscale_rgb(frames[:1], size=size)
    strips = Engine(device="cpu", precision="float32", strip_rows=rows).upscale_rgb(frames[:1], size=size)
    assert np.abs(strips.astype(int) - whole).max() <= 1
    assert np.mean(strips != whole) < 1e-4  # only where float sums in another order round to the other side


@pytest.mark.parametrize(("scale", "model"), [(2, "RealESRGAN_x2plus"), (4, "RealESRGAN_x4plus")])
def test_strips_of_a_dense_network_equal_the_uncut_picture(tmp_path: Path, scale: int, model: str) -> None:
    """Odd sizes included: the x2 network folds its input two by two."""
    torch.manual_seed(5)
    file = tmp_path / "small.pth"
    torch.save({"params_ema": RRDBNet(features=8, growth=4, blocks=2, scale=scale).state_dict()}, file)
    picture = np.random.default_rng(5).integers(0, 256, (1, 121, 41, 3), np.uint8)
    uncut = Engine(model, device="cpu", weights_path=file).upscale_rgb(picture)
    strips = Engine(model, device="cpu", weights_path=file, strip_rows=16).upscale_rgb(picture)
    assert uncut.shape == (1, 121 * scale, 41 * scale, 3)
    assert np.abs(strips.astype(int) - uncut).max() <= 1


def test_a_batch_equals_its_frames_one_by_one(exact: Engine, frames: np.ndarray) -> None:
    together = Engine(device="cpu", precision="float32")
    together.frames_at_once = 2
    one_by_one = np.concatenate([exact.upscale_rgb(frame[None], size=(225, 144)) for frame in frames])
    batched = together.upscale_rgb(frames, size=(225, 144))
    assert np.abs(batched.astype(int) - one_by_one).max() <= 1


def test_the_default_precision_stays_within_55_db_of_float32(exact: Engine, frames: np.ndarray) -> None:
    fast = Engine().upscale_rgb(frames, size=(225, 144))
    assert psnr(fast, exact.upscale_rgb(frames, size=(225, 144))) >= 55


def test_blend_mixes_the_network_with_the_plainly_enlarged_source(exact: Engine, frames: np.ndarray) -> None:
    results = (exact.upscale_rgb(frames[:1], size=(225, 144), blend=share) for share in (1, 0, 0.5))
    network, plain, half = (result.astype(float) for result in results)
    assert psnr(network, plain) < 45
    assert np.abs(half - (network + plain) / 2).max() <= 1.5


def test_colours_are_the_sources_and_not_the_networks(exact: Engine, frames: np.ndarray) -> None:
    kept = exact.upscale_rgb(frames[:1], size=(225, 144)).mean(axis=(0, 1, 2))
    drifted = exact.upscale_rgb(frames[:1], size=(225, 144), keep_colour=False).mean(axis=(0, 1, 2))
    truth = frames[:1].mean(axis=(0, 1, 2))
    assert np.abs(drifted - truth).max() > 1
    assert np.abs(kept - truth).max() < 0.3


def test_shrinking_averages_exact_areas(exact: Engine, frames: np.ndarray) -> None:
    third = exact.upscale_rgb(frames[:1], size=(50, 32), blend=0)
    means = frames[:1].reshape(1, 32, 3, 50, 3, 3).mean(axis=(2, 4))
    assert np.abs(third - means).max() <= 0.51


def test_a_flat_picture_stays_flat_at_every_ratio(exact: Engine) -> None:
    flat = np.full((1, 20, 30, 3), (200, 90, 10), np.uint8)
    for size in [(31, 21), (45, 30), (29, 19), (7, 5), (300, 200)]:
        assert (exact.upscale_rgb(flat, size=size, blend=0) == (200, 90, 10)).all()


def _scaled_inside(path: Path, factor: float) -> Path:
    """animevideov3 with one layer `factor` times larger and the next as much smaller: the same function."""
    state = {name: tensor.clone() for name, tensor in load_weights("realesr-animevideov3").state.items()}
    state["body.0.weight"] *= factor
    state["body.0.bias"] *= factor
    state["body.2.weight"] /= factor
    torch.save({"params": state}, path)
    return path


def test_an_overflow_in_float16_is_done_again_in_float32(exact: Engine, frames: np.ndarray, tmp_path: Path) -> None:
    small = frames[:1, :24, :24]
    engine = Engine(device="cpu", precision="float16", weights_path=_scaled_inside(tmp_path / "hot.pth", 1e6))
    result = engine.upscale_rgb(small)
    assert engine.precision == "float32"
    assert np.abs(result.astype(int) - exact.upscale_rgb(small)).max() <= 1


@pytest.mark.parametrize(
    "words",
    [
        "FIND was unable to find an engine to execute this computation",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "CUDA error: out of memory",
        "Triton Error [CUDA]: out of memory",
    ],
)
def test_a_gpus_libraries_that_find_no_memory_cost_a_smaller_step_and_no_picture(
    exact: Engine, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """They say so in words, each in its own; here once, at the network's first convolution."""
    small = frames[:1, :48, :24]
    expected = exact.upscale_rgb(small)
    engine = Engine(device="cpu", precision="float32")
    engine.upscale_rgb(small)
    convolve, failed = torch.nn.functional.conv2d, list[str]()

    def once(*args: Any, **kwargs: Any) -> torch.Tensor:
        if not failed:
            failed.append(words)
            raise RuntimeError(words)
        return convolve(*args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "conv2d", once)
    assert np.array_equal(engine.upscale_rgb(small), expected)
    assert failed and engine.strip_rows == 24


def test_weights_that_give_no_picture_at_all_are_named(frames: np.ndarray, tmp_path: Path) -> None:
    state = dict(load_weights("realesr-animevideov3").state)
    state["body.0.weight"] = torch.full_like(state["body.0.weight"], float("nan"))
    torch.save({"params": state}, tmp_path / "broken.pth")
    engine = Engine(device="cpu", weights_path=tmp_path / "broken.pth")
    with pytest.raises(UpscalingError, match=r"no picture even in float32.*broken\.pth"):
        engine.upscale_rgb(frames[:1, :24, :24])


def test_a_black_result_of_a_lit_picture_is_no_picture_and_of_a_black_one_is(
    exact: Engine, frames: np.ndarray, tmp_path: Path
) -> None:
    state = dict(load_weights("realesr-animevideov3").state)
    last = max((name for name in state if name.endswith(".bias")), key=lambda name: int(name.split(".")[1]))
    state[last] = torch.full_like(state[last], -10.0)
    torch.save({"params": state}, tmp_path / "dark.pth")
    lit, black = frames[:1, :24, :24], np.zeros((1, 24, 24, 3), np.uint8)
    engine = Engine(device="cpu", weights_path=tmp_path / "dark.pth")
    assert engine.upscale_rgb(black).max() == 0
    with pytest.raises(UpscalingError, match=r"no picture even in float32.*dark\.pth"):
        engine.upscale_rgb(lit)
    assert exact.upscale_rgb(black).max() <= 2


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(RRDBNet(features=8, growth=4, blocks=1, scale=2).state_dict(), tmp_path / "x2.pth")
    with pytest.raises(WeightsError, match="enlarges 2 times and RealESRGAN_x4plus 4 times"):
        Engine("RealESRGAN_x4plus", device="cpu", weights_path=tmp_path / "x2.pth")
    torch.save({"params": {"layer.weight": torch.zeros(3)}}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="does not hold a Real-ESRGAN network"):
        Engine(device="cpu", weights_path=tmp_path / "other.pth")


_STARVED = """
import resource
import numpy as np
from video_pipeline.upscaling import Engine, UpscalingError
picture = np.random.default_rng(1).integers(0, 256, (1, 256, 320, 3), np.uint8)
whole = Engine(device="cpu", precision="float32", threads=1).upscale_rgb(picture, size=(480, 384))
engine = Engine(device="cpu", precision="float32", threads=1, strip_rows=256)
free = resource.getrlimit(resource.RLIMIT_AS)
def starve(megabytes):
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 2**20, free[1]))
starve(40)
again = engine.upscale_rgb(picture, size=(480, 384))
resource.setrlimit(resource.RLIMIT_AS, free)
print(engine.strip_rows, np.abs(again.astype(int) - whole).max())
starve(5)
try:
    engine.upscale_rgb(picture, size=(480, 384))
except UpscalingError as error:
    print(error)
"""


def test_out_of_memory_goes_on_in_thinner_strips_and_ends_in_a_sentence() -> None:
    """A process that may take 40 MB more from the system (a whole frame needs over 60), and then next to nothing."""
    # Memory that is given back goes to the system at once, so that what a strip needs does not hang on chance.
    allocator = ["env", "MALLOC_MMAP_THRESHOLD_=65536", "MALLOC_TRIM_THRESHOLD_=0"]
    command = [*allocator, sys.executable, "-c", _STARVED]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    shrunk, refusal = done.stdout.splitlines()
    rows, difference = map(int, shrunk.split())
    assert 8 <= rows < 256
    assert difference == 0
    assert refusal.startswith("There is not enough memory to upscale 320x256")


_NO_GPU = """
from video_pipeline.upscaling import Engine, UpscalingError, describe_device
print(describe_device())
print(Engine().device)
try:
    Engine(device="cuda")
except UpscalingError as error:
    print(error)
"""


def test_without_a_gpu_it_works_and_says_so() -> None:
    command = ["env", "CUDA_VISIBLE_DEVICES=", sys.executable, "-c", _NO_GPU]
    said, device, refusal = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=120
    ).stdout.splitlines()
    assert said.startswith("No GPU was found: upscaling runs on the CPU")
    assert device == "cpu"
    assert refusal.startswith("A GPU was asked for, but torch finds none")


def test_importing_the_package_imports_neither_torch_nor_pyav() -> None:
    question = "import sys, video_pipeline.upscaling; print(sorted({'torch', 'av', 'numpy'} & set(sys.modules)))"
    command = [sys.executable, "-c", question]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_two_threads_share_an_engine_and_each_gets_its_own_pictures(exact: Engine) -> None:
    rng = np.random.default_rng(8)
    batches = [rng.integers(0, 256, (2, 16 + 4 * number, 24, 3), np.uint8) for number in range(4)]
    alone = [exact.upscale_rgb(batch, size=(36, batch.shape[1] * 3 // 2)) for batch in batches]
    shared = Engine(device="cpu", precision="float32")
    start = threading.Barrier(len(batches))

    def upscale(batch: np.ndarray) -> list[np.ndarray]:
        start.wait()
        return [shared.upscale_rgb(batch, size=(36, batch.shape[1] * 3 // 2)) for _ in range(3)]

    with ThreadPoolExecutor(len(batches)) as pool:
        for expected, found in zip(alone, pool.map(upscale, batches), strict=True):
            assert all(np.abs(one.astype(int) - expected).max() <= 1 for one in found)


def test_batches_in_flight_are_answered_each_with_its_own_pictures(exact: Engine) -> None:
    """Asked for in any order, and each may be of several pictures."""
    shape = PlaneFormat((24, 16), "yuv420p", "bt709", full_range=False)
    work = Enlargement(shape, PlaneFormat((36, 24), "yuv420p", "bt709", full_range=False), blend=0)
    grey = np.full((8, 12), 128, np.uint8)
    batches = [
        [(np.full((16, 24), 20 + 40 * batch + 10 * one, np.uint8), grey, grey) for one in range(2)]
        for batch in range(4)
    ]
    pending = [exact.submit(batch, work) for batch in batches]
    for number in (2, 0, 3, 1):
        levels = [int(luma[12, 18]) for luma, _, _ in pending[number].result()]
        assert levels == [20 + 40 * number, 30 + 40 * number]


@pytest.fixture(scope="module")
def denoisers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small networks with weights of their own under the official names of the two trainings, side by side."""
    folder = tmp_path_factory.mktemp("weights")
    files = {name: folder / f"{name}.pth" for name in ("realesr-general-x4v3", "realesr-general-wdn-x4v3")}
    for seed, file in enumerate(files.values()):
        torch.manual_seed(seed)
        torch.save({"params": SRVGGNetCompact(features=8, convolutions=2, scale=4).state_dict()}, file)
    return files


def test_denoise_blends_the_two_trainings(denoisers: dict[str, Path], frames: np.ndarray, tmp_path: Path) -> None:
    general, weak = (torch.load(file)["params"] for file in denoisers.values())
    torch.save({name: 0.3 * general[name] + 0.7 * weak[name] for name in general}, tmp_path / "by hand.pth")

    def upscaled(file: Path, denoise: float) -> tuple[np.ndarray, str]:
        engine = Engine("realesr-general-x4v3", device="cpu", precision="float32", weights_path=file, denoise=denoise)
        return engine.upscale_rgb(frames[:1], size=(225, 144)), engine.weights_sha256

    blended, of_both = upscaled(denoisers["realesr-general-x4v3"], 0.3)
    by_hand, _ = upscaled(tmp_path / "by hand.pth", 1)
    strong, of_strong = upscaled(denoisers["realesr-general-x4v3"], 1)
    only_weak, _ = upscaled(denoisers["realesr-general-x4v3"], 0)
    assert np.array_equal(blended, by_hand)
    assert np.array_equal(only_weak, upscaled(denoisers["realesr-general-wdn-x4v3"], 1)[0])
    assert not np.array_equal(blended, strong) and not np.array_equal(blended, only_weak)
    assert of_both != of_strong


def test_denoise_without_the_second_training_or_for_another_model_is_a_sentence(
    denoisers: dict[str, Path], tmp_path: Path
) -> None:
    alone = Path(shutil.copy(denoisers["realesr-general-x4v3"], tmp_path))
    with pytest.raises(
        WeightsError, match=r"realesr-general-wdn-x4v3\.pth for realesr-general-wdn-x4v3 does not exist"
    ):
        Engine("realesr-general-x4v3", device="cpu", weights_path=alone, denoise=0.3)
    with pytest.raises(WeightsError, match="realesr-animevideov3 has no second set"):
        Engine("realesr-animevideov3", device="cpu", denoise=0.3)
    with pytest.raises(WeightsError, match="realesr-animevideov3 has no second set"):
        UpscaleSettings(denoise=0.3)
    torch.save(
        SRVGGNetCompact(features=6, convolutions=2, scale=4).state_dict(), tmp_path / "realesr-general-wdn-x4v3.pth"
    )
    with pytest.raises(WeightsError, match="are not two trainings of one network"):
        Engine("realesr-general-x4v3", device="cpu", weights_path=alone, denoise=0.3)


def test_the_networks_flicker_is_measured_and_small() -> None:
    """Second differences in time over those of the Lanczos enlargement, on a crop of a real film; 1.6 is the most
    that passes for steady, and a network that invents detail anew in each frame is far above.
    """
    with av.open(str(big_buck_bunny())) as clip:
        decoded = [frame.to_ndarray(format="rgb24") for _, frame in zip(range(7), clip.decode(video=0), strict=False)]
    crops = np.stack([frame[300:396, 500:650] for frame in decoded])
    engine = Engine(device="cpu")

    def restless(blend: float) -> float:
        enlarged = engine.upscale_rgb(crops, size=(225, 144), blend=blend).astype(float).mean(axis=-1)
        return float(np.abs(enlarged[2:] - 2 * enlarged[1:-1] + enlarged[:-2]).mean())

    assert 1.0 < restless(1) / restless(0) < 1.6


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            UpscaleSettings(model="RealESRGAN_x4plus"),
            "holds realesr-general-x4v3, and the settings ask for RealESRGAN_x4",
        ),
        (
            UpscaleSettings(model="realesr-general-x4v3", denoise=0.5),
            r"holds denoise 0\.3, and the settings ask for 0\.5",
        ),
    ],
)
def test_an_engine_that_holds_something_else_than_the_settings_ask_for_is_refused(
    denoisers: dict[str, Path], tmp_path: Path, settings: UpscaleSettings, words: str
) -> None:
    """Else the record would name weights that the clip was not made with."""
    file = denoisers["realesr-general-x4v3"]
    engine = Engine("realesr-general-x4v3", device="cpu", weights_path=file, denoise=0.3)
    source = render(tmp_path / "clip.mp4", frames=1)
    with pytest.raises(UpscalingError, match=words):
        upscale_file(source, tmp_path / "target.mp4", settings=settings, engine=engine)
    assert not (tmp_path / "target.mp4").exists()
