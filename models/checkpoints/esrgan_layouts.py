"""RRDBNet under the two sets of names it had before Real-ESRGAN.

Most models people share were trained with ESRGAN's own code, https://github.com/xinntao/ESRGAN (Apache-2.0), whose
network is the same and whose keys are not: numbered modules at first, other words later. Only
x4 models fit; others have more or fewer convolutions after the trunk. Free of torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")

_STEMS = {
    "model.0": "conv_first",
    "model.3": "conv_up1",
    "model.6": "conv_up2",
    "model.8": "conv_hr",
    "model.10": "conv_last",
    "trunk_conv": "conv_body",
    "upconv1": "conv_up1",
    "upconv2": "conv_up2",
    "HRconv": "conv_hr",
}
_MARKS = ("model.1.sub.0.RDB1.conv1.0.weight", "RRDB_trunk.0.RDB1.conv1.weight")
_BLOCK = re.compile(r"(?:model\.1\.sub|RRDB_trunk)\.(\d+)\.RDB(\d)\.conv(\d)(?:\.0)?")
_BODY = re.compile(r"model\.1\.sub\.\d+")  # what follows the last block in the same list


def with_official_names(state: Mapping[str, Value]) -> dict[str, Value]:
    """Rename the keys of an older RRDBNet; any other state dict comes back as it is."""
    if not any(mark in state for mark in _MARKS):
        return dict(state)
    return {_renamed(key): value for key, value in state.items()}


def _renamed(key: str) -> str:
    stem, _, leaf = key.rpartition(".")
    if match := _BLOCK.fullmatch(stem):
        stem = f"body.{match[1]}.rdb{match[2]}.conv{match[3]}"
    elif _BODY.fullmatch(stem):
        stem = "conv_body"
    return f"{_STEMS.get(stem, stem)}.{leaf}"
