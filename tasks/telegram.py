"""The Bot API as a worker needs it: a small blocking client with keep-alive.

Blocking on purpose: a Celery child has no event loop, and a loop made before the fork hangs after it. One instance per
process, made after the fork; sessions are kept per thread because ``requests`` promises nothing about sharing them.
Limits and error wording: https://core.telegram.org/bots/api and https://core.telegram.org/bots/faq.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, SSLError

from models.stopping import never

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
LONGEST_UPLOAD_TIMEOUT_S = 180.0  # of silence, for 50 MB on a thin line
THIN_LINE_BYTES_PER_S = 100_000  # what the kernel has taken may still be on its way when the waiting begins


class TelegramError(Exception):
    """Everything the Bot API or the way to it can do to a call."""


class TelegramRefusalError(TelegramError):
    """Telegram understood and refused; the same call will be refused again."""

    def __init__(self, method: str, status: int, description: str) -> None:
        super().__init__(method, status, description)
        self.method, self.status, self.description = method, status, description

    def __str__(self) -> str:
        return f"{self.method}: {self.status} {self.description}"

    def says(self, *phrases: str) -> bool:
        """Whether the description contains one of these, in whatever case."""
        return any(phrase.lower() in self.description.lower() for phrase in phrases)


class ChatClosedError(TelegramRefusalError):
    """The user blocked the bot or left: nothing will reach this chat."""


class ChatMovedError(TelegramRefusalError):
    """The group became a supergroup, which is another chat with numbers of its own: ``to_chat_id``."""

    def __init__(self, method: str, status: int, description: str, to_chat_id: int) -> None:
        super().__init__(method, status, description)
        self.args = (method, status, description, to_chat_id)
        self.to_chat_id = to_chat_id


class TokenRejectedError(TelegramError):
    """Telegram does not know our token: no call will succeed, and it is nobody's fault whom a call was about."""

    def __init__(self, method: str, status: int) -> None:
        super().__init__(method, status)
        self.method, self.status = method, status

    def __str__(self) -> str:
        return f"{self.method}: {self.status}, Telegram does not know the token"


class TelegramBusyError(TelegramError):
    """Too many requests: nothing was done, and nothing may be sent to this chat for ``retry_after_s``."""

    def __init__(self, method: str, retry_after_s: float) -> None:
        super().__init__(method, retry_after_s)
        self.method, self.retry_after_s = method, retry_after_s


class TelegramUnreachableError(TelegramError):
    """No answer, or one that is none: whether the call was carried out is unknown, unless it is ``unsent``."""

    def __init__(self, method: str, reason: str, unsent: bool = False) -> None:
        super().__init__(method, reason, unsent)
        self.method, self.reason, self.unsent = method, reason, unsent

    def __str__(self) -> str:
        return f"{self.method}: {self.reason}"


class FileTooLargeError(TelegramError):
    """The file is larger than bots may download."""


