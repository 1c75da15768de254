"""``python -m training``: prepare patches, ask the teacher, train, export; smoke test and gallery."""

from __future__ import annotations

import sys

from models.cli.process import prepare_process

if __name__ == "__main__":
    prepare_process()  # before torch is loaded
    from training.cli import main
    from training.devices import hold_memory

    hold_memory()
    sys.exit(main())
