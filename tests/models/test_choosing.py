"""Before a picture is refused for want of time, what would do it is measured again."""

from __future__ import annotations

import time

import cv2
import numpy as np
from torch import Tensor

from models import RestoreOptions
from tests.models.toys import BFLOAT16, Does, noise, png, restorer_of


def test_a_16_bit_picture_is_not_refused_for_how_busy_the_machine_was_when_float32_was_measured() -> None:
    pauses = []

    def now_and_then(lq: Tensor) -> Tensor:
        pauses.append(lq.dtype)
        if busy:
            time.sleep(0.5)  # 54 s a megapixel
        return lq

    busy = False
    restorer = restorer_of(Does(now_and_then), BFLOAT16)
    done, wide = cv2.imencode(".png", noise(60, 60, 3, dtype=np.uint16))
    assert done
    busy = True
    restorer.restore(wide.tobytes(), RestoreOptions(outscale=2))  # measures float32 while the machine is busy
    busy = False
    done, large = cv2.imencode(".png", noise(400, 500, 3, dtype=np.uint16))
    assert done
    assert restorer.restore(large.tobytes(), RestoreOptions(max_seconds=5)).dtype == "float32"
    pauses.clear()
    restorer.restore(png(noise(60, 60, 3)), RestoreOptions(outscale=2, max_seconds=1e-3))
    assert len(set(pauses)) == 1, "what a picture of 8 bits runs in is measured for one"
