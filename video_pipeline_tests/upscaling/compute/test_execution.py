"""Each execution of a network gives the plain float32 picture, and the report and the log name the one in use."""

import logging
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from video_pipeline.upscaling import Engine, Execution, upscale_file
from video_pipeline.upscaling.compute import execution
from video_pipeline.upscaling.compute.engine import Enlargement
from video_pipeline.upscaling.compute.execution import Executions
from video_pipeline.upscaling.compute.networks import RRDBNet, SRVGGNetCompact
from video_pipeline.upscaling.compute.planes import PlaneFormat
from video_pipeline.upscaling.compute.weights import load_weights
from video_pipeline_tests.media.clips import big_buck_bunny, render
from video_pipeline_tests.upscaling.measures import PLAIN, SMALL, psnr


@pytest.fixture(scope="module")
def crop() -> np.ndarray:
    """96x64 pixels of a real film, (1, 64, 96, 3)."""
    with av.open(str(big_buck_bunny())) as clip:
        return next(clip.decode(video=0)).to_ndarray(format="rgb24")[None, 300:364, 500:596]


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small RRDB network with weights of its own."""
    file = tmp_path_factory.mktemp("weights") / "dense.pth"
    torch.manual_seed(5)
    torch.save({"params_ema": RRDBNet(features=8, growth=4, blocks=2, scale=4).state_dict()}, file)
    return file


@pytest.mark.parametrize("size", [(144, 96), (101, 67)])
@pytest.mark.parametrize("model", ["realesr-animevideov3", "RealESRGAN_x4plus"])
def test_the_rewritten_network_gives_the_plain_ones_picture_within_60_db(
    crop: np.ndarray, dense: Path, model: str, size: tuple[int, int]
) -> None:
    weights = dense if model == "RealESRGAN_x4plus" else None
    pictures = [
        Engine(model, device="cpu", precision="float32", execution=execution, weights_path=weights).upscale_rgb(
            crop, size=size
        )
        for execution in ("plain", "rewritten")
    ]
    assert psnr(*pictures) >= 60


@pytest.mark.parametrize("execution", ["plain", "rewritten"])
def test_in_a_short_number_format_every_execution_stays_within_50_db_of_plain_float32(
    crop: np.ndarray, execution: Execution
) -> None:
    exact = Engine(device="cpu", precision="float32", execution="plain").upscale_rgb(crop, size=(144, 96))
    short = Engine(device="cpu", precision="bfloat16", execution=execution).upscale_rgb(crop, size=(144, 96))
    assert not np.array_equal(short, exact)
    assert psnr(short, exact) >= 50


@pytest.mark.parametrize("model", ["RealESRGAN_x4plus", "RealESRGAN_x4plus_anime_6B"])
def test_the_deep_networks_keep_57_db_in_bfloat16_since_they_read_and_write_the_picture_in_float32(
    crop: np.ndarray, model: str
) -> None:
    exact, short = (
        Engine(model, device="cpu", precision=precision).upscale_rgb(crop, size=(144, 96))
        for precision in ("float32", "bfloat16")
    )
    assert 57 <= psnr(short, exact) < 70


@pytest.mark.parametrize(
    ("execution", "used"), [("plain", "plain"), ("rewritten", "rewritten"), ("auto", "rewritten")]
)
def test_the_execution_in_use_is_logged_and_can_be_asked_for(
    crop: np.ndarray, caplog: pytest.LogCaptureFixture, execution: Execution, used: str
) -> None:
    caplog.set_level(logging.INFO, "video_pipeline.upscaling")
    engine = Engine(device="cpu", precision="float32", execution=execution)
    engine.upscale_rgb(crop, size=(144, 96))
    assert engine.execution == used
    assert f"realesr-animevideov3 is run {used}, in float32 on the cpu" in caplog.text


def test_the_report_names_the_execution_and_none_where_the_network_was_left_out(
    tmp_path: Path, engine: Engine
) -> None:
    source = render(tmp_path / "source.mp4", frames=1)
    with_network = upscale_file(source, tmp_path / "a.mp4", settings=SMALL, engine=engine)
    without = upscale_file(source, tmp_path / "b.mp4", settings=PLAIN, engine=engine)
    assert (with_network.execution, without.execution) == ("rewritten", "none")


@pytest.fixture
def compiling(monkeypatch: pytest.MonkeyPatch) -> Executions:
    """What happens on a GPU from the 500th frame on, on the CPU from the fourth; with no compiler behind it."""
    monkeypatch.setattr(execution, "_COMPILED_UNASKED", ("cpu",))
    monkeypatch.setattr(execution, "_FRAMES_BEFORE_COMPILING", 4)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    return Executions(load_weights("realesr-animevideov3"), "cpu", "float32", "auto")


_SOURCE, _TARGET = (48, 32), (72, 48)


def test_a_shape_that_was_seen_often_is_compiled_where_that_is_faster(
    compiling: Executions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "video_pipeline.upscaling")
    seconds = iter([2.0, 1.0])
    monkeypatch.setattr(Executions, "_seconds", lambda *_: next(seconds))
    names = []
    for frames, whole in [(2, True), (2, False), (1, True), (2, True), (1, True), (2, False), (2, True)]:
        network = compiling.network(frames, _SOURCE, _TARGET, whole=whole)
        names.append(compiling.name)
    # The second batch of 2 whole pictures makes it 4; batches of another length and strips are other shapes.
    assert names == ["rewritten", "rewritten", "rewritten", "compiled", "rewritten", "rewritten", "compiled"]
    assert "2 frames of 48x32: 2000.00 ms rewritten, 1000.00 ms compiled, inf dB between them" in caplog.text
    picture = torch.rand(2, 3, 32, 48)
    with torch.inference_mode():
        assert torch.equal(network(picture), compiling.network(1, _SOURCE, _TARGET)(picture))


def test_a_shape_that_is_not_faster_compiled_is_compared_once_and_stays(
    compiling: Executions, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter([1.0, 1.0])
    monkeypatch.setattr(Executions, "_seconds", lambda *_: next(seconds))
    for _ in range(4):
        compiling.network(4, _SOURCE, _TARGET)
        assert compiling.name == "rewritten"


def test_what_cannot_be_compiled_here_is_told_once_and_goes_on(
    compiling: Executions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> float:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore words.")

    monkeypatch.setattr(Executions, "_seconds", full)
    for _ in range(3):
        compiling.network(4, _SOURCE, _TARGET)
        assert compiling.name == "rewritten"
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warning == (
        "torch cannot compile realesr-animevideov3 on this machine "
        "(CUDA out of memory. Tried to allocate 2.00 GiB.). It goes on as it is."
    )


def test_an_error_without_a_word_at_compiling_costs_no_clip(
    compiling: Executions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def bare(*_: object) -> float:
        raise AssertionError

    monkeypatch.setattr(Executions, "_seconds", bare)
    compiling.network(4, _SOURCE, _TARGET)
    assert compiling.name == "rewritten" and "(AssertionError)" in caplog.text


def _hot_on_noise(file: Path) -> Path:
    """animevideov3 whose first layer overflows float16 on hard noise, but not on the picture that is
    checked: the same function, for the second layer takes the factor back.
    """
    state = {name: tensor.clone() for name, tensor in load_weights("realesr-animevideov3").state.items()}
    state["body.0.weight"] *= 1420
    state["body.0.bias"] *= 1420
    state["body.2.weight"] /= 1420
    torch.save({"params": state}, file)
    return file


def test_batches_in_flight_that_overflow_together_are_all_done_again_in_float32(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = _hot_on_noise(tmp_path / "hot.pth")
    shape, grey = PlaneFormat((48, 48), "yuv420p", "bt709", False), np.full((24, 24), 128, np.uint8)
    work = Enlargement(shape, PlaneFormat((72, 72), "yuv420p", "bt709", False))
    noise = np.where(torch.rand(48, 48, generator=torch.Generator().manual_seed(2)) > 0.5, 235, 16).astype(np.uint8)
    calm = np.full((48, 48), 90, np.uint8)
    exact = Engine(device="cpu", precision="float32", weights_path=weights)
    [expected] = exact.submit([(noise, grey, grey)], work).result()
    engine = Engine(device="cpu", precision="float16", weights_path=weights)
    engine.submit([(calm, grey, grey)], work).result()
    assert engine.precision == "float16"
    pending = [engine.submit([(noise, grey, grey)], work) for _ in range(2)]
    for batch in pending:
        [found] = batch.result()
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert engine.precision == "float32"
    assert caplog.text.count("overflows in float16; it goes on in float32") == 1


_NO_COMPILER = """
import sys
from pathlib import Path
import numpy as np
from video_pipeline.upscaling import Engine, UpscalingError
engine = Engine(device="cpu", precision="float32", execution="compiled", weights_path=Path(sys.argv[1]))
try:
    engine.upscale_rgb(np.zeros((1, 16, 16, 3), np.uint8), size=(24, 24))
except UpscalingError as error:
    print(error)
"""


@pytest.mark.parametrize("there", [False, True], ids=["no compiler", "one that fails"])
def test_a_compiled_execution_without_a_working_compiler_is_a_sentence(tmp_path: Path, there: bool) -> None:
    """The second stands for a machine without Python's headers: it names its version, and compiles nothing."""
    compiler = tmp_path / "g++"
    if there:
        script = '[ "$1" = --version ] && echo "g++ 12" && exit\necho "no Python.h" >&2\nexit 1\n'
        compiler.write_text(f"#!/bin/sh\n{script}")
        compiler.chmod(0o755)
    environment = os.environ | {"CXX": str(compiler), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    weights = tmp_path / "small.pth"
    torch.save(SRVGGNetCompact(features=4, convolutions=1, scale=4).state_dict(), weights)
    command = [sys.executable, "-c", _NO_COMPILER, str(weights)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.startswith("torch cannot compile realesr-animevideov3 on this machine (")
    assert len(done.stdout.splitlines()) == 1
