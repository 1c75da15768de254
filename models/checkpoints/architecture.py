"""Which network a state dict belongs to, told by its keys and shapes alone.

Free of torch: anything with a ``shape`` counts as a tensor here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from models.errors import WeightsRefused

ArchitectureName = Literal["RRDBNet", "SRVGGNetCompact", "GFPGANv1Clean", "RetinaFace", "BiSeNet", "YuNet", "SFace"]
Role = Literal["upsampler", "restorer", "detector", "parser", "identity"]  # what a network is there for
ROLES: Mapping[ArchitectureName, Role] = {
    "RRDBNet": "upsampler",
    "SRVGGNetCompact": "upsampler",
    "GFPGANv1Clean": "restorer",
    "RetinaFace": "detector",
    "YuNet": "detector",
    "BiSeNet": "parser",
    "SFace": "identity",
}
IN_ONNX = frozenset({"YuNet", "SFace"})  # networks that are kept as ONNX files and run by OpenCV
DETECTED = tuple(name for name in get_args(ArchitectureName) if name not in IN_ONNX)
MAX_SIZE = 4096  # of any number in a description; beyond it is nonsense, not a network


class Shaped(Protocol):
    """The one thing asked of a tensor."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the dimensions."""
        ...


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A network's class and its arguments: what turns a state dict into a network."""

    name: ArchitectureName
    arguments: Mapping[str, int | str]

    @property
    def role(self) -> Role:
        """What the network is there for."""
        return ROLES[self.name]

    @property
    def is_onnx(self) -> bool:
        """Whether it is an ONNX file, which is no network of ours to build."""
        return self.name in IN_ONNX

    @property
    def scale(self) -> int:
        """How many times larger a picture comes out.

        Raises:
            WeightsRefused: the network enlarges nothing.
        """
        if self.role != "upsampler":
            raise WeightsRefused(f"{self} enlarges no pictures, it is a {self.role}")
        return int(self.arguments["scale" if self.name == "RRDBNet" else "upscale"])

    def to_json(self) -> str:
        """One line that ``from_json`` reads back."""
        return json.dumps({"name": self.name, "arguments": dict(self.arguments)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """Read what ``to_json`` wrote.

        Raises:
            WeightsRefused: the text is something else.
        """
        try:
            document = json.loads(text)
            name, arguments = document["name"], document["arguments"]
            known = name in get_args(ArchitectureName) and isinstance(arguments, dict)
            sane = known and all(map(_is_sane, arguments.values()))
        except (LookupError, RecursionError, TypeError, ValueError) as exc:
            raise WeightsRefused(f"this is no description of a network: {text[:80]!r}") from exc
        if not sane:
            raise WeightsRefused(f"no such network is known here: {text[:80]!r}")
        return cls(name=name, arguments=arguments)

    def __hash__(self) -> int:
        return hash((self.name, tuple(sorted(self.arguments.items()))))

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value}' for key, value in self.arguments.items())})"


def _is_sane(value: object) -> bool:
    return isinstance(value, str) or (type(value) is int and 0 <= value <= MAX_SIZE)


def detect_architecture(state: Mapping[str, Shaped]) -> Architecture:
    """Tell the network from the keys and shapes of its state dict.

    Args:
        state: official key layout, wrapper and ``module.`` already gone.

    Returns:
        Block and channel counts as found. What no key tells is taken as the official
        networks have it: as many channels in as out.

    Raises:
        WeightsRefused: the keys are of no network known here.
    """
    try:
        if "conv_first.weight" in state and "conv_last.weight" in state:
            return _detect_rrdbnet(state)
        if "body.0.weight" in state:
            return _detect_srvgg(state)
        if "stylegan_decoder.constant_input.weight" in state:
            return _detect_gfpgan(state)
        if "ClassHead.0.conv1x1.weight" in state:
            return _detect_retinaface(state)
        if "cp.resnet.conv1.weight" in state:
            return Architecture(name="BiSeNet", arguments={"n_classes": state["conv_out.conv_out.weight"].shape[0]})
    except (ArithmeticError, LookupError, ValueError) as exc:
        raise WeightsRefused(f"looks like a known network but is none: {exc.args[0]}") from exc
    first = ", ".join(sorted(state)[:3])
    raise WeightsRefused(f"the layout of no network known here ({', '.join(DETECTED)}): {first} ...")


def _detect_rrdbnet(state: Mapping[str, Shaped]) -> Architecture:
    num_feat, channels_in = state["conv_first.weight"].shape[:2]
    num_out_ch = state["conv_last.weight"].shape[0]
    blocks = {int(match[1]) for key in state if (match := re.match(r"body\.(\d{1,4})\.rdb1\.conv1\.weight$", key))}
    # Folding by 4 / scale multiplies the channels by its square.
    scale = {num_out_ch: 4, num_out_ch * 4: 2, num_out_ch * 16: 1}.get(channels_in)
    if scale is None:
        raise ValueError(f"conv_first takes {channels_in} channels and conv_last gives {num_out_ch}")
    return Architecture(
        name="RRDBNet",
        arguments={
            "num_in_ch": num_out_ch,
            "num_out_ch": num_out_ch,
            "scale": scale,
            "num_feat": num_feat,
            "num_block": len(blocks),
            "num_grow_ch": state["body.0.rdb1.conv1.weight"].shape[0],
        },
    )


def _detect_srvgg(state: Mapping[str, Shaped]) -> Architecture:
    last = max(int(match[1]) for key in state if (match := re.match(r"body\.(\d{1,4})\.weight$", key)))
    num_feat, num_in_ch = state["body.0.weight"].shape[:2]
    if "body.1.weight" not in state:
        raise ValueError("without PReLU slopes nothing tells which activation it was trained with")
    upscale = math.isqrt(state[f"body.{last}.weight"].shape[0] // num_in_ch)
    if last < 2 or last % 2 or upscale**2 * num_in_ch != state[f"body.{last}.weight"].shape[0]:
        raise ValueError(f"body.{last} gives {state[f'body.{last}.weight'].shape[0]} channels")
    return Architecture(
        name="SRVGGNetCompact",
        arguments={
            "num_in_ch": num_in_ch,
            "num_out_ch": num_in_ch,
            "num_feat": num_feat,
            "num_conv": last // 2 - 1,
            "upscale": upscale,
            "act_type": "prelu",
        },
    )


def _detect_gfpgan(state: Mapping[str, Shaped]) -> Architecture:
    decoder = "stylegan_decoder"
    if "conv_body_first.weight" not in state:
        raise ValueError("of GFPGAN only the networks since v1.2 are known, whose names say 'clean'")
    noises = [int(match[1]) for key in state if (match := re.match(rf"{decoder}\.noises\.noise(\d{{1,2}})$", key))]
    out_size = state[f"{decoder}.noises.noise{max(noises)}"].shape[-1]
    num_feat = state[f"{decoder}.constant_input.weight"].shape[1]
    # The U-Net has half of the decoder's channels, and those shrink from 32 px on: 32 px wide, nothing tells.
    channels = 2 * state["conv_body_first.weight"].shape[0]
    multiplier, rest = divmod(channels * out_size, 32 * num_feat) if out_size > 32 else (2, 0)
    if rest or not multiplier:
        raise ValueError(f"{channels} channels at {out_size} px and {num_feat} in the middle")
    return Architecture(
        name="GFPGANv1Clean",
        arguments={
            "out_size": out_size,
            "num_style_feat": state[f"{decoder}.style_conv1.modulated_conv.modulation.weight"].shape[1],
            "num_mlp": sum(bool(re.match(rf"{decoder}\.style_mlp\.\d{{1,2}}\.weight$", key)) for key in state),
            "num_feat": num_feat,
            "channel_multiplier": multiplier,
        },
    )


def _detect_retinaface(state: Mapping[str, Shaped]) -> Architecture:
    for backbone, mark in (("mobilenet0.25", "body.stage1.0.0.weight"), ("resnet50", "body.layer1.0.conv1.weight")):
        if mark in state:
            return Architecture(name="RetinaFace", arguments={"backbone": backbone})
    raise ValueError("the heads are RetinaFace's, what is before them is neither MobileNet 0.25 nor ResNet-50")
