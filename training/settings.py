"""One TOML file says everything about a run."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from training.degradations import PIPELINES
from training.errors import SettingsError

LARGEST_SIZE = 4  # then the degraded picture has the pixels of the original


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Which patches are cut, and how they are spoiled.

    Args:
        pictures: folder of pictures, searched through.
        folder: where the prepared patches lie.
        patches: how many.
        side: of the ground truth, px; the degraded patch has a quarter of it.
        sizes: pictures are first brought to one of these, relative to their own size. Smaller ones hide a picture's own
            blur and JPEG. Larger ones are no truth, but questions to a teacher: pictures have many more of them.
        degradations: pipelines with their weights.
        validation: share of the pictures that is never trained on.
        seed: of all chance in here.
    """

    pictures: str = "pictures"
    folder: str = "var/training/patches"
    patches: int = 1600
    side: int = 384
    sizes: tuple[float, ...] = (1.0, 0.75, 0.5)
    degradations: Mapping[str, float] = field(default_factory=lambda: {"clean": 1.0})
    validation: float = 0.06
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be prepared."""
        unknown = set(self.degradations) - set(PIPELINES)
        if unknown:
            raise SettingsError(f"data.degradations: no {', '.join(unknown)}; there are {', '.join(PIPELINES)}")
        _refuse_outside("data", self, patches=(1, math.inf), side=(64, 4096), seed=(0, math.inf))
        if self.side % 4:
            raise SettingsError(f"data.side must divide by 4, {self.side} does not")
        if not 0 < self.validation < 1:
            raise SettingsError(f"data.validation must lie between 0 and 1, not at {self.validation}")
        if not self.sizes or not all(0 < factor <= LARGEST_SIZE for factor in self.sizes):
            raise SettingsError(f"data.sizes needs factors above 0 and at most {LARGEST_SIZE}, not {list(self.sizes)}")
        weights = self.degradations.values()
        if not all(0 <= weight < math.inf for weight in weights) or not sum(weights) > 0:
            raise SettingsError("data.degradations: weights are 0 or more, and one of them must be more")


@dataclass(frozen=True, kw_only=True)
class TeacherSettings:
    """Whose answers the network learns from beside the truth.

    Args:
        model: an installed model, "" for none.
        weights: folder of the models.
    """

    model: str = ""
    weights: str = "weights"


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """SRVGGNetCompact, x4.

    Args:
        num_feat: channels.
        num_conv: convolutions between the first and the last.
        start: weights to begin with: the checkpoint of another run (its average is taken), or any file that can be
            installed; "" for random ones.
    """

    num_feat: int = 64
    num_conv: int = 24
    start: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        _refuse_outside("network", self, num_feat=(1, 1024), num_conv=(1, 256))


_DISTANCES = ("gt", "teacher", "gradient", "spectrum", "perceptual")  # what says where an answer should be


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """Weights of the losses; 0 leaves one out.

    Args:
        gt: Charbonnier distance to the ground truth.
        teacher: Charbonnier distance to the teacher's answer.
        gradient: distance between the gradients of the answer and of the teacher's (or the truth).
        spectrum: distance between local amplitude spectra: how much texture, not where.
        perceptual: distance of VGG19 features; needs ``vgg19``.
        adversarial: a U-Net discriminator's opinion.
        vgg19: file with the weights of VGG19's features.
        adversarial_from: step at which the discriminator begins to learn and its opinion to count.
        discriminator_feat: channels of the discriminator at full size.
        real: what the discriminator takes for real, "gt" or "teacher".
    """

    gt: float = 1.0
    teacher: float = 0.0
    gradient: float = 0.0
    spectrum: float = 0.0
    perceptual: float = 0.0
    adversarial: float = 0.0
    vgg19: str = ""
    adversarial_from: int = 0
    discriminator_feat: int = 16
    real: str = "gt"

    def __post_init__(self) -> None:
        """Refuse what cannot be computed."""
        for name in (*_DISTANCES, "adversarial"):
            _refuse_outside("losses", self, **{name: (0, 1e6)})
        _refuse_outside("losses", self, adversarial_from=(0, math.inf), discriminator_feat=(1, 1024))
        if not any(getattr(self, name) for name in _DISTANCES):
            raise SettingsError(f"losses: one of {', '.join(_DISTANCES)} must be more than 0")
        if self.real not in ("gt", "teacher"):
            raise SettingsError(f'losses.real is "gt" or "teacher", not {self.real!r}')
        if self.perceptual and not self.vgg19:
            raise SettingsError("losses.perceptual needs losses.vgg19, a file with the weights of VGG19")


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """The loop.

    Args:
        folder: checkpoints, log and sheets.
        steps: optimizer steps.
        batch: patches per step.
        crop: side of the degraded crop, px.
        margin: px at a degraded patch's edge that are not used: there the teacher saw no surroundings.
        lr: learning rate of Adam at its highest.
        kernel_lr: of Muon, which then moves the convolutions in between; 0 leaves them to Adam.
        lr_end: share of it that is left at the end of the cosine.
        warmup: steps up to it.
        weight_decay: decoupled.
        clip: largest norm of the gradient.
        ema: decay of the average that becomes the model.
        keep_noise: noise is added that the answer has to keep, to patches that have next to none: trains the
            other end of ``denoise``.
        seed: of all chance in here.
        threads: of torch, 0 for one per core.
        device: "auto", "cpu" or "cuda".
        dtype: "bfloat16" or "float32".
        compile: have torch build the network and the losses for this machine, where there is a C++ compiler: a minute
            at the beginning, a third less time for every step.
        log_every: steps between two lines of the log.
        checkpoint_every: steps between two checkpoints.
        sheet_every: steps between two sample sheets and looks at the validation patches.
    """

    folder: str = "var/training/run"
    steps: int = 1000
    batch: int = 16
    crop: int = 48
    margin: int = 6
    lr: float = 5e-4
    kernel_lr: float = 0.0
    lr_end: float = 0.01
    warmup: int = 100
    weight_decay: float = 0.0
    clip: float = 1.0
    ema: float = 0.999
    keep_noise: bool = False
    seed: int = 0
    threads: int = 0
    device: str = "auto"
    dtype: str = "bfloat16"
    compile: bool = False
    log_every: int = 20
    checkpoint_every: int = 500
    sheet_every: int = 1000

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        if self.dtype not in ("bfloat16", "float32"):
            raise SettingsError(f'train.dtype is "bfloat16" or "float32", not {self.dtype!r}')
        if self.device not in ("auto", "cpu", "cuda"):
            raise SettingsError(f'train.device is "auto", "cpu" or "cuda", not {self.device!r}')
        for name in ("steps", "batch", "log_every", "checkpoint_every", "sheet_every"):
            _refuse_outside("train", self, **{name: (1, math.inf)})
        for name in ("kernel_lr", "lr_end", "weight_decay", "ema"):
            _refuse_outside("train", self, **{name: (0, 1)})
        _refuse_outside("train", self, crop=(8, 1024), margin=(0, 1024), lr=(1e-12, 1), clip=(1e-12, math.inf))
        _refuse_outside("train", self, warmup=(0, math.inf), seed=(0, 2**63 - 1), threads=(0, 4096))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A whole run.

    Args:
        name: of the run; the file's, if it says none.
        licence: what an exported network is labelled with; yours to decide.
    """

    name: str
    licence: str = "unknown"
    data: DataSettings = field(default_factory=DataSettings)
    teacher: TeacherSettings = field(default_factory=TeacherSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    losses: LossSettings = field(default_factory=LossSettings)
    train: TrainSettings = field(default_factory=TrainSettings)

    def __post_init__(self) -> None:
        """Refuse parts that do not fit together."""
        if max(self.data.sizes) > 1 and not self.teacher.model:
            raise SettingsError("data.sizes above 1 give patches without a truth, which need teacher.model")
        if self.losses.teacher and not self.teacher.model:
            raise SettingsError("losses.teacher needs teacher.model")
        if self.losses.adversarial and self.losses.real == "teacher" and not self.teacher.model:
            raise SettingsError('losses.real = "teacher" needs teacher.model')
        if self.losses.adversarial and self.train.crop % 2:
            raise SettingsError(f"train.crop must be even for the discriminator, {self.train.crop} is not")
        if self.data.side // 4 < self.train.crop + 2 * self.train.margin:
            raise SettingsError(
                f"a crop of {self.train.crop} px with a margin of {self.train.margin} px does not fit into "
                f"degraded patches of {self.data.side // 4} px: make data.side larger or train.crop smaller"
            )


def read_settings(path: Path, overrides: Mapping[str, str] | None = None) -> Settings:
    """Read a run's TOML file.

    Args:
        path: the file.
        overrides: "section.key" to a TOML value, as given on the command line.

    Raises:
        SettingsError: unreadable, an unknown key, or a value of the wrong kind or out of range.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as exc:
        raise SettingsError(f"{path} is no settings file: {exc}") from exc
    for key, value in (overrides or {}).items():
        *sections, name = key.split(".")
        place = table
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise SettingsError(f"{key}: {section} is no section")
        place[name] = _toml_value(value)
    settings = _built(Settings, {"name": path.stem, **table}, str(path))
    assert isinstance(settings, Settings)  # noqa: S101 - for the type checker
    return settings


def _refuse_outside(section: str, settings: object, **limits: tuple[float, float]) -> None:
    for name, (low, high) in limits.items():
        value = getattr(settings, name)
        if not low <= value <= high:  # so that NaN is refused as well
            wanted = f"at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
            raise SettingsError(f"{section}.{name} must be {wanted}, not {value}")


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a word without quotes


def _built(cls: type, table: Mapping[str, Any], where: str) -> object:
    hints = get_type_hints(cls)
    unknown = sorted(set(table) - set(hints))
    if unknown:
        raise SettingsError(f"{where}: there is no {unknown[0]}; there are {', '.join(hints)}")
    return cls(**{name: _checked(value, hints[name], f"{where}: {name}") for name, value in table.items()})


def _checked(value: Any, hint: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise SettingsError(f"{where} is a section")
        return _built(hint, value, where)
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return value
    if origin is tuple and isinstance(value, list):
        return tuple(_checked(one, get_args(hint)[0], where) for one in value)
    if origin is not None and isinstance(value, Mapping):
        return {key: _checked(one, get_args(hint)[1], f"{where}.{key}") for key, one in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if origin is not None:
        raise SettingsError(f"{where} should be a {'list' if origin is tuple else 'section'}, not {value!r}")
    if not isinstance(hint, type) or not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise SettingsError(f"{where} should be {getattr(hint, '__name__', hint)}, not {value!r}")
    return value
