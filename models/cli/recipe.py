"""``python -m models recipe FILE``: how a result was made, as it says itself."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from models.cli.files import beginning

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # argparse has no public name for it


def add_parser(subparsers: Subparsers) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("recipe", help="print the recipe inside a result, as JSON")
    parser.add_argument("file", type=Path, metavar="FILE", help="a PNG, JPEG or WebP that Restora made")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the recipe; the exit status.

    Raises:
        OptionsError: the file cannot be read, or there is none in it.
    """
    from models.encoding import read_recipe

    # ASCII: what a stranger wrote into the file must not steer the terminal.
    sys.stdout.write(json.dumps(read_recipe(beginning(args.file)), indent=2, sort_keys=True) + "\n")
    return 0