class TelegramClient:
    """Calls to one bot's API. Errors never contain the token or an address that has it.

    The server is not trusted further than it has to be: it cannot send us to another address, nor name a file of this
    machine for us to read, unless ``files_dir`` says where a server of our own, in local mode, keeps its files.
    """

    def __init__(
        self,
        token: str,
        *,
        api_url: str = "https://api.telegram.org",
        files_dir: Path | None = None,
        on_rejected: Callable[[], object] = lambda: None,
    ) -> None:
        """``on_rejected`` hears, from whatever thread, each time Telegram does not know the token."""
        self._token = token
        self._on_rejected = on_rejected
        self._api_url = api_url
        self._files_dir = files_dir
        self._threads = threading.local()

    @property
    def _session(self) -> requests.Session:
        if not hasattr(self._threads, "session"):
            self._threads.session = requests.Session()
        session: requests.Session = self._threads.session
        return session

    def call(
        self,
        method: str,
        params: Mapping[str, object],
        *,
        upload: tuple[str, bytes, str] | None = None,
        patience_s: float | None = None,
    ) -> Any:
        """Call one method and return its ``result``.

        Args:
            method: name of the Bot API method.
            params: its parameters; lists and mappings are sent as JSON, None is left out.
            upload: ``(file name, content, media type)``, referred to in ``params`` as ``attach://upload``.
            patience_s: how long to wait for the answer; by default as long as such an upload may take.

        Raises:
            TelegramBusyError, ChatClosedError, ChatMovedError, TelegramRefusalError, TelegramUnreachableError,
            TokenRejectedError: see there.
        """
        fields = {name: _field(value) for name, value in params.items() if value is not None}
        try:
            response = self._session.post(
                f"{self._api_url}/bot{self._token}/{method}",
                data=fields,
                files={"upload": upload} if upload else None,
                timeout=(CONNECT_TIMEOUT_S, patience_s or _patience_s(upload)),
                allow_redirects=False,  # the Bot API has none, and whoever sends one names an address we may reach
            )
            answer = response.json()
        except requests.RequestException as error:  # includes an HTML page from a proxy in between
            # Not chained: its text holds the token.
            raise TelegramUnreachableError(method, type(error).__name__, _found_nobody(error)) from None
        try:
            return _result(method, response.status_code, answer)
        except TokenRejectedError:
            self._on_rejected()
            raise

    def download(self, file_id: str, *, max_bytes: int, should_stop: Callable[[], bool] = never) -> bytes:
        """Fetch a file a user sent.

        A self-hosted Bot API server in local mode answers with a path of its disk, which is then read from there if it
        lies in ``files_dir``.

        Raises:
            FileTooLargeError: it has more than ``max_bytes``.
            TelegramRefusalError: Telegram does not know the file (any more).
            TelegramBusyError, TelegramUnreachableError, TokenRejectedError: as for :meth:`call`; the second also after
                ``should_stop``.
        """
        try:
            file = self.call("getFile", {"file_id": file_id})
        except TelegramRefusalError as error:
            if error.says("file is too big"):
                raise FileTooLargeError("Telegram hands out at most 20 MB to bots") from error
            raise
        file_path = file.get("file_path") if isinstance(file, dict) else None
        if not isinstance(file_path, str):
            raise TelegramUnreachableError("getFile", "an answer without a path")
        if file_path.startswith("/"):
            return self._local_file(Path(file_path), max_bytes)
        url = f"{self._api_url}/file/bot{self._token}/{quote(file_path)}"
        timeout = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
        try:
            with self._session.get(url, stream=True, timeout=timeout, allow_redirects=False) as response:
                if response.is_redirect:
                    raise TelegramRefusalError("download", response.status_code, "the file is said to be elsewhere")
                if response.status_code == 429:
                    raise TelegramBusyError("download", _retry_after_s(response))
                if response.status_code == 401:
                    self._on_rejected()
                    raise TokenRejectedError("download", 401)
                if 400 <= response.status_code < 500:
                    raise TelegramRefusalError("download", response.status_code, "the file is not there")
                response.raise_for_status()
                return _body(response, max_bytes, should_stop)
        except requests.RequestException as error:
            raise TelegramUnreachableError("download", type(error).__name__) from None

    def close(self) -> None:
        """Close this thread's connection."""
        self._session.close()

    def _local_file(self, path: Path, max_bytes: int) -> bytes:
        try:
            path = path.resolve()
            if self._files_dir is None or not path.is_relative_to(self._files_dir.resolve()) or not path.is_file():
                raise TelegramRefusalError("download", 404, "a path of this machine outside TELEGRAM_FILES_DIR")
            with path.open("rb") as file:
                content = file.read(max_bytes + 1)
        except OSError as error:
            raise TelegramRefusalError("download", 404, f"the server's file cannot be read: {error.strerror}") from None
        if len(content) > max_bytes:
            raise FileTooLargeError(f"the file has more than {max_bytes:,} bytes")
        return content


def _body(response: requests.Response, max_bytes: int, should_stop: Callable[[], bool]) -> bytes:
    content = bytearray()
    for chunk in response.iter_content(1 << 16):
        if should_stop():
            raise TelegramUnreachableError("download", "stopped")
        content += chunk
        if len(content) > max_bytes:
            raise FileTooLargeError(f"the file has more than {max_bytes:,} bytes")
    return bytes(content)


def _found_nobody(error: requests.RequestException) -> bool:
    """Whether the call cannot have left: there was no connection, or nobody at its end whom we trust."""
    cause = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(cause, SSLError):  # of these most may come as well while the answer is read
        cause = cause.args[0] if cause.args else None
    return isinstance(cause, NewConnectionError | ConnectTimeoutError | ssl.SSLCertVerificationError)


def _patience_s(upload: tuple[str, bytes, str] | None) -> float:
    """How long to wait for an answer: that to a small result is not waited for as long as that to 50 MB."""
    size = len(upload[1]) if upload else 0
    return min(LONGEST_UPLOAD_TIMEOUT_S, READ_TIMEOUT_S + size / THIN_LINE_BYTES_PER_S)


def _retry_after_s(response: requests.Response) -> float:
    try:
        return float(response.json()["parameters"]["retry_after"])
    except (ValueError, KeyError, TypeError):  # a proxy's words
        return 1.0


def _field(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _result(method: str, status: int, answer: Any) -> Any:
    if not isinstance(answer, dict) or "ok" not in answer:
        raise TelegramUnreachableError(method, f"status {status} without an answer of the Bot API")
    if answer["ok"]:
        return answer["result"]
    parameters = answer.get("parameters", {})
    retry_after_s = parameters.get("retry_after")
    if retry_after_s is not None:
        raise TelegramBusyError(method, float(retry_after_s))
    description = str(answer.get("description", ""))
    if status >= 500:
        raise TelegramUnreachableError(method, f"{status} {description}")
    if status in {401, 404}:  # 404 is said of a token that cannot be one; all methods that we call exist
        raise TokenRejectedError(method, status)
    if to_chat_id := parameters.get("migrate_to_chat_id"):
        raise ChatMovedError(method, status, description, int(to_chat_id))
    refusal = ChatClosedError if status == 403 else TelegramRefusalError
    raise refusal(method, status, description)
