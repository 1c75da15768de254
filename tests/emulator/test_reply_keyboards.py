"""The keyboard under the input field: what bots may send, and what people see and press."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramAPIError, TelegramBadRequest
from aiogram.types import (
    BufferedInputFile,
    ForceReply,
    InputMediaPhoto,
    KeyboardButton,
    ReplyKeyboardMarkup,
    ReplyKeyboardRemove,
)

from emulator import Emulator, Person, limits
from emulator.errors import UnusableError
from tests.emulator.conftest import bot_of, keyboard, picture


def keys(*rows: list[str], **options: Any) -> ReplyKeyboardMarkup:
    return ReplyKeyboardMarkup(keyboard=[[KeyboardButton(text=text) for text in row] for row in rows], **options)


async def called(telegram: Emulator, method: str, **arguments: Any) -> dict[str, Any]:
    """The answer to a call that aiogram would refuse to make."""
    url = f"{telegram.api_url}/bot{telegram.token}/{method}"
    async with aiohttp.ClientSession() as client, client.post(url, json=arguments) as response:
        answer: dict[str, Any] = await response.json()
        return answer


async def texts_sent(bot: Bot) -> list[str | None]:
    return [update.message.text for update in await bot.get_updates() if update.message]


# What a bot may send


@pytest.mark.parametrize(
    "markup",
    [
        keys(["a"]),
        keys(["a"] * limits.KEYS_PER_ROW_MAX),
        keys(*[["a"] * 10] * (limits.KEYS_MAX // 10)),
        keys(["a"], input_field_placeholder="я" * limits.PLACEHOLDER_MAX),
        keys(["a"], is_persistent=True, resize_keyboard=True, one_time_keyboard=False, selective=True),
    ],
)
async def test_reply_keyboards_up_to_the_limits_are_shown(bot: Bot, ann: Person, markup: ReplyKeyboardMarkup) -> None:
    sent = await bot.send_message(ann.id, "x", reply_markup=markup)
    assert sent.reply_markup is None  # a Message only ever carries inline keyboards
    assert ann.keyboard == tuple(tuple(key.text for key in row) for row in markup.keyboard)


@pytest.mark.parametrize(
    ("markup", "description"),
    [
        ({"keyboard": None}, "must be an Array"),
        ({"keyboard": {"text": "a"}}, "must be an Array"),
        ({"keyboard": ["a"]}, "must be an Array of Arrays"),
        ({"keyboard": [["a"], {"text": "a"}]}, "must be an Array of Arrays"),
        ({"keyboard": []}, "at least one key"),
        ({"keyboard": [["a"], []]}, "at least one key"),
        ({"keyboard": [["a"] * (limits.KEYS_PER_ROW_MAX + 1)]}, "more than 12 keys"),
        ({"keyboard": [["a"] * 10] * 30 + [["a"]]}, "more than 300 keys"),
        ({"keyboard": [[1]]}, "can't parse keyboard button: KeyboardButton must be a String or an Object"),
        ({"keyboard": [[{}]]}, "can't parse keyboard button: Can't find field \"text\""),
        ({"keyboard": [[{"text": None}]]}, 'can\'t parse keyboard button: Field "text" must be of type String'),
        ({"keyboard": [["a", {"text": ""}]]}, "keyboard button text must be non-empty"),
        ({"keyboard": [["\n "]]}, "keyboard button text must be non-empty"),
        ({"keyboard": [["a"]], "resize_keyboard": "yes"}, 'field "resize_keyboard" must be of type Boolean'),
        ({"keyboard": [["a"]], "is_persistent": 1}, 'field "is_persistent" must be of type Boolean'),
        ({"keyboard": [["a"]], "one_time_keyboard": 0}, 'field "one_time_keyboard" must be of type Boolean'),
        ({"keyboard": [["a"]], "selective": []}, 'field "selective" must be of type Boolean'),
        ({"keyboard": [["a"]], "input_field_placeholder": 5}, "must be of type String"),
        ({"keyboard": [["a"]], "input_field_placeholder": ""}, "1-64 characters"),
        ({"keyboard": [["a"]], "input_field_placeholder": "x" * 65}, "1-64 characters"),
        ({"keyboard": [["a"]], "input_field_placeholder": "🙂" * 33}, "1-64 characters"),
        ({"remove_keyboard": "true"}, 'field "remove_keyboard" must be of type Boolean'),
        ({"remove_keyboard": True, "selective": "no"}, 'field "selective" must be of type Boolean'),
    ],
)
async def test_malformed_reply_keyboards_are_refused_and_change_nothing(
    telegram: Emulator, bot: Bot, ann: Person, markup: dict[str, Any], description: str
) -> None:
    await bot.send_message(ann.id, "x", reply_markup=keys(["before"]))
    answer = await called(telegram, "sendMessage", chat_id=ann.id, text="y", reply_markup=markup)
    assert (answer["ok"], answer["error_code"]) == (False, 400)
    assert description in answer["description"]
    assert ann.keyboard == (("before",),)
    assert [message.text for message in ann.chat.messages] == ["/start", "x"]


async def test_a_key_may_be_a_plain_string(telegram: Emulator, ann: Person) -> None:
    markup = {"keyboard": [["a", {"text": "b"}]]}
    assert (await called(telegram, "sendMessage", chat_id=ann.id, text="y", reply_markup=markup))["ok"]
    assert ann.keyboard == (("a", "b"),)


async def test_keys_that_ask_for_more_than_a_text_are_said_to_be_missing_here(bot: Bot, ann: Person) -> None:
    markup = ReplyKeyboardMarkup(keyboard=[[KeyboardButton(text="Phone", request_contact=True)]])
    with pytest.raises(TelegramAPIError, match="the emulator does not offer keys with request_contact"):
        await bot.send_message(ann.id, "x", reply_markup=markup)
    plain = ReplyKeyboardMarkup(keyboard=[[KeyboardButton(text="Phone", request_contact=False)]])
    await bot.send_message(ann.id, "x", reply_markup=plain)
    assert ann.keyboard == (("Phone",),)


async def test_every_method_that_sends_can_bring_a_keyboard(bot: Bot, ann: Person) -> None:
    await bot.send_photo(ann.id, BufferedInputFile(picture(), "a.jpg"), reply_markup=keys(["photo"]))
    assert ann.keyboard == (("photo",),)
    await bot.send_document(ann.id, BufferedInputFile(b"x", "a.bin"), reply_markup=ReplyKeyboardRemove())
    assert ann.keyboard == ()


async def test_an_edit_cannot_bring_a_keyboard_nor_change_a_message_that_did(
    telegram: Emulator, bot: Bot, ann: Person
) -> None:
    plain = await bot.send_message(ann.id, "plain")
    where: dict[str, Any] = {"chat_id": ann.id, "message_id": plain.message_id}
    answer = await called(telegram, "editMessageText", text="new", reply_markup={"keyboard": [["a"]]}, **where)
    assert (answer["error_code"], answer["description"]) == (400, "Bad Request: inline keyboard expected")
    for markup in (keys(["a"]), ReplyKeyboardRemove()):
        sent = await bot.send_message(ann.id, "x", reply_markup=markup)
        where["message_id"] = sent.message_id
        with pytest.raises(TelegramBadRequest, match="message can't be edited"):
            await bot.edit_message_text("new", **where)
        with pytest.raises(TelegramBadRequest, match="message can't be edited"):
            await bot.edit_message_reply_markup(reply_markup=keyboard(["a"]), **where)
        with pytest.raises(TelegramBadRequest, match="message can't be edited"):
            await bot.edit_message_media(InputMediaPhoto(media=BufferedInputFile(picture(), "a.jpg")), **where)


# What a person sees


async def test_nobody_has_a_keyboard_at_first(ann: Person) -> None:
    assert ann.keyboard == ()


async def test_a_newer_keyboard_replaces_the_old_one_and_is_removed_for_good(bot: Bot, ann: Person) -> None:
    await bot.send_message(ann.id, "one", reply_markup=keys(["a"], ["b", "c"]))
    assert ann.keyboard == (("a",), ("b", "c"))
    await bot.send_message(ann.id, "two", reply_markup=keys(["d"]))
    assert ann.keyboard == (("d",),)
    removal = await bot.send_message(ann.id, "three", reply_markup=ReplyKeyboardRemove())
    assert ann.keyboard == ()
    await bot.delete_message(ann.id, removal.message_id)
    assert ann.keyboard == ()


async def test_messages_without_a_keyboard_leave_it_alone(bot: Bot, ann: Person) -> None:
    await bot.send_message(ann.id, "one", reply_markup=keys(["a"]))
    await bot.send_message(ann.id, "two")
    await bot.send_message(ann.id, "three", reply_markup=keyboard(["inline"]))
    await bot.send_message(ann.id, "four", reply_markup=ForceReply())
    await ann.sends_text("a")
    assert ann.keyboard == (("a",),)


async def test_a_keyboard_goes_with_its_message(bot: Bot, ann: Person) -> None:
    await bot.send_message(ann.id, "old", reply_markup=keys(["old"]))
    sent = await bot.send_message(ann.id, "new", reply_markup=keys(["new"]))
    await bot.delete_message(ann.id, sent.message_id)
    assert ann.keyboard == ()


async def test_every_chat_has_its_own(telegram: Emulator, bot: Bot, ann: Person) -> None:
    bob = telegram.user("Bob")
    await bob.sends_text("/start")
    await bot.send_message(ann.id, "x", reply_markup=keys(["for Ann"]))
    await bot.send_message(bob.id, "x", reply_markup=keys(["for Bob"]))
    await bot.send_message(ann.id, "x", reply_markup=ReplyKeyboardRemove())
    assert (ann.keyboard, bob.keyboard) == ((), (("for Bob",),))


async def test_a_selective_keyboard_is_for_who_is_answered_or_mentioned(
    telegram: Emulator, bot: Bot, ann: Person
) -> None:
    bob, eve = telegram.user("Bob", username="bobby"), telegram.user("Eve", username="evelyn")
    group = telegram.group("Family", [ann, bob, eve])
    people = [person.at(group) for person in (ann, bob, eve)]
    question = await people[0].sends_text("hello")
    await bot.send_message(group.id, "all", reply_markup=keys(["all"]))
    await bot.send_message(
        group.id,
        "you and @bobby",
        reply_to_message_id=question.message_id,
        reply_markup=keys(["some"], selective=True),
    )
    assert [person.keyboard for person in people] == [(("some",),), (("some",),), (("all",),)]
    await bot.send_message(group.id, "@evelyn", reply_markup=ReplyKeyboardRemove(selective=True))
    assert [person.keyboard for person in people] == [(("some",),), (("some",),), ()]


async def test_between_two_selective_makes_no_difference(bot: Bot, ann: Person) -> None:
    await bot.send_message(ann.id, "x", reply_markup=keys(["a"], selective=True))
    assert ann.keyboard == (("a",),)


# What a person presses


async def test_a_key_sends_its_text_as_the_persons_own_message(bot: Bot, ann: Person) -> None:
    await bot.send_message(ann.id, "x", reply_markup=keys(["📷 Restore"], ["❓ Help", "🔄 Start over"]))
    message = await ann.presses_key("Help")
    assert (message.text, message.from_bot, message.reply_to) == ("❓ Help", False, None)
    assert await texts_sent(bot) == ["/start", "❓ Help"]
    assert len(ann.keyboard) == 2


async def test_the_whole_text_of_a_key_goes_before_a_part_of_another(bot: Bot, ann: Person) -> None:
    await bot.send_message(ann.id, "x", reply_markup=keys(["Help me", "Help"]))
    assert (await ann.presses_key("Help")).text == "Help"
    assert (await ann.presses_key("me")).text == "Help me"


async def test_a_command_on_a_key_is_a_command(bot: Bot, ann: Person) -> None:
    await bot.send_message(ann.id, "x", reply_markup=keys(["/help"]))
    await ann.presses_key("/help")
    message = (await bot.get_updates())[-1].message
    assert message is not None
    assert message.entities is not None
    assert [entity.type for entity in message.entities] == ["bot_command"]


async def test_a_key_is_waited_for(bot: Bot, ann: Person) -> None:
    pressing = asyncio.create_task(ann.presses_key("Help"))
    await asyncio.sleep(0.01)
    assert not pressing.done()
    await bot.send_message(ann.id, "x", reply_markup=keys(["Help"]))
    assert (await pressing).text == "Help"


async def test_a_missing_key_fails_with_the_transcript(bot: Bot, ann: Person) -> None:
    await bot.send_message(ann.id, "x", reply_markup=keys(["Yes"]))
    with pytest.raises(AssertionError, match=r"(?s)waited 0\.05 s for a key 'No'.*\[keyboard: Yes\]"):
        await ann.presses_key("No", timeout=0.05)


async def test_a_one_time_keyboard_is_hidden_by_its_use_until_it_is_sent_anew(bot: Bot, ann: Person) -> None:
    markup = keys(["Yes", "No"], one_time_keyboard=True)
    await bot.send_message(ann.id, "sure?", reply_markup=markup)
    await ann.sends_text("Yes")
    assert ann.keyboard == (("Yes", "No"),)  # typing the same is no use of the keyboard
    await ann.presses_key("Yes")
    assert ann.keyboard == ()
    with pytest.raises(AssertionError):
        await ann.presses_key("No", timeout=0.05)
    await bot.send_message(ann.id, "really?", reply_markup=markup)
    assert ann.keyboard == (("Yes", "No"),)


async def test_whoever_blocked_the_bot_presses_in_vain_and_keeps_the_keyboard(bot: Bot, ann: Person) -> None:
    await bot.send_message(ann.id, "sure?", reply_markup=keys(["Yes"], one_time_keyboard=True))
    await ann.blocks_bot()
    with pytest.raises(UnusableError, match="has to unblock"):
        await ann.presses_key("Yes")
    assert ann.keyboard == (("Yes",),)


async def test_in_a_group_a_key_answers_its_message_and_hides_for_one_person_only() -> None:
    async with Emulator.running(privacy_mode=True) as telegram, bot_of(telegram) as bot:
        ann, bob = telegram.user("Ann"), telegram.user("Bob")
        group = telegram.group("Family", [ann, bob])
        ann_there, bob_there = ann.at(group), bob.at(group)
        await bot.send_message(group.id, "sure?", reply_markup=keys(["Yes"], one_time_keyboard=True))
        pressed = await ann_there.presses_key("Yes")
        assert pressed.reply_to is not None
        assert pressed.reply_to.text == "sure?"
        assert await texts_sent(bot) == ["Yes"]  # a reply to the bot passes privacy mode
        assert (ann_there.keyboard, bob_there.keyboard) == ((), (("Yes",),))


# What is told about it


async def test_the_transcript_shows_the_keyboard_whenever_it_changes(telegram: Emulator, bot: Bot, ann: Person) -> None:
    menu = keys(["📷 Restore a picture"], ["❓ Help", "🔄 Start over"])
    await bot.send_message(ann.id, "Hello", reply_markup=menu)
    await bot.send_message(ann.id, "Help", reply_markup=menu)
    await bot.send_message(ann.id, "plain")
    await bot.send_message(ann.id, "Sure?", reply_markup=keys(["Yes"]))
    await bot.send_message(ann.id, "Bye", reply_markup=ReplyKeyboardRemove())
    await bot.send_message(ann.id, "Bye", reply_markup=ReplyKeyboardRemove())
    lines = [line[10:] for line in telegram.transcript(ann).splitlines()[1:]]
    assert lines == [
        "Ann      /start  #1",
        "Restora  Hello",
        "         [keyboard: 📷 Restore a picture | ❓ Help | 🔄 Start over]  #2",
        "Restora  Help  #3",
        "Restora  plain  #4",
        "Restora  Sure?",
        "         [keyboard: Yes]  #5",
        "Restora  Bye",
        "         [keyboard removed]  #6",
        "Restora  Bye  #7",
    ]


async def test_another_process_sees_the_keyboard_and_presses_it(telegram: Emulator, bot: Bot, ann: Person) -> None:
    async with aiohttp.ClientSession(f"{telegram.api_url}/emulator/people/{ann.id}/") as client:
        async with client.get("keyboard") as response:
            assert await response.json() is None
        await bot.send_message(ann.id, "x", reply_markup=keys(["Yes", "No"], input_field_placeholder="Yes or no?"))
        async with client.get("keyboard") as response:
            assert await response.json() == {
                "message_id": 2,
                "rows": [["Yes", "No"]],
                "resize": False,
                "persistent": False,
                "placeholder": "Yes or no?",
                "hidden": False,
            }
        async with client.post("keys", json={"text": "Yes"}) as response:
            assert await response.json() == {"message_ids": [3]}
        assert ann.chat.messages[-1].text == "Yes"
        async with client.post("keys", json={"text": "Maybe"}) as response:
            assert (response.status, await response.text()) == (
                400,
                "there is no key 'Maybe' under the input field of Ann",
            )
