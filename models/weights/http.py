"""Download one pinned file over HTTP, whatever the server does.

Resumes with Range requests (RFC 9110, sections 13 and 14), takes no byte more than the pin says, and hands
out nothing before size and SHA-256 are right.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import requests
from urllib3.exceptions import NewConnectionError

from models.errors import WeightsUnavailable
from models.registry import Pin
from models.weights.file import sha256_of

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
CHUNK = 1 << 14  # bytes; what is lost of a connection that breaks off
ATTEMPTS = 4  # in a row that bring nothing new
PROGRESS = 1 << 20  # bytes that count as something new
FIRST_PAUSE_S = 0.5  # doubled after every further attempt in vain
BUSY_STATUS = {408, 425, 429, 500, 502, 503, 504}

logger = logging.getLogger(__name__)


class Progress(Protocol):
    """Told how far a download is, in bytes."""

    def __call__(self, done: int, total: int) -> None:
        """Called after every chunk; ``done`` may fall back when a server makes us start again."""
        ...


class MirrorFailed(Exception):  # noqa: N818  (an outcome of one mirror, caught by the ladder of mirrors)
    """One mirror did not give the file, and why; another may."""


class _Interrupted(Exception):  # noqa: N818  (an outcome of one attempt)
    """Broken off in a way that another attempt may mend."""


def download(
    url: str,
    destination: Path,
    pin: Pin,
    *,
    progress: Progress | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Fetch ``url`` to ``destination``, continuing a ``.part`` file that lies beside it.

    An interrupted download leaves that .part file, for the next run or mirror: the pin makes sure
    that all of them have the same bytes.

    Raises:
        MirrorFailed: unreachable, wrong size or digest, or broken off too often.
        WeightsUnavailable: the disk does not take it; no .part file is left.
    """
    part = destination.with_name(destination.name + ".part")
    resumed = part.is_file()
    _Transfer(url, part, pin, progress).run(pause)
    if resumed and sha256_of(part) != pin.sha256:
        logger.warning("%s: what an earlier run left does not fit; starting again", destination.name)
        part.unlink()
        _Transfer(url, part, pin, progress).run(pause)
    if (found := sha256_of(part)) != pin.sha256:
        part.unlink()
        raise MirrorFailed(f"gave a file with SHA-256 {found[:16]}... instead of {pin.sha256[:16]}...")
    part.replace(destination)


def without_credentials(url: str) -> str:
    """Hide user and password of every URL in a text that people get to see."""
    return re.sub(r"//[^/@\s]+@", "//", url)


