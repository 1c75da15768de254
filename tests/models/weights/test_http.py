"""A download ends with exactly the pinned bytes or with a reason, whatever the server does."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from models.errors import WeightsUnavailable
from models.registry import Pin
from models.weights.http import MirrorFailed, download, without_credentials
from tests.models.file_server import send_range, send_whole

CONTENT = np.random.default_rng(5).bytes(300_000)
PIN = Pin(bytes=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())


def cut_after(count):
    """Announce everything, send ``count`` bytes of the range asked for, hang up."""

    def answer(server, request, content):
        genuine = request.wfile.write

        def write(data):
            if len(data) <= count:
                return genuine(data)
            genuine(data[:count])
            request.wfile.flush()
            raise ConnectionAbortedError

        request.wfile.write = write
        send_range(server, request, content)

    return answer


def refuse(status):
    return lambda _server, request, _content: request.send_error(status)


def send_endlessly(_server, request, _content):
    request.send_response(200)
    request.end_headers()
    while True:
        request.wfile.write(bytes(50_000))


def send_without_length(_server, request, content):
    request.send_response(200)
    request.end_headers()
    request.wfile.write(content)


def send_wrong_length(_server, request, content):
    send_whole(_server, request, content[:-1])


def send_range_of_another_file(_server, request, content):
    request.send_response(206)
    request.send_header("Content-Range", f"bytes 1000-{len(content)}/{len(content) + 1}")
    request.end_headers()


def send_another_range(_server, request, content):
    request.send_response(206)
    request.send_header("Content-Range", f"bytes 5-{len(content) - 1}/{len(content)}")
    request.send_header("Content-Length", str(len(content) - 5))
    request.end_headers()
    request.wfile.write(content[5:])


def send_a_page(_server, request, _content):
    page = b"<html>please log in</html>"
    request.send_response(200)
    request.send_header("Content-Type", "text/html")
    request.send_header("Content-Length", str(len(page)))
    request.end_headers()
    request.wfile.write(page)


@pytest.fixture
def fetch(file_server, tmp_path: Path):
    """Download into a folder; returns what is in the folder afterwards."""
    file_server.files["file"] = CONTENT

    def run(*answers, **options):
        file_server.answers = list(answers)
        url = f"{file_server.url}/file"
        download(url, tmp_path / "file", PIN, pause=lambda _seconds: None, **options)
        assert [path.name for path in tmp_path.iterdir()] == ["file"]
        assert (tmp_path / "file").read_bytes() == CONTENT

    return run


def test_a_whole_file_arrives_and_progress_is_told(fetch, file_server):
    seen = []
    fetch(progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)
    assert file_server.requests == [None]


def test_a_server_that_names_no_length_will_do(fetch):
    fetch(send_without_length)


def test_a_dropped_connection_is_continued_where_it_broke(fetch, file_server):
    fetch(cut_after(100_000), cut_after(50_000))
    starts = [int(header.removeprefix("bytes=").removesuffix("-")) for header in file_server.requests[1:]]
    assert 0 < starts[0] <= 100_000 < starts[1] + 50_000
    assert starts[1] > starts[0]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(fetch, file_server, status):
    fetch(refuse(status), refuse(status))
    assert len(file_server.requests) == 3


def test_a_part_of_an_earlier_run_is_continued(fetch, file_server, tmp_path: Path):
    (tmp_path / "file.part").write_bytes(CONTENT[:123_456])
    fetch()
    assert file_server.requests == ["bytes=123456-"]


def test_a_whole_part_of_an_earlier_run_needs_no_request(fetch, file_server, tmp_path: Path):
    (tmp_path / "file.part").write_bytes(CONTENT)
    fetch()
    assert file_server.requests == []


def test_a_server_that_ignores_ranges_makes_it_start_again(fetch, tmp_path: Path):
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    fetch(send_whole)


@pytest.mark.parametrize("left", [b"x" * 1000, b"x" * len(CONTENT), b"x" * (len(CONTENT) + 9)])
def test_a_spoilt_part_of_an_earlier_run_is_thrown_away(fetch, tmp_path: Path, left):
    (tmp_path / "file.part").write_bytes(left)
    fetch()


def test_a_file_that_changed_meanwhile_is_not_glued_together(fetch, file_server):
    def change(server, request, content):
        server.etag = '"two"'
        send_range(server, request, content)

    fetch(cut_after(100_000), change)
    assert len(file_server.requests) == 2  # If-Range made the server send all of it at once


def test_416_makes_it_start_again(fetch, file_server, tmp_path: Path):
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    fetch(refuse(416))
    assert file_server.requests == ["bytes=1000-", None]


def test_another_range_than_asked_for_is_not_used(fetch, file_server, tmp_path: Path):
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    fetch(send_another_range)
    assert file_server.requests == ["bytes=1000-", None]


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([refuse(404)], "HTTP 404"),
        ([refuse(403)], "HTTP 403"),
        ([send_wrong_length], "offers 299,999 bytes instead of 300,000"),
        ([send_a_page], "offers 26 bytes instead of 300,000"),
        ([send_endlessly], "sends more than the 300,000 bytes"),
        ([refuse(500)] * 9, "broke off 4 times; last: HTTP 500"),
        ([cut_after(0)] * 9, "broke off 4 times"),
    ],
)
def test_a_server_without_the_file_is_given_up_for_a_reason(fetch, answers, words):
    with pytest.raises(MirrorFailed, match=words):
        fetch(*answers)


def test_a_range_of_a_longer_file_gives_the_mirror_up(fetch, tmp_path: Path):
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    with pytest.raises(MirrorFailed, match="has a file of 300,001 bytes"):
        fetch(send_range_of_another_file)


def test_a_wrong_digest_is_refused_and_removed(fetch, file_server, tmp_path: Path):
    file_server.files["file"] = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    with pytest.raises(MirrorFailed, match=f"instead of {PIN.sha256[:16]}"):
        fetch()
    assert list(tmp_path.iterdir()) == []


def test_a_port_where_nobody_listens_fails_at_once(tmp_path: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(MirrorFailed, match="Connection refused"):
        download(f"http://127.0.0.1:{port}/file", tmp_path / "file", PIN, pause=pytest.fail)


@pytest.mark.parametrize("url", ["", "ftp://127.0.0.1/file", "http://", "nonsense", "http://[::1/file"])
def test_an_address_that_is_none_is_a_failed_mirror(tmp_path: Path, url):
    with pytest.raises(MirrorFailed):
        download(url, tmp_path / "file", PIN)


def test_an_interrupted_download_can_be_continued(fetch, file_server, tmp_path: Path):
    def interrupt(done, _total):
        if done > 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(progress=interrupt)
    kept = (tmp_path / "file.part").stat().st_size
    assert 100_000 < kept < len(CONTENT)
    fetch()
    assert file_server.requests[-1] == f"bytes={kept}-"


def test_a_full_disk_is_reported_and_nothing_half_made_is_left(file_server, tmp_path: Path):
    file_server.files["file"] = CONTENT
    # A real refusal of the system, in a process that may write no file larger than 100 kB.
    code = f"""
        import resource, sys
        from pathlib import Path
        from models.errors import WeightsUnavailable
        from models.registry import Pin
        from models.weights.http import download
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            download("{file_server.url}/file", Path(sys.argv[1]), {PIN!r})
        except WeightsUnavailable as exc:
            print(exc)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "file")]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "cannot write" in finished.stdout
    assert "too large" in finished.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_reported(file_server, tmp_path: Path):
    file_server.files["file"] = CONTENT
    with pytest.raises(WeightsUnavailable, match="No such file"):
        download(f"{file_server.url}/file", tmp_path / "nowhere" / "file", PIN)


def test_passwords_are_hidden():
    text = "https://ann:secret@host/a and http://token@other:80/b but mail@host"
    assert without_credentials(text) == "https://host/a and http://other:80/b but mail@host"
