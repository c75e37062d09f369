"""Triton's kernels: a 3x3 convolution with all that surrounds it in the networks; resizing. Imports torch and Triton.

A layer of these networks moves more bytes than it computes when its convolution, bias, activation and sums are steps
of their own. Here they are one.

For the convolution, pictures are rows of pixels: the pixels of N pictures of H+2 by W+2, one row of channels each,
zero on the edge. So the nine neighbours of a run of pixels are nine runs of the same length, some rows further on,
and no bounds are tested. `Rows` holds them.
"""

# pyright: reportCallIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false
# The types of Triton's functions are those inside a kernel, and not those of a launch.

import sys
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.runtime import driver

from video_pipeline.upscaling.compute.resample import Table

# Triton multiplies by sixteen numbers at a time.
FEWEST_CHANNELS = 16
_MOST_CHANNELS_AT_ONCE = 64
# The longest run of pixels of `_SHAPES`.
_LONGEST = 256


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a layer is cut up: pixels of a block, its warps, and its loads that are on the way at a time."""

    pixels: int
    warps: int
    stages: int


_USUAL = _Shape(128, 4, 3)
# By channels in and out; measured on an H100 (benchmarks/upscale_kernels.py).
_SHAPES = {(64, 192): _Shape(256, 8, 3), (64, 128): _Shape(128, 8, 3), (32, 32): _Shape(64, 2, 4)}


@dataclass(frozen=True, slots=True)
class Size:
    """How many pictures, and their pixels without the edge."""

    count: int
    height: int
    width: int

    @property
    def pixels(self) -> int:
        """Pixels with their edges."""
        return self.count * (self.height + 2) * (self.width + 2)


class Rows:
    """Channels of every pixel of some pictures, edges included: (pixels, channels), and views of them."""

    def __init__(self, size: Size, channels: int, like: Tensor) -> None:
        self.size = size
        # What lies before the first pixel and after the last is read for edges, whose results are thrown away.
        self._before = size.width + 3
        rows = self._before + size.pixels + _LONGEST + size.width + 3
        self._all = torch.empty(rows, channels, device=like.device, dtype=like.dtype)

    @property
    def pixels(self) -> Tensor:
        """From the first pixel on: (pixels and more, channels)."""
        return self._all[self._before :]

    @property
    def pictures(self) -> Tensor:
        """(N, C, H+2, W+2), channels last: what a convolution without padding reads."""
        size = self.size
        shown = self.pixels[: size.pixels].view(size.count, size.height + 2, size.width + 2, -1)
        return shown.permute(0, 3, 1, 2)

    def fill(self, pictures: Tensor) -> None:
        """Take over (N, C, H, W), with zeros on the edges and in further channels."""
        channels = pictures.shape[1]
        mine = self.pictures
        mine[:, :channels, 1:-1, 1:-1] = pictures
        if channels < mine.shape[1]:
            mine[:, channels:] = 0
        for edge in (mine[:, :, 0], mine[:, :, -1], mine[:, :, :, 0], mine[:, :, :, -1]):
            edge.zero_()


@dataclass(frozen=True, slots=True)
class Part:
    """Some neighbouring channels of rows."""

    rows: Rows
    first: int = 0

    @property
    def start(self) -> Tensor:
        """The first pixel's."""
        return self.rows.pixels[:, self.first :]

    @property
    def stride(self) -> int:
        """Numbers from a pixel to the next."""
        return self.rows.pixels.shape[1]


class Layer:
    """A convolution's weights as the kernel reads them, its bias, and by channel the slope of negative results."""

    def __init__(self, weight: Tensor, bias: Tensor | None, slope: Tensor | None) -> None:
        """Take (O, I, 3, 3), and (O) or None twice. Inputs are padded to a multiple of 16."""
        missing = -weight.shape[1] % FEWEST_CHANNELS
        weight = torch.nn.functional.pad(weight, (0, 0, 0, 0, 0, missing))
        self.inputs = weight.shape[1]
        self.outputs = weight.shape[0]
        self.weight = weight.permute(2, 3, 1, 0).reshape(-1, self.outputs).contiguous()
        self.bias = bias
        self.slope = slope


