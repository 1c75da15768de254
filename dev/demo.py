"""``make demo``: a scripted user talks to the real bot, a real worker and a real Redis; only Telegram is emulated.

Exit status 0 only if all of it held. The pictures and the logs are under ``var/demo``.
"""

from __future__ import annotations

import asyncio
import io
import logging
import shutil
import sys
import time
from collections.abc import Awaitable, Callable

from PIL import Image

from dev.drawings import sticker_webp, transparent_png, worn_photo
from dev.redis_server import NoRedisServerError
from dev.signals import until_signal
from dev.stack import REPOSITORY, ProcessDiedError, Stack
from emulator import Emulator, Message, Person
from tasks.messages import JobState, job_id
from tasks.store import JobStore

FOLDER = REPOSITORY / "var" / "demo"
LARGE_WH = (2400, 1800)  # seconds of work for any model on any machine
RESULT_TIMEOUT_S = 240.0  # a slow machine without bfloat16 needs a minute for the largest of these pictures


class Demo:
    """The scenes, in order."""

    def __init__(self, telegram: Emulator, store: JobStore) -> None:
        self.telegram = telegram
        self.store = store
        self.ann = telegram.user("Ann", language_code="en")
        self.boris = telegram.user("Борис", language_code="ru")
        self.clara = telegram.user("Clara", language_code="en")

    async def commands(self) -> None:
        """Ann says hello and asks what the bot can do."""
        await self.ann.sends_text("/start")
        await self.ann.receives_text(containing="Ann")
        await self.ann.sends_text("/help")
        await self.ann.receives_text(containing="/upscale_image")
        await self.ann.sends_text("/upscale_image")
        await self.ann.receives_text(containing="Send me the picture")

    async def photo(self) -> None:
        """Ann sends a photo: status with a Cancel button, then a file four times the size."""
        photo = worn_photo(384, 288)
        picture = await self.ann.sends_photo(photo)
        status = await self.ann.receives_message()
        expect("Cancel" in " ".join(status.buttons), "the status message has a Cancel button")
        document = await self.ann.receives_document(timeout=RESULT_TIMEOUT_S)
        expect(document is status, "the status message became the result")
        expect(document.reply_to is picture, "the result answers the picture")
        expect(not document.buttons, "the Cancel button is gone")
        before, after = opened(photo), self._kept("photo", photo, document)
        expect(after.size == (4 * before.width, 4 * before.height), f"{before.size} became {after.size}")
        side_by_side(before, after).save(FOLDER / "photo_before_after.png")

    async def transparent_file(self) -> None:
        """Ann sends a PNG file with transparency: it is kept."""
        png = transparent_png(96)
        await self.ann.sends_document("emblem.png", content=png, mime_type="image/png")
        document = await self.ann.receives_document(timeout=RESULT_TIMEOUT_S)
        expect_transparent(self._kept("emblem", png, document), side=384)

    async def sticker(self) -> None:
        """Ann sends a static sticker: a PNG with transparency comes back."""
        webp = sticker_webp(128)
        await self.ann.sends_sticker(webp)
        document = await self.ann.receives_document(timeout=RESULT_TIMEOUT_S)
        expect(document.mime_type == "image/png", f"the sticker came back as {document.mime_type}")
        expect_transparent(self._kept("sticker", webp, document), side=512)

    async def refusals(self) -> None:
        """Boris sends what cannot be restored, and is told why, each time in another sentence."""
        sentences = []
        await self.boris.sends_sticker(b"moving", is_animated=True)
        sentences.append((await self.boris.receives_text(containing="стикер")).text)
        await self.boris.sends_document("scan.pdf", content=b"%PDF-1.7", mime_type="application/pdf")
        sentences.append((await self.boris.receives_text(containing="PDF")).text)
        await self.boris.sends_document("huge.png", file_size=25_000_000, mime_type="image/png")
        sentences.append((await self.boris.receives_text(containing="20 МБ")).text)
        expect(len(set(sentences)) == len(sentences), "three different sentences")

    async def two_at_once(self) -> None:
        """Ann and Boris send at the same moment; each gets their own picture."""
        ann_sends, boris_sends = worn_photo(96, 64, seed=2), worn_photo(64, 96, seed=3)
        pictures = await asyncio.gather(self.ann.sends_photo(ann_sends), self.boris.sends_photo(boris_sends))
        documents = await asyncio.gather(
            self.ann.receives_document(timeout=RESULT_TIMEOUT_S), self.boris.receives_document(timeout=RESULT_TIMEOUT_S)
        )
        for picture, document, sent, name in zip(
            pictures, documents, (ann_sends, boris_sends), ("two_ann", "two_boris"), strict=True
        ):
            expect(document.reply_to is picture, "the result answers its own picture")
            after = self._kept(name, sent, document)
            expect(difference(opened(sent), after) < 12, "the result shows the picture that was sent")

    async def restart(self) -> None:
        """Clara sees the progress of a long job and stops it; the worker is free within two seconds."""
        large = await asyncio.to_thread(worn_photo, *LARGE_WH, seed=4)
        await self.clara.sends_document("large.jpg", content=large, mime_type="image/jpeg")
        status = await self.clara.receives_message()
        await self.clara.sees(status, containing="%", timeout=60)
        await self.clara.sends_text("/restart")
        stopped_at = time.time()
        await self.clara.receives_text(containing="Stopped 1 picture")
        await self.clara.sees(status, containing="Stopped")
        small = worn_photo(64, 48, seed=5)
        picture = await self.clara.sends_photo(small)
        document = await self.clara.receives_document(timeout=RESULT_TIMEOUT_S)
        expect(document.reply_to is picture, "the result is that of the next picture")
        self._kept("after_restart", small, document)
        await self.clara.receives_text(containing="ready")
        bot_id = int(self.telegram.token.partition(":")[0])
        job = self.store.get(job_id(bot_id, self.clara.id, picture.message_id))
        expect(job is not None and job.state is JobState.DONE, "the next job is done")
        free_after_s = (job.started_ms / 1000 if job else 0.0) - stopped_at
        say(f"    the worker took the next picture {free_after_s:.2f} s after /restart was sent")
        expect(free_after_s < 2.0, "the worker was free within 2 seconds")

    def _kept(self, name: str, sent: bytes, document: Message) -> Image.Image:
        """Write both pictures to ``var/demo`` and open the result."""
        (FOLDER / f"{name}_sent.{opened(sent).format or 'bin'}".lower()).write_bytes(sent)
        (FOLDER / f"{name}_restored.{(document.file_name or 'x.bin').rpartition('.')[2]}").write_bytes(document.content)
        return opened(document.content)

    @property
    def scenes(self) -> list[tuple[Callable[[], Awaitable[None]], list[Person]]]:
        """What happens, and whose chats to show for it."""
        return [
            (self.commands, []),
            (self.photo, []),
            (self.transparent_file, []),
            (self.sticker, [self.ann]),
            (self.refusals, []),
            (self.two_at_once, [self.boris]),
            (self.restart, [self.clara]),
        ]


