"""Exact rewrites of the Real-ESRGAN networks: the same function of the same weights, in fewer or cheaper steps.

`FoldedCompact` joins the end of a compact network (last convolution, pixel shuffle, nearest skip) with the area
average down to the target size. One strided convolution does it all, and the picture of four times the size is never
made. `push_form` reverses the dense blocks of an RRDB network: each activation is convolved once for all layers that
read it, instead of being copied into the input of each. Input and output are those of `networks`. Imports torch.
"""

import copy
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from video_pipeline.upscaling.compute.networks import ResidualDenseBlock, RRDBNet, SRVGGNetCompact
from video_pipeline.upscaling.compute.resample import taps

# With a longer period the strided convolution has more outputs than the one that it replaces.
_LONGEST_PERIOD = 3


def foldable(network: nn.Module, enlargement: Fraction) -> bool:
    """Whether `FoldedCompact` can turn `network` into one that enlarges by exactly this factor."""
    return (
        isinstance(network, SRVGGNetCompact)
        and enlargement < network.scale
        and enlargement.denominator <= _LONGEST_PERIOD
    )


def fusable(network: nn.Module) -> bool:
    """Whether `fused.fused` can take `network`: a published architecture with channels that its kernel computes."""
    if isinstance(network, RRDBNet):
        growth, features = network.growth, network.features
        layers = [(growth, growth), (features, 4 * growth + features), (2 * growth, 2 * growth + features)]
        return all(_kernel_computes(*layer) for layer in [*layers, (2 * growth, features), (features, features)])
    return isinstance(network, SRVGGNetCompact) and _kernel_computes(network.features, network.features)


def _kernel_computes(inputs: int, outputs: int) -> bool:
    """Inputs by the sixteen; outputs a power of two, or the sum of two, of 16 and more."""
    rest = outputs - (1 << (outputs.bit_length() - 1))
    fits = rest == 0 or (rest >= 16 and rest & (rest - 1) == 0)
    return inputs % 16 == 0 and outputs >= 16 and fits


class FoldedCompact(nn.Module):
    """A compact network that enlarges by `scale` = a/b itself: blocks of b x b pixels become a x a.

    It equals the original followed by an area average, with one difference. The reference clamps to 0..1 before the
    average, and this clamps after it (78 dB between the two on a real film).
    """

    cuttable = True
    skip: Tensor

    def __init__(self, network: SRVGGNetCompact, enlargement: Fraction) -> None:
        super().__init__()
        self.scale = enlargement
        self.halo = network.halo
        self.features = network.features
        self.values_per_pixel = 3 * network.features
        above, below = enlargement.numerator, enlargement.denominator
        self.multiple = below
        self._above = above
        self.body = network.body[:-1]
        last = network.body[-1]
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        # (a, 4b): which of the 4b enlarged positions of a block each of its a results averages.
        share = _dense(below * network.scale, above)
        weight = _folded_weight(last.weight, share, network.scale)
        self.tail = nn.Conv2d(network.features, 3 * above * above, below + 2, stride=below, padding=1)
        by_place = last.bias.double().reshape(3, network.scale, network.scale).repeat(1, below, below)
        bias = torch.einsum("pY,qX,cYX->cpq", share, share, by_place)
        self.tail.weight.data = weight.float()
        self.tail.bias = nn.Parameter(bias.flatten().float())
        nearest = share.reshape(above, below, network.scale).sum(2)
        skip = torch.einsum("py,qx->pqyx", nearest, nearest).reshape(above * above, 1, below, below)
        self.register_buffer("skip", skip.float())

    def forward(self, x: Tensor) -> Tensor:
        out = x.to(self.tail.weight.dtype)
        for layer in self.body:
            out = layer(out)
        small = F.pixel_shuffle(self.tail(out), self._above).to(x.dtype)
        count, _, height, width = x.shape
        flat = x.reshape(count * 3, 1, height, width)
        plain = F.conv2d(flat, self.skip.to(x.dtype), stride=self.multiple)
        return small + F.pixel_shuffle(plain, self._above).reshape(small.shape)


def _dense(source: int, target: int) -> Tensor:
    """The area average of `source` positions to `target` as a (target, source) matrix, float64."""
    sums = taps(source, target)
    matrix = torch.zeros(target, source, dtype=torch.float64)
    rows = torch.arange(target).expand_as(sums.index)
    matrix.index_put_((rows, sums.index), sums.weight.double(), accumulate=True)
    return matrix


def _folded_weight(weight: Tensor, share: Tensor, scale: int) -> Tensor:
    """(3*a*a, features, b+2, b+2): the last convolution of every enlarged position, averaged."""
    above, enlarged = share.shape
    below = enlarged // scale
    by_place = weight.double().reshape(3, scale, scale, weight.shape[1], 3, 3)
    total = torch.zeros(3, above, above, weight.shape[1], below + 2, below + 2, dtype=torch.float64)
    for y in range(enlarged):
        for x in range(enlarged):
            mixed = torch.einsum("p,q,cfyx->cpqfyx", share[:, y], share[:, x], by_place[:, y % scale, x % scale])
            top, left = y // scale, x // scale
            total[..., top : top + 3, left : left + 3] += mixed
    return total.reshape(3 * above * above, weight.shape[1], below + 2, below + 2)


class _PushBlock(nn.Module):
    """A dense block whose convolutions each write to all later ones: sums instead of concatenations."""

    def __init__(self, block: ResidualDenseBlock) -> None:
        super().__init__()
        convolutions = [block.conv1, block.conv2, block.conv3, block.conv4, block.conv5]
        growth, features = block.conv1.weight.shape[:2]
        self._growth = growth
        pushes: list[nn.Module] = []
        start = 0
        for number in range(5):
            width = features if number == 0 else growth
            readers = [conv.weight.data[:, start : start + width] for conv in convolutions[number:]]
            push = nn.Conv2d(width, sum(reader.shape[0] for reader in readers), 3, padding=1, bias=number == 0)
            push.weight.data = torch.cat(readers)
            if number == 0:
                push.bias = nn.Parameter(
                    torch.cat([conv.bias.data for conv in convolutions if conv.bias is not None])
                )
            pushes.append(push)
            start += width
        self.pushes = nn.ModuleList(pushes)

    def forward(self, x: Tensor) -> Tensor:
        waiting = self.pushes[0](x.to(next(self.parameters()).dtype))
        for push in self.pushes[1:]:
            ready = F.leaky_relu(waiting[:, : self._growth], 0.2)
            waiting = waiting[:, self._growth :] + push(ready)
        return torch.add(x, waiting, alpha=0.2)


def push_form(network: RRDBNet) -> RRDBNet:
    """A copy of the network with its dense blocks in push form."""
    pushed = copy.deepcopy(network)
    for block in pushed.body:
        for number in range(1, 4):
            name = f"rdb{number}"
            dense = block.get_submodule(name)
            assert isinstance(dense, ResidualDenseBlock)
            setattr(block, name, _PushBlock(dense))
    return pushed.eval()
