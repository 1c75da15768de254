"""WebP, lossy, alpha exact: what a transparent picture becomes when PNG takes too many bytes."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable

from PIL import Image

from models.encoding.description import Description
from models.encoding.strips import to_8_bit
from models.errors import ResultTooLarge
from models.picture import Picture
from models.stopping import Errands, check, never

EFFORT = 2  # measured on 6 MP: half the time of the default 4 at the same size


# Who stops leaves libwebp at its work, which cannot be interrupted: at most one such at a time.
_writing = threading.Lock()


def write_webp(
    picture: Picture, quality: int, description: Description, should_stop: Callable[[], bool] = never
) -> bytes:
    """Encode a picture; 16 bits become 8.

    Args:
        picture: sides of at most 16,383 px.
        quality: libwebp's, 0 to 100.
        description: what is said about the picture.
        should_stop: asked ten times a second.

    Raises:
        ResultTooLarge: the encoder gave up.
        RestorationStopped: ``should_stop`` said so.
    """

    def write() -> bytes:
        with _writing:
            check(should_stop)
            return _written(picture, quality, description)

    errands = Errands("webp")
    try:
        return errands.run(write, should_stop)
    finally:
        errands.close()


def _written(picture: Picture, quality: int, description: Description) -> bytes:
    said = {
        "icc_profile": description.profile,
        "exif": description.exif(with_dpi=True),
        "xmp": description.packet,
    }
    file = io.BytesIO()
    try:
        _as_pillow(picture).save(
            file, "WEBP", quality=quality, method=EFFORT, alpha_quality=100, **{k: v for k, v in said.items() if v}
        )
    except (OSError, ValueError, RuntimeError, MemoryError) as exc:
        raise ResultTooLarge(f"a picture of {picture.size_wh} cannot be written as WebP: {exc}") from exc
    return file.getvalue()


def _as_pillow(picture: Picture) -> Image.Image:
    image = Image.fromarray(to_8_bit(picture.pixels))
    if picture.alpha is None:
        return image
    image = image.convert("RGB")
    image.putalpha(Image.fromarray(to_8_bit(picture.alpha)))
    return image
