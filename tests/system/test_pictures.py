"""What comes back for what was sent."""

from __future__ import annotations

import asyncio
import io
import random

import numpy as np
import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from bot.texts import BotTexts
from dev.drawings import transparent_png
from tasks.messages import JobState
from tests.system.conftest import grainy_photo, mean_colour, opened, picture, running_town

pytestmark = pytest.mark.asyncio(loop_scope="session")

en, ru = BotTexts("en"), BotTexts("ru")


async def test_a_photo_comes_back_four_times_as_large_in_its_status_message(town):
    user = town.telegram.user("Ann")
    sent = await user.sends_photo(picture(40, 30, file_format="JPEG"))
    status = await user.receives_message()
    document = await user.receives_document(timeout=30)
    assert document is status
    assert document.reply_to is sent
    assert document.buttons == ()
    assert opened(document.content).size == (160, 120)
    assert "40×30 → 160×120" in document.caption
    assert document.file_name == "photo_x4.jpg"
    assert (await user.receives_text(containing=en.ready())).reply_to is sent
    job = await town.job_of(sent)
    assert (job.state, job.attempt, job.resent) == (JobState.DONE, 1, False)


async def test_a_transparent_png_keeps_its_transparency_and_its_name(town):
    user = town.telegram.user("Alpha")
    image = Image.new("RGBA", (32, 32), (200, 30, 30, 0))
    image.paste((30, 160, 60, 255), (8, 8, 24, 24))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    await user.sends_document("my logo.png", content=buffer.getvalue(), mime_type="image/png")
    document = await user.receives_document(timeout=30)
    result = opened(document.content)
    assert (result.mode, result.size, document.file_name) == ("RGBA", (128, 128), "my logo_x4.png")
    alpha = np.asarray(result.getchannel("A"))
    assert alpha[64, 64] == 255
    assert alpha[4, 4] == 0


async def test_a_static_sticker_comes_back_as_png_with_transparency(town):
    user = town.telegram.user("Stick")
    buffer = io.BytesIO()
    Image.new("RGBA", (48, 32), (10, 200, 90, 128)).save(buffer, "WEBP", lossless=True)
    await user.sends_sticker(buffer.getvalue())
    document = await user.receives_document(timeout=30)
    result = opened(document.content)
    assert (document.mime_type, result.mode, result.size) == ("image/png", "RGBA", (192, 128))


async def test_a_sixteen_bit_png_comes_back_with_sixteen_bits(town):
    user = town.telegram.user("Deep")
    ramp = np.tile(np.linspace(0, 3000, 24, dtype=np.uint16), (24, 1))  # dark: decided by the file, not by its values
    buffer = io.BytesIO()
    Image.fromarray(ramp).save(buffer, "PNG")
    await user.sends_document("dark.png", content=buffer.getvalue(), mime_type="image/png")
    document = await user.receives_document(timeout=30)
    assert opened(document.content).mode == "I;16"


@pytest.mark.parametrize(
    ("file_format", "extension"), [("HEIF", "heic"), ("AVIF", "avif"), ("TIFF", "tif"), ("BMP", "bmp")]
)
async def test_a_file_of_any_format_comes_back_in_one_that_everybody_can_open(town, file_format, extension):
    register_heif_opener()
    user = town.telegram.user("Kinds")
    content = io.BytesIO()
    opened(grainy_photo(96, 64)).save(content, file_format)
    await user.sends_document(f"p.{extension}", content=content.getvalue())
    document = await user.receives_document(timeout=30)
    assert (document.file_name, document.mime_type) == ("p_x4.jpg", "image/jpeg")
    assert opened(document.content).size == (384, 256)


async def test_a_drawing_has_its_own_model_and_comes_back_without_loss(town):
    user = town.telegram.user("Draw")
    await user.sends_document("logo.png", content=transparent_png(96))
    document = await user.receives_document(timeout=30)
    assert "RealESRGAN_x4plus_anime_6B, " in document.caption
    assert document.file_name == "logo_x4.png"


async def test_what_the_worker_says_of_itself_covers_every_size(town):
    for card in town.stack.store.workers():
        sizes = [pixels for pixels, _ in card.estimates]
        assert sizes == sorted(set(sizes))
        assert 0 < sizes[0] <= 64_000 <= 1280 * 960 <= sizes[-1]
        assert all(seconds > 0 for _, seconds in card.estimates)


