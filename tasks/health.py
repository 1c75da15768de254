"""``python -m tasks.health bot|worker``: whether this host's process has shown itself in Redis in the last seconds.

For container health checks. A worker shows itself only when its models are loaded and its janitor makes its rounds, the
bot only while Telegram answers its polling.
"""

from __future__ import annotations

import argparse
import socket
import sys

from redis import RedisError

from tasks.settings import ProcessSettings, SettingsError, load_settings
from tasks.store import JobStore, connect


def main() -> int:
    """Exit status 0 when the process is well."""
    parser = argparse.ArgumentParser(prog="python -m tasks.health", description=__doc__.splitlines()[0])
    parser.add_argument("process", choices=["bot", "worker"])
    process = parser.parse_args().process
    try:
        settings = load_settings(ProcessSettings)
        store = JobStore(connect(settings.redis_url.get_secret_value()))
        well = store.bot_is_alive() if process == "bot" else _worker_is_alive(store)
    except (SettingsError, RedisError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if not well:
        sys.stderr.write(f"the {process} of {socket.gethostname()} has not shown itself lately\n")
    return 0 if well else 1


def _worker_is_alive(store: JobStore) -> bool:
    here = f"{socket.gethostname()}:"
    return any(card.name.startswith(here) for card in store.workers())


if __name__ == "__main__":
    sys.exit(main())
