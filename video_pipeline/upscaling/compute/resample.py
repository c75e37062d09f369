"""Resizes pictures by any ratio, row by row: area averages to shrink, Lanczos to enlarge.

A result is a weighted sum of selected rows and columns. So a strip of the result needs only a known strip of the
source, and equals the same rows of the whole result. Imports torch; the engine imports it late.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from video_pipeline.upscaling.compute.memory import out_of_memory

_LOG = logging.getLogger(__name__)

Table = tuple[Tensor, Tensor]
"""For each result, the source positions that it sums (K, results) and their weights (K, results)."""

_LOBES = 3
# Width in source pixels of a region whose mean colour is kept: larger than details, smaller than a scene's objects.
_REGION = 32


@dataclass(frozen=True, slots=True)
class Taps:
    """For each result position, the K source positions that it sums and their weights; both (K, target)."""

    index: Tensor
    weight: Tensor
    # Copies on other devices: an upload at every use would make the GPU wait for the CPU.
    _placed: dict[torch.device, Table] = field(default_factory=dict, compare=False)

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """The half-open range of source positions that results start..stop need."""
        picked = self.index[:, start:stop]
        return int(picked.min()), int(picked.max()) + 1

    def on(self, device: torch.device) -> Table:
        """`index` and `weight` on a device."""
        if device not in self._placed:
            self._placed[device] = (self.index.to(device), self.weight.to(device))
        return self._placed[device]

    @property
    def same(self) -> bool:
        """Whether each result is one position of the source, which then is as long."""
        return len(self.index) == 1


def resized(
    picture: Tensor, vertical: Taps, horizontal: Taps, *, rows: tuple[int, int] | None = None, first: int = 0
) -> Tensor:
    """Rows start..stop of the result (or all) in float32, from (N, C, H, W) that begins at the source's row `first`.

    It may be a view of the strip.
    """
    start, stop = rows or (0, vertical.index.shape[1])
    if vertical.same and horizontal.same:
        return picture[:, :, start - first : stop - first].float()
    index, weight = vertical.on(picture.device)
    down, across = (index[:, start:stop] - first, weight[:, start:stop].contiguous()), horizontal.on(picture.device)
    kernel = _kernel() if picture.is_cuda else None
    if kernel is not None:
        return kernel(picture, down, across)
    return _sum(_sum(picture.float(), down, dim=2), across, dim=3)


@lru_cache(maxsize=1)
def _kernel() -> "Callable[[Tensor, Table, Table], Tensor] | None":
    """Triton's, which reads the picture once, where this machine can build it."""
    try:
        from video_pipeline.upscaling.compute.kernels import resample

        tiny = taps(4, 6).on(torch.device("cuda"))
        resample(torch.zeros(1, 1, 4, 4, device="cuda"), tiny, tiny)
    except Exception as error:
        if out_of_memory(error):
            # With smaller batches it may fit.
            raise
        # It lacks Triton, a C compiler or a driver that is new enough; torch's own steps do the same.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        _LOG.warning("Triton cannot compile on this machine (%s); resizing goes on without.", reason)
        return None
    return resample


def _sum(picture: Tensor, table: Table, dim: int) -> Tensor:
    index, weight = table
    if dim == 2:
        weight = weight.unsqueeze(-1)
    total = picture.index_select(dim, index[0]) * weight[0]
    for positions, weights in zip(index[1:], weight[1:], strict=True):
        total += picture.index_select(dim, positions) * weights
    return total


@lru_cache(maxsize=64)
def cached_taps(source: int, target: int) -> Taps:
    """`taps`, cached."""
    return taps(source, target)


def plain_rows(source: Tensor, size: tuple[int, int], start: int, stop: int) -> Tensor:
    """Rows start..stop of RGB 0..1 (N, 3, H, W) resized to `size` (width, height) without a network."""
    vertical, horizontal = cached_taps(source.shape[2], size[1]), cached_taps(source.shape[3], size[0])
    first, last = vertical.span(start, stop)
    large = resized(source[:, :, first:last], vertical, horizontal, rows=(start, stop), first=first)
    # Lanczos overshoots at edges; values that no display shows must not count in a blend.
    return large.clamp(0, 1)


def restore_means(picture: Tensor, source: Tensor) -> None:
    """Shift `picture` smoothly, in place, so that its regions have the source's means. Both are RGB 0..1."""
    height, width = source.shape[2:]
    grid = (max(1, round(height / _REGION)), max(1, round(width / _REGION)))
    drift = F.adaptive_avg_pool2d(source, grid) - F.adaptive_avg_pool2d(picture, grid)
    picture += F.interpolate(drift, size=picture.shape[2:], mode="bilinear", align_corners=False)


def taps(source: int, target: int, *, ratio: float | None = None, shift: float = 0.0) -> Taps:
    """The sums that turn `source` positions into `target`: area when target < source, Lanczos-3 when it is larger.

    `ratio` is the source positions per result, when the two lengths do not give it exactly. `shift` moves the
    results' centres, in source positions.
    """
    result = torch.arange(target, dtype=torch.float64)
    if target == source:
        return Taps(torch.arange(source).unsqueeze(0), torch.ones(1, source))
    ratio = ratio or source / target
    if target < source:
        start = result * ratio + shift
        offsets = torch.arange(math.ceil(ratio) + 1, dtype=torch.float64).unsqueeze(1)
        position = start.floor() + offsets
        overlap = torch.minimum(position + 1, start + ratio) - torch.maximum(position, start)
        weight = overlap.clamp(min=0)
    else:
        center = (result + 0.5) * ratio - 0.5 + shift
        offsets = torch.arange(1 - _LOBES, 1 + _LOBES, dtype=torch.float64).unsqueeze(1)
        position = center.floor() + offsets
        distance = center - position
        weight = torch.sinc(distance) * torch.sinc(distance / _LOBES)
    weight = weight / weight.sum(0)
    # Outside the picture, its edge is repeated.
    return Taps(position.clamp(0, source - 1).long(), weight.float())
