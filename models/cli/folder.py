"""Where a command looks for weights, unless it is told."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from models.weights.store import DEFAULT_FOLDER

FOLDER_VARIABLE = "WEIGHTS_DIR"  # as workers have it: in a container, commands and the worker use one folder


def add_folder_option(parser: argparse.ArgumentParser, *flags: str) -> None:
    """Let ``parser`` take the folder of weights by any of these flags."""
    parser.add_argument(
        *flags,
        type=Path,
        default=Path(os.environ.get(FOLDER_VARIABLE) or DEFAULT_FOLDER),
        metavar="DIR",
        help=f"folder of weights (default: {FOLDER_VARIABLE}, else weights/ of the repository)",
    )
