"""The chat page, and the control interface under ``/emulator`` for it and for other processes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import BodyPartReader, web

from emulator.accounts import Account
from emulator.api import BotApi
from emulator.chats import Chat
from emulator.errors import UnusableError
from emulator.faults import parse_rule
from emulator.feed import Feed, people_view
from emulator.messages import Message
from emulator.people import Client, Item
from emulator.state import CallbackQuery
from emulator.transcript import transcript
from emulator.views import bot_view, keyboard_view, message_view
from emulator.waiting import wait_until

PAGE = Path(__file__).parent / "page"
ANSWER_TIMEOUT_S = 30.0
# Shown by the browser itself; everything else is only ever downloaded, so that no file runs as a page
_SHOWN = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp", "video/mp4", "audio/ogg"})


class Control:
    """Handlers for the page and for tests in other processes."""

    def __init__(self, api: BotApi) -> None:
        self._api = api
        self._telegram = api.telegram

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the handlers into an application."""
        router.add_get("/", self.page)
        router.add_get(r"/page/{name:[a-z]+\.(css|js|svg)}", self.page)
        router.add_get("/emulator/people", self.people)
        router.add_post("/emulator/people", self.add_person)
        router.add_get(r"/emulator/people/{id:\d+}/events", self.events)
        router.add_get(r"/emulator/people/{id:\d+}/messages", self.messages)
        router.add_post(r"/emulator/people/{id:\d+}/texts", self.send_text)
        router.add_post(r"/emulator/people/{id:\d+}/files", self.send_files)
        router.add_post(r"/emulator/people/{id:\d+}/clicks", self.click)
        router.add_get(r"/emulator/people/{id:\d+}/keyboard", self.keyboard)
        router.add_post(r"/emulator/people/{id:\d+}/keys", self.press_key)
        router.add_post(r"/emulator/people/{id:\d+}/block", self.block)
        router.add_delete(r"/emulator/people/{id:\d+}/messages/{message:\d+}", self.delete_message)
        router.add_get("/emulator/files/{file_id}", self.file)
        router.add_get("/emulator/calls", self.calls)
        router.add_get("/emulator/transcript", self.transcript)
        router.add_get("/emulator/faults", self.faults)
        router.add_post("/emulator/faults", self.add_fault)
        router.add_delete("/emulator/faults", self.clear_faults)

    async def page(self, request: web.Request) -> web.StreamResponse:
        """The page and what belongs to it."""
        path = PAGE / request.match_info.get("name", "index.html")
        if not path.is_file():
            raise web.HTTPNotFound
        return web.FileResponse(path, headers={"Cache-Control": "no-cache"})

    # People

    async def people(self, _: web.Request) -> web.Response:
        """Everybody, and the bot."""
        bot = bot_view(self._telegram, None, connected=self._api.poll.connected)
        return web.json_response({"people": people_view(self._telegram), "bot": bot})

    async def add_person(self, request: web.Request) -> web.Response:
        """A new person of ``first_name`` and ``language_code``."""
        fields = await _json(request)
        name = str(fields.get("first_name") or "").strip()[:64]
        if not name:
            raise _refuse("a person needs a first_name")
        person = self._telegram.add_person(name, language_code=str(fields.get("language_code") or "en"))
        return web.json_response({"id": person.id})

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: what one person sees."""
        person, chat = self._person(request)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        feed = Feed(self._api, person, chat)
        try:
            async for event in feed.events():
                await response.write(event)
        except ConnectionError:
            pass  # the page was closed
        return response

    async def messages(self, request: web.Request) -> web.Response:
        """All messages of a chat as they are now."""
        _, chat = self._person(request)
        return web.json_response([message_view(message) for message in chat.messages])

    async def send_text(self, request: web.Request) -> web.Response:
        """Send ``text``."""
        fields = await _json(request)
        client = self._client(request)
        return _sent([_usable(lambda: client.send_text(str(fields.get("text") or "")))])

    async def send_files(self, request: web.Request) -> web.Response:
        """Send the uploads as ``kind`` with a ``caption``; several of them as an album."""
        client = self._client(request)
        items = await _items(request)
        try:
            sent = await client.send_album(items) if len(items) > 1 else [await client.send(items[0])]
        except UnusableError as error:
            raise _refuse(str(error)) from error
        return _sent(sent)

    async def click(self, request: web.Request) -> web.Response:
        """Press the button with ``data`` under ``message_id`` and wait for the bot's answer."""
        fields = await _json(request)
        client = self._client(request)
        message = self._message(client.chat, fields.get("message_id"))
        query = client.press(message, str(fields.get("data")))
        try:
            await wait_until(
                self._telegram, lambda: query.answer, timeout_s=ANSWER_TIMEOUT_S, failure=lambda: "no answer"
            )
        except AssertionError as error:
            raise web.HTTPGatewayTimeout(text=str(error)) from error
        return web.json_response(_answer(query))

    async def keyboard(self, request: web.Request) -> web.Response:
        """What is under the input field, or null."""
        return web.json_response(keyboard_view(*self._person(request)))

    async def press_key(self, request: web.Request) -> web.Response:
        """Press the key of this ``text``."""
        fields = await _json(request)
        client = self._client(request)
        return _sent([_usable(lambda: client.press_key(str(fields.get("text") or "")))])

    async def block(self, request: web.Request) -> web.Response:
        """Block the bot or, with ``blocked: false``, allow it again."""
        fields = await _json(request)
        self._client(request).block(blocked=bool(fields.get("blocked", True)))
        return web.json_response({})

    async def delete_message(self, request: web.Request) -> web.Response:
        """Delete a message for both sides."""
        client = self._client(request)
        client.delete(self._message(client.chat, request.match_info["message"]))
        return web.json_response({})

    # Files and records

    async def file(self, request: web.Request) -> web.Response:
        """A file, whatever its size, for the page."""
        file = self._telegram.files.find(request.match_info["file_id"])
        if file is None:
            raise web.HTTPNotFound
        kinds = {"photo": "image/jpeg", "sticker": "image/webp"}
        mime_type = file.mime_type or kinds.get(file.kind, "application/octet-stream")
        content = await asyncio.to_thread(file.body.read)
        response = web.Response(body=content, content_type=mime_type.partition(";")[0])
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        if mime_type not in _SHOWN:
            response.content_type = "application/octet-stream"
            response.headers["Content-Disposition"] = "attachment"
        return response

    async def calls(self, request: web.Request) -> web.Response:
        """The record of calls, of one ``method`` or ``chat_id`` if given."""
        try:
            chat_id = int(request.query["chat_id"]) if "chat_id" in request.query else None
        except ValueError:
            raise _refuse("chat_id is no number") from None
        calls = self._api.journal.of(request.query.get("method"), chat_id)
        return web.json_response([call.to_json() for call in calls])

    async def transcript(self, _: web.Request) -> web.Response:
        """All chats as text."""
        chats = [chat for chat in self._telegram.chats.values() if chat.numbered]
        return web.Response(text="\n\n".join(transcript(chat) for chat in chats))

    async def faults(self, _: web.Request) -> web.Response:
        """The faults in force and how often each struck."""
        return web.json_response([rule.to_json() for rule in self._api.faults.rules])

    async def add_fault(self, request: web.Request) -> web.Response:
        """Put a fault into force; see `emulator.faults.parse_rule`."""
        fields = await _json(request)
        rule = _usable(lambda: parse_rule(fields))
        return web.json_response(self._api.faults.add(rule).to_json())

    async def clear_faults(self, _: web.Request) -> web.Response:
        """Behave again."""
        self._api.faults.clear()
        return web.json_response([])

    def _person(self, request: web.Request) -> tuple[Account, Chat]:
        number = int(request.match_info["id"])
        chat = self._telegram.chats.get(number)
        if chat is None or not chat.is_private:
            raise web.HTTPNotFound(text=f"nobody has the number {number}")
        return chat.members[number], chat

    def _client(self, request: web.Request) -> Client:
        return Client(self._telegram, *self._person(request))

    def _message(self, chat: Chat, number: Any) -> Message:
        message = chat.find(int(number)) if str(number).isdecimal() else None
        if message is None:
            raise web.HTTPNotFound(text=f"there is no message {number}")
        return message


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        fields = await request.json()
    except ValueError:
        raise _refuse("the body is no JSON") from None
    if not isinstance(fields, dict):
        raise _refuse("the body is no JSON object")
    return fields


async def _items(request: web.Request) -> list[Item]:
    kind, caption, files = "photo", "", []
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        if part.filename is not None:
            files.append((part.filename, bytes(await part.read()), part.headers.get("Content-Type")))
        elif part.name == "kind":
            kind = await part.text()
        elif part.name == "caption":
            caption = await part.text()
    if not files:
        raise _refuse("there is no file in the request")
    return [
        Item(content, kind, name, caption if index == 0 else "", mime_type)
        for index, (name, content, mime_type) in enumerate(files)
    ]


def _usable(action: Any) -> Any:
    try:
        return action()
    except UnusableError as error:
        raise _refuse(str(error)) from error


def _refuse(reason: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=reason)


def _sent(messages: list[Message]) -> web.Response:
    return web.json_response({"message_ids": [message.message_id for message in messages]})


def _answer(query: CallbackQuery) -> dict[str, Any]:
    return query.answer or {}
