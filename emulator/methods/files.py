"""getFile."""

from __future__ import annotations

from emulator import limits
from emulator.errors import JSON, bad_request
from emulator.methods.arguments import Arguments
from emulator.methods.registry import method
from emulator.state import Telegram


@method("getFile")
async def get_file(telegram: Telegram, arguments: Arguments) -> JSON:
    """Open a path for the download of a file of up to 20 MB."""
    file_id = arguments.text("file_id")
    if not file_id:
        raise bad_request("file_id is not specified")
    file = telegram.files.find(file_id)
    if file is None:
        raise bad_request("wrong file_id or the file is temporarily unavailable")
    if file.size > limits.GET_FILE_MAX_BYTES:
        raise bad_request("file is too big")
    return {
        "file_id": file.file_id,
        "file_unique_id": file.file_unique_id,
        "file_size": file.size,
        "file_path": telegram.files.open_path(file),
    }
