"""The folder of weights: what is there, whether it is sound, and how the rest gets there.

An official file is fetched from the first mirror that gives it, checked against its pinned size and
SHA-256 before anything reads it, and kept as a sealed safetensors copy (``models.weights.file``). A model that
ships with the repository is read from there, whatever folder is used for the others, and is pinned in the same way.
An ONNX file is kept as it is, under its own name, and has to be the official one to the bit.
Looking at the folder is free of torch; only turning a checkpoint into such a copy loads it.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout

from models.checkpoints.architecture import Architecture, Role
from models.errors import OptionsError, WeightsMissing, WeightsRefused, WeightsUnavailable
from models.registry import ALIASES, MODELS, ModelSpec, expect_role, find_model
from models.weights.file import READABLE, Label, pin_of, sha256_of, verify_sealed, write_sealed
from models.weights.http import Progress
from models.weights.listing import OFFICIAL, SHIPPED, ModelRow, row_of
from models.weights.mirrors import Ladder, Notify

DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "weights"
SHIPPED_FOLDER = DEFAULT_FOLDER  # of this source tree, in an image as well; nothing is ever written there as shipped
DOWNLOADS = ".downloads"  # folder inside the weights folder: files on their way, and locks
LOCK_TIMEOUT_S = 1800.0  # longer than a slow line needs for the largest file
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class StoredModel:
    """A weight file whose seal holds, or that is the shipped or the official one to the bit."""

    name: str
    path: Path
    architecture: Architecture
    licence: str
    source: str
    source_sha256: str

    @property
    def scale(self) -> int:
        """How many times larger the network makes a picture."""
        return self.architecture.scale


class WeightsStore:
    """A folder of weights, with the shipped ones wherever they are.

    Args:
        folder: made when something is first written to it. A shipped model's file in it goes before the one that
            shipped, and has to be the same.
        mirror: base URL that serves the official files by name; tried before all others.
        notify: is told, in a sentence, what a fetch is doing.
        on_mirror: is told instead which mirror is being tried, and why one failed.
    """

    def __init__(
        self, folder: Path, *, mirror: str | None = None, notify: Notify = logger.info, on_mirror: Notify | None = None
    ) -> None:
        self.folder = Path(folder)
        self._downloads = self.folder / DOWNLOADS
        self._notify = notify
        self._ladder = Ladder(downloads=self._downloads, prefix=mirror, notify=on_mirror or notify)

    def full_name(self, name: str) -> str:
        """What a short name stands for; any other name as it is. A model in the folder goes before a short name."""
        return name if name in self._imported() else ALIASES.get(name, name)

    def path(self, name: str) -> Path:
        """Find the verified weight file of a model, registered or imported.

        An official .pth that somebody put into the folder is checked and converted first.

        Raises:
            OptionsError: no model is called that.
            WeightsMissing: it is not here; says which command brings it.
            WeightsRefused: what is here is damaged, or of another model.
            WeightsUnavailable: the converted copy cannot be written.
        """
        return self.verify(name).path

    def verify(self, name: str, *, role: Role | None = None) -> StoredModel:
        """Find a model's file and check every byte of it; raises as ``path`` does.

        There is no quicker, weaker check: hashing the largest of the registered models takes less than
        loading it does.

        Args:
            name: registered, short, or of a model in the folder.
            role: what it has to be there for; OptionsError if it is something else, be it here or not.
        """
        name = self.full_name(name)
        if name in MODELS and role is not None:
            expect_role(name, MODELS[name].role, role)
        stored = self._found(name, role)
        if role is not None:
            expect_role(name, stored.architecture.role, role)
        return stored

    def _found(self, name: str, role: Role | None) -> StoredModel:
        if name in MODELS and MODELS[name].is_shipped:
            return self._verified_shipped(MODELS[name])
        if NAME.fullmatch(name) and self._file(name).is_file():
            return self._verified(name)
        spec = find_model(name, also=self._imported(), role=role)
        if (self.folder / spec.file).is_file():
            with self._lock(name):
                return self._adopt(spec)
        raise WeightsMissing(
            f"the weights of {name} are not in {self.folder}; bring them with: python -m models weights fetch {name}"
        )

    def fetch(self, name: str, *, progress: Progress | None = None) -> Path:
        """Bring a registered model here, unless it is here and sound.

        Two processes that fetch the same model download it once: the second waits for the first.

        Raises:
            OptionsError: no registered model is called that.
            WeightsUnavailable: no mirror gave it, or the folder cannot be written to.
            WeightsMissing, WeightsRefused: it should have been shipped.
        """
        spec = find_model(name)
        if spec.is_shipped:
            return self._verified_shipped(spec).path
        name = spec.name
        if self._is_sound(name):  # without the lock, which a read-only folder does not give
            return self._file(name)
        with self._lock(name):
            self._clear_leftovers(name)
            if self._is_sound(name) or self._is_adopted(spec):
                return self._file(name)
            if spec.is_onnx:
                self._expect_space(spec.pin.bytes)
                self._ladder.obtain_file(spec, self._file(name), progress)
                return self._file(name)
            self._expect_space(spec.pin.bytes * 2)  # the download, and the copy made of it
            obtained = self._ladder.obtain(spec, progress)
            label = _label(spec, source=obtained.source, digest=obtained.sha256)
            write_sealed(self._file(name), obtained.state, label)
            return self._file(name)

    def import_files(self, files: tuple[Path, ...], *, name: str | None = None, replace: bool = False) -> Path:
        """Bring in a checkpoint of the user's own.

        Args:
            files: one .pth, .pt, .ckpt or .safetensors file, an ncnn .param with or without its .bin, or an .onnx file
                that is a registered one.
            name: what it shall be called here; the file's name if not given.
            replace: overwrite a model of that name.

        Raises:
            OptionsError: the name cannot be used.
            WeightsMissing: a file is not there.
            WeightsRefused: damaged, hostile, or of no network known here.
        """
        from models.weights.convert import convert  # keeps listing free of torch

        if files[0].suffix == ".onnx":
            return self._import_onnx(files, name)
        name = name or files[0].stem
        if not NAME.fullmatch(name):
            raise OptionsError(f"{name!r} cannot be a name: letters, digits and ._+- only, at most 64")
        files = _with_ncnn_weights(files)
        state, architecture = convert(files)
        digest = sha256_of(files[-1])
        spec = MODELS.get(name)
        if spec and spec.is_shipped:
            raise OptionsError(f"{name} ships with Restora; choose another --name for a model of your own")
        if spec and digest not in spec.accepted_sha256:
            raise OptionsError(f"{name} is an official model and this file is not it; choose another --name")
        label = Label(
            name=name,
            source=files[0].name,
            source_sha256=digest,
            licence=spec.licence if spec else "unknown",
            architecture=architecture,
        )
        with self._lock(name):
            if self._file(name).exists() and not replace:
                raise OptionsError(f"{name} is already in {self.folder}; choose another --name, or --replace it")
            write_sealed(self._file(name), state, label)
            return self._file(name)

    def names_here(self, role: Role) -> tuple[str, ...]:
        """Models of a role that can be used now: registered ones, the usual one first, then imported ones."""
        return tuple(row.name for row in self.list() if row.role == role and row.state == "present")

    def list(self) -> tuple[ModelRow, ...]:
        """Every registered model, then every imported one."""
        return tuple(row_of(name, self._file(name)) for name in (*MODELS, *self._imported()))

    def _file(self, name: str) -> Path:
        if not NAME.fullmatch(name):  # and so no name leads out of the folder
            find_model(name, also=self._imported())
        own, spec = self.folder / f"{name}.safetensors", MODELS.get(name)
        if spec is not None and spec.is_shipped and not own.is_file():
            return SHIPPED_FOLDER / spec.file
        return self.folder / spec.file if spec is not None and spec.is_onnx else own

    def _imported(self) -> tuple[str, ...]:
        names = (path.stem for path in sorted(self.folder.glob("*.safetensors")))
        return tuple(name for name in names if name not in MODELS and NAME.fullmatch(name))

    def _verified(self, name: str) -> StoredModel:
        path = self._file(name)
        if name in MODELS and MODELS[name].is_onnx:
            return _verified_pinned(MODELS[name], path, "the official file", source=OFFICIAL)
        label = verify_sealed(path)
        if name in MODELS and label.source_sha256 not in MODELS[name].accepted_sha256:
            raise WeightsRefused(f"{path} was made from {label.source}, which is not {name}")
        return StoredModel(
            name=name,
            path=path,
            architecture=label.architecture,
            licence=label.licence,
            source=label.source,
            source_sha256=label.source_sha256,
        )

    def _verified_shipped(self, spec: ModelSpec) -> StoredModel:
        path = self._file(spec.name)
        if not path.is_file():
            raise WeightsMissing(
                f"{spec.name} ships with Restora, but {path} is not there; bring it back with: "
                f"git checkout -- weights/{spec.file}"
            )
        return _verified_pinned(spec, path, "the file that ships with Restora", source=SHIPPED)

    def _import_onnx(self, files: tuple[Path, ...], name: str | None) -> Path:
        """Take over a registered ONNX file, told by its bytes. Any other would reach OpenCV's parser unchecked."""
        if len(files) != 1:
            raise OptionsError("one ONNX file at a time")
        if not files[0].is_file():
            raise WeightsMissing(f"{files[0]} is not there")
        pin = pin_of(files[0])
        spec = next((spec for spec in MODELS.values() if spec.is_onnx and spec.pin == pin), None)
        if spec is None:
            raise WeightsRefused(f"{files[0].name} is none of the ONNX files that are known here, by its SHA-256")
        if name not in {None, spec.name}:
            raise OptionsError(f"this is {spec.name}, and keeps that name")
        destination = self._file(spec.name)
        with self._lock(spec.name):
            copied = self._downloads / spec.file
            shutil.copyfile(files[0], copied)
            copied.chmod(READABLE)
            copied.replace(destination)
        self._verified(spec.name)
        return destination

    def _is_sound(self, name: str) -> bool:
        try:
            return self._file(name).is_file() and bool(self._verified(name))
        except WeightsRefused as exc:
            self._notify(f"{exc}; fetching it again")
            return False

    def _is_adopted(self, spec: ModelSpec) -> bool:
        try:
            return not spec.is_onnx and (self.folder / spec.file).is_file() and bool(self._adopt(spec))
        except WeightsRefused as exc:
            self._notify(f"{exc}; leaving it alone and fetching the official one")
            return False

    def _adopt(self, spec: ModelSpec) -> StoredModel:
        """Convert an official file that lies in the folder; leave the file where it is."""
        from models.weights.convert import convert  # keeps listing free of torch

        dropped = self.folder / spec.file
        size, digest = dropped.stat().st_size, sha256_of(dropped)
        if (size, digest) != (spec.pin.bytes, spec.pin.sha256):
            raise WeightsRefused(
                f"{dropped} is not the official file: {size:,} bytes with SHA-256 {digest}, "
                f"which should be {spec.pin.bytes:,} and {spec.pin.sha256}"
            )
        state, _ = convert((dropped,), spec.architecture)
        write_sealed(self._file(spec.name), state, _label(spec, source=spec.file, digest=digest))
        return self._verified(spec.name)

    def _clear_leftovers(self, name: str) -> None:
        """Remove what a killed process left; a .part file stays, for it can be continued."""
        for file in self.folder.glob(f".{name}.safetensors.*.tmp"):
            file.unlink()
        for folder in self._downloads.glob(f"{name}=*/"):
            shutil.rmtree(folder)

    def _expect_space(self, needed: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise WeightsUnavailable(f"{self.folder} has {free:,} bytes free, {needed:,} are needed")

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        """Keep other processes from writing the same model meanwhile; own up to a disk that refuses."""
        try:
            self._downloads.mkdir(parents=True, exist_ok=True)
            with self._acquired(FileLock(self._downloads / f"{name}.lock"), name):
                yield
        except OSError as exc:
            raise WeightsUnavailable(f"cannot write to {self.folder}: {exc.strerror or exc}") from exc

    def _acquired(self, lock: FileLock, name: str) -> AcquireReturnProxy[FileLock]:
        try:
            return lock.acquire(timeout=0)
        except Timeout:
            self._notify(f"another process is bringing {name}; waiting for it")
        try:
            return lock.acquire(timeout=LOCK_TIMEOUT_S)
        except Timeout as exc:
            raise WeightsUnavailable(f"another process has been at {name} for {LOCK_TIMEOUT_S:g} s") from exc


def _verified_pinned(spec: ModelSpec, path: Path, what: str, *, source: str) -> StoredModel:
    """A file that is used as it is."""
    found = pin_of(path)
    if found != spec.pin:
        raise WeightsRefused(
            f"{path} is not {what}: {found.bytes:,} bytes with SHA-256 {found.sha256}, "
            f"which should be {spec.pin.bytes:,} and {spec.pin.sha256}"
        )
    return StoredModel(
        name=spec.name,
        path=path,
        architecture=spec.architecture,
        licence=spec.licence,
        source=source,
        source_sha256=spec.pin.sha256,
    )


def _label(spec: ModelSpec, *, source: str, digest: str) -> Label:
    return Label(
        name=spec.name,
        source=source,
        source_sha256=digest,
        licence=spec.licence,
        architecture=spec.architecture,
    )


def _with_ncnn_weights(files: tuple[Path, ...]) -> tuple[Path, ...]:
    """Add the .bin that belongs to a lone .param."""
    if files[0].suffix == ".param" and len(files) == 1:
        return files[0], files[0].with_suffix(".bin")
    if len(files) == (2 if files[0].suffix == ".param" else 1):
        return files
    raise OptionsError("one checkpoint at a time; only an ncnn .param has a second file, its .bin")