class _Transfer:
    """Brings a .part file to its full size, over as many requests as that takes."""

    def __init__(self, url: str, part: Path, pin: Pin, progress: Progress | None) -> None:
        self._url = url
        self._part = part
        self._pin = pin
        self._progress = progress
        self._answered = False
        self._validator: str | None = None  # entity tag of what the .part file holds

    def run(self, pause: Callable[[float], None]) -> None:
        attempts_in_vain, best = 0, self._size()
        while self._size() != self._pin.bytes:
            try:
                self._attempt()
            except _Interrupted as exc:
                attempts_in_vain = 0 if self._size() >= best + PROGRESS else attempts_in_vain + 1
                best = max(best, self._size())
                if attempts_in_vain == ATTEMPTS:
                    raise MirrorFailed(f"broke off {ATTEMPTS} times; last: {exc}") from exc
                logger.info("download broke off (%s), trying again", exc)
                pause(FIRST_PAUSE_S * 2 ** max(0, attempts_in_vain - 1))

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.is_file() else 0

    def _attempt(self) -> None:
        offset = self._size()
        if offset > self._pin.bytes:
            self._restart("the .part file is longer than the file")
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if self._validator:
                headers["If-Range"] = self._validator
        timeout = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
        try:
            with requests.get(self._url, headers=headers, stream=True, timeout=timeout) as response:
                self._answered = True
                start = self._start_of(response, offset)
                self._receive(response, start)
        except (requests.exceptions.SSLError, requests.exceptions.ProxyError) as exc:
            raise MirrorFailed(_reason(exc)) from exc
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as exc:
            raise (MirrorFailed if self._is_out_of_reach(exc) else _Interrupted)(_reason(exc)) from exc
        except (requests.RequestException, ValueError) as exc:
            raise MirrorFailed(f"{type(exc).__name__}: {_reason(exc)}") from exc

    def _is_out_of_reach(self, exc: BaseException) -> bool:
        """A first contact that fails is not repeated: another mirror is quicker."""
        never_connected = any(isinstance(cause, NewConnectionError) for cause in _causes(exc))
        return not self._answered and (never_connected or isinstance(exc, requests.ConnectTimeout))

    def _start_of(self, response: requests.Response, offset: int) -> int:
        """Say where in the file the body of this answer begins."""
        if response.status_code == requests.codes.ok:
            self._check_length(response, self._pin.bytes)
            tag = response.headers.get("ETag", "")
            self._validator = None if tag.startswith("W/") else tag or None
            return 0
        if response.status_code == requests.codes.partial_content:
            self._check_range(response.headers.get("Content-Range", ""), offset)
            self._check_length(response, self._pin.bytes - offset)
            return offset
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            self._restart("the server has no such range")
        kind = _Interrupted if response.status_code in BUSY_STATUS else MirrorFailed
        raise kind(f"HTTP {response.status_code} {response.reason}".strip())

    def _check_range(self, content_range: str, offset: int) -> None:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", content_range)
        if not match or int(match[1]) != offset:
            self._restart(f"asked for byte {offset} on, got {content_range or 'an unnamed range'}")
        elif match[2] not in {"*", str(self._pin.bytes)}:
            raise MirrorFailed(f"has a file of {int(match[2]):,} bytes instead of {self._pin.bytes:,}")

    def _check_length(self, response: requests.Response, expected: int) -> None:
        length = response.headers.get("Content-Length")
        if length and "Content-Encoding" not in response.headers and int(length) != expected:
            raise MirrorFailed(f"offers {int(length):,} bytes instead of {expected:,}")

    def _restart(self, why: str) -> None:
        self._part.unlink(missing_ok=True)
        self._validator = None
        raise _Interrupted(why)

    def _receive(self, response: requests.Response, start: int) -> None:
        done = start
        with self._open(start) as file:
            for chunk in response.iter_content(CHUNK):
                done += len(chunk)
                if done > self._pin.bytes:
                    break
                self._write(file, chunk)
                if self._progress:
                    self._progress(done, self._pin.bytes)
        if done > self._pin.bytes:
            self._part.unlink()
            raise MirrorFailed(f"sends more than the {self._pin.bytes:,} bytes of the file")
        if done < self._pin.bytes:
            raise _Interrupted(f"ended after {done:,} of {self._pin.bytes:,} bytes")

    def _open(self, start: int) -> BinaryIO:
        try:
            return self._part.open("ab" if start else "wb")
        except OSError as exc:
            raise WeightsUnavailable(f"cannot write {self._part}: {exc.strerror}") from exc

    def _write(self, file: BinaryIO, chunk: bytes) -> None:
        try:
            file.write(chunk)
            file.flush()  # or a full disk would show only when the file is closed
        except OSError as exc:
            self._part.unlink(missing_ok=True)
            raise WeightsUnavailable(f"cannot write {self._part}: {exc.strerror}") from exc


def _causes(exc: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = exc
    while cause:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _reason(exc: BaseException) -> str:
    """The innermost cause in a few words, for a list of mirrors."""
    if isinstance(exc, requests.ConnectTimeout):
        return f"no answer within {CONNECT_TIMEOUT_S:g} s"
    if isinstance(exc, requests.Timeout):
        return f"silent for {READ_TIMEOUT_S:g} s"
    *_, cause = _causes(exc)
    words = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return without_credentials(words)[:200] or type(cause).__name__
