"""What stands where the Bot API should be cannot make a worker read its own disk, or call somebody else."""

from __future__ import annotations

import json

import pytest

from tasks.telegram import FileTooLargeError, TelegramClient, TelegramRefusalError, TelegramUnreachableError
from tests.web_server import serving

TOKEN = "123456789:" + "Ab-_" * 9


def file_at(path):
    return 200, {}, json.dumps({"ok": True, "result": {"file_id": "f", "file_path": path}}).encode()


def download(answers, *, files_dir=None, max_bytes=1000):
    with serving(answers) as server:
        client = TelegramClient(TOKEN, api_url=server.url, files_dir=files_dir)
        try:
            return client.download("f", max_bytes=max_bytes)
        finally:
            client.close()


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(b"the worker's own")
    return path


def test_a_path_of_this_machine_is_not_read_unless_a_setting_says_where(secret):
    with pytest.raises(TelegramRefusalError, match="TELEGRAM_FILES_DIR"):
        download({"getFile": file_at(str(secret))})


def test_a_file_of_our_own_server_is_read_from_its_folder(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "photo.jpg").write_bytes(b"picture")
    assert download({"getFile": file_at(str(folder / "photo.jpg"))}, files_dir=folder) == b"picture"
    with pytest.raises(FileTooLargeError):
        download({"getFile": file_at(str(folder / "photo.jpg"))}, files_dir=folder, max_bytes=6)


@pytest.mark.parametrize("way", ["{folder}/../secret", "{folder}/link", "{folder}", "/dev/zero", "{folder}2/x", "/"])
def test_no_way_leads_out_of_the_folder(tmp_path, secret, way):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "link").symlink_to(secret)
    (tmp_path / "files2").mkdir()
    (tmp_path / "files2" / "x").write_bytes(b"x")
    with pytest.raises(TelegramRefusalError):
        download({"getFile": file_at(way.format(folder=folder))}, files_dir=folder)


def test_a_download_does_not_follow_to_another_address():
    with serving({"/": (200, {}, b"what only this network can see")}) as inside:
        redirect = (302, {"Location": f"{inside.url}/admin"}, b"")
        with pytest.raises(TelegramRefusalError):
            download({"getFile": file_at("photos/file_1.jpg"), "/file/": redirect})
        assert inside.asked == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_call_does_not_follow_to_another_address(status):
    with (
        serving({"/": (200, {}, b'{"ok": true, "result": {}}')}) as inside,
        serving({"/": (status, {"Location": f"{inside.url}/admin"}, b"")}) as server,
    ):
        client = TelegramClient(TOKEN, api_url=server.url)
        with pytest.raises(TelegramUnreachableError):
            client.call("getMe", {})
        client.close()
        assert inside.asked == []


@pytest.mark.parametrize("path", ["../../../etc/passwd", "@elsewhere/x", "a?b#c", "a\r\nHost: elsewhere", "http://x/y"])
def test_a_path_with_tricks_stays_with_the_server_that_named_it(path):
    with serving({"getFile": file_at(path), "/": (200, {}, b"picture")}) as server:
        client = TelegramClient(TOKEN, api_url=server.url)
        assert client.download("f", max_bytes=100) == b"picture"
        client.close()
        assert len(server.asked) == 2


@pytest.mark.parametrize("result", [{}, {"file_path": 7}, [], "x", None])
def test_an_answer_without_a_path_is_no_answer(result):
    body = json.dumps({"ok": True, "result": result}).encode()
    with pytest.raises(TelegramUnreachableError):
        download({"getFile": (200, {}, body)})
