"""How long a layer of the networks takes on this GPU, by how it is cut up; what `kernels._SHAPES` was chosen by.

    python benchmarks/upscale_kernels.py [--size WIDTHxHEIGHT] [--json PATH]

Each line is a layer as the networks run it (what else it adds included), in milliseconds, TFLOP/s, and its share of
the card's rate of multiplying matrices in float16. The figures are medians of runs of ten on one stream.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from machine import describe, matrix_rate, slug
from rich.console import Console
from rich.table import Table

from video_pipeline.upscaling.compute import kernels
from video_pipeline.upscaling.compute.kernels import Layer, Part, Rows, Size, convolve

_HERE = Path(__file__).parent
_CUTS = ((64, 2, 4), (64, 4, 3), (128, 4, 2), (128, 4, 3), (128, 8, 3), (256, 8, 3))
# (what it is in the networks, channels in, channels out, what is added beside the bias)
_LAYERS = (
    ("compact network's", 64, 64, ""),
    ("compact network's first", 16, 64, ""),
    ("dense block's first", 64, 192, ""),
    ("dense block's second", 32, 32, "plus"),
    ("dense block's third", 64, 128, "plus"),
    ("dense block's last", 64, 64, "plus residual outer"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the networks' layers on a GPU.")
    parser.add_argument("--size", default="1280x720", help="of the pictures, of which one is computed at a time")
    parser.add_argument("--json", type=Path, help="where the numbers go")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("it needs a GPU")
    width, height = (int(side) for side in options.size.split("x"))
    machine = describe()
    most = matrix_rate("cuda", "float16")
    rows = [row for layer in _LAYERS for row in _measured(Size(1, height, width), *layer, most)]
    target = options.json or _HERE / "results" / f"upscale-kernels-{slug(machine)}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"machine": machine, "matrix_tflops": most / 1e12, "rows": rows}, indent=2) + "\n")
    table = Table("layer", "channels", "pixels, warps, stages", "ms", "TFLOP/s", "of the matrix rate")
    for row in rows:
        cut = ", ".join(map(str, row["cut"])) + (" (in use)" if row["in_use"] else "")
        if "failed" in row:
            table.add_row(row["layer"], row["channels"], cut, row["failed"], "", "")
        else:
            share = f"{row['share_of_matrix_rate']:.0%}"
            table.add_row(row["layer"], row["channels"], cut, f"{row['ms']:.3f}", f"{row['tflops']:.0f}", share)
    Console().print(table)


def _measured(size: Size, name: str, inputs: int, outputs: int, added: str, most: float) -> list[dict]:
    """A row for each way to cut the layer up."""
    like = torch.empty(1, device="cuda", dtype=torch.half)
    layer = Layer(
        _random(outputs, inputs, 3, 3) * 0.05, _random(outputs), None if "outer" in added else _random(outputs)
    )

    def part(channels: int) -> Part:
        rows = Rows(size, channels, like)
        rows.fill(_random(size.count, channels, size.height, size.width))
        return Part(rows)

    source, target = part(inputs), part(outputs)
    beside = {word: part(outputs) for word in added.split()}
    used = kernels._shape(inputs, outputs, kernels._shared_memory(like.device))
    flops = 2 * 9 * inputs * outputs * size.count * size.height * size.width
    found: list[dict] = []
    for cut in _CUTS:
        row = {
            "layer": name,
            "channels": f"{inputs} to {outputs}",
            "cut": cut,
            "in_use": kernels._Shape(*cut) == used,
        }
        _cut_up(inputs, outputs, kernels._Shape(*cut))
        try:
            ms = _ms(lambda: convolve(layer, source, target, share=0.2, **beside))
            rate = flops / ms * 1e3
            row |= {"ms": ms, "tflops": rate / 1e12, "share_of_matrix_rate": rate / most}
        except Exception as error:  # Triton has no common error; such a cut is no use on this card
            row["failed"] = type(error).__name__
        found.append(row)
    _cut_up(inputs, outputs, used)
    return found


def _cut_up(inputs: int, outputs: int, shape: kernels._Shape) -> None:
    kernels._SHAPES[inputs, outputs] = shape
    kernels._shape.cache_clear()


def _random(*shape: int) -> torch.Tensor:
    return torch.rand(shape, device="cuda", dtype=torch.half)


def _ms(run: Callable[[], None]) -> float:
    for _ in range(2):
        run()
    seconds: list[float] = []
    for _ in range(3):
        started, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        started.record()
        for _ in range(10):
            run()
        ended.record()
        ended.synchronize()
        seconds.append(started.elapsed_time(ended) / 10)
    return median(seconds)


if __name__ == "__main__":
    main()
