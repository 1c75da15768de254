"""Any checkpoint that is understood here into plain arrays that are proven to fit their network.

The one part of the weights folder that needs torch, and so imported late by the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from models.checkpoints.architecture import Architecture
from models.checkpoints.ncnn import read_ncnn
from models.checkpoints.ncnn_graph import import_layers
from models.checkpoints.state_dicts import detect_architecture, load_network, load_state_dict


def convert(
    files: tuple[Path, ...], wanted: Architecture | None = None
) -> tuple[dict[str, NDArray[Any]], Architecture]:
    """Read a checkpoint and try it on its network.

    Args:
        files: one file for ``load_state_dict``, or an ncnn .param and its .bin.
        wanted: the network it has to fit; detected if not given.

    Returns:
        Official keys to float16 (where stored so), float32 or, for counters, whole numbers; and the network they fit.

    Raises:
        WeightsMissing: a file is not there.
        WeightsRefused: damaged, hostile, or not fitting.
    """
    state = import_layers(read_ncnn(*files)) if len(files) == 2 else load_state_dict(files[0])
    architecture = wanted or detect_architecture(state)
    load_network(architecture, state)
    return _as_arrays(state), architecture


def _as_arrays(state: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    # float16 stays, being exact; numpy has no bfloat16, and nothing here computes in float64.
    kept = {
        key: value.float() if value.is_floating_point() and value.dtype is not torch.float16 else value
        for key, value in state.items()
    }
    # A copy, because the tensors may be a view of the file, which the caller is about to remove.
    return {key: value.numpy().copy() for key, value in kept.items()}
