"""Converts YCbCr planes to RGB and back on the computing device, with the clip's matrix, range, depth and siting.

The codec's own planes are transferred: half the bytes of RGB, and no colour conversion on a CPU core. Formulas: ITU-T
H.273 (matrices, ranges), ITU-T H.264 annex E (chroma siting). Imports torch; the engine imports it late.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from video_pipeline.upscaling.compute.planes import PlaneFormat
from video_pipeline.upscaling.compute.resample import Taps, resized, taps

# Kr and Kb: the shares of red and blue in luma, by ffmpeg's name of the matrix (H.273 table 4).
_LUMA_SHARES = {
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "bt470bg": (0.299, 0.114),
    "smpte170m": (0.299, 0.114),
    "smpte240m": (0.212, 0.087),
    "bt2020nc": (0.2627, 0.0593),
}


@dataclass(frozen=True, slots=True)
class _Levels:
    """The codes of black and of zero chroma, the number of codes from 0 to 1, and the highest code."""

    black: float
    luma: float
    zero: float
    chroma: float
    highest: int


def _levels(shape: PlaneFormat) -> _Levels:
    step, highest = 1 << (shape.bit_depth - 8), (1 << shape.bit_depth) - 1
    zero = 128.0 * step
    if shape.full_range:
        return _Levels(0.0, highest, zero, highest, highest)
    return _Levels(16.0 * step, 219.0 * step, zero, 224.0 * step, highest)


def to_rgb(planes: Sequence[Tensor], shape: PlaneFormat) -> Tensor:
    """RGB as float32 0..1 of shape (N, 3, H, W), from integer planes (N, H, W) and (N, H/sy, W/sx) twice."""
    levels = _levels(shape)
    luma = (planes[0].float().unsqueeze(1) - levels.black) / levels.luma
    chroma = (torch.stack((planes[1], planes[2]), 1).float() - levels.zero) / levels.chroma
    width, height = shape.size
    (across, down), (column, row) = shape.subsampling, shape.chroma_at
    chroma = resized(chroma, _spread(height, down, row), _spread(width, across, column))
    blue, red = chroma[:, :1], chroma[:, 1:]
    share_red, share_blue = _LUMA_SHARES[shape.matrix]
    share_green = 1 - share_red - share_blue
    r = luma + 2 * (1 - share_red) * red
    b = luma + 2 * (1 - share_blue) * blue
    g = (luma - share_red * r - share_blue * b) / share_green
    return torch.cat((r, g, b), 1).clamp_(0, 1)


def from_rgb(rgb: Tensor, shape: PlaneFormat) -> tuple[Tensor, Tensor, Tensor]:
    """Integer planes (N, H, W), (N, H/2, W/2) twice, from RGB 0..1 (N, 3, H, W); uint8, or int16 for 10 bits.

    `shape` is 4:2:0, of even size, its siting "left". A chroma sample is the average of the pixels that it covers.
    """
    levels = _levels(shape)
    share_red, share_blue = _LUMA_SHARES[shape.matrix]
    r, g, b = rgb[:, 0], rgb[:, 1], rgb[:, 2]
    luma = share_red * r + (1 - share_red - share_blue) * g + share_blue * b
    chroma = torch.stack(((b - luma) / (2 * (1 - share_blue)), (r - luma) / (2 * (1 - share_red))), 1)
    width, height = shape.size
    chroma = resized(chroma, _shrunk_rows(height), _shrunk_columns(width))
    codes = torch.uint8 if shape.bit_depth == 8 else torch.int16

    def coded(values: Tensor, zero: float, steps: float) -> Tensor:
        return (values * steps + zero).round_().clamp_(0, levels.highest).to(codes)

    return (
        coded(luma, levels.black, levels.luma),
        coded(chroma[:, 0], levels.zero, levels.chroma),
        coded(chroma[:, 1], levels.zero, levels.chroma),
    )


@lru_cache(maxsize=64)
def _spread(length: int, share: int, at: float) -> Taps:
    """From chroma samples, which `share` pixels share and which stand `at` pixels from the first, to the pixels."""
    return taps(-(-length // share), length, ratio=1 / share, shift=0.5 - (at + 0.5) / share)


@lru_cache(maxsize=32)
def _shrunk_rows(height: int) -> Taps:
    return taps(height, height // 2)


# H.264's own siting: on the first of two columns, and between two rows.
@lru_cache(maxsize=32)
def _shrunk_columns(width: int) -> Taps:
    return taps(width, width // 2, shift=-0.5)