async def test_a_picture_that_grows_less_says_so_in_its_caption(tmp_path, weights):
    async with running_town(tmp_path, WORKER_MODEL="realesr-animevideov3") as town:
        for words in (en, ru):
            user = town.telegram.user("Large", language_code=words.locale)
            await user.sends_document("large.jpg", content=grainy_photo(1600, 100))
            document = await user.receives_document(timeout=60)
            assert opened(document.content).size == (3200, 200)
            assert document.file_name == "large_x2.jpg"
            sizes, made, *notices = document.caption.split("\n")
            assert "1600×100 → 3200×200" in sizes
            assert made.startswith("realesr-animevideov3, ")
            assert notices == [words.notice("scale_limited")]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"this is not a picture", "unsupported_format"),
        (picture(64, 64)[:120], "damaged_image"),
        (b"", "unsupported_format"),
    ],
)
@pytest.mark.parametrize("words", [en, ru])
async def test_a_broken_picture_ends_in_an_apology_that_says_what_to_do(town, content, code, words):
    user = town.telegram.user("Bad", language_code=words.locale)
    sent = await user.sends_document("photo.png", content=content, mime_type="image/png")
    status = await user.receives_message()
    await user.sees(status, containing=words.failed(code), timeout=20)
    assert status.buttons == ()
    assert ((await town.job_of(sent)).state, (await town.job_of(sent)).error) == (JobState.FAILED, code)


async def test_an_extension_that_lies_does_no_harm(town):
    user = town.telegram.user("Liar")
    await user.sends_document("photo.png", content=picture(20, 20, file_format="JPEG"), mime_type="image/png")
    document = await user.receives_document(timeout=30)
    assert opened(document.content).size == (80, 80)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd.png", 'a"b\r\nX: y.png', "ж" * 200 + ".png", ".png", "no extension"]
)
async def test_a_strange_file_name_comes_back_harmless(town, name):
    user = town.telegram.user("Names")
    await user.sends_document(name, content=picture(8, 8), mime_type="image/png")
    document = await user.receives_document(timeout=30)
    assert document.file_name.endswith("_x4.jpg")
    assert not set(document.file_name) & set('/\\"\r\n')


@pytest.mark.parametrize("seed", range(4))
async def test_many_users_at_once_each_get_their_own_picture(town, seed):
    rng = random.Random(seed)
    users = [town.telegram.user(f"U{number}", language_code=rng.choice(["en", "ru"])) for number in range(5)]
    colours = rng.sample([(r, g, b) for r in (30, 120, 210) for g in (30, 120, 210) for b in (30, 120, 210)], 12)

    async def one(colour):
        await asyncio.sleep(rng.random() * 0.5)
        user = rng.choice(users)
        content = picture(rng.randrange(8, 40), rng.randrange(8, 40), colour)
        as_file = rng.random() < 0.5
        send = (
            user.sends_document("p.png", content=content, mime_type="image/png")
            if as_file
            else user.sends_photo(content)
        )
        return user, content, await send, colour

    sent = await asyncio.gather(*map(one, colours))
    for user in users:
        own = [(content, message, colour) for owner, content, message, colour in sent if owner is user]
        documents = await user.receives_documents(len(own), timeout=60)
        answered = {document.reply_to.message_id: document for document in documents}
        assert sorted(answered) == sorted(message.message_id for _, message, _ in own)
        for content, message, colour in own:
            before, after = opened(content), answered[message.message_id]
            assert opened(after.content).size == (4 * before.width, 4 * before.height)
            assert nearest(mean_colour(after.content), colours) == colour
        assert len(
            [message for message in user.chat.messages if message.from_bot and message.kind == "document"]
        ) == len(own)


def nearest(colour, colours):
    return min(colours, key=lambda other: sum((a - b) ** 2 for a, b in zip(colour, other, strict=True)))


async def test_the_logs_of_all_that_name_neither_token_nor_file(town):
    assert town.telegram.token not in town.log()
    assert "my logo" not in town.log()
    assert "Traceback" not in town.log()
