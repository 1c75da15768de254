"""What is known of a call whose TLS connection fails: only who was not trusted surely never got it."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading

import pytest

from tasks.telegram import TelegramClient, TelegramUnreachableError

TOKEN = "123456789:" + "Ab-_" * 9
PICTURE = bytes(range(256)) * 300


@pytest.fixture
def certificate(tmp_path):
    """A key and a certificate for this machine, signed by nobody but itself."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the program openssl to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, "req", *kind, *names, *files], check=True, capture_output=True)
    return key, certificate


class SpoilingServer(threading.Thread):
    """Reads one call to its end and then answers with something that is no TLS."""

    def __init__(self, key, certificate):
        super().__init__(daemon=True)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listening.getsockname()[1]}"
        self.read = b""

    def run(self):
        with self._listening, self._listening.accept()[0] as plain:
            plain.settimeout(5)
            try:
                with self._context.wrap_socket(plain, server_side=True) as secure:
                    self._read_call(secure)
                    with socket.socket(fileno=secure.detach()) as bare:
                        bare.sendall(b"this is no record of TLS at all\r\n" * 9)
            except (ssl.SSLError, ConnectionError):
                pass  # the client did not trust us

    def _read_call(self, secure):
        while b"\r\n\r\n" not in self.read:
            self.read += secure.recv(65536)
        head, _, body = self.read.partition(b"\r\n\r\n")
        left = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]) - len(body)
        while left > 0:
            part = secure.recv(65536)
            self.read, left = self.read + part, left - len(part)


@pytest.fixture
def server(certificate):
    server = SpoilingServer(*certificate)
    server.start()
    return server


def send(server):
    client = TelegramClient(TOKEN, api_url=server.url)
    try:
        with pytest.raises(TelegramUnreachableError) as caught:
            client.call("sendDocument", {"chat_id": 1}, upload=("a.png", PICTURE, "image/png"))
    finally:
        client.close()
        server.join(timeout=5)
    assert caught.value.reason == "SSLError"
    assert TOKEN not in str(caught.value)
    return caught.value


def test_an_answer_that_tls_spoils_leaves_unknown_whether_the_picture_arrived(server, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[1]))
    assert not send(server).unsent
    assert PICTURE in server.read


def test_to_a_server_that_is_not_trusted_nothing_was_sent(server):
    assert send(server).unsent
    assert server.read == b""
