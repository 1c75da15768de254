"""The worker's composition root: ``celery -A tasks.app worker``.

The parent process only looks after its children; torch is imported, models are loaded and every connection is opened in
the child, after the fork and before it takes its first job.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from billiard.util import get_logger
from celery import Celery, signals
from filelock import FileLock

from models.cli.process import prepare_process
from tasks import metrics
from tasks.broker import TASK_NAME, Doorbell, celery_config
from tasks.budget import SendBudget
from tasks.counted import CountedTelegramClient
from tasks.door import TelegramDoor
from tasks.janitor import Janitor
from tasks.logs import configure_logging
from tasks.messages import WorkerCard
from tasks.recycling import Recycling, may_keep_bytes
from tasks.restore import Workshop
from tasks.seclusion import seclude
from tasks.settings import SettingsError, WorkerSettings, load_settings
from tasks.store import JobStore, connect
from tasks.telegram import TelegramClient, TelegramError, TokenRejectedError

if TYPE_CHECKING:
    from tasks.observatory import Observatory

logger = logging.getLogger(__name__)

GREETING_PATIENCE_S = 10.0  # a network that is away when the worker starts may come later
HARD_LIMIT_GRACE_S = 600.0  # a job stops itself at its time limit; one that cannot, or cannot deliver, is killed then


class Process:
    """What one worker child has, from its start to its end; and, before the fork, its parent."""

    workshop: Workshop | None = None
    janitor: Janitor | None = None
    observatory: Observatory | None = None
    is_rejected = False  # whether Telegram has said that it does not know our token


def _settings() -> WorkerSettings:
    try:
        return load_settings(WorkerSettings)
    except SettingsError as error:
        sys.exit(f"restora worker: {error}")


def _configuration() -> dict[str, Any]:
    settings = _settings()
    return celery_config(
        settings.redis_url.get_secret_value(),
        queues=settings.worker_queues,
        hard_limit_s=settings.job_timeout_s + HARD_LIMIT_GRACE_S,
        soft_shutdown_s=settings.worker_soft_shutdown_s,
    )


app = Celery("restora")
app.add_defaults(_configuration)  # called when the worker starts: importing this module reads and opens nothing


@app.task(name=TASK_NAME, Request="tasks.hints:Hint")
def restore_photo(_: str) -> None:
    """Do the next job of this worker's queues; the hint names none.

    Raises nothing. With an exception Celery would hand the parent its whole traceback, of Redis being away some 80 kB.
    The pipe to the parent holds 64 kB, and a parent that was told to end does not read: it would end the child in the
    middle of its writing, and then wait for the rest for ever.
    """
    try:
        if Process.workshop is None:
            logger.error("this worker process has no models; its start was cut short")
        else:
            Process.workshop.run_next()
    except redis.RedisError as error:
        logger.warning("a hint came to nothing, Redis does not do its part: %s", error)
    except Exception:
        logger.exception("a hint came to nothing")


@signals.setup_logging.connect
def _set_up_logging(**_: object) -> None:
    settings = _settings()
    get_logger().propagate = True  # what billiard says of its processes would go past our format
    configure_logging(settings.log_level, form=settings.log_format, key=settings.bot_token.get_secret_value())


@signals.celeryd_init.connect
def _check_before_start(instance: Any, conf: Any, options: dict[str, Any], **_: object) -> None:
    """Refuse to start without weights or with a wrong token, in a line that says what to do; get ready to be seen."""
    from models.errors import RestorationError
    from tasks.weights import check_weights

    seclude()  # the children inherit it
    settings = _settings()
    try:
        check_weights(settings.weights_dir, settings.worker_model)
    except RestorationError as error:
        sys.exit(f"restora worker: {error}")
    check_token(settings)
    instance.quiet |= settings.log_format == "json"  # which its banner is not
    may_keep = may_keep_bytes(settings.worker_memory, processes=options.get("concurrency") or 1)
    conf.worker_max_memory_per_child = may_keep and may_keep // 1024
    if settings.metrics_port is not None:
        from tasks.observatory import Observatory

        try:
            Process.observatory = Observatory(settings)
        except OSError as error:
            sys.exit(f"restora worker: METRICS_PORT={settings.metrics_port}: {error.strerror}")


@signals.worker_init.connect
def _keep_to_itself(sender: Any, **_: object) -> None:
    """Start no talk between workers, which nobody listens to, however the worker was started.

    A heartbeat that finds no Redis is tried again without end; nothing else is done meanwhile, not even stopping when
    told to.
    """
    sender.options.update(without_gossip=True, without_mingle=True, without_heartbeat=True)


def check_token(settings: WorkerSettings) -> None:
    """Refuse to start with a token that Telegram does not know: each job would only be taken from others."""
    client = TelegramClient(settings.bot_token.get_secret_value(), api_url=settings.telegram_api_url)
    try:
        client.call("getMe", {}, patience_s=GREETING_PATIENCE_S)
    except TokenRejectedError:
        sys.exit("restora worker: Telegram does not know this BOT_TOKEN; @BotFather shows the right one")
    except TelegramError:  # it is not to be had now; jobs wait for it as they do whenever that happens
        pass
    finally:
        client.close()


@signals.worker_process_init.connect
def _open_workshop(**_: object) -> None:
    began = time.monotonic()
    if Process.observatory is not None:
        Process.observatory.leave_to_parent()
    prepare_process()
    try:
        _build(_settings(), queues=tuple(sorted(app.amqp.queues.consume_from)))
    except Exception as error:  # Celery would log it and go on with a child that cannot work
        logger.critical("restora worker: cannot start: %s", error, exc_info=_is_a_bug(error))
        os.kill(os.getppid(), signal.SIGTERM)
        raise SystemExit(1) from error
    metrics.count("restora_worker_starts")
    metrics.observe("restora_worker_start_seconds", time.monotonic() - began)


def _is_a_bug(error: Exception) -> bool:
    from models.errors import RestorationError

    return not isinstance(error, RestorationError)


def _build(settings: WorkerSettings, *, queues: tuple[str, ...]) -> None:
    from models import RestoreOptions, Restorer
    from models.engine.memory import give_back_memory

    restorer = Restorer.open(
        settings.worker_model,
        weights_dir=settings.weights_dir,
        device=settings.worker_device,
        dtype=settings.worker_dtype,
        threads=settings.worker_threads,
        faces=settings.faces != 0,
    )
    token = settings.bot_token.get_secret_value()
    store = JobStore(connect(settings.redis_url.get_secret_value()), secret=token, bot_id=settings.bot_id)
    door = TelegramDoor(
        CountedTelegramClient(
            token, api_url=settings.telegram_api_url, files_dir=settings.telegram_files_dir, on_rejected=_leave_rejected
        ),
        max_file_bytes=settings.max_file_bytes,
        budget=SendBudget(
            store.redis, bot_id=settings.bot_id, secret=token, messages_per_s=settings.telegram_messages_per_s
        ),
    )
    bell = Doorbell(app)
    card = WorkerCard(
        name=f"{socket.gethostname()}:{os.getpid()}",
        queues=queues,
        models=restorer.models,
        device=restorer.device,
        dtype=restorer.dtype,
    )
    options = RestoreOptions(
        max_input_pixels=settings.max_input_pixels,
        max_output_bytes=settings.max_output_bytes,
        max_seconds=min(settings.picture_budget_s, settings.job_timeout_s),
        patience_s=settings.patience_s,
        faces=settings.faces if restorer.faces_off is None else 0,
    )
    workshop = Workshop(
        store=store,
        door=door,
        restorer=restorer,
        options=options,
        device_lock=FileLock(_lock_path(restorer.device), thread_local=False),
        ring=bell.ring,
        worker=card.name,
        queues=queues,
        lease_s=settings.lease_s,
        job_timeout_s=settings.job_timeout_s,
    )
    Process.workshop = workshop
    Process.janitor = Janitor(
        store,
        door,
        card=lambda: replace(
            card,
            estimates=restorer.estimates(options),
            longest=restorer.longest_estimates(options),
            idle_s=workshop.idle_s,
        ),
        ring=bell.ring,
        lease_s=settings.lease_s,
        longest_run_s=settings.job_timeout_s + HARD_LIMIT_GRACE_S,
        leave=_end_parent,
        tidy=workshop.tidy,
    )
    Process.janitor.start()
    models = ", ".join(card.models)
    logger.info("ready: %s on %s %s, queues %s", models, card.device, card.dtype, ", ".join(queues))
    if restorer.guard_off is not None:
        logger.warning("nobody judges whether restored faces are still the same people: %s", restorer.guard_off)
    if app.conf.worker_max_memory_per_child:
        Recycling(app.conf.worker_max_memory_per_child * 1024, give_back=give_back_memory).install()


def _leave_rejected() -> None:
    """End the worker, for nothing it does can succeed; whoever starts it anew has it ask Telegram first."""
    if not Process.is_rejected:
        Process.is_rejected = True
        logger.critical(
            "Telegram does not know our BOT_TOKEN any more, so this worker ends and its jobs wait: put the token that "
            "@BotFather shows into .env, of the bot and of every worker, and start them again. Jobs that were taken in "
            "with the very token shown are done then; with another one, as after /revoke, their owners are asked to "
            "send the pictures again"
        )
        _end_parent(by_force=False)


def _end_parent(by_force: bool) -> None:
    """End the whole worker, of which this process is the child."""
    os.kill(os.getppid(), signal.SIGKILL if by_force else signal.SIGTERM)


def _lock_path(device: str) -> Path:
    return Path(tempfile.gettempdir()) / f"restora-{os.getuid()}-{device.replace(':', '')}.lock"


@signals.worker_process_shutdown.connect
def _close_workshop(**_: object) -> None:
    try:
        if Process.janitor is not None:
            Process.janitor.stop()
    except redis.RedisError as error:
        logger.warning("ending without a goodbye, Redis does not do its part: %s", error)
    finally:
        if Process.workshop is not None:
            Process.workshop.close()
