"""Whose a picture is, and what counts as one."""

from __future__ import annotations

import pytest
from aiogram.types import Message

from bot.intake import SAID_BY_PEOPLE, owner_id, read_picture

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


def read(name, media_type):
    document = {"file_id": "f", "file_unique_id": "u", "file_name": name, "mime_type": media_type, "file_size": 10}
    return read_picture(message(document=document), bot_id=9, locale="en", max_file_bytes=100)


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("photo.jpg", "binary/octet-stream"),
        ("photo.jpg", "*/*"),
        ("photo.jpg", "application/x-unknown"),
        ("photo.jpg", "image/jpeg; charset=binary"),
        ("photo", "IMAGE/JPEG;charset=binary"),
        ("photo", "image/pjpeg"),
        ("photo", "image/x-png"),
        ("photo.png", "text/plain"),
        ("photo.jfif", "application/octet-stream"),
        ("photo.JPE", None),
        ("IMG.HIF", "application/octet-stream"),
    ],
)
def test_a_picture_is_taken_whatever_nonsense_is_stated_about_its_type(name, media_type):
    picture = read(name, media_type)
    assert (picture.kind, picture.file_id, picture.pixels > 0) == ("document", "f", True)


@pytest.mark.parametrize(
    ("name", "media_type", "refusal"),
    [
        ("a.jpg", "video/mp4", "video"),
        ("a.jpg", "application/pdf", "pdf"),
        ("IMG_0001.CR2", "image/x-canon-cr2", "raw"),
        ("DSC_0001.nef", "application/octet-stream", "raw"),
        ("IMG_0001.DNG", "image/x-adobe-dng", "raw"),
        ("a.png", "image/gif; x=y", "animation"),
        ("a.gif", "binary/octet-stream", "animation"),
        ("a.zip", "application/zip", "document"),
        ("a", "*/*", "document"),
    ],
)
def test_a_type_that_is_known_and_none_of_ours_is_refused_whatever_the_name(name, media_type, refusal):
    assert read(name, media_type) == refusal


@pytest.mark.parametrize(
    ("part", "is_said"),
    [
        ({"voice": {"file_id": "f", "file_unique_id": "u", "duration": 1}}, True),
        ({"dice": {"emoji": "🎲", "value": 1}}, True),
        ({"pinned_message": {"message_id": 4, "date": 1, "chat": {"id": 7, "type": "private"}}}, False),
        ({"message_auto_delete_timer_changed": {"message_auto_delete_time": 60}}, False),
        ({"boost_added": {"boost_count": 1}}, False),
        ({"write_access_allowed": {}}, False),
        ({"users_shared": {"request_id": 1, "users": []}}, False),
        ({"telepathy": {}}, False),
    ],
)
def test_what_telegram_says_about_a_chat_is_not_taken_for_words_of_a_person(part, is_said):
    assert (message(**part).content_type in SAID_BY_PEOPLE) is is_said


@pytest.mark.parametrize(
    ("place", "thread_id"),
    [({}, 0), ({"message_thread_id": 7}, 0), ({"message_thread_id": 7, "is_topic_message": True}, 7)],
)
def test_a_job_knows_the_topic_of_its_picture_and_takes_no_thread_of_replies_for_one(place, thread_id):
    picture = read_picture(message(photo=PHOTO, **place), bot_id=9, locale="en", max_file_bytes=10)
    assert picture.thread_id == thread_id
