"""Keeps other web pages in the same browser away from the chat page and the control interface.

Another page can make the browser send requests to 127.0.0.1, also under a host name of its own that
resolves there. Both show in the headers, which a page cannot forge.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
_CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' blob:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def guard(allowed_hosts: tuple[str, ...]) -> Middleware:
    """A middleware that answers 403 to requests for or from another host."""
    allowed = _LOCAL | set(allowed_hosts)

    @web.middleware
    async def middleware(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        is_bot_api = request.path.startswith(("/bot", "/file/bot"))
        if is_bot_api and _is_for_a_bot(request):
            return await handler(request)
        if not _is_ours(request, allowed):
            return web.json_response({"error": "this address is not for other web pages"}, status=403)
        response = await handler(request)
        if not response.prepared:
            response.headers.setdefault("Content-Security-Policy", _CONTENT_POLICY)
            response.headers["X-Content-Type-Options"] = "nosniff"
            response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
            response.headers["Referrer-Policy"] = "no-referrer"
        return response

    return middleware


def _is_for_a_bot(request: web.Request) -> bool:
    """Whether a program called under a name that no public web page can have: a number, or one without a dot.

    The token does not guard enough, as everybody can read the built-in one.
    """
    if "Origin" in request.headers or "Sec-Fetch-Site" in request.headers:
        return False
    host = _host_of(f"//{request.host}") or ""
    try:
        ip_address(host)
    except ValueError:
        return "." not in host
    return True


def _is_ours(request: web.Request, allowed: frozenset[str] | set[str]) -> bool:
    if _host_of(f"//{request.host}") not in allowed:
        return False
    # "none" is a person who typed the address or opened a bookmark; tests in other processes send nothing
    if request.headers.get("Sec-Fetch-Site", "none") not in {"same-origin", "none"}:
        return False
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host


def _host_of(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
