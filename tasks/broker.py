"""Celery as a doorbell: its messages only say that there is work, the job store says which.

Lost, late or doubled messages therefore do no harm: a worker that finds nothing to claim goes back to sleep, and the
janitor rings again for jobs that nobody came for. The values follow what was measured of Celery 5.7 and kombu 5.7 on
Redis; docs/architecture.md, "Celery as a doorbell", gives the reasons.
"""

from __future__ import annotations

import logging
from typing import Any

from celery import Celery
from kombu import Queue
from kombu.exceptions import KombuError

logger = logging.getLogger(__name__)

TASK_NAME = "photo.restore"
NOBODYS = ""  # the hint's argument: it once named a job, and so a chat, which nobody could delete from the broker
DEFAULT_QUEUE = "restore"
GPU_QUEUE = "gpu"


def celery_config(
    redis_url: str, *, queues: tuple[str, ...], hard_limit_s: float = 720.0, soft_shutdown_s: float = 20.0
) -> dict[str, Any]:
    """The configuration that every process of the queue shares."""
    return {
        "broker_url": redis_url,
        "broker_transport_options": {
            "visibility_timeout": 3600,
            "unacked_restore_interval": 30,
            "unacked_restore_throttle": 1,
            "socket_timeout": 5,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "sep": ":",
        },
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_pool_acquire_timeout": 2,
        "task_queues": [Queue(name) for name in queues],
        "task_default_queue": queues[0],
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_publish_retry": False,  # the janitor rings again; a blocked bot would not answer anybody
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_acks_on_timeout": True,
        "task_time_limit": hard_limit_s,
        "worker_pool": "prefork",
        "worker_concurrency": 1,  # one inference at a time per device
        "worker_prefetch_multiplier": 1,
        "worker_proc_alive_timeout": 180,  # a replaced child loads its models before it says that it is up
        "worker_max_tasks_per_child": None,
        "worker_soft_shutdown_timeout": soft_shutdown_s,  # then the job is handed back
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_send_task_events": False,
        "worker_enable_remote_control": False,  # nothing here uses it, and who reaches Redis could end workers with it
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
    }


class Doorbell:
    """Rings for the workers of a queue. Blocking for at most a few seconds; never raises."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def ring(self, queue: str) -> bool:
        """Say that there is work. False when the broker did not take it, which only delays the job."""
        try:
            self._app.send_task(TASK_NAME, args=[NOBODYS], queue=queue, retry=False)
        except (KombuError, OSError) as error:
            logger.warning("the hint for queue %s was not taken, the janitor will repeat it: %s", queue, error)
            return False
        return True


def client_app(redis_url: str, *, queues: tuple[str, ...] = (DEFAULT_QUEUE, GPU_QUEUE)) -> Celery:
    """A Celery application that only sends."""
    app = Celery("restora", set_as_current=False)
    app.conf.update(celery_config(redis_url, queues=queues))
    return app
