"""The Bot API as plain HTTP, for clients that are not aiogram; and many of them at once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import requests

from emulator import BadGateway, Emulator, Person, ResetDuringUpload


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def url(telegram: Emulator, method: str) -> str:
    return f"{telegram.api_url}/bot{telegram.token}/{method}"


async def answer(response: aiohttp.ClientResponse) -> dict[str, Any]:
    body: dict[str, Any] = await response.json()
    assert body["ok"] is (response.status == 200)
    assert body["ok"] or body["error_code"] == response.status
    return body


@pytest.mark.parametrize("name", ["sendMessage", "sendmessage", "SENDMESSAGE"])
@pytest.mark.parametrize("form", ["query", "urlencoded", "json", "multipart"])
async def test_arguments_arrive_in_every_form(
    telegram: Emulator, ann: Person, client: aiohttp.ClientSession, form: str, name: str
) -> None:
    fields = {"chat_id": str(ann.id), "text": "привет & <b>hi</b>", "parse_mode": "HTML"}
    request = {
        "query": {"params": fields},
        "urlencoded": {"data": fields},
        "json": {"json": {**fields, "chat_id": ann.id, "reply_markup": {"inline_keyboard": []}}},
        "multipart": {"data": aiohttp.FormData(fields, default_to_multipart=True)},
    }[form]
    verb = client.get if form == "query" else client.post
    async with verb(url(telegram, name), **request) as response:  # type: ignore[operator]
        assert (await answer(response))["result"]["text"] == "привет & hi"


@pytest.mark.parametrize(
    ("body", "status"), [(b"{", 400), (b"[]", 400), (b'{"chat_id": [], "text": "x"}', 400), (b"", 400)]
)
async def test_bodies_that_make_no_sense_are_bad_requests(
    telegram: Emulator, client: aiohttp.ClientSession, body: bytes, status: int
) -> None:
    headers = {"Content-Type": "application/json"}
    async with client.post(url(telegram, "sendMessage"), data=body, headers=headers) as response:
        assert (await answer(response))["error_code"] == status


@pytest.mark.parametrize(
    ("fields", "description"),
    [
        ({"text": "x"}, "chat_id is empty"),
        ({"text": "x", "chat_id": "@somebody"}, "chat not found"),
        ({"text": "x", "reply_markup": "{"}, "can't parse reply_markup JSON object"),
        ({"text": "x", "reply_markup": {"rows": []}}, "object expected as reply markup"),
        ({"text": "x", "entities": [{"type": "bold", "offset": 0, "length": 2}]}, "ends after the end"),
        ({"text": "x", "reply_parameters": {"message_id": "one"}}, "message to be replied not found"),
        ({"text": "x", "parse_mode": "BBCode"}, "unsupported parse_mode"),
    ],
)
async def test_refusals_name_what_is_wrong(
    telegram: Emulator, ann: Person, client: aiohttp.ClientSession, fields: dict[str, Any], description: str
) -> None:
    chat = {} if "chat_id" in fields or description == "chat_id is empty" else {"chat_id": ann.id}
    async with client.post(url(telegram, "sendMessage"), json={**chat, **fields}) as response:
        assert description in (await answer(response))["description"]


async def test_an_unknown_token_and_an_unknown_method(telegram: Emulator, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{telegram.api_url}/bot1:wrong/getMe") as response:
        assert (response.status, await response.json()) == (
            401,
            {"ok": False, "error_code": 401, "description": "Unauthorized"},
        )
    async with client.get(url(telegram, "makeCoffee")) as response:
        assert (await answer(response))["error_code"] == 404
    async with client.get(f"{telegram.api_url}/file/bot1:wrong/photos/file_0.jpg") as response:
        assert response.status == 401


async def test_a_synchronous_client_can_download(
    telegram: Emulator, ann: Person, client: aiohttp.ClientSession
) -> None:
    document = await ann.sends_document("a.bin", bytes(range(256)))
    async with client.get(url(telegram, "getFile"), params={"file_id": document.file_id}) as response:
        path = (await answer(response))["result"]["file_path"]
    async with client.get(f"{telegram.api_url}/file/bot{telegram.token}/{path}") as response:
        assert await response.read() == bytes(range(256))


async def test_the_synchronous_client_of_a_worker_sends_and_fails_as_at_telegram(
    telegram: Emulator, ann: Person
) -> None:
    def send(content: bytes) -> requests.Response:
        files = {"document": ("фото.png", content, "image/png")}
        return requests.post(url(telegram, "sendDocument"), data={"chat_id": ann.id}, files=files, timeout=20)

    response = await asyncio.to_thread(send, b"result")
    assert response.json()["result"]["document"]["file_name"] == "фото.png"
    assert (await ann.receives_document()).content == b"result"
    telegram.misbehaves("sendDocument", ResetDuringUpload())
    with pytest.raises(requests.ConnectionError):
        await asyncio.to_thread(send, bytes(30_000_000))
    telegram.misbehaves("sendDocument", BadGateway())
    assert (await asyncio.to_thread(send, b"result")).status_code == 502
    too_large = await asyncio.to_thread(send, bytes(50 * 1024 * 1024 + 1))
    assert too_large.json() == {"ok": False, "error_code": 413, "description": "Request Entity Too Large"}


async def test_200_requests_at_once_are_all_answered(telegram: Emulator) -> None:
    people = [telegram.user(f"P{number}") for number in range(200)]
    for person in people:
        await person.sends_text("/start")
    began = time.monotonic()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:

        async def deliver(person: Person) -> int:
            form = aiohttp.FormData({"chat_id": str(person.id)})
            form.add_field("document", str(person.id).encode() * 1000, filename="r.txt")
            async with client.post(url(telegram, "sendDocument"), data=form) as response:
                return response.status

        statuses = await asyncio.gather(*(deliver(person) for person in people))
    assert statuses == [200] * 200
    assert [person.chat.messages[-1].content for person in people] == [
        str(person.id).encode() * 1000 for person in people
    ]
    assert time.monotonic() - began < 10


async def test_calls_are_recorded_as_json(telegram: Emulator, ann: Person, client: aiohttp.ClientSession) -> None:
    async with client.post(url(telegram, "sendMessage"), json={"chat_id": ann.id, "text": "x"}):
        pass
    (call,) = telegram.calls
    assert json.loads(json.dumps(call.to_json()))["result"]["text"] == "x"
