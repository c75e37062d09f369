"""The two Real-ESRGAN networks as torch modules. No weights, files or video belong here.

Vendored because the packages that hold them no longer import beside a current torchvision. `SRVGGNetCompact` is
from Real-ESRGAN (Copyright 2021 Xintao Wang, BSD-3-Clause, https://github.com/xinntao/Real-ESRGAN), `RRDBNet` from
BasicSR (Copyright 2018-2022 BasicSR Authors, Apache-2.0, https://github.com/XPixelGroup/BasicSR). Parameter names
are the originals', so that the official files load unchanged.

Input and output are float tensors of shape (N, 3, H, W), RGB in 0..1. The output is `scale` times as high and wide
and is not clamped. Each network has attributes for the engine. `cuttable` tells whether pictures may be cut into
strips. `halo` is the number of input rows around a strip that its result depends on. Sizes and offsets are multiples
of `multiple`. `features` and `values_per_pixel` give its memory, and `bfloat16_on_cpu` and `float16_on_gpu` whether a
short number format keeps its result. This module imports torch; the engine imports it late.
"""

from collections.abc import Mapping
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SRVGGNetCompact(nn.Module):
    """A plain stack of 3x3 convolutions at input size, then pixel shuffle, on top of the nearest-enlarged input."""

    # Measured against float32 on real frames: 56 to 61 dB.
    bfloat16_on_cpu = True
    float16_on_gpu = True
    cuttable = True

    def __init__(self, features: int, convolutions: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.multiple = 1
        layers: list[nn.Module] = [nn.Conv2d(3, features, 3, padding=1), nn.PReLU(features)]
        for _ in range(convolutions):
            layers += [nn.Conv2d(features, features, 3, padding=1), nn.PReLU(features)]
        layers.append(nn.Conv2d(features, 3 * scale * scale, 3, padding=1))
        self.body = nn.ModuleList(layers)
        # One row for each convolution: rows farther away do not change the result.
        self.halo = convolutions + 2
        self.features = features
        # Values in memory at the peak for one input pixel: the body's activations, or copies of the enlarged output.
        self.values_per_pixel = max(3 * features, 4 * 3 * scale * scale)

    def forward(self, x: Tensor) -> Tensor:
        # The body's result is a small correction, so only the body is computed in a short format, not the picture.
        out = x.to(next(self.body.parameters()).dtype)
        for layer in self.body:
            out = layer(out)
        nearest = F.interpolate(x, scale_factor=self.scale, mode="nearest")
        return F.pixel_shuffle(out, self.scale).to(x.dtype) + nearest


class ResidualDenseBlock(nn.Module):
    """Five convolutions, each of which reads the input and all earlier results."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, growth, 3, padding=1)
        self.conv2 = nn.Conv2d(features + growth, growth, 3, padding=1)
        self.conv3 = nn.Conv2d(features + 2 * growth, growth, 3, padding=1)
        self.conv4 = nn.Conv2d(features + 3 * growth, growth, 3, padding=1)
        self.conv5 = nn.Conv2d(features + 4 * growth, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        seen = x.to(self.conv1.weight.dtype)
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen = torch.cat((seen, F.leaky_relu(conv(seen), 0.2, inplace=True)), 1)
        return torch.add(x, self.conv5(seen), alpha=0.2)


class ResidualInResidualDenseBlock(nn.Module):
    """Three dense blocks with a residual around them."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = ResidualDenseBlock(features, growth)
        self.rdb2 = ResidualDenseBlock(features, growth)
        self.rdb3 = ResidualDenseBlock(features, growth)

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.rdb3(self.rdb2(self.rdb1(x))), alpha=0.2)


