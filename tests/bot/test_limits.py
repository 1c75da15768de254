"""The largest file that is taken is the one that is told."""

from __future__ import annotations

import pytest

from bot.texts import BotTexts
from tasks.settings import TELEGRAM_FILE_BYTES
from tasks.texts import Texts
from tests.bot.test_errors import handling

MIB = 1024 * 1024


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("limit", "told"), [(5 * MIB, "5 MB"), (TELEGRAM_FILE_BYTES, "20 MB"), (2000 * MIB, "2000 MB")]
)
async def test_a_file_that_is_too_large_is_told_the_limit_that_is_set(store, redis_server, limit, told):
    async with handling(store, redis_server, max_file_bytes=limit) as small:
        user = small.telegram.user("Ann")
        await user.sends_document("a.png", file_size=limit + 1, mime_type="image/png")
        await user.sends_text("/help")
        await small.handles_what_came()
        refusal, manual = (await user.receives_text()).text, (await user.receives_text()).text
    assert f"larger than {told}," in refusal
    assert f"files up to {told}." in manual
    assert ("Telegram" in refusal) == (limit == TELEGRAM_FILE_BYTES)


@pytest.mark.parametrize(
    ("locale", "limit", "told"),
    [
        ("en", 3 * MIB // 2, "1.5 MB"),
        ("ru", 3 * MIB // 2, "1,5 МБ"),
        ("ru", 20 * MIB, "20 МБ"),
        ("en", 20_000, "0.019 MB"),
    ],
)
def test_a_limit_is_said_in_megabytes_as_the_language_writes_them(locale, limit, told):
    words = BotTexts(locale)
    assert told in words.refusal("file_too_large", limit)
    assert told in words.help(limit)


@pytest.mark.parametrize("locale", ["en", "ru"])
def test_a_worker_that_was_not_let_download_a_file_names_no_limit_it_does_not_know(locale):
    assert not any(sign.isdigit() for sign in Texts(locale).failed("file_too_large"))
