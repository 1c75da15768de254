"""aiogram with late models is aiogram all the same."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

USE_SOME = """
import bot
from aiogram.methods import GetUpdates, SetMyCommands
from aiogram.methods.base import Response
from aiogram.types import BotCommand, BotCommandScopeChat, Message, Update
SetMyCommands(commands=[BotCommand(command="a", description="b")], scope=BotCommandScopeChat(chat_id=1))
chat = {"id": 1, "type": "private"}
reply = {"message_id": 1, "date": 1, "chat": chat, "text": "x"}
answer = Response[Message].model_validate({"ok": True, "result": reply | {"reply_to_message": reply}})
assert answer.result.reply_to_message.text == "x"
assert Update.model_validate({"update_id": 1, "message": reply}).message.chat.id == 1
"""


DESCRIBE_EVERYTHING = """
import pydantic, re, sys
lean = sys.argv[1] == "lean"
if lean:
    import bot
import aiogram
def below(model):
    for child in model.__subclasses__():
        yield child
        yield from below(child)
models = sorted({m for m in below(pydantic.BaseModel) if m.__module__.startswith("aiogram.")}, key=repr)
unbuilt = [model for model in models if not model.__pydantic_complete__]
assert not lean or len(unbuilt) > 300, f"only {len(unbuilt)} models were left unbuilt"
for model in models:
    model.model_rebuild()
    assert model.__pydantic_complete__, model
    for name, field in model.model_fields.items():
        line = f"{model}|{name}|{field.annotation}|{field.is_required()}|{field.alias}|{field.metadata}"
        print(re.sub("0x[0-9a-f]+", "0x", line))
"""


def _run(program: str, *arguments: str) -> str:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        cwd=REPOSITORY,
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    )
    return run.stdout


@pytest.fixture(scope="module")
def lean() -> str:
    """Every field of every model after all were built, which takes seconds."""
    return _run(DESCRIBE_EVERYTHING, "lean")


def test_every_model_of_aiogram_is_left_unbuilt_and_can_still_be_built(lean: str) -> None:
    assert len(lean.splitlines()) > 2000


def test_every_field_of_every_model_is_what_it_is_without_us(lean: str) -> None:
    assert lean == _run(DESCRIBE_EVERYTHING, "plain")


def test_models_build_themselves_when_they_are_used():
    _run(USE_SOME)
