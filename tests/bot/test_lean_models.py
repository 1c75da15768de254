"""aiogram with late models is aiogram all the same."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import REPOSITORY

BUILD_EVERYTHING = """
import bot, aiogram, pydantic
def below(model):
    for child in model.__subclasses__():
        yield child
        yield from below(child)
models = [model for model in below(pydantic.BaseModel) if model.__module__.startswith("aiogram.")]
unbuilt = [model for model in models if not model.__pydantic_complete__]
assert len(unbuilt) > 300, f"only {len(unbuilt)} models were left unbuilt"
for model in models:
    model.model_rebuild()
    assert model.__pydantic_complete__, model
"""

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


def _run(program: str) -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=REPOSITORY, check=True, timeout=60)


def test_every_model_of_aiogram_can_still_be_built():
    _run(BUILD_EVERYTHING)


def test_models_build_themselves_when_they_are_used():
    _run(USE_SOME)
