"""The arguments of one call, however they arrived: JSON, urlencoded or multipart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from emulator.errors import bad_request

_FALSE = frozenset({"", "0", "false", "no", "n"})


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came with the call."""

    content: bytes
    file_name: str
    mime_type: str


@dataclass(frozen=True, slots=True)
class Arguments:
    """Values by name; strings wherever the client sent a form."""

    values: Mapping[str, Any] = field(default_factory=dict)
    uploads: Mapping[str, Upload] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def text(self, name: str) -> str | None:
        """A string, or None if it was not given."""
        value = self.values.get(name)
        if value is None or isinstance(value, str):
            return value
        return json.dumps(value)

    def integer(self, name: str, default: int | None = None) -> int | None:
        """A whole number; 400 if something else was given."""
        value = self.values.get(name)
        if value is None or value == "":
            return default
        try:
            return int(value)
        except (TypeError, ValueError):
            raise bad_request(f'invalid {name} specified: "{value}" is not a number') from None

    def boolean(self, name: str) -> bool:
        """A flag; missing means no."""
        value = self.values.get(name)
        return str(value).lower() not in _FALSE if value is not None else False

    def structure(self, name: str) -> Any:
        """A JSON-serialised object or array, or None."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except json.JSONDecodeError as error:
            raise bad_request(f"can't parse {name} JSON object: {error.msg}") from error

    def mapping(self, name: str) -> dict[str, Any] | None:
        """A JSON object, or None."""
        value = self.structure(name)
        if value is None or isinstance(value, dict):
            return value
        raise bad_request(f"object expected as {name}")

    def sequence(self, name: str) -> list[Any] | None:
        """A JSON array, or None."""
        value = self.structure(name)
        if value is None or isinstance(value, list):
            return value
        raise bad_request(f"expected an Array of {name}")

    def for_record(self) -> dict[str, Any]:
        """What the record of calls keeps: values as given, of files the size only."""
        files = {name: f"<{upload.file_name}: {len(upload.content)} bytes>" for name, upload in self.uploads.items()}
        return {**self.values, **files}
