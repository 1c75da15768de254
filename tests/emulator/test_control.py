"""The control interface: what the page and other processes may do, and other web pages may not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramServerError

from emulator import Emulator, Person
from tests.emulator.conftest import keyboard, picture


@pytest.fixture
async def client(telegram: Emulator) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(telegram.api_url) as session:
        yield session


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example:80"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/emulator/people", "/emulator/calls", "/emulator/files/x"])
async def test_other_web_pages_are_kept_out(client: aiohttp.ClientSession, headers: dict[str, str], path: str) -> None:
    async with client.get(path, headers=headers) as response:
        assert response.status == 403
    async with client.post("/emulator/people", json={"first_name": "Eve"}, headers=headers) as response:
        assert response.status == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "emulator:8081"}, 200),
        ({"Host": "[::1]:8081"}, 200),
        ({"Host": "rebound.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
async def test_the_bot_api_is_for_programs_not_for_web_pages(
    telegram: Emulator, client: aiohttp.ClientSession, headers: dict[str, str], status: int
) -> None:
    async with client.get(f"/bot{telegram.token}/getMe", headers=headers) as response:
        assert response.status == status


async def test_the_page_itself_is_let_in(telegram: Emulator, client: aiohttp.ClientSession) -> None:
    headers = {"Origin": telegram.api_url, "Sec-Fetch-Site": "same-origin"}
    async with client.post("/emulator/people", json={"first_name": "Ann"}, headers=headers) as response:
        assert (await response.json())["id"] in telegram.state.chats
    async with client.get("/") as response:
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert "Telegram emulator" in await response.text()


async def test_a_host_name_can_be_allowed() -> None:
    from emulator.server import Server
    from emulator.state import Telegram

    server = Server(Telegram("1:a"), allowed_hosts=("emulator",))
    await server.start()
    async with (
        aiohttp.ClientSession(server.url) as client,
        client.get("/", headers={"Host": f"emulator:{server.port}"}) as response,
    ):
        assert response.status == 200
    await server.stop()


async def test_a_file_of_a_stranger_never_runs_as_a_page(client: aiohttp.ClientSession, ann: Person) -> None:
    document = await ann.sends_document("a.html", b"<script>alert(1)</script>")
    async with client.get(f"/emulator/files/{document.file_id}") as response:
        assert response.content_type == "application/octet-stream"
        assert response.headers["Content-Disposition"] == "attachment"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in response.headers["Content-Security-Policy"]


async def test_another_process_can_be_a_person(
    telegram: Emulator, bot: Bot, client: aiohttp.ClientSession, ann: Person
) -> None:
    base = f"/emulator/people/{ann.id}"
    async with client.post(f"{base}/texts", json={"text": "/help"}) as response:
        assert (await response.json()) == {"message_ids": [2]}
    form = aiohttp.FormData({"kind": "document", "caption": "c"}, default_to_multipart=True)
    form.add_field("file", picture(), filename="a.jpg", content_type="image/jpeg")
    form.add_field("file", b"x", filename="b.txt", content_type="text/plain")
    async with client.post(f"{base}/files", data=form) as response:
        assert (await response.json()) == {"message_ids": [3, 4]}
    assert [message.text for message in ann.chat.messages] == ["/start", "/help", "c", ""]
    sent = await bot.send_message(ann.id, "sure?", reply_markup=keyboard(["Yes"]))
    click = asyncio.create_task(client.post(f"{base}/clicks", json={"message_id": sent.message_id, "data": "Yes"}))
    while not telegram.state.queries:
        await asyncio.sleep(0.01)
    await bot.answer_callback_query(*telegram.state.queries, text="done")
    async with await click as response:
        assert (await response.json())["text"] == "done"
    async with client.delete(f"{base}/messages/{sent.message_id}"):
        assert ann.chat.find(sent.message_id) is None
    async with client.post(f"{base}/block", json={"blocked": True}):
        assert ann.chat.blocked
    async with client.post(f"{base}/texts", json={"text": "x"}) as response:
        assert (response.status, await response.text()) == (
            400,
            "Ann blocked the bot and has to unblock it before writing to it",
        )
    async with client.get("/emulator/transcript") as response:
        assert "/help" in await response.text()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/emulator/people", {}, 400),
        ("/emulator/people/1/texts", {"text": "x"}, 404),
        ("/emulator/faults", {"fault": "Earthquake"}, 400),
        ("/emulator/faults", {"fault": "Reset", "colour": "red"}, 400),
        ("/emulator/faults", [], 400),
    ],
)
async def test_nonsense_is_refused(client: aiohttp.ClientSession, path: str, body: object, status: int) -> None:
    async with client.post(path, json=body) as response:
        assert response.status == status


async def test_faults_can_be_set_from_another_process(bot: Bot, client: aiohttp.ClientSession, ann: Person) -> None:
    rule = {"fault": "ServerError", "method": "sendMessage", "chat_id": ann.id, "times": 2}
    async with client.post("/emulator/faults", json=rule):
        pass
    with pytest.raises(TelegramServerError):
        await bot.send_message(ann.id, "x")
    async with client.get("/emulator/faults") as response:
        assert [(each["fault"], each["struck"]) for each in await response.json()] == [("ServerError", 1)]
    async with client.delete("/emulator/faults"):
        assert await bot.send_message(ann.id, "x")
    async with client.get("/emulator/calls", params={"method": "sendMessage"}) as response:
        assert [call["executed"] for call in await response.json()] == [False, True]


async def test_events_tell_the_chat_first_and_then_every_change(
    bot: Bot, client: aiohttp.ClientSession, ann: Person
) -> None:
    async with client.get(f"/emulator/people/{ann.id}/events") as response:
        lines = response.content

        async def until(kind: str, containing: str) -> None:
            async with asyncio.timeout(5):
                while f"event: {kind}" not in (await lines.readline()).decode():
                    pass
                assert containing in (await lines.readline()).decode()

        await until("chat", '"text": "/start"')
        await until("bot", '"name": "Restora"')
        sent = await bot.send_message(ann.id, "one")
        await until("message", '"text": "one"')
        await bot.edit_message_text("two", chat_id=ann.id, message_id=sent.message_id)
        await until("message", '"text": "two"')
        await bot.send_chat_action(ann.id, "typing")
        await until("action", "typing")
        await bot.delete_message(ann.id, sent.message_id)
        await until("message", '"deleted": true')