def expect(held: bool, what: str) -> None:
    """Fail the demo with a sentence."""
    if not held:
        raise AssertionError(f"it does not hold that: {what}")


def expect_transparent(image: Image.Image, *, side: int) -> None:
    """The emblem, enlarged: solid in the middle, nothing in the corners."""
    expect(image.mode == "RGBA" and image.size == (side, side), f"RGBA of {side} px, not {image.mode} {image.size}")
    alpha = image.getchannel("A")
    expect(alpha.getpixel((side // 2, side // 2)) == 255, "solid in the middle")
    expect(alpha.getpixel((2, 2)) == 0, "transparent in the corner")


def opened(content: bytes) -> Image.Image:
    """Decode a picture."""
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def difference(before: Image.Image, after: Image.Image) -> float:
    """Mean difference of two pictures in levels, at the size of the first."""
    reduced = after.convert("RGB").resize(before.size, Image.Resampling.BOX)
    pairs = zip(before.convert("RGB").tobytes(), reduced.tobytes(), strict=True)
    return sum(abs(a - b) for a, b in pairs) / (before.width * before.height * 3)


def side_by_side(before: Image.Image, after: Image.Image) -> Image.Image:
    """Before, enlarged without any cleverness, and after."""
    sheet = Image.new("RGB", (2 * after.width + 16, after.height), "white")
    sheet.paste(before.resize(after.size, Image.Resampling.BICUBIC), (0, 0))
    sheet.paste(after.convert("RGB"), (after.width + 16, 0))
    return sheet


def say(text: str) -> None:
    """Write a line of the transcript."""
    print(text, flush=True)


async def perform() -> None:
    """Start everything and play all scenes."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    began = time.monotonic()
    async with (
        Emulator.running() as telegram,
        Stack(FOLDER / "processes", token=telegram.token, api_url=telegram.api_url) as stack,
    ):
        worker = stack.start_worker()
        stack.start_bot()
        say("Starting Redis, the bot and a worker that loads its models …")
        await stack.workers_are_ready(worker)
        await telegram.is_polled()
        (card,) = stack.store.workers()
        say(f"Ready after {time.monotonic() - began:.1f} s: {', '.join(card.models)} on {card.device}, {card.dtype}.\n")
        demo = Demo(telegram, stack.store)
        for scene, chats in demo.scenes:
            say(f"● {(scene.__doc__ or '').strip()}")
            scene_began = time.monotonic()
            await scene()
            say(f"    held, {time.monotonic() - scene_began:.1f} s")
            for person in chats:
                say("\n" + indented(telegram.transcript(person)) + "\n")
    say(f"All of it held, in {time.monotonic() - began:.0f} s. Pictures: {FOLDER.relative_to(REPOSITORY)}")


def indented(text: str) -> str:
    """Set a transcript off from the narration."""
    return "\n".join("    │ " + line for line in text.splitlines())


def main() -> int:
    """Exit status 0 only if every scene held."""
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    try:
        if not asyncio.run(until_signal(perform())):
            say("\nThe demo was interrupted.")
            return 130
    except (AssertionError, NoRedisServerError, ProcessDiedError) as error:
        say(f"\nThe demo failed: {error}\nLogs: {FOLDER.relative_to(REPOSITORY)}/processes")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
