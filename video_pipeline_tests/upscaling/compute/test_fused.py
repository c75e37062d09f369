"""Triton's kernels in its interpreter, which computes on the CPU what the GPU would, against the plain networks."""

import json
import os
import subprocess
import sys
from typing import NoReturn

import pytest
import torch

from video_pipeline.errors import UpscalingError
from video_pipeline.upscaling.compute import execution, resample
from video_pipeline.upscaling.compute.execution import Executions
from video_pipeline.upscaling.compute.networks import RRDBNet, SRVGGNetCompact
from video_pipeline.upscaling.compute.rewrites import fusable
from video_pipeline.upscaling.compute.weights import load_weights

# One process for all: the interpreter is chosen when Triton is imported.
_SCRIPT = """
import copy, json
from fractions import Fraction
import torch
from video_pipeline.upscaling.compute.execution import _place
from video_pipeline.upscaling.compute.fused import fused
from video_pipeline.upscaling.compute.kernels import _shape, resample
from video_pipeline.upscaling.compute.networks import RRDBNet, SRVGGNetCompact
from video_pipeline.upscaling.compute.resample import resized, taps
from video_pipeline.upscaling.compute.rewrites import FoldedCompact

torch.manual_seed(0)
found = {}

def agreement(a, b):
    return -10 * torch.log10((a.float() - b.float()).square().mean()).item()

networks = {
    "compact": SRVGGNetCompact(32, 2, 4),
    "folded": FoldedCompact(SRVGGNetCompact(32, 2, 4), Fraction(3, 2)),
    "rrdb": RRDBNet(16, 16, 2, 4),
    "rrdb of scale 2": RRDBNet(32, 16, 1, 2),
}
with torch.inference_mode():
    for name, network in networks.items():
        network = network.eval()
        picture = torch.rand(2, 3, 6, 4)
        expected = network(picture)
        half = copy.deepcopy(network)
        _place(half, "cpu", torch.half)
        half = half.half()
        quick = fused(half)
        result = quick(picture.half())
        # What the picture is, apart from what every network copies of it, must not be lost in the comparison.
        found[name] = [agreement(result, expected), agreement(expected.mean() + 0 * expected, expected)]
        # Of the run before nothing must shine through; an RRDB network's tail is cut into strips this time.
        quick.tail_bytes = 1
        found[f"{name} again"] = torch.equal(quick(picture.half()), result)

    sizes = {"larger": (9, 14, 13, 21), "smaller": (30, 40, 11, 15), "only wider": (16, 16, 16, 30)}
    for name, (height, width, high, wide) in sizes.items():
        picture = torch.rand(2, 3, height, width).permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2)
        down, across = taps(height, high), taps(width, wide)
        result = resample(picture, (down.index, down.weight), (across.index, across.weight))
        found[f"resized {name}"] = (result - resized(picture, down, across)).abs().max().item()
    shapes = {memory: _shape(64, 192, memory) for memory in (232448, 101376)}
    found["shapes"] = {memory: [shape.pixels, shape.stages] for memory, shape in shapes.items()}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found() -> dict:
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    command = [sys.executable, "-W", "ignore", "-c", _SCRIPT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("network", ["compact", "folded", "rrdb", "rrdb of scale 2"])
def test_a_fused_network_is_the_plain_one_within_its_number_format(found: dict, network: str) -> None:
    agreement, of_nothing = found[network]
    assert agreement > 60
    assert of_nothing < agreement - 20


@pytest.mark.parametrize("network", ["compact", "folded", "rrdb", "rrdb of scale 2"])
def test_a_second_run_and_a_tail_in_strips_are_the_same(found: dict, network: str) -> None:
    assert found[f"{network} again"] is True


@pytest.mark.parametrize("size", ["larger", "smaller", "only wider"])
def test_the_kernel_resizes_as_torch_does(found: dict, size: str) -> None:
    assert found[f"resized {size}"] < 1e-6


def test_a_gpu_with_less_shared_memory_is_given_smaller_blocks(found: dict) -> None:
    # An H100's, as measured, and what a GeForce of the 40 series has.
    assert found["shapes"] == {"232448": [256, 3], "101376": [128, 2]}


def test_networks_with_channels_that_the_kernel_does_not_compute_are_not_fused() -> None:
    assert fusable(SRVGGNetCompact(64, 16, 4)) and fusable(RRDBNet(64, 32, 1, 4))
    assert not fusable(SRVGGNetCompact(24, 2, 4)) and not fusable(RRDBNet(64, 24, 1, 4))


def _executions(monkeypatch: pytest.MonkeyPatch, asked: str) -> Executions:
    """As on a GPU, for which Triton then finds no driver."""
    monkeypatch.setattr(Executions, "_fuses", lambda _: True)
    return Executions(load_weights("realesr-animevideov3"), "cpu", "float16", asked)


def test_where_triton_does_not_work_the_network_is_run_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    executions = _executions(monkeypatch, "auto")
    with torch.inference_mode():
        executions.network(1, (48, 32), (72, 48))
        executions.network(1, (48, 32), (72, 48))
    assert executions.name == "rewritten"
    assert caplog.text.count("Triton cannot compile realesr-animevideov3 on this machine (") == 1
    assert "It goes on without." in caplog.text


def test_where_triton_does_not_work_and_was_asked_for_it_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    executions = _executions(monkeypatch, "fused")
    with pytest.raises(UpscalingError, match="Triton cannot compile realesr-animevideov3 on this machine"):
        executions.network(1, (48, 32), (72, 48))


@pytest.mark.parametrize("asked", ["auto", "fused"])
def test_memory_that_runs_out_is_not_taken_for_triton_that_does_not_work(
    monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """The engine then takes fewer pictures at a time, and the network is fused all the same."""

    def full(_: object) -> NoReturn:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    executions = _executions(monkeypatch, asked)
    with monkeypatch.context() as filled:
        filled.setattr(execution, "_fused", full)
        with pytest.raises(torch.OutOfMemoryError):
            executions.network(1, (48, 32), (72, 48))
    monkeypatch.setattr(execution, "_fused", lambda network: network)
    executions.network(1, (48, 32), (72, 48))
    assert executions.name == "fused"


def test_memory_that_runs_out_does_not_end_resizing_by_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> NoReturn:
        raise RuntimeError("Triton Error [CUDA]: out of memory")

    resample._kernel.cache_clear()
    monkeypatch.setattr(resample, "taps", full)
    with pytest.raises(RuntimeError, match="out of memory"):
        resample._kernel()
    assert resample._kernel.cache_info().currsize == 0
