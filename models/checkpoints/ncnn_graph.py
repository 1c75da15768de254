"""Bring an ncnn graph's weights under the official keys, and prove that they belong there.

Weights are matched to the keys by graph order, and a graph can differ in ways that no
shape shows: another slope, another wiring, a resize at its end. So the graph is run, layer by layer, on a
small random picture, and its result has to be that of our network.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from models.checkpoints.architecture import detect_architecture
from models.checkpoints.ncnn import Array, Layer
from models.checkpoints.state_dicts import load_network
from models.errors import WeightsRefused

SIDE = 8  # px of the picture tried
MAX_NUMBERS = 1 << 24  # in any intermediate result; official ones stay below 2**18
RRDB_CONVS_AROUND = 6  # conv_first, conv_body, conv_up1, conv_up2, conv_hr, conv_last
RRDB_CONVS_PER_BLOCK = 15
TOLERANCE = 2e-5  # of the result's largest number; sums in another order make 3e-6 in x4plus


def import_layers(layers: list[Layer]) -> dict[str, Tensor]:
    """Turn a graph that was read into a state dict, and check one against the other.

    Returns:
        Official keys to float16 or float32 tensors.

    Raises:
        WeightsRefused: the graph is neither network, or computes something else with these weights.
    """
    state = {key: torch.from_numpy(array.copy()) for key, array in _state_dict(layers).items()}
    architecture = detect_architecture(state)
    network = load_network(architecture, state)
    picture = torch.rand(1, int(architecture.arguments["num_in_ch"]), SIDE, SIDE, generator=_generator())
    with torch.inference_mode():
        ours, theirs = network(picture), run_graph(layers, picture)
    if ours.shape != theirs.shape:
        raise WeightsRefused(
            f"the graph makes {SIDE} px into {theirs.shape[-1]}, its weights are those of a network that makes "
            f"{ours.shape[-1]} of them; a model that resizes its own result cannot be taken over"
        )
    if not torch.allclose(ours, theirs, rtol=0, atol=TOLERANCE * float(ours.abs().max())):
        raise WeightsRefused(f"the graph computes something other than {architecture} with its weights")
    return state


def run_graph(layers: list[Layer], picture: Tensor) -> Tensor:
    """Compute a graph in float32.

    Args:
        layers: in graph order, with weights.
        picture: (1, C, H, W), given to the one Input layer.

    Returns:
        The output of the last layer.

    Raises:
        WeightsRefused: a layer cannot be computed.
    """
    blobs: dict[str, Tensor] = {}
    result = picture
    for layer in layers:
        try:
            inputs = [blobs[name] for name in layer.inputs]
            result = picture if layer.kind == "Input" else _LAYERS[layer.kind](layer, inputs)
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as exc:
            raise WeightsRefused(f"layer {layer.name} ({layer.kind}) cannot be computed: {exc}") from exc
        blobs.update(dict.fromkeys(layer.outputs, result))
    return result


def _state_dict(layers: list[Layer]) -> dict[str, Array]:
    """Name the weights of a graph as the official checkpoints do."""
    weighted = [(layer.weight, layer.bias) for layer in layers if layer.weight is not None]
    dense = any(layer.kind == "Concat" for layer in layers)
    stems = _rrdbnet_stems(len(weighted)) if dense else _srvgg_stems(len(weighted))
    state: dict[str, Array] = {}
    for stem, (weight, bias) in zip(stems, weighted, strict=True):
        state[f"{stem}.weight"] = weight
        if bias is not None:
            state[f"{stem}.bias"] = bias
    return state


def _rrdbnet_stems(count: int) -> list[str]:
    blocks, rest = divmod(count - RRDB_CONVS_AROUND, RRDB_CONVS_PER_BLOCK)
    if blocks < 1 or rest:
        raise WeightsRefused(f"a dense network of {count} convolutions is no RRDBNet")
    body = [
        f"body.{block}.rdb{dense}.conv{conv}"
        for block in range(blocks)
        for dense in range(1, 4)
        for conv in range(1, 6)
    ]
    return ["conv_first", *body, "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]


def _srvgg_stems(count: int) -> list[str]:
    return [f"body.{index}" for index in range(count)]


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _as_tensor(array: Array | None) -> Tensor:
    if array is None:
        raise ValueError("it has no weights")
    return torch.from_numpy(array.astype("float32"))


def _bounded(numbers: float) -> None:
    if not numbers <= MAX_NUMBERS:  # not a number is too large as well
        raise ValueError(f"{numbers:.3g} numbers from a picture of {SIDE} px")


def _convolution(layer: Layer, inputs: list[Tensor]) -> Tensor:
    weight = _as_tensor(layer.weight)
    _bounded(weight.shape[0] * inputs[0].shape[-1] * inputs[0].shape[-2])
    features = functional.conv2d(inputs[0], weight, _as_tensor(layer.bias), padding=1)
    activation = layer.number(9, 0)
    if activation == 0:
        return features
    if activation == 1:
        return functional.relu(features)
    if activation == 2:
        return functional.leaky_relu(features, layer.array(10)[0])
    raise ValueError(f"activation {activation:g} is unknown")


def _prelu(layer: Layer, inputs: list[Tensor]) -> Tensor:
    return functional.prelu(inputs[0], _as_tensor(layer.weight))


def _relu(layer: Layer, inputs: list[Tensor]) -> Tensor:
    return functional.leaky_relu(inputs[0], layer.number(0, 0))


def _split(_layer: Layer, inputs: list[Tensor]) -> Tensor:
    return inputs[0]


def _concat(layer: Layer, inputs: list[Tensor]) -> Tensor:
    if layer.number(0, 0) != 0:
        raise ValueError("it does not join channels")
    _bounded(sum(tensor.numel() for tensor in inputs))
    return torch.cat(inputs, 1)


def _eltwise(layer: Layer, inputs: list[Tensor]) -> Tensor:
    if layer.number(0, 0) != 1:
        raise ValueError("it is no sum")
    weights = layer.array(1) or (1.0,) * len(inputs)
    terms = [weight * tensor for weight, tensor in zip(weights, inputs, strict=True)]
    return torch.stack(terms).sum(0)


def _binary_op(layer: Layer, inputs: list[Tensor]) -> Tensor:
    operation = _BINARY_OPERATIONS.get(layer.number(0, 0))
    if operation is None:
        raise ValueError("it neither adds nor multiplies")
    if layer.number(1, 0):
        return operation(inputs[0], torch.tensor(layer.number(2, 0)))
    first, second = inputs
    if first.shape != second.shape:
        raise ValueError(f"shapes {tuple(first.shape)} and {tuple(second.shape)} differ")
    return operation(first, second)


def _interp(layer: Layer, inputs: list[Tensor]) -> Tensor:
    height, width = layer.number(1, 1), layer.number(2, 1)
    _bounded(inputs[0].numel() * height * width)
    if layer.number(0, 0) == 1:
        return functional.interpolate(inputs[0], scale_factor=(height, width), mode="nearest")
    # Others appear only where a graph resizes its result: run them roughly, the size tells it apart.
    return functional.interpolate(inputs[0], scale_factor=(height, width), mode="bilinear", align_corners=False)


def _pixel_shuffle(layer: Layer, inputs: list[Tensor]) -> Tensor:
    return functional.pixel_shuffle(inputs[0], _fold_factor(layer))


def _reorg(layer: Layer, inputs: list[Tensor]) -> Tensor:
    return functional.pixel_unshuffle(inputs[0], _fold_factor(layer))


def _fold_factor(layer: Layer) -> int:
    if layer.number(1, 0) != 0:
        raise ValueError("it orders channels in another way than PyTorch")
    return int(layer.number(0, 1))


_BINARY_OPERATIONS: dict[float, Callable[[Tensor, Tensor], Tensor]] = {0: torch.add, 2: torch.mul}
_LAYERS: dict[str, Callable[[Layer, list[Tensor]], Tensor]] = {
    "BinaryOp": _binary_op,
    "Concat": _concat,
    "Convolution": _convolution,
    "Eltwise": _eltwise,
    "Interp": _interp,
    "PReLU": _prelu,
    "PixelShuffle": _pixel_shuffle,
    "ReLU": _relu,
    "Reorg": _reorg,
    "Split": _split,
}
