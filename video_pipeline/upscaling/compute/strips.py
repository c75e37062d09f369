"""Sends a batch of pictures through a network to a given size, whole or strip by strip, with the same result."""

from fractions import Fraction
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from video_pipeline.upscaling.compute.execution import CPU_BUFFER_BYTES, Network
from video_pipeline.upscaling.compute.resample import cached_taps, plain_rows, resized, restore_means

# Bytes that a strip on the CPU may use while a network runs on it.
_CPU_BYTES = 2 * 2**30
# With fewer rows, it is not the picture that fills the memory.
FEWEST_ROWS = 8
# A frame is suspect when the source is brighter than this (of 1) and the result is black all over.
_VISIBLE = 32 / 255


def rows_for_cpu(network: Network, width: int, value_bytes: int) -> int:
    """Source rows of a strip that fit a CPU's caches, or at least its memory."""
    halo = 2 * network.halo
    cached = CPU_BUFFER_BYTES // (width * network.features * value_bytes) - halo
    if cached >= halo:
        return cached
    return max(FEWEST_ROWS, _CPU_BYTES // (width * network.values_per_pixel * value_bytes) - halo)


def enlarge(
    source: Tensor,
    size: tuple[int, int],
    network: Network | None,
    *,
    rows: int,
    picture_type: torch.dtype,
    blend: float,
    keep_colour: bool,
) -> tuple[Tensor, Tensor]:
    """Enlarge RGB 0..1 (N, 3, H, W) to `size` (width, height), `rows` source rows at a time.

    Without a `network` it only resizes. `picture_type` is the number format of the network's input. `blend` and
    `keep_colour` are those of `engine.Enlargement`. The second value is False when a number overflowed, or a bright
    picture came out black.
    """
    height = source.shape[2]
    picture = torch.empty((len(source), 3, size[1], size[0]), device=source.device)
    finite = torch.ones((), dtype=torch.bool, device=source.device)
    for start, stop in _strips(height, size[1], rows):
        if network is None:
            picture[:, :, start:stop] = plain_rows(source, size, start, stop)
            continue
        picture[:, :, start:stop], all_finite = _network_rows(network, source, size, start, stop, picture_type)
        finite &= all_finite
        if blend < 1:
            picture[:, :, start:stop].lerp_(plain_rows(source, size, start, stop), 1 - blend)
    if network is None:
        return picture, finite
    lit, black = source.amax((1, 2, 3)) > _VISIBLE, picture.amax((1, 2, 3)) <= 0
    if keep_colour:
        restore_means(picture, source)
    return picture, finite & ~(lit & black).any()


def _strips(height: int, target_height: int, rows: int) -> list[tuple[int, int]]:
    """Cut the target's rows into strips, as even as can be, of at most `rows` source rows."""
    count = -(-height // rows)
    cuts = [target_height * i // count for i in range(count + 1)]
    return [(start, stop) for start, stop in pairwise(cuts) if start < stop]


def _network_rows(
    network: Network, source: Tensor, size: tuple[int, int], start: int, stop: int, picture_type: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Rows start..stop of the network's result at `size`, float32 0..1, and whether all numbers were finite."""
    height, width = source.shape[2:]
    scale, multiple, halo = Fraction(network.scale), network.multiple, network.halo
    vertical, horizontal = cached_taps(int(height * scale), size[1]), cached_taps(int(width * scale), size[0])
    first, last = vertical.span(start, stop)
    top = max(0, first // scale - halo) // multiple * multiple
    strip = source[:, :, top : min(height, -(-last // scale) + halo)]
    if strip.shape[2] % multiple or strip.shape[3] % multiple:
        edges = (0, -strip.shape[3] % multiple, 0, -strip.shape[2] % multiple)
        strip = F.pad(strip, edges, mode="replicate")
    large = network(strip.to(picture_type).contiguous(memory_format=torch.channels_last))
    offset = int(top * scale)
    large = large[:, :, first - offset : last - offset, : int(width * scale)]
    # What overflowed, or is no number, shows in the sum; all others together are far from overflowing it.
    finite = large.sum(dtype=torch.float32).isfinite()
    return resized(large.float().clamp_(0, 1), vertical, horizontal, rows=(start, stop), first=first), finite
