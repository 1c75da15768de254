"""Every call to Telegram that fails is counted for ``/metrics``, also those that are tried again."""

from __future__ import annotations

from aiogram import Bot
from aiogram.client.session.middlewares.base import BaseRequestMiddleware, NextRequestMiddlewareType
from aiogram.exceptions import (
    AiogramError,
    TelegramAPIError,
    TelegramForbiddenError,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
)
from aiogram.methods import Response, TelegramMethod
from aiogram.methods.base import TelegramType

from tasks import metrics


class Counting(BaseRequestMiddleware):
    """Notes errors by method and kind, and how long Telegram wants silence. Registered last, it sees every try."""

    async def __call__(
        self,
        make_request: NextRequestMiddlewareType[TelegramType],
        bot: Bot,
        method: TelegramMethod[TelegramType],
    ) -> Response[TelegramType]:
        """Make the request and note its failure."""
        try:
            return await make_request(bot, method)
        except AiogramError as error:
            metrics.count("restora_telegram_errors", method=method.__api_method__, kind=_kind(error))
            if isinstance(error, TelegramRetryAfter):
                metrics.observe("restora_telegram_retry_after_seconds", float(error.retry_after))
            raise


def _kind(error: AiogramError) -> str:
    if isinstance(error, TelegramRetryAfter):
        return "busy"
    if isinstance(error, TelegramForbiddenError):
        return "closed"
    if isinstance(error, TelegramNetworkError | TelegramServerError) or not isinstance(error, TelegramAPIError):
        return "unreachable"  # an answer that cannot be read comes from a proxy in between
    return "unchanged" if "message is not modified" in error.message else "refused"
