"""The Bot API over HTTP: tokens, calls with their faults, downloads."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from typing import Any

from aiohttp import web

from emulator import faults
from emulator.bodies import CutOffError, read_arguments
from emulator.chats import Chat
from emulator.errors import ApiError, bad_request, unauthorized
from emulator.faults import DOWNLOAD, Fault, Faults
from emulator.files import StoredFile
from emulator.floods import FloodControl
from emulator.journal import Call, Journal
from emulator.methods import Arguments, Poll, find_method
from emulator.methods.registry import Handler
from emulator.state import Telegram

logger = logging.getLogger(__name__)

_CONNECTION_CHECK_S = 0.05
_BAD_GATEWAY = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    "<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)


class BotApi:
    """Handlers for ``/bot<token>/<method>`` and ``/file/bot<token>/<path>``."""

    def __init__(self, telegram: Telegram, *, flood_limits: bool = False) -> None:
        self.telegram = telegram
        self.faults = Faults()
        self.journal = Journal()
        self.poll = Poll(telegram)
        self.floods = FloodControl(telegram.clock) if flood_limits else None
        self.stopping = asyncio.Event()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the handlers into an application."""
        router.add_get(r"/file/bot{token:[^/]+}/{path:.+}", self.download)
        for verb in ("GET", "POST"):
            router.add_route(verb, r"/bot{token:[^/]+}/{method:[^/]*}", self.call)

    async def call(self, request: web.Request) -> web.StreamResponse:
        """Answer one call of a method."""
        if request.match_info["token"] != self.telegram.token:
            return _refusal(unauthorized())
        call = self._begin(request.match_info["method"])
        try:
            call.method, handler = find_method(call.method, self.poll)
            arguments = await self._read(request, call)
        except ApiError as error:
            response: web.StreamResponse = self._refuse(call, error)
        except CutOffError as error:
            self._note(call, Arguments(error.values), faults.ResetDuringUpload())
            response = _break(request)
        else:
            fault = self.faults.strike(call.method, self._chat_id(arguments), uploaded=bool(arguments.uploads))
            self._note(call, arguments, fault)
            response = await self._answer(request, call, handler, arguments, fault)
        call.finished = self.telegram.clock()
        return response

    async def _read(self, request: web.Request, call: Call) -> Arguments:
        return await read_arguments(
            request, lambda values: self.faults.strike_upload(call.method, self._chat_id(Arguments(values)))
        )

    async def _answer(
        self, request: web.Request, call: Call, handler: Handler, arguments: Arguments, fault: Fault | None
    ) -> web.StreamResponse:
        stopped = await self._suffer(request, fault)
        if stopped is not None:
            return stopped
        self._change_world(fault, arguments)
        try:
            if self.floods is not None:
                self.floods.check(call.method, self._chat(arguments), _messages_in(arguments))
            result = await self._execute(request, call, handler, arguments)
        except ApiError as error:
            return self._refuse(call, error)
        except Exception:  # the outermost boundary: a bot gets JSON even from a broken emulator
            logger.exception("the emulator failed in %s", call.method)
            return self._refuse(call, ApiError(500, "Internal Server Error"))
        if isinstance(fault, faults.ResetAfter):
            return _break(request)
        return web.json_response({"ok": True, "result": result})

    async def _execute(self, request: web.Request, call: Call, handler: Handler, arguments: Arguments) -> Any:
        if call.method == "getUpdates":
            return await self._while_connected(request, handler, arguments)
        call.result = await handler(self.telegram, arguments)
        call.executed = True
        return call.result

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Hand out a file whose path getFile opened."""
        if request.match_info["token"] != self.telegram.token:
            return _refusal(unauthorized())
        path = request.match_info["path"]
        file = self.telegram.files.at_path(path)
        call = self._begin(DOWNLOAD)
        arguments = Arguments({"file_path": path, "file_id": file.file_id if file else None})
        fault = self.faults.strike(DOWNLOAD, self._chat_id(arguments))
        self._note(call, arguments, fault)
        response = await self._suffer(request, fault)
        if response is None:
            response = await self._hand_out(request, call, file, fault)
        call.finished = self.telegram.clock()
        return response

    async def _hand_out(
        self, request: web.Request, call: Call, file: StoredFile | None, fault: Fault | None
    ) -> web.StreamResponse:
        if file is None:
            return self._refuse(call, ApiError(404, "Not Found"))
        content = await asyncio.to_thread(file.body.read)
        if isinstance(fault, faults.ResetAfter):
            return await _break_half_way(request, content)
        call.executed = True
        return web.Response(body=content, content_type="application/octet-stream")

    def _begin(self, method: str) -> Call:
        """Record a call, unless it is one of the endless polls."""
        call = Call(method, None, {}, self.telegram.clock())
        if method.lower() != "getupdates":
            self.journal.calls.append(call)
        return call

    def _note(self, call: Call, arguments: Arguments, fault: Fault | None) -> None:
        call.chat_id = self._chat_id(arguments)
        call.arguments = arguments.for_record()
        call.fault = type(fault).__name__ if fault else None

    def _refuse(self, call: Call, error: ApiError) -> web.Response:
        call.error = error.description
        return _refusal(error)

    async def _suffer(self, request: web.Request, fault: Fault | None) -> web.StreamResponse | None:
        """What happens before the call is handled; an answer if it will not be."""
        match fault:
            case faults.RetryAfter(seconds):
                return _refusal(ApiError(429, f"Too Many Requests: retry after {seconds}", {"retry_after": seconds}))
            case faults.ServerError():
                return _refusal(ApiError(500, "Internal Server Error"))
            case faults.BadGateway():
                return web.Response(status=502, text=_BAD_GATEWAY, content_type="text/html")
            case faults.Reset() | faults.ResetDuringUpload():
                return _break(request)
            case faults.Hang():
                await self._until_gone(request)
                return _break(request)
            case faults.Slow(seconds):
                await asyncio.sleep(seconds)
        return None

    def _change_world(self, fault: Fault | None, arguments: Arguments) -> None:
        if isinstance(fault, faults.FileTooBig):
            self.telegram.files.outgrow(str(arguments.values.get("file_id")))
        chat = self._chat(arguments)
        if chat is None:
            return
        if isinstance(fault, faults.Blocked):
            self.telegram.block(chat, next(iter(chat.members.values())), blocked=True)
        if isinstance(fault, faults.MessageGone):
            message = chat.find(_number(arguments.values.get("message_id")) or 0)
            if message is not None:
                self.telegram.delete(message)

    async def _while_connected(self, request: web.Request, handler: Handler, arguments: Arguments) -> Any:
        """Run a long poll that ends with its connection, so that a dead bot does not count as polling."""
        poll = asyncio.ensure_future(handler(self.telegram, arguments))
        gone = asyncio.ensure_future(self._until_gone(request))
        try:
            await asyncio.wait({poll, gone}, return_when=asyncio.FIRST_COMPLETED)
            return await poll if poll.done() else []
        finally:
            for task in (poll, gone):
                task.cancel()
            await asyncio.gather(poll, gone, return_exceptions=True)

    async def _until_gone(self, request: web.Request) -> None:
        """Wait until the client has closed the connection or the emulator stops."""
        # aiohttp has no event for a client that leaves while its handler runs
        while not self.stopping.is_set() and request.transport and not request.transport.is_closing():
            await asyncio.sleep(_CONNECTION_CHECK_S)

    def _chat(self, arguments: Arguments) -> Chat | None:
        return self.telegram.chats.get(_number(arguments.values.get("chat_id")) or 0)

    def _chat_id(self, arguments: Arguments) -> int | None:
        """The chat a call concerns: of a callback query the one with the button, of a file the one it came from."""
        values = arguments.values
        query = self.telegram.queries.get(str(values.get("callback_query_id")))
        if query is not None:
            return query.message.chat.id
        chat = self.telegram.file_chats.get(str(values.get("file_id")))
        return chat.id if chat is not None else _number(values.get("chat_id"))


def _number(value: object) -> int | None:
    text = str(value)
    return int(text) if text.removeprefix("-").isdecimal() else None


def _messages_in(arguments: Arguments) -> int:
    """What a call costs: an album counts each of its items."""
    try:
        media = arguments.structure("media")
    except ApiError:
        raise bad_request("can't parse media JSON object") from None
    return len(media) if isinstance(media, list) else 1


def _refusal(error: ApiError) -> web.Response:
    return web.json_response(error.to_json(), status=error.code)


def _break(request: web.Request) -> web.Response:
    """Reset the connection; what is returned is never sent."""
    if request.transport is not None:
        raw = request.transport.get_extra_info("socket")
        if isinstance(raw, socket.socket) or hasattr(raw, "setsockopt"):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response()


async def _break_half_way(request: web.Request, content: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": str(len(content))})
    await response.prepare(request)
    await response.write(content[: len(content) // 2])
    _break(request)
    return response
