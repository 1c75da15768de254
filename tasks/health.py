"""``python -m tasks.health bot|worker``: whether this host's process has shown itself in Redis in the last seconds.

For container health checks. A worker shows itself only when its models are loaded and its rounds through Redis succeed;
one that is idle although jobs have been waiting in its queues does not take them and is not well. The bot, of which
Telegram allows one, shows itself only while Telegram answers its polling.
"""

from __future__ import annotations

import argparse
import socket
import sys

from redis import RedisError

from tasks.messages import WorkerCard
from tasks.settings import ProcessSettings, SettingsError, load_settings
from tasks.store import JobStore, connect

DEAF_AFTER_S = 60.0


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
    cards = [card for card in store.workers() if card.name.startswith(here)]
    return any(not is_deaf(store, card) for card in cards)


def is_deaf(store: JobStore, card: WorkerCard) -> bool:
    """Whether a worker does not hear of work: idle for a while, and so has been the next job of its queues."""
    heads = [job for queue in card.queues for job in store.first_waiting(queue, 1)]
    return card.idle_s > DEAF_AFTER_S and any(store.age_s(job) > DEAF_AFTER_S for job in heads)


if __name__ == "__main__":
    sys.exit(main())
