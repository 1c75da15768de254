"""Settings of the processes: environment variables, or lines of ``.env``, parsed once.

The composition roots (``bot.__main__``, ``tasks.app``) call :func:`load_settings` and hand the result down; no other
module reads the environment. ``.env.example`` lists the same names, units and defaults.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableSettings

BOT_TOKEN_FORM = re.compile(r"\d{1,20}:[A-Za-z0-9_-]{20,100}")
MEMORY_FORM = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)([bkmgt]?)(?:i?b)?")
TELEGRAM_FILE_BYTES = 20 * 1024 * 1024  # what its own servers let bots download: core.telegram.org/bots/api#getfile
QUEUE_NAME_FORM = re.compile(r"[a-z][a-z0-9_.-]{0,40}")


class SettingsError(Exception):
    """A setting is missing or malformed; the message is one line that names it."""


def _bot_token(value: SecretStr) -> SecretStr:
    if not BOT_TOKEN_FORM.fullmatch(value.get_secret_value()):
        raise ValueError("is not a bot token such as 123456789:AAE…; @BotFather hands them out")
    return value


def _redis_url(value: str) -> str:
    if not value.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("has to begin with redis://, rediss:// or unix://")
    return value


def _http_url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/]+(/[^\s]*)?", value):
        raise ValueError("has to be an http:// or https:// address")
    return value.rstrip("/")


def _queue_names(value: object) -> object:
    names = tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value
    for name in names if isinstance(names, tuple) else ():
        if not QUEUE_NAME_FORM.fullmatch(name):
            raise ValueError(f"{name!r} is not a queue name: lower-case letters, digits, dot, dash, underscore")
    return names


def _bytes(value: object) -> object:
    """Docker's way to write a number of bytes: 1500m, 3g."""
    if not isinstance(value, str):
        return value
    found = MEMORY_FORM.fullmatch(value.strip().lower())
    if not found or not float(found[1]):
        raise ValueError("is not a size such as 1500m or 3g")
    return round(float(found[1]) * 1024 ** "bkmgt".index(found[2] or "b"))


class ProcessSettings(BaseSettings):
    """What bot and worker both need."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, frozen=True, extra="ignore")

    bot_token: Annotated[SecretStr, AfterValidator(_bot_token)]
    telegram_api_url: Annotated[str, AfterValidator(_http_url)] = "https://api.telegram.org"
    redis_url: Annotated[SecretStr, AfterValidator(lambda url: SecretStr(_redis_url(url.get_secret_value())))] = (
        SecretStr("redis://127.0.0.1:6379/0")
    )
    telegram_messages_per_s: Annotated[float, Field(ge=1.0, le=1000.0)] = 25.0  # of all processes of the bot together
    max_file_bytes: PositiveInt = TELEGRAM_FILE_BYTES  # a self-hosted Bot API server takes more
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"
    metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = None  # of /metrics and /healthz; None: neither
    metrics_host: str = "127.0.0.1"  # whoever reaches this address can read them

    @property
    def bot_id(self) -> int:
        """The bot's number, which a token begins with."""
        return int(self.bot_token.get_secret_value().partition(":")[0])


class BotSettings(ProcessSettings):
    """The bot's environment."""

    max_open_jobs_per_user: PositiveInt = 20  # queued and running together
    max_queued_jobs: PositiveInt = 5_000  # over all users
    max_pictures_per_minute: PositiveInt = 60  # of one user; what comes faster is not taken, and that is said once
    max_messages_per_minute: PositiveInt = 120  # of one user, whatever they are
    gpu_queue_from_pixels: PositiveInt = 500_000  # larger pictures go to queue "gpu" while a worker serves it
    owner_id: PositiveInt | None = None  # the Telegram user who may ask for /stats


class WorkerSettings(ProcessSettings):
    """The worker's environment."""

    worker_queues: Annotated[tuple[str, ...], NoDecode, Field(min_length=1), BeforeValidator(_queue_names)] = (
        "restore",
    )
    worker_model: str = "auto"  # the best for each picture of those in the weights folder; a name takes just that one
    worker_device: str = "auto"
    worker_dtype: str = "auto"
    worker_threads: PositiveInt | None = None  # None: the cores this process may use
    weights_dir: Path = Path("weights")
    telegram_files_dir: Path | None = None  # of a self-hosted Bot API server in local mode, as this process sees it
    max_input_pixels: PositiveInt = 40_000_000  # decoded: about 120 MB as uint8 RGB
    max_output_bytes: PositiveInt = 49_000_000  # Telegram takes documents of 50 MB
    picture_budget_s: PositiveFloat = 300.0  # people wait in a chat: what would take longer grows less, or is refused
    patience_s: PositiveFloat = 10.0  # where the best model would take longer, the everyday one does the picture
    faces: Annotated[int, Field(ge=0, le=100)] | None = None  # strength of face restoration; None: 80, not in drawings
    job_timeout_s: PositiveFloat = 600.0  # a job that takes longer all the same is stopped, and its owner told
    worker_soft_shutdown_s: PositiveFloat = 20.0  # with REMAP_SIGTERM=SIGQUIT: what a job may still take after SIGTERM
    lease_s: Annotated[float, Field(ge=2.0, le=300.0)] = 15.0  # a worker silent for this long has lost its job
    worker_memory: Annotated[int | None, BeforeValidator(_bytes)] = None  # within the container's limit, if it has one


SettingsT = TypeVar("SettingsT", bound=ProcessSettings)


def load_settings(kind: type[SettingsT]) -> SettingsT:
    """Read the environment and ``.env``.

    Raises:
        SettingsError: a variable is missing or malformed; one line that names it and, unless secret, its value.
    """
    try:
        return kind()
    except UnreadableSettings as error:
        raise SettingsError(str(error)) from error
    except ValidationError as error:
        raise SettingsError("; ".join(_complaint(kind, dict(detail)) for detail in error.errors())) from None


def _complaint(kind: type[BaseSettings], detail: dict[str, object]) -> str:
    location = detail["loc"]
    field = str(location[0]) if isinstance(location, tuple) and location else "settings"
    if detail["type"] == "missing":
        return f"{field.upper()} is not set: put it into .env (see .env.example) or into the environment"
    reason = str(detail["msg"]).removeprefix("Value error, ")
    annotation = kind.model_fields[field].annotation if field in kind.model_fields else None
    value = "" if annotation is SecretStr else f"={detail['input']!r}"
    return f"{field.upper()}{value}: {reason}"
