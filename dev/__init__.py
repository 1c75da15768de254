"""Running Restora on a developer's machine: Redis, worker, bot and emulator as real processes."""
