"""The Bot API client of a worker, with every call that fails counted for ``/metrics``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from models.stopping import never
from tasks import metrics
from tasks.telegram import (
    ChatClosedError,
    TelegramBusyError,
    TelegramClient,
    TelegramError,
    TelegramRefusalError,
    TelegramUnreachableError,
    TokenRejectedError,
)


class CountedTelegramClient(TelegramClient):
    """Counts errors by method and kind, and how long Telegram wants silence."""

    def call(self, method: str, params: Mapping[str, object], **options: Any) -> Any:
        """As the client does it."""
        try:
            return super().call(method, params, **options)
        except TelegramError as error:
            _count(method, error)
            raise

    def download(self, file_id: str, *, should_stop: Callable[[], bool] = never, **options: Any) -> bytes:
        """As the client does it; being told to stop is no error of Telegram's."""
        try:
            return super().download(file_id, should_stop=should_stop, **options)
        except (TelegramRefusalError, TelegramUnreachableError, TokenRejectedError) as error:
            if error.method == "download" and not should_stop():  # the rest was counted as a call
                _count("download", error)
            raise


def _count(method: str, error: TelegramError) -> None:
    metrics.count("restora_telegram_errors", method=method, kind=_kind(error))
    if isinstance(error, TelegramBusyError):
        metrics.observe("restora_telegram_retry_after_seconds", error.retry_after_s)


def _kind(error: TelegramError) -> str:
    if isinstance(error, TelegramBusyError):
        return "busy"
    if isinstance(error, ChatClosedError):
        return "closed"
    if isinstance(error, TokenRejectedError):
        return "rejected"
    if isinstance(error, TelegramRefusalError):
        return "unchanged" if error.says("message is not modified") else "refused"
    return "unreachable"
