"""Faces on the whole way: weights in the worker's folder, words in the caption, wishes in the job."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from PIL import Image

from bot.texts import BotTexts
from models.weights import WeightsStore
from tests.models.faces.faithful import faithful_gfpgan
from tests.system.conftest import opened, running_town

pytestmark = pytest.mark.asyncio(loop_scope="session")


def face_weights(shared: Path, folder: Path) -> Path:
    """A detector with real weights and a GFPGAN that returns what it is given, brought in as a user brings theirs."""
    store = WeightsStore(folder)
    store.import_files((shared / "weights" / "mobilenet0.25_Final.pth",), name="own-detector")
    file = folder / "restorer.pth"
    torch.save({"params_ema": faithful_gfpgan().state_dict()}, file)
    store.import_files((file,), name="own-restorer")
    return folder


def reduced(path: Path, side: int) -> bytes:
    content = io.BytesIO()
    with Image.open(path) as photo:
        photo.thumbnail((side, side))
        photo.convert("RGB").save(content, "PNG")
    return content.getvalue()


def told_of_faces(caption: str) -> list[str]:
    return caption.split("\n")[2:]


def words_of(**faces: int) -> list[str]:
    return told_of_faces(
        BotTexts("en").done(size_in_wh=(1, 1), size_out_wh=(1, 1), model="", seconds=1, notices=(), **faces)
    )


async def test_the_caption_says_what_became_of_the_faces(shared, tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    inputs = shared / "goldens" / "faces" / "inputs"
    weights = str(face_weights(shared, folder))
    async with running_town(tmp_path, WORKER_MODEL="compact", WEIGHTS_DIR=weights) as town:
        user = town.telegram.user("Group", language_code="en")
        for name, side, words in (
            ("p4_four_men.png", 240, words_of(faces_left=4)),  # with 8 px between the eyes nobody can be recognised
            ("p3_pair.png", 360, words_of(faces_restored=2)),
        ):
            await user.sends_document(name, content=reduced(inputs / name, side), mime_type="image/png")
            document = await user.receives_document(timeout=60)
            assert max(opened(document.content).size) == 4 * side
            assert told_of_faces(document.caption) == words
        assert "faces: own-restorer, found by own-detector" in town.log()
        assert town.log().count("nobody judges whether restored faces are still the same people: ") == 1
