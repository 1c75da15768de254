"""The command line of the library: ``python -m models COMMAND``.

Every command is a module here with ``add_parser(subparsers)`` and ``run(args) -> int``. None of them
loads torch before ``run``, so that help and lists come at once. This is the composition root: only here
are environment variables read.

Exit status: 0 done, 1 failed with one line on stderr, 2 wrong usage, 130 interrupted, 141 nobody reads any more.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper

from models.cli.usage import Parser
from models.errors import RestorationError

COMMANDS = ("restore", "info", "recipe", "weights")
FAILED = 1
PIPE_CLOSED = 141  # 128 + SIGPIPE
INTERRUPTED = 130  # 128 + SIGINT, as shells count


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status."""
    _write_whatever_comes()
    args = _parser().parse_args(argv)
    try:
        status: int = args.run(args)
    except RestorationError as exc:
        sys.stderr.write(f"error: {exc}\n")
        return FAILED
    except BrokenPipeError:
        # Whoever read our lines, such as head, has enough. The interpreter must not try to write the rest at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as exc:
        where = "" if exc.filename is None else f"cannot reach {exc.filename}: "
        sys.stderr.write(f"error: {where}{exc.strerror or exc}\n")
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    return status


def _write_whatever_comes() -> None:
    """Let no name of a file, and no sign that a terminal does not have, end what is told of the others."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m models", description="Restore pictures.")
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        import_module(f"models.cli.{command}").add_parser(subparsers)
    return parser
