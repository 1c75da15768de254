"""Read ncnn models: the .param graph and the .bin weights.

Written from ncnn's own description of its files,
https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure and
https://github.com/Tencent/ncnn/wiki/operation-param-weight-table. Convolution weights are
preceded by a flag (0: float32, 0x01306B47: float16, padded to 4 bytes); biases and PReLU slopes are bare
float32. Only the layers that RRDBNet and SRVGGNetCompact export to are known. Free of torch.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import WeightsMissing, WeightsRefused

MAGIC = "7767517"
FLAG_FLOAT32 = 0
FLAG_FLOAT16 = 0x01306B47
FLAG_INT8 = 0x000D4B38
MAX_PARAM_BYTES = 4 << 20  # 40 times that of the largest official model
MAX_BIN_BYTES = 1 << 30
ARRAY_KEY = -23300  # parameter N of array type is written as -23300 - N
KERNEL = 3  # of every convolution of both networks

Array = NDArray[Any]
Value = float | tuple[float, ...]

WEIGHTED = frozenset({"Convolution", "PReLU"})
WEIGHTLESS = frozenset({"BinaryOp", "Concat", "Eltwise", "Input", "Interp", "PixelShuffle", "ReLU", "Reorg", "Split"})


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One line of the .param file and, once read, its weights.

    ``weight`` is (out, in, 3, 3) for a convolution, (slopes,) for a PReLU; ``bias`` is (out,).
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: dict[int, Value] = field(default_factory=dict)
    weight: Array | None = None
    bias: Array | None = None

    def number(self, key: int, default: float) -> float:
        """A scalar parameter.

        Raises:
            WeightsRefused: the file has an array there.
        """
        value = self.params.get(key, default)
        if isinstance(value, tuple):
            raise WeightsRefused(f"layer {self.name}: parameter {key} is an array")
        return value

    def array(self, key: int) -> tuple[float, ...]:
        """An array parameter; empty where there is none."""
        value = self.params.get(key, ())
        return value if isinstance(value, tuple) else (value,)


def read_ncnn(param: Path, weights: Path) -> list[Layer]:
    """Read both files of a model.

    Args:
        param: the text graph, usually NAME.param.
        weights: the .bin beside it.

    Returns:
        The layers in graph order, with float16 or float32 weights as stored.

    Raises:
        WeightsMissing: a file is not there.
        WeightsRefused: no such model, cut short, or with bytes to spare.
    """
    layers = parse_param(_bounded_read(param, MAX_PARAM_BYTES).decode("ascii", errors="replace"))
    reader = _BinReader(_bounded_read(weights, MAX_BIN_BYTES), weights.name)
    filled = [_with_weights(layer, reader) for layer in layers]
    reader.expect_end()
    return filled


def parse_param(text: str) -> list[Layer]:
    """Parse the text of a .param file.

    Raises:
        WeightsRefused: another format, another number of layers than announced, an unknown layer.
    """
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if not lines or lines[0] != [MAGIC]:
        raise WeightsRefused(f"no ncnn .param file: it does not start with {MAGIC}")
    try:
        layer_count = int(lines[1][0])
        layers = [_parse_layer(words) for words in lines[2:]]
    except (IndexError, ValueError) as exc:
        raise WeightsRefused(f"damaged ncnn .param file: {exc}") from exc
    if layer_count != len(layers):
        raise WeightsRefused(f"damaged ncnn .param file: {layer_count} layers announced, {len(layers)} there")
    return layers


def _bounded_read(path: Path, limit: int) -> bytes:
    try:
        size = path.stat().st_size
        if size > limit:
            raise WeightsRefused(f"{path.name} has {size:,} bytes, more than any ncnn model ({limit:,})")
        return path.read_bytes()
    except FileNotFoundError as exc:
        raise WeightsMissing(f"{path} is not there") from exc
    except OSError as exc:
        raise WeightsRefused(f"cannot read {path}: {exc.strerror}") from exc


def _parse_layer(words: list[str]) -> Layer:
    kind, name, input_count, output_count = words[0], words[1], int(words[2]), int(words[3])
    if kind not in WEIGHTED | WEIGHTLESS:
        raise WeightsRefused(f"layer {name} is a {kind}, which neither RRDBNet nor SRVGGNetCompact has")
    if not (0 <= input_count <= len(words) and 0 <= output_count <= len(words)):
        raise ValueError(f"layer {name} announces {input_count} inputs and {output_count} outputs")
    blobs, params = words[4 : 4 + input_count + output_count], words[4 + input_count + output_count :]
    if len(blobs) < input_count + output_count:
        raise ValueError(f"layer {name} is cut short")
    return Layer(
        kind=kind,
        name=name,
        inputs=tuple(blobs[:input_count]),
        outputs=tuple(blobs[input_count:]),
        params=dict(_parse_parameter(word) for word in params),
    )


def _parse_parameter(word: str) -> tuple[int, Value]:
    key_text, _, value_text = word.partition("=")
    key = int(key_text)
    if key > ARRAY_KEY:
        return key, float(value_text)
    count, *values = value_text.split(",")
    if int(count) != len(values):
        raise ValueError(f"array {word[:40]} announces {count} values")
    return ARRAY_KEY - key, tuple(float(value) for value in values)


def _with_weights(layer: Layer, reader: _BinReader) -> Layer:
    if layer.kind == "Convolution":
        return _convolution(layer, reader)
    if layer.kind == "PReLU":
        slopes = _count(layer, 0)
        return replace(layer, weight=reader.float32(slopes, layer.name))
    return layer


def _convolution(layer: Layer, reader: _BinReader) -> Layer:
    kernel = layer.number(1, 0)
    same = {1: KERNEL, 11: KERNEL, 2: 1, 12: 1, 3: 1, 13: 1, 4: 1, 14: 1, 15: 1, 16: 1, 5: 1, 8: 0}
    defaults = {11: kernel, 12: layer.number(2, 1), 13: layer.number(3, 1), 2: 1, 3: 1}
    pad = layer.number(4, 0)
    defaults |= {14: pad, 15: pad, 16: layer.number(14, pad)}
    if any(layer.number(key, defaults.get(key, 0)) != wanted for key, wanted in same.items()):
        raise WeightsRefused(f"layer {layer.name} is no plain 3x3 convolution with a bias")
    channels_out, numbers = _count(layer, 0), _count(layer, 6)
    channels_in, rest = divmod(numbers, channels_out * KERNEL * KERNEL)
    if rest or not channels_in:
        raise WeightsRefused(f"layer {layer.name}: {numbers} weights do not divide into {channels_out} kernels")
    weight = reader.flagged(numbers, layer.name).reshape(channels_out, channels_in, KERNEL, KERNEL)
    return replace(layer, weight=weight, bias=reader.float32(channels_out, layer.name))


def _count(layer: Layer, key: int) -> int:
    value = layer.number(key, 0)
    if not (1 <= value <= MAX_BIN_BYTES and value == int(value)):
        raise WeightsRefused(f"layer {layer.name}: parameter {key} is {value:g}, not a number of weights")
    return int(value)


class _BinReader:
    """Walks through a .bin; hands out views of it, so a lying size allocates nothing."""

    def __init__(self, content: bytes, name: str) -> None:
        self._content = content
        self._name = name
        self._offset = 0

    def flagged(self, count: int, layer: str) -> Array:
        (flag,) = struct.unpack("<I", self._take(4, layer))
        if flag == FLAG_FLOAT32:
            return self.float32(count, layer)
        if flag == FLAG_FLOAT16:
            raw = self._take((2 * count + 3) // 4 * 4, layer)
            return np.frombuffer(raw, "<f2", count)
        kind = "quantised to int8" if flag == FLAG_INT8 else f"stored in an unknown way (flag {flag:#010x})"
        raise WeightsRefused(f"{self._name}: layer {layer} is {kind}; float32 or float16 is needed")

    def float32(self, count: int, layer: str) -> Array:
        return np.frombuffer(self._take(4 * count, layer), "<f4", count)

    def expect_end(self) -> None:
        if spare := len(self._content) - self._offset:
            raise WeightsRefused(f"{self._name} has {spare:,} bytes more than its .param describes")

    def _take(self, size: int, layer: str) -> memoryview:
        end = self._offset + size
        if end > len(self._content):
            raise WeightsRefused(
                f"{self._name} is cut short: layer {layer} ends at byte {end:,} of {len(self._content):,}"
            )
        taken = memoryview(self._content)[self._offset : end]
        self._offset = end
        return taken
