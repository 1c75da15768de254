"""A real web server on 127.0.0.1 that can be told how to misbehave."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["FileServer", BaseHTTPRequestHandler, bytes], None]


class FileServer:
    """A real web server on this machine that can be told how to misbehave.

    ``files`` maps names to contents. ``answers`` are used up in order, one per request; after them
    every request is answered in full, or with the range asked for. ``requests`` are the Range
    headers that came, None where there was none.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.answers: list[Answer] = []
        self.requests: list[str | None] = []
        self.etag = '"one"'
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = server.files.get(self.path.lstrip("/"))
                server.requests.append(self.headers["Range"])
                if content is None:
                    self.send_error(404)
                    return
                answer = server.answers.pop(0) if server.answers else send_range
                with contextlib.suppress(ConnectionError):
                    answer(server, self, content)

            def log_message(self, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


def send_whole(server: FileServer, request: BaseHTTPRequestHandler, content: bytes) -> None:
    """All of it with status 200, whatever range was asked for."""
    request.send_response(200)
    request.send_header("Content-Length", str(len(content)))
    request.send_header("ETag", server.etag)
    request.end_headers()
    request.wfile.write(content)


def send_range(server: FileServer, request: BaseHTTPRequestHandler, content: bytes) -> None:
    """The range asked for, as RFC 9110 has it, If-Range and 416 included."""
    wanted, unchanged = request.headers["Range"], request.headers["If-Range"] in {None, server.etag}
    if not wanted or not unchanged:
        send_whole(server, request, content)
        return
    start = int(wanted.removeprefix("bytes=").removesuffix("-"))
    if start >= len(content):
        request.send_error(416)
        return
    request.send_response(206)
    request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    request.send_header("Content-Length", str(len(content) - start))
    request.send_header("ETag", server.etag)
    request.end_headers()
    request.wfile.write(content[start:])
