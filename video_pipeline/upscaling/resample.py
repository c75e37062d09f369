"""Changing a picture's size by any ratio: area averages when it shrinks, Lanczos when it grows, row by row.

Written as weighted sums of picked rows and columns, so that a strip of the result needs only a known strip of the
source and equals the same rows of the whole result. Imports torch; the engine imports it late.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_LOBES = 3


@dataclass(frozen=True, slots=True)
class Taps:
    """For each position of the result, which positions of the source it sums (K, target), and with which weights."""

    index: Tensor
    weight: Tensor

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """The half-open range of source positions that the results start..stop need."""
        picked = self.index[:, start:stop]
        return int(picked.min()), int(picked.max()) + 1

    def rows(self, picture: Tensor, start: int, stop: int, first: int) -> Tensor:
        """Rows start..stop of the result, from a (N, C, H, W) strip whose row 0 is the source's row `first`."""
        index = (self.index[:, start:stop] - first).to(picture.device)
        return _sum(picture, index, self.weight[:, start:stop].to(picture.device).unsqueeze(-1), dim=2)

    def columns(self, picture: Tensor) -> Tensor:
        """All columns of the result, from a (N, C, H, W) picture."""
        return _sum(picture, self.index.to(picture.device), self.weight.to(picture.device), dim=3)


def _sum(picture: Tensor, index: Tensor, weight: Tensor, dim: int) -> Tensor:
    total = picture.index_select(dim, index[0]) * weight[0]
    for positions, weights in zip(index[1:], weight[1:], strict=True):
        total += picture.index_select(dim, positions) * weights
    return total


def taps(source: int, target: int) -> Taps:
    """The sums that turn `source` positions into `target`: area when target < source, Lanczos-3 when it is more."""
    result = torch.arange(target, dtype=torch.float64)
    if target == source:
        return Taps(torch.arange(source).unsqueeze(0), torch.ones(1, source))
    ratio = source / target
    if target < source:
        first = (result * ratio).floor()
        offsets = torch.arange(int(-(-source // target)) + 1, dtype=torch.float64).unsqueeze(1)
        position = first + offsets
        overlap = torch.minimum(position + 1, (result + 1) * ratio) - torch.maximum(position, result * ratio)
        weight = overlap.clamp(min=0)
    else:
        center = (result + 0.5) * ratio - 0.5
        offsets = torch.arange(1 - _LOBES, 1 + _LOBES, dtype=torch.float64).unsqueeze(1)
        position = center.floor() + offsets
        distance = center - position
        weight = torch.sinc(distance) * torch.sinc(distance / _LOBES)
    weight = weight / weight.sum(0)
    # Outside the picture its edge goes on.
    return Taps(position.clamp(0, source - 1).long(), weight.float())
