"""Whose a picture is."""

from __future__ import annotations

from aiogram.types import Message

from bot.intake import owner_id, read_picture

PHOTO = [
    {"file_id": "small", "file_unique_id": "s", "width": 90, "height": 60},
    {"file_id": "large", "file_unique_id": "l", "width": 1280, "height": 853},
    {"file_id": "medium", "file_unique_id": "m", "width": 320, "height": 213},
]


def message(**fields):
    return Message.model_validate({"message_id": 5, "date": 1, "chat": {"id": 7, "type": "private"}, **fields})


def test_a_picture_belongs_to_its_sender():
    sender = {"id": 42, "is_bot": False, "first_name": "Ann"}
    assert owner_id(message(**{"from": sender})) == 42


def test_an_anonymous_admin_owns_as_their_group_not_as_everybodys_shared_account():
    shared = {"id": 1087968824, "is_bot": True, "first_name": "Group"}
    group = {"id": -1001, "type": "supergroup", "title": "Family"}
    assert owner_id(message(**{"from": shared, "sender_chat": group, "chat": group})) == -1001


def test_the_largest_size_is_taken_whatever_the_order():
    picture = read_picture(message(photo=PHOTO), bot_id=9, locale="en", max_file_bytes=10)
    assert (picture.file_id, picture.pixels, picture.job_id) == ("large", 1280 * 853, "9:7:5")