def convolve(
    layer: Layer,
    source: Part,
    target: Part,
    *,
    plus: Part | None = None,
    residual: Part | None = None,
    outer: Part | None = None,
    share: float = 1.0,
) -> None:
    """Write `layer` of `source` to `target`, of the same pictures or of pictures twice as high and wide.

    `plus` is added before the activation. With `residual`, for a layer without one, the result is residual + share *
    result; with `outer` too, outer + share * that. Source and target may be different channels of the same rows.
    """
    large, small = target.rows.size, source.rows.size
    wide = 1 << (layer.outputs.bit_length() - 1)
    start, stride = target.start, target.stride
    shape = _shape(layer.inputs, layer.outputs, _shared_memory(start.device))
    # Each is added before the convolution is summed up, with the weight that the shares of later steps leave of it.
    added = [(part.start, part.stride) if part else (start, stride) for part in (plus, residual, outer)]
    _convolve[(triton.cdiv(large.pixels, shape.pixels),)](
        source.start,
        layer.weight,
        start,
        layer.weight if layer.bias is None else layer.bias,
        layer.weight if layer.slope is None else layer.slope,
        *(each for pair in added for each in pair),
        large.pixels,
        large.width,
        large.height,
        source.stride,
        stride,
        INPUTS=layer.inputs,
        WIDE=wide,
        NARROW=layer.outputs - wide,
        PIXELS=shape.pixels,
        AT_ONCE=_at_once(layer.inputs),
        DOUBLED=large.height == 2 * small.height,
        BIAS=layer.bias is not None,
        ACTIVATED=layer.slope is not None,
        PLUS=plus is not None,
        RESIDUAL=residual is not None,
        OUTER=outer is not None,
        SHARE=share,
        num_warps=shape.warps,
        num_stages=shape.stages,
    )


@lru_cache(maxsize=64)
def _shape(inputs: int, outputs: int, shared_memory: int) -> _Shape:
    """The measured shape, or as much of it as fits: each load on the way holds its pixels and its weights."""
    shape = _SHAPES.get((inputs, outputs), _USUAL)
    at_once = _at_once(inputs)
    while shape.stages * at_once * (shape.pixels + outputs) * 2 > shared_memory and shape.stages > 1:
        fewer = shape.pixels > _USUAL.pixels
        shape = replace(shape, pixels=_USUAL.pixels) if fewer else replace(shape, stages=shape.stages - 1)
    return shape


def _at_once(inputs: int) -> int:
    """Channels that are multiplied at a time: a power of two that divides the inputs."""
    return min(inputs & -inputs, _MOST_CHANNELS_AT_ONCE)


@lru_cache(maxsize=8)
def _shared_memory(device: torch.device) -> int:
    """Bytes that a block may use; Triton's interpreter on the CPU has no limit."""
    if device.type != "cuda":
        return sys.maxsize
    return driver.active.utils.get_device_properties(device.index or 0)["max_shared_mem"]


@triton.jit(do_not_specialize=["pixels", "width", "height"])
def _convolve(
    source,
    weight,
    target,
    bias,
    slope,
    plus,
    plus_stride,
    residual,
    residual_stride,
    outer,
    outer_stride,
    pixels,
    width,
    height,
    source_stride,
    target_stride,
    INPUTS: tl.constexpr,
    WIDE: tl.constexpr,
    NARROW: tl.constexpr,
    PIXELS: tl.constexpr,
    AT_ONCE: tl.constexpr,
    DOUBLED: tl.constexpr,
    BIAS: tl.constexpr,
    ACTIVATED: tl.constexpr,
    PLUS: tl.constexpr,
    RESIDUAL: tl.constexpr,
    OUTER: tl.constexpr,
    SHARE: tl.constexpr,
):
    # The outputs are a power of two, WIDE, and another, NARROW, or none: Triton knows no other lengths.
    OUTPUTS: tl.constexpr = WIDE + NARROW
    STEPS: tl.constexpr = INPUTS // AT_ONCE
    row_length = width + 2
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    place = pixel % (row_length * (height + 2))
    row = place // row_length
    column = place % row_length
    inside = ((row > 0) & (row <= height) & (column > 0) & (column <= width))[:, None]
    at = pixel.to(tl.int64)[:, None]
    channel = tl.arange(0, AT_ONCE)
    if DOUBLED:
        # A pixel's neighbours are found in the picture of half the size; its edge is theirs.
        short_length = width // 2 + 2
        picture = pixel // (row_length * (height + 2)) * (short_length * (height // 2 + 2))
    else:
        near = source + at * source_stride + channel[None, :]
    read = weight + channel[:, None] * OUTPUTS
    wide = tl.arange(0, WIDE)
    sums = _added(at, inside, wide, bias, plus, plus_stride, residual, residual_stride, outer, outer_stride,
                  PIXELS, BIAS, PLUS, RESIDUAL, OUTER, SHARE)  # fmt: skip
    if NARROW > 0:
        narrow = WIDE + tl.arange(0, NARROW)
        more_sums = _added(at, inside, narrow, bias, plus, plus_stride, residual, residual_stride, outer,
                           outer_stride, PIXELS, BIAS, PLUS, RESIDUAL, OUTER, SHARE)  # fmt: skip
    for step in tl.range(9 * STEPS):
        neighbour = step // STEPS
        first = (step % STEPS) * AT_ONCE
        down = neighbour // 3 - 1
        across = neighbour % 3 - 1
        if DOUBLED:
            above = ((row - 1 + down) >> 1) + 1
            left = ((column - 1 + across) >> 1) + 1
            there = (picture + above * short_length + left).to(tl.int64)
            values = tl.load(source + there[:, None] * source_stride + (first + channel)[None, :])
        else:
            shift = (down * row_length + across).to(tl.int64) * source_stride + first
            values = tl.load(near + shift, cache_modifier=".ca")
        weights = read + (neighbour * INPUTS + first) * OUTPUTS
        sums = tl.dot(values, tl.load(weights + wide[None, :]), sums)
        if NARROW > 0:
            more_sums = tl.dot(values, tl.load(weights + narrow[None, :]), more_sums)
    kept = (pixel < pixels)[:, None]
    start = target + at * target_stride
    _write(start, sums, kept, inside, wide, slope, ACTIVATED, RESIDUAL, OUTER, SHARE)
    if NARROW > 0:
        _write(start, more_sums, kept, inside, narrow, slope, ACTIVATED, RESIDUAL, OUTER, SHARE)