class RRDBNet(nn.Module):
    """The heavy ESRGAN generator. For scale 2, blocks of 2x2 input pixels become channels, so H and W are even.

    Its last layers are four times as high and wide as its body and depend on two rows of the body only. They are
    computed strip by strip, with the same result, in buffers of about `tail_bytes`.
    """

    # The exact reach is 15 rows a block and 4 more: 94 for 6 blocks, but 349 for 23. Measured on the 23-block
    # network, rows more than 96 away change an 8-bit value by less than 0.01.
    _FARTHEST = 96
    # conv_last, conv_hr and conv_up2 reach a row each of the result, conv_up1 two: a row and a quarter of the body.
    _TAIL_HALO = 2
    # With fewer, the rows around a strip would cost more than the strip.
    _FEWEST_TAIL_ROWS = 8
    # Measured against float32 on real frames, at 1.5 times their size: 56 to 59 dB. With 23 blocks it is 54 to 59 dB:
    # half a step of 255 on average, and four steps at most.
    bfloat16_on_cpu = True
    float16_on_gpu = True
    cuttable = True

    def __init__(self, features: int, growth: int, blocks: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.multiple = 4 // scale
        self.conv_first = nn.Conv2d(3 * self.multiple**2, features, 3, padding=1)
        self.body = nn.Sequential(*(ResidualInResidualDenseBlock(features, growth) for _ in range(blocks)))
        self.conv_body = nn.Conv2d(features, features, 3, padding=1)
        self.conv_up1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv_up2 = nn.Conv2d(features, features, 3, padding=1)
        self.conv_hr = nn.Conv2d(features, features, 3, padding=1)
        self.conv_last = nn.Conv2d(features, 3, 3, padding=1)
        self.halo = min(self._FARTHEST, 15 * blocks + 4) * self.multiple
        self.features, self.growth = features, growth
        # At the peak of a dense block, for a pixel of the body: its inputs, joined once more, and the block's own.
        self.values_per_pixel = 6 * features
        self.tail_bytes = 2**30

    def forward(self, x: Tensor) -> Tensor:
        if self.multiple > 1:
            x = F.pixel_unshuffle(x, self.multiple)
        out = self._features(x)
        count, _, height, width = out.shape
        wide = self.conv_last.weight.dtype
        fitting = self.tail_bytes // (count * 16 * width * self.features * wide.itemsize) - 2 * self._TAIL_HALO
        strips = -(-height // max(self._FEWEST_TAIL_ROWS, fitting))
        if strips == 1:
            return self._tail(out)
        picture = out.new_empty((count, 3, 4 * height, 4 * width), dtype=wide)
        for start, stop in pairwise(height * strip // strips for strip in range(strips + 1)):
            top = max(0, start - self._TAIL_HALO)
            strip = self._tail(out[:, :, top : stop + self._TAIL_HALO])
            picture[:, :, 4 * start : 4 * stop] = strip[:, :, 4 * (start - top) : 4 * (stop - top)]
        return picture

    def _features(self, x: Tensor) -> Tensor:
        short = self.conv_body.weight.dtype
        # The sum that the blocks add to is kept in the picture's format, because rounding in a short one would add
        # up.
        first = self.conv_first(x.to(self.conv_first.weight.dtype)).to(x.dtype)
        return (first + self.conv_body(self.body(first).to(short))).to(short)

    def _tail(self, out: Tensor) -> Tensor:
        for conv in (self.conv_up1, self.conv_up2):
            out = F.leaky_relu(conv(F.interpolate(out, scale_factor=2.0, mode="nearest")), 0.2, inplace=True)
        return self.conv_last(F.leaky_relu(self.conv_hr(out), 0.2, inplace=True).to(self.conv_last.weight.dtype))


RealEsrganNetwork = SRVGGNetCompact | RRDBNet


def build_network(state: Mapping[str, Tensor]) -> RealEsrganNetwork:
    """The network that a state dict belongs to, with its weights loaded. Every size is read from the shapes.

    Raises ValueError, RuntimeError, KeyError or IndexError when the names or shapes are those of another network.
    """
    network = _compact(state) if "body.0.weight" in state else _rrdb(state)
    network.load_state_dict(dict(state), strict=True)
    return network.eval()


def _compact(state: Mapping[str, Tensor]) -> SRVGGNetCompact:
    last = max(int(name.split(".")[1]) for name in state if name.startswith("body."))
    scale = round((state[f"body.{last}.weight"].shape[0] / 3) ** 0.5)
    return SRVGGNetCompact(state["body.0.weight"].shape[0], convolutions=last // 2 - 1, scale=scale)


def _rrdb(state: Mapping[str, Tensor]) -> RRDBNet:
    if "conv_first.weight" not in state or "body.0.rdb1.conv1.weight" not in state:
        raise ValueError("neither SRVGGNetCompact nor RRDBNet")
    features, inputs = state["conv_first.weight"].shape[:2]
    blocks = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("body."))
    growth = state["body.0.rdb1.conv1.weight"].shape[0]
    scales = {3: 4, 12: 2}
    if inputs not in scales:
        raise ValueError(f"an RRDBNet of {inputs} input channels")
    return RRDBNet(features, growth, blocks, scale=scales[inputs])
