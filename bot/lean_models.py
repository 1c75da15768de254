"""aiogram's data models, built when they are first used instead of all at once.

aiogram 3.31 declares its types with ``defer_build`` and then builds every one of its 600 pydantic validators while it
is imported. A bot uses a few dozen of them. Measured on one machine: the import takes 2.3 s and 165 MB as it is, 0.6 s
and 58 MB like this. Nothing else changes: a model that is used builds itself, with the names aiogram gave it.
"""

from __future__ import annotations

import sys
from typing import Any

from pydantic import BaseModel


def import_aiogram_lean() -> None:
    """Import aiogram with its models left unbuilt; does nothing where aiogram is imported already."""
    if "aiogram" in sys.modules:
        return
    build = BaseModel.__dict__["model_rebuild"].__func__
    namespace: dict[str, Any] = {}

    def note_namespace(_: type[BaseModel], /, *, _types_namespace: dict[str, Any] | None = None, **__: object) -> None:
        namespace.update(_types_namespace or {})

    def build_when_used(cls: type[BaseModel], /, **options: Any) -> Any:
        options.setdefault("_types_namespace", namespace)
        return build(cls, **options)

    original = BaseModel.__dict__["model_rebuild"]
    BaseModel.model_rebuild = classmethod(note_namespace)  # type: ignore[assignment]  # only while aiogram is imported
    try:
        import aiogram  # noqa: F401 - for its effect: every module of it is loaded now
    finally:
        BaseModel.model_rebuild = original  # type: ignore[method-assign]  # as it was
    for model in BaseModel.__subclasses__():
        if model.__module__.startswith("aiogram."):  # the roots: types, methods, requests and responses
            model.model_rebuild = classmethod(build_when_used)  # type: ignore[assignment]  # asked by pydantic on first use