@triton.jit
def _added(at, inside, channel, bias, plus, plus_stride, residual, residual_stride, outer, outer_stride,
           PIXELS: tl.constexpr, BIAS: tl.constexpr, PLUS: tl.constexpr, RESIDUAL: tl.constexpr,
           OUTER: tl.constexpr, SHARE: tl.constexpr):  # fmt: skip
    """What a convolution's sums begin with."""
    sums = tl.zeros((PIXELS, channel.shape[0]), tl.float32)
    if BIAS:
        sums += tl.load(bias + channel)[None, :].to(tl.float32)
    if PLUS:
        sums += tl.load(plus + at * plus_stride + channel[None, :], mask=inside, other=0.0).to(tl.float32)
    if RESIDUAL:
        inner = tl.load(residual + at * residual_stride + channel[None, :], mask=inside, other=0.0)
        sums += inner.to(tl.float32) * (1 / SHARE)
    if OUTER:
        first = tl.load(outer + at * outer_stride + channel[None, :], mask=inside, other=0.0)
        sums += first.to(tl.float32) * (1 / (SHARE * SHARE))
    return sums


@triton.jit
def _write(start, sums, kept, inside, channel, slope, ACTIVATED: tl.constexpr, RESIDUAL: tl.constexpr,
           OUTER: tl.constexpr, SHARE: tl.constexpr):  # fmt: skip
    """Activate and write the sums; edges are zero."""
    if ACTIVATED:
        sums = tl.where(sums > 0, sums, sums * tl.load(slope + channel)[None, :].to(tl.float32))
    if RESIDUAL:
        sums *= SHARE
    if OUTER:
        sums *= SHARE
    result = tl.where(inside, sums, 0.0).to(start.dtype.element_ty)
    tl.store(start + channel[None, :], result, mask=kept)


# Results of one row that a program of `resample` sums.
_RUN = 256


def resample(picture: Tensor, rows: Table, columns: Table) -> Tensor:
    """(N, C, H, W) of any layout to float32 of the tables' size; every result is a sum over rows and columns."""
    count, channels = picture.shape[:2]
    height, width = rows[0].shape[1], columns[0].shape[1]
    result = torch.empty((count, channels, height, width), device=picture.device)
    _resample[(triton.cdiv(width, _RUN), height, count * channels)](
        picture,
        result,
        *(*rows, rows[0].stride(0), *columns, columns[0].stride(0)),
        *(channels, height, width),
        *picture.stride(),
        DOWN=rows[0].shape[0],
        ACROSS=columns[0].shape[0],
        RUN=_RUN,
    )
    return result


@triton.jit(do_not_specialize=["channels", "height", "width"])
def _resample(
    source,
    target,
    row_index,
    row_weight,
    row_taps,
    column_index,
    column_weight,
    column_taps,
    channels,
    height,
    width,
    picture_stride,
    channel_stride,
    row_stride,
    column_stride,
    DOWN: tl.constexpr,
    ACROSS: tl.constexpr,
    RUN: tl.constexpr,
):
    column = tl.program_id(0) * RUN + tl.arange(0, RUN)
    row = tl.program_id(1)
    plane = tl.program_id(2)
    kept = column < width
    start = source + (plane // channels).to(tl.int64) * picture_stride + (plane % channels) * channel_stride
    sums = tl.zeros((RUN,), tl.float32)
    for across in tl.static_range(ACROSS):
        index = tl.load(column_index + across * column_taps + column, mask=kept, other=0)
        read = start + index * column_stride
        part = tl.zeros((RUN,), tl.float32)
        for down in tl.static_range(DOWN):
            # Positions are 64-bit, so a large picture's offsets do not overflow.
            below = tl.load(row_index + down * row_taps + row) * row_stride
            values = tl.load(read + below, mask=kept, other=0.0).to(tl.float32)
            part += values * tl.load(row_weight + down * row_taps + row)
        sums += part * tl.load(column_weight + across * column_taps + column, mask=kept, other=0.0)
    place = (plane.to(tl.int64) * height + row) * width
    tl.store(target + place + column, sums, mask=kept)
