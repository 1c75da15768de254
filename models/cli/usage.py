"""How commands take their words, and what they say of wrong ones: one line, and where to read more."""

from __future__ import annotations

import argparse
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """An argument parser that does not answer a slip of the finger with everything there is to say."""

    def error(self, message: str) -> NoReturn:
        """End with status 2, as wrong usage does."""
        self.exit(2, f"error: {message}; try: {self.prog} --help\n")
