"""Seeded networks and goldens for the tests of the library."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.architecture import Architecture
from models.checkpoints import build_network

SeededWeights = Callable[[str], dict[str, NDArray[Any]]]


@pytest.fixture(scope="session")
def seeded(shared: Path) -> ModuleType:
    """The formula of the goldens' weights, imported from beside them."""
    spec = importlib.util.spec_from_file_location("seeded", shared / "goldens" / "seeded.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def layouts(shared: Path) -> dict[str, dict[str, Any]]:
    """Key to shape of every official checkpoint, with arguments and digests."""
    document: dict[str, dict[str, Any]] = json.loads((shared / "goldens" / "layouts.json").read_text())
    return document


@pytest.fixture(scope="session")
def seeded_weights(seeded: ModuleType, layouts: dict[str, dict[str, Any]]) -> SeededWeights:
    """Seeded weights by official name, each checked against its digest before use."""
    made: dict[str, dict[str, NDArray[Any]]] = {}

    def make(name: str) -> dict[str, NDArray[Any]]:
        if name not in made:
            row = layouts[name]
            shapes = {key.removeprefix("module."): shape for key, shape in row["keys"].items()}
            weights: dict[str, NDArray[np.float32]] = seeded.make(row["recipe"], row["salt"], shapes)
            assert seeded.digest(weights) == row["seeded_sha256"], name
            made[name] = weights
        return made[name]

    return make


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


@pytest.fixture
def file_server() -> Iterator[FileServer]:
    server = FileServer()
    yield server
    server.close()


@pytest.fixture
def tiny() -> tuple[Architecture, dict[str, torch.Tensor]]:
    """The smallest network there is, with weights."""
    torch.manual_seed(7)
    arguments = {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 4, "num_conv": 1, "upscale": 2, "act_type": "prelu"}
    architecture = Architecture(name="SRVGGNetCompact", arguments=arguments)
    return architecture, build_network(architecture).state_dict()
