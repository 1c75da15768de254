"""``python -m tasks.health bot|worker``: whether this host's process does its work. For container health checks.

A worker shows itself in Redis only when its models are loaded and its rounds through Redis succeed; one that is idle
although jobs have been waiting in its queues does not take them and is not well, however alive it looks. The bot, of
which Telegram allows one, is well only while Telegram answers its polling. Where ``METRICS_PORT`` is set the process
itself is asked, at ``/healthz``; else Redis is, where it left its signs of life.
"""

from __future__ import annotations

import argparse
import http.client
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from tasks.settings import ProcessSettings, SettingsError, load_settings

if TYPE_CHECKING:
    from tasks.messages import WorkerCard
    from tasks.store import JobStore

DEAF_AFTER_S = 60.0
ANSWER_WITHIN_S = 10.0
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where a server that listens there is asked


class Health(NamedTuple):
    """Whether a process does its work, and why not in a line."""

    is_well: bool
    text: str


def main() -> int:
    """Exit status 0 when the process is well."""
    parser = argparse.ArgumentParser(prog="python -m tasks.health", description=__doc__.splitlines()[0])
    parser.add_argument("process", choices=["bot", "worker"])
    process = parser.parse_args().process
    try:
        settings = load_settings(ProcessSettings)
    except SettingsError as error:
        health = Health(is_well=False, text=str(error))
    else:
        if settings.metrics_port is not None:
            health = _ask(settings.metrics_host, settings.metrics_port)
        else:
            health = _look_in_redis(settings.redis_url.get_secret_value(), process)
    if not health.is_well:
        sys.stderr.write(f"{health.text}\n")
    return 0 if health.is_well else 1


def worker_health(store: JobStore, is_ours: Callable[[WorkerCard], bool]) -> Health:
    """Whether a worker takes jobs: of its processes, at least one does.

    Raises:
        redis.RedisError: nobody can tell.
    """
    cards = [card for card in store.workers() if is_ours(card)]
    if not cards:
        return Health(is_well=False, text=f"the worker of {socket.gethostname()} has not shown itself lately")
    if all(is_deaf(store, card) for card in cards):
        text = f"the worker of {socket.gethostname()} has been idle for {min(card.idle_s for card in cards):.0f} s"
        return Health(is_well=False, text=f"{text} while jobs wait in its queues")
    return Health(is_well=True, text="well")


def _ask(host: str, port: int) -> Health:
    connection = http.client.HTTPConnection(EVERYWHERE.get(host, host), port, timeout=ANSWER_WITHIN_S)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        return Health(is_well=answer.status == http.client.OK, text=answer.read(500).decode(errors="replace").strip())
    except (OSError, http.client.HTTPException) as error:
        return Health(is_well=False, text=f"no answer at METRICS_PORT={port}: {error}")
    finally:
        connection.close()


def _look_in_redis(url: str, process: str) -> Health:
    from redis import RedisError  # takes as long as all the rest, and is not needed where the process is asked

    from tasks.store import JobStore, connect

    try:
        store = JobStore(connect(url))
        return _bot_health(store) if process == "bot" else worker_health(store, _is_of_this_host)
    except RedisError as error:
        return Health(is_well=False, text=str(error))


def _bot_health(store: JobStore) -> Health:
    if store.bot_is_alive():
        return Health(is_well=True, text="well")
    return Health(is_well=False, text=f"the bot of {socket.gethostname()} has not shown itself lately")


def _is_of_this_host(card: WorkerCard) -> bool:
    return card.name.startswith(f"{socket.gethostname()}:")


def is_deaf(store: JobStore, card: WorkerCard) -> bool:
    """Whether a worker does not hear of work: idle for a while, and so has been the next job of its queues."""
    heads = [job for queue in card.queues for job in store.first_waiting(queue, 1)]
    return card.idle_s > DEAF_AFTER_S and any(store.age_s(job) > DEAF_AFTER_S for job in heads)


if __name__ == "__main__":
    sys.exit(main())
