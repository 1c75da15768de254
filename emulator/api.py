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
        try:
            self._check_token(request)
            name, handler = find_method(request.match_info["method"], self.poll)
            arguments = await read_arguments(
                request, lambda values: self.faults.strike_upload(name, _number(values.get("chat_id")))
            )
        except ApiError as error:
            return _refusal(error)
        except CutOffError:
            self._record(request.match_info["method"], Arguments(), "ResetDuringUpload")
            return _break(request)
        chat_id = self._chat_id(arguments)
        fault = self.faults.strike(name, chat_id, uploaded=bool(arguments.uploads))
        if name == "getUpdates":
            call = Call(name, None, {}, self.telegram.clock())
        else:
            call = self._record(name, arguments, type(fault).__name__ if fault else None)
        response = await self._answer(request, call, handler, arguments, fault)
        call.finished = self.telegram.clock()
        return response

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
            call.error = error.description
            return _refusal(error)
        except Exception:  # the outermost boundary: a bot gets JSON even from a broken emulator
            logger.exception("the emulator failed in %s", call.method)
            call.error = "Internal Server Error"
            return _refusal(ApiError(500, call.error))
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
        try:
            self._check_token(request)
        except ApiError as error:
            return _refusal(error)
        fault = self.faults.strike(DOWNLOAD, None)
        call = self._record(DOWNLOAD, Arguments(dict(request.match_info)), type(fault).__name__ if fault else None)
        stopped = await self._suffer(request, fault)
        if stopped is not None:
            return stopped
        file = self.telegram.files.at_path(request.match_info["path"])
        call.finished = self.telegram.clock()
        if file is None:
            call.error = "Not Found"
            return _refusal(ApiError(404, "Not Found"))
        if isinstance(fault, faults.ResetAfter):
            return await _break_half_way(request, file.content)
        call.executed = True
        return web.Response(body=file.content, content_type="application/octet-stream")

    def _check_token(self, request: web.Request) -> None:
        if request.match_info["token"] != self.telegram.token:
            raise unauthorized()

    def _record(self, method: str, arguments: Arguments, fault: str | None) -> Call:
        kept = {name: value for name, value in arguments.for_record().items() if name != "token"}
        call = self.journal.begin(method, self._chat_id(arguments), kept, self.telegram.clock())
        call.fault = fault
        return call

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
        """The chat a call concerns, for a callback query the one with the button."""
        query = self.telegram.queries.get(str(arguments.values.get("callback_query_id")))
        return query.message.chat.id if query else _number(arguments.values.get("chat_id"))


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
