"""Errors of the restoration library.

RestorationError               everything raised on purpose
├── ImageError                 the picture is at fault: tell the user, never retry
│   ├── UnsupportedFormat
│   │   └── CameraRaw
│   ├── ImageTooLarge
│   │   └── NothingFits        of models.planning: not within the time
│   ├── ImageTooComplex
│   ├── DamagedImage
│   └── ResultTooLarge
├── OptionsError               the caller asked for something that does not exist
├── WeightsError               the installation is at fault: report, never retry
│   ├── WeightsMissing
│   ├── WeightsRefused
│   └── WeightsUnavailable
│       └── NoMirror           of models.weights: with its reason in short, too
├── DeviceError                the machine is at fault: a retry may help
│   ├── DeviceUnavailable
│   ├── OutOfMemory
│   └── SpoiledTile
└── RestorationStopped         the caller asked to stop: nobody's fault

Every class takes one message, those of other modules more after it; all of them survive
pickling. Each carries a ``code``: a stable word that other packages turn into a sentence
for the user.
"""

# ruff: noqa: N818  (the names say what happened; the base classes say that it is an error)

from __future__ import annotations

from typing import ClassVar


class RestorationError(Exception):
    """Everything this library raises on purpose."""

    code: ClassVar[str] = "restoration"


class ImageError(RestorationError):
    """The picture is at fault: tell the user, never retry."""

    code = "bad_image"


class UnsupportedFormat(ImageError):
    """The bytes are no picture, or one of a kind that is not read here."""

    code = "unsupported_format"


class CameraRaw(UnsupportedFormat):
    """The light that a camera's sensor saw, of which a picture has yet to be made."""

    code = "camera_raw"


class ImageTooLarge(ImageError):
    """The picture has more pixels, bytes or work in it than is accepted, or than there is memory for to decode."""

    code = "image_too_large"


class ImageTooComplex(ImageError):
    """Decoding the picture takes longer, or more passes, than is reasonable for its size."""

    code = "image_too_complex"


class DamagedImage(ImageError):
    """The picture starts like one but cannot be decoded to its end."""

    code = "damaged_image"


class ResultTooLarge(ImageError):
    """The restored picture fits no format, or not the size asked for."""

    code = "result_too_large"


class OptionsError(RestorationError):
    """The caller asked for something that does not exist or contradicts itself."""

    code = "bad_options"


class WeightsError(RestorationError):
    """The installation is at fault: report it, never retry."""

    code = "weights"


class WeightsMissing(WeightsError):
    """A model's file is not here; the message says which command brings it."""

    code = "weights_missing"


class WeightsRefused(WeightsError):
    """A file is damaged, hostile, of another model, or not what its pin says."""

    code = "weights_refused"


class WeightsUnavailable(WeightsError):
    """No mirror gave the file; the message lists each and why."""

    code = "weights_unavailable"


class DeviceError(RestorationError):
    """The machine is at fault: a retry, there or elsewhere, may help."""

    code = "device"


class DeviceUnavailable(DeviceError):
    """The device or number format asked for is not available here."""

    code = "device_unavailable"


class OutOfMemory(DeviceError):
    """There is no memory for the picture, its result or a network, however little is done at a time."""

    code = "out_of_memory"


class SpoiledTile(DeviceError):
    """Rows came out of the network as no numbers, black, one colour or another picture, and no other way mended it."""

    code = "spoiled_tile"


class RestorationStopped(RestorationError):
    """The caller asked to stop, and it stopped."""

    code = "stopped"
