"""Faces on the whole way: weights in the worker's folder, words in the caption, wishes in the job."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from PIL import Image

from bot.texts import BotTexts
from models.archs import GFPGANv1Clean
from models.weights import WeightsStore
from tests.system.conftest import opened, running_town

pytestmark = pytest.mark.asyncio(loop_scope="session")


def face_weights(shared: Path, folder: Path) -> Path:
    """A detector with real weights and a narrow GFPGAN with random ones, brought in as a user brings theirs."""
    store = WeightsStore(folder)
    store.import_files((shared / "weights" / "mobilenet0.25_Final.pth",), name="own-detector")
    torch.manual_seed(0)
    file = folder / "restorer.pth"
    torch.save({"params_ema": GFPGANv1Clean(num_style_feat=16, num_mlp=2, num_feat=16).state_dict()}, file)
    store.import_files((file,), name="own-restorer")
    return folder


async def test_the_caption_says_what_became_of_the_faces(shared, tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    content = io.BytesIO()
    with Image.open(shared / "goldens" / "faces" / "inputs" / "p4_four_men.png") as photo:
        photo.thumbnail((240, 240))  # with 8 px between the eyes nobody can be recognised
        photo.convert("RGB").save(content, "PNG")
    weights = str(face_weights(shared, folder))
    async with running_town(tmp_path, WORKER_MODEL="compact", WEIGHTS_DIR=weights) as town:
        user = town.telegram.user("Group", language_code="en")
        await user.sends_document("group.png", content=content.getvalue(), mime_type="image/png")
        document = await user.receives_document(timeout=60)
        assert opened(document.content).width == 960
        words = (
            BotTexts("en")
            .done(size_in_wh=(1, 1), size_out_wh=(1, 1), model="", seconds=1, notices=(), faces_left=4)
            .split("\n")[2]
        )
        assert document.caption.split("\n")[2:] == [words]
        assert "faces: own-restorer, found by own-detector" in town.log()
