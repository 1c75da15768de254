"""``python -m training.evaluation``: compare networks with doing nothing, with filters and with each other."""

from __future__ import annotations

import sys

from models.cli.process import prepare_process

if __name__ == "__main__":
    prepare_process()  # before torch is loaded
    from training.evaluation.cli import main

    sys.exit(main())
