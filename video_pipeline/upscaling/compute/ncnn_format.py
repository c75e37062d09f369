"""Reads a network's weights out of an ncnn model (.param text and .bin values) into the official tensor names.

The format (https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure): each `Convolution` stores a word for
fp16 or fp32, its values in torch's order (out, in, height, width) padded to four bytes, and its biases in fp32. Each
`PReLU` stores its fp32 slopes. No other layer stores data.
"""

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

_MAGIC = "7767517"
_FP16_FLAG = 0x01306B47
_FP32_FLAG = 0

Architecture = Literal["compact", "rrdb"]


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer that stores values. `weights` is their number, and None for a PReLU."""

    outputs: int
    kernel: int = 1
    weights: int | None = None


def read_ncnn(param: str, binary: bytes, architecture: Architecture) -> "dict[str, Tensor]":
    """The state dict (float32) of one of the two Real-ESRGAN architectures.

    Raises ValueError, with the reason, unless the text is an ncnn network of such layers and the binary holds exactly
    its values.
    """
    layers = _stored_layers(param)
    names = _compact_names(layers) if architecture == "compact" else _rrdb_names(len(layers))
    values = _Values(binary)
    state: dict[str, Tensor] = {}
    for name, layer in zip(names, layers, strict=True):
        if layer.weights is None:
            state[f"{name}.weight"] = values.fp32(layer.outputs)
            continue
        inputs = layer.weights // (layer.outputs * layer.kernel**2)
        weights = values.convolution(layer.weights)
        state[f"{name}.weight"] = weights.reshape(layer.outputs, inputs, layer.kernel, layer.kernel)
        state[f"{name}.bias"] = values.fp32(layer.outputs)
    if values.left:
        raise ValueError(f"{values.left} bytes are left over after the last layer")
    return state


def _stored_layers(param: str) -> list[_Layer]:
    lines = param.split("\n")
    if lines[0].strip() != _MAGIC:
        raise ValueError("the text does not begin with ncnn's magic number")
    layers: list[_Layer] = []
    for line in lines[2:]:
        words = line.split()
        if not words or words[0] not in ("Convolution", "PReLU"):
            continue
        inputs, outputs = int(words[2]), int(words[3])
        options = dict(word.split("=", 1) for word in words[4 + inputs + outputs :])
        if words[0] == "PReLU":
            layers.append(_Layer(int(options["0"])))
        else:
            layers.append(_Layer(int(options["0"]), int(options["1"]), int(options["6"])))
    return layers


def _compact_names(layers: list[_Layer]) -> list[str]:
    return [f"body.{index}" for index in range(len(layers))]


def _rrdb_names(count: int) -> list[str]:
    """Names in file order: the first convolution, 15 in each block, and five more."""
    tail = ["conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]
    blocks, rest = divmod(count - 1 - len(tail), 15)
    if rest or blocks < 1:
        raise ValueError(f"{count} convolutions are not an RRDBNet")
    body = [f"body.{b}.rdb{r}.conv{c}" for b in range(blocks) for r in (1, 2, 3) for c in range(1, 6)]
    return ["conv_first", *body, *tail]


class _Values:
    """A cursor over the .bin."""

    def __init__(self, binary: bytes) -> None:
        self._binary = memoryview(binary)
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._binary) - self._at

    def convolution(self, count: int) -> "Tensor":
        (flag,) = struct.unpack("<I", self._take(4))
        if flag == _FP32_FLAG:
            return self.fp32(count)
        if flag != _FP16_FLAG:
            raise ValueError(f"a convolution is stored in an unknown way (flag {flag:#010x})")
        padded = -(-2 * count // 4) * 4
        return _tensor(self._take(padded)[: 2 * count], "<f2")

    def fp32(self, count: int) -> "Tensor":
        return _tensor(self._take(4 * count), "<f4")

    def _take(self, size: int) -> memoryview:
        if size > self.left:
            raise ValueError("the values end before the last layer")
        taken = self._binary[self._at : self._at + size]
        self._at += size
        return taken


def _tensor(data: memoryview, dtype: str) -> "Tensor":
    import numpy as np
    import torch

    return torch.from_numpy(np.frombuffer(data, dtype=dtype).astype(np.float32))
