"""A headless Chromium, driven through the DevTools protocol with aiohttp; as much as the page's tests need."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)


def chromium() -> str | None:
    """The path of an installed Chromium."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.errors: list[str] = []

    async def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = json.loads((await self._socket.receive(timeout=30)).data)
            if message.get("method") == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(message["params"]["exceptionDetails"])[:500])
            if message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
                self.errors.append(message["params"]["entry"]["text"])
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        answer = await self.command("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, expression: str, *, timeout_s: float = 20.0) -> Any:
        """Wait until a JavaScript expression is true."""
        deadline = time.monotonic() + timeout_s
        while True:
            # while the page is loading, parts of it are missing
            value = await self.evaluate(
                f"(() => {{ try {{ return Boolean({expression}) }} catch {{ return null }} }})()"
            )
            if value:
                return value
            shown = await self.evaluate("document.body?.innerText")
            assert time.monotonic() < deadline, f"never true: {expression}\nthe page shows:\n{shown}\n{self.errors}"
            await asyncio.sleep(0.05)

    async def click(self, selector: str) -> None:
        """Click the first element of a CSS selector, waiting for it."""
        await self.until(f"document.querySelector({selector!r})")
        await self.evaluate(f"document.querySelector({selector!r}).click()")

    async def choose_files(self, selector: str, *paths: Path) -> None:
        """Pick files in a file input."""
        document = await self.command("DOM.getDocument")
        node = await self.command("DOM.querySelector", nodeId=document["root"]["nodeId"], selector=selector)
        await self.command(
            "DOM.setFileInputFiles", nodeId=node["nodeId"], files=[str(path.resolve()) for path in paths]
        )

    async def type(self, text: str) -> None:
        """Type into what has the focus and press Enter."""
        await self.command("Input.insertText", text=text)
        enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
        await self.command("Input.dispatchKeyEvent", type="keyDown", text="\r", **enter)
        await self.command("Input.dispatchKeyEvent", type="keyUp", **enter)

    async def screenshot(self, path: Path, *, size_wh: tuple[int, int] = (1280, 900), dark: bool = False) -> None:
        """Save what the page looks like."""
        width, height = size_wh
        await self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.command("Emulation.setEmulatedMedia", features=scheme)
        await asyncio.sleep(0.5)  # Chromium refuses while it still lays the page out anew
        picture = await self.command("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(picture["data"]))


@contextlib.asynccontextmanager
async def open_page(url: str) -> AsyncIterator[Page]:
    """Start Chromium, open ``url`` and end Chromium afterwards."""
    program = chromium()
    assert program is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
        process = await asyncio.create_subprocess_exec(
            program,
            *_FLAGS,
            *sandbox,
            f"--user-data-dir={profile}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with aiohttp.ClientSession() as session:
                async with session.put(f"{await _debugger(Path(profile))}/json/new?about:blank") as response:
                    target = await response.json()
                async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    page = Page(socket)
                    for domain in ("Page", "Runtime", "Log", "DOM"):
                        await page.command(f"{domain}.enable")
                    await page.command("Page.navigate", url=url)
                    yield page
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def _debugger(profile: Path) -> str:
    """The address of the DevTools server, which Chromium writes into its profile."""
    deadline = time.monotonic() + 30
    file = profile / "DevToolsActivePort"
    while not (file.is_file() and len(file.read_text().splitlines()) == 2):
        assert time.monotonic() < deadline, "Chromium did not start"
        await asyncio.sleep(0.05)
    return f"http://127.0.0.1:{file.read_text().splitlines()[0]}"
