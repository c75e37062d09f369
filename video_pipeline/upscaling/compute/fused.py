"""The networks with every layer as one step on a GPU: `kernels` with the published weights. Imports torch and Triton.

In compact networks a layer is a convolution, its bias and its PReLU. A dense block of an RRDB network is five such
steps: the first convolves the input for all five readers, the second and fourth are small, and the third and fifth
convolve two results at once. Enlarging reads a pixel four times instead of writing it so.
"""

from typing import cast

import torch
from torch import Tensor, nn

from video_pipeline.upscaling.compute.kernels import FEWEST_CHANNELS, Layer, Part, Rows, Size, convolve
from video_pipeline.upscaling.compute.networks import ResidualDenseBlock, RRDBNet, SRVGGNetCompact
from video_pipeline.upscaling.compute.rewrites import FoldedCompact

# RRDB networks' own: the slope of negative results, and the share of a block's result.
_SLOPE = _SHARE = 0.2


def fused(network: FoldedCompact | SRVGGNetCompact | RRDBNet) -> FoldedCompact | SRVGGNetCompact | RRDBNet:
    """The same function, from a network that is on its device and in its number format already, which is used up."""
    if isinstance(network, RRDBNet):
        return _FusedRRDB(network)
    if isinstance(network, FoldedCompact):
        network.body, network.tail.padding = nn.ModuleList([_FusedBody(network.body)]), (0, 0)
        return network
    last = cast(nn.Conv2d, network.body[-1])
    last.padding = (0, 0)
    network.body = nn.ModuleList([_FusedBody(network.body[:-1]), last])
    return network


def _layer(conv: nn.Conv2d, *, activated: bool = False) -> Layer:
    slope = torch.full_like(conv.weight[:, 0, 0, 0], _SLOPE) if activated else None
    return Layer(conv.weight, conv.bias, slope)


def _rows_of(pictures: Tensor, like: Tensor) -> Rows:
    """(N, C, H, W) as rows, with channels for the kernel."""
    count, channels, height, width = pictures.shape
    rows = Rows(Size(count, height, width), channels + -channels % FEWEST_CHANNELS, like)
    rows.fill(pictures)
    return rows


class _FusedBody(nn.Module):
    """The convolutions of a compact network but the last: from (N, 3, H, W) to (N, C, H+2, W+2), zero on the edge."""

    def __init__(self, body: nn.ModuleList) -> None:
        super().__init__()
        self._layers: list[Layer] = []
        for conv, activation in zip(body[::2], body[1::2], strict=True):
            assert isinstance(conv, nn.Conv2d) and isinstance(activation, nn.PReLU)
            self._layers.append(Layer(conv.weight, conv.bias, activation.weight))

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self._layers
        source = _rows_of(x, first.weight)
        target, spare = (Rows(source.size, first.outputs, first.weight) for _ in range(2))
        convolve(first, Part(source), Part(target))
        for layer in others:
            convolve(layer, Part(target), Part(spare))
            target, spare = spare, target
        return target.pictures


class _FusedRRDB(RRDBNet):
    """An RRDB network whose body and tail keep their pictures as rows."""

    def __init__(self, network: RRDBNet) -> None:
        nn.Module.__init__(self)
        self.scale, self.multiple, self.halo = network.scale, network.multiple, network.halo
        self.features, self.growth = network.features, network.growth
        self.values_per_pixel, self.tail_bytes = network.values_per_pixel, network.tail_bytes
        self.conv_body, self.conv_last = network.conv_body, network.conv_last
        self.conv_last.padding = (0, 0)
        self._first, self._after = _layer(network.conv_first), _layer(network.conv_body)
        self._enlarging = [_layer(conv, activated=True) for conv in (network.conv_up1, network.conv_up2)]
        self._last_but_one = _layer(network.conv_hr, activated=True)
        self._blocks = [
            [_DenseBlock(cast(ResidualDenseBlock, dense)) for dense in block.children()] for block in network.body
        ]

    def _features(self, x: Tensor) -> Tensor:
        like = self._first.weight
        pictures = _rows_of(x, like)
        first, entered, inner = (Rows(pictures.size, self.features, like) for _ in range(3))
        dense = Rows(pictures.size, 4 * self.growth + self.features, like)
        convolve(self._first, Part(pictures), Part(first))
        at = first
        for one, two, three in self._blocks:
            # A step reads the input at the pixels that it writes only, so the result may take its place; `first` is
            # needed once more.
            one.run(at, dense, inner)
            two.run(inner, dense, inner)
            three.run(inner, dense, entered, outer=at)
            at = entered
        convolve(self._after, Part(at), Part(inner), residual=Part(first))
        return inner.pictures[:, :, 1:-1, 1:-1]

    def _tail(self, out: Tensor) -> Tensor:
        rows = _rows_of(out, self._first.weight)
        for layer in self._enlarging:
            size = rows.size
            large = Rows(Size(size.count, 2 * size.height, 2 * size.width), layer.outputs, layer.weight)
            convolve(layer, Part(rows), Part(large))
            rows = large
        last = Rows(rows.size, self.features, self._first.weight)
        convolve(self._last_but_one, Part(rows), Part(last))
        return self.conv_last(last.pictures)


class _DenseBlock:
    """A dense block, of which each step convolves for all that read its inputs, as soon as they are there."""

    def __init__(self, block: ResidualDenseBlock) -> None:
        convolutions = [block.conv1, block.conv2, block.conv3, block.conv4, block.conv5]
        growth, features = block.conv1.weight.shape[:2]
        self._growth = growth

        def step(readers: slice, first: int, inputs: int, *, activated: bool = True) -> Layer:
            weight = torch.cat([conv.weight[:, first : first + inputs] for conv in convolutions[readers]])
            slope = torch.ones_like(weight[:, 0, 0, 0]) if activated else None
            if slope is not None:
                slope[:growth] = _SLOPE
            biases = torch.cat([cast(Tensor, conv.bias) for conv in convolutions[readers]])
            return Layer(weight, biases if first == 0 else None, slope)

        self._steps = (
            step(slice(0, 5), 0, features),
            step(slice(1, 2), features, growth),
            step(slice(2, 5), features, 2 * growth),
            step(slice(3, 4), features + 2 * growth, growth),
            step(slice(4, 5), features + 2 * growth, 2 * growth, activated=False),
        )

    def run(self, source: Rows, dense: Rows, target: Rows, *, outer: Rows | None = None) -> None:
        """Write the block's result to `target`, which may be `source` or `outer`; `dense` is overwritten."""
        first, second, third, fourth, last = self._steps
        one, two, three, four, rest = (Part(dense, self._growth * number) for number in range(5))
        convolve(first, Part(source), one)
        convolve(second, one, two, plus=two)
        convolve(third, one, three, plus=three)
        convolve(fourth, three, four, plus=four)
        surrounding = Part(outer) if outer else None
        convolve(last, three, Part(target), plus=rest, residual=Part(source), outer=surrounding, share=_SHARE)
