"""Reads the arguments of a call from an HTTP request: query, JSON, urlencoded or multipart."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from aiohttp import BodyPartReader, web

from emulator import limits
from emulator.errors import bad_request, entity_too_large
from emulator.methods import Arguments, Upload

_CHUNK = 1 << 16  # bytes
_FIELD_MAX = limits.MIB  # bytes of one value that is no file


class CutOffError(Exception):
    """The connection is to break while the body is still arriving; ``values`` came before that."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.values = values


async def read_arguments(request: web.Request, cut_off: Callable[[dict[str, Any]], bool]) -> Arguments:
    """All arguments of a call.

    Args:
        request: the HTTP request, its body unread.
        cut_off: asked once, when the first file begins, with the values known by then.

    Raises:
        ApiError: 400 for a body that does not parse, 413 for a file beyond what a bot may upload.
        CutOffError: ``cut_off`` said so; half of the body has been read.
    """
    values: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json":
        return Arguments({**values, **_json(await request.read())})
    if request.content_type.startswith("multipart/"):
        return await _multipart(request, values, cut_off)
    form = await request.post()
    return Arguments({**values, **form})


def _json(body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        values = json.loads(body)
    except ValueError:
        raise bad_request("can't parse request body as JSON object") from None  # our words
    if not isinstance(values, dict):
        raise bad_request("request body must be a JSON object")  # our words
    return values


async def _multipart(
    request: web.Request, values: dict[str, Any], cut_off: Callable[[dict[str, Any]], bool]
) -> Arguments:
    uploads: dict[str, Upload] = {}
    too_large = False
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or not part.name:
                continue
            if part.filename is None:
                values[part.name] = (await _read(part, _FIELD_MAX)).decode(errors="replace")
                continue
            if not uploads and cut_off(values):
                await _read_half(request, part)
                raise CutOffError(values)
            content = await _read(part, limits.UPLOAD_MAX_BYTES)
            too_large = too_large or len(content) > limits.UPLOAD_MAX_BYTES
            uploads[part.name] = Upload(content, part.filename, part.headers.get("Content-Type", ""))
    except ValueError as error:
        raise bad_request(f"can't parse multipart body: {error}") from error  # our words
    if too_large:
        raise entity_too_large()
    return Arguments(values, uploads)


async def _read(part: BodyPartReader, limit: int) -> bytes:
    """The part, at most one byte more than ``limit``; the rest is read and forgotten."""
    content = bytearray()
    while chunk := await part.read_chunk(_CHUNK):
        content += chunk[: limit + 1 - len(content)]
    return bytes(content)


async def _read_half(request: web.Request, part: BodyPartReader) -> None:
    half = (request.content_length or _CHUNK) // 2
    received = 0
    while received < half and (chunk := await part.read_chunk(min(_CHUNK, max(half - received, 1024)))):
        received += len(chunk)
