"""The loop: a batch, the losses, a step, the average that becomes the model."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from models.archs import SRVGGNetCompact
from training.batches import Batch, Batches
from training.checkpoints import load_checkpoint, save_checkpoint, start_weights
from training.devices import Compute, has_compiler
from training.errors import CheckpointError, TrainingError
from training.log import Log
from training.losses import (
    VGG19Features,
    charbonnier,
    discriminator_loss,
    generator_loss,
    gradient_loss,
    perceptual_loss,
    spectrum_loss,
)
from training.losses.pixels import BLOCK
from training.networks.discriminator import UNetDiscriminatorSN
from training.optimizers import make_optimizers
from training.patches import Patches
from training.progress import Progress
from training.settings import Settings
from training.validation import look, save_sheet

CHECKPOINT, LOG, VALIDATION = "checkpoint.pt", "log.csv", "validation.csv"
RANDOM_SHARE = 0.1  # of the kernels at the beginning; with it 200 steps teach what 300 do without
ADVERSARIAL_LR = 0.5  # of the discriminator, relative to Adam's rate for the network


@dataclass
class State:
    """Everything a run is, between two steps."""

    network: SRVGGNetCompact
    average: SRVGGNetCompact
    optimizers: list[Optimizer]
    discriminator: UNetDiscriminatorSN | None = None
    discriminator_optimizer: Optimizer | None = None
    step: int = 0

    def parts(self) -> dict[str, nn.Module | Optimizer]:
        """What a checkpoint holds besides the step."""
        parts: dict[str, nn.Module | Optimizer] = {"network": self.network, "average": self.average}
        parts |= {f"optimizer {number}": optimizer for number, optimizer in enumerate(self.optimizers)}
        if self.discriminator is not None and self.discriminator_optimizer is not None:
            parts |= {"discriminator": self.discriminator, "discriminator optimizer": self.discriminator_optimizer}
        return parts


@dataclass
class Trainer:
    """One run, from its settings.

    Args:
        settings: of the run.
        patches: prepared ones.
        teacher: (N, S, S, 3) uint8 answers, None without a teacher.
        compute: where it runs.
    """

    settings: Settings
    patches: Patches
    teacher: NDArray[np.uint8] | None
    compute: Compute
    state: State = field(init=False)

    def __post_init__(self) -> None:
        """Build the networks; random weights come from the seed."""
        torch.manual_seed(self.settings.train.seed)
        self.state = self._start()
        losses = self.settings.losses
        self._network, self._from_pixels = self._built()
        self._vgg = VGG19Features.read(Path(losses.vgg19)).to(self.compute.device) if losses.perceptual else None

    def run(self, *, fresh: bool = False, until: int | None = None) -> State:
        """Train to the last step, going on where a checkpoint of these settings ends.

        Args:
            fresh: begin at step 0 whatever there is.
            until: leave after this step as if the power had failed; what was learned since the last checkpoint is lost.

        Raises:
            CheckpointError: the folder holds a checkpoint of another run, or cannot be written to.
            DataError: no patch can be used.
            TrainingError: the loss is no number any more.
        """
        train = self.settings.train
        folder = Path(train.folder)
        checkpoint = folder / CHECKPOINT
        if checkpoint.exists() and not fresh:
            self.state.step = load_checkpoint(checkpoint, self.state.parts(), self.identity())
        log, validation = (Log(folder / name, since=self.state.step) for name in (LOG, VALIDATION))
        batches = self._batches()
        numbers, began = batches.usable(), time.monotonic()
        with Progress(self.settings.name, train.steps, done=self.state.step, every=train.log_every) as progress:
            for step in range(self.state.step, min(train.steps, until or train.steps)):
                losses, note = self._step(batches, numbers, step), ""
                self.state.step = step + 1
                if self._due(train.log_every) or self._due(train.checkpoint_every):
                    values = self._finite(losses, step)
                    note = f"loss {values['loss']:.4f}"
                    if self._due(train.log_every):
                        log.add(self.state.step, {"lr": self._rate(step), **values}, seconds=time.monotonic() - began)
                progress.advance(note=note)
                if self._due(train.checkpoint_every):
                    save_checkpoint(checkpoint, self.state.parts(), self.identity(), self.state.step)
                if self._due(train.sheet_every):
                    self._look(validation, progress)
        return self.state

    def loss(self, network: nn.Module, steps: range) -> float:
        """The mean loss of a network on the batches of some steps, the discriminator left out; nothing is learned."""
        batches = self._batches()
        numbers, found = batches.usable(), []
        with torch.no_grad():
            for step in steps:
                lq, gt, teacher = self._tensors(batches.at(step, numbers))
                losses = self._distances(network(lq).float(), gt, gt if teacher is None else teacher, step)
                found.append(float(torch.stack(list(losses.values())).sum()))
        return float(np.mean(found))

    def _built(self) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor, Tensor], dict[str, Tensor]]]:
        """The network and the distances of pixels as they are called in a step."""
        if not self.settings.train.compile:
            return self.state.network, self._pixel_distances
        if not has_compiler():
            sys.stderr.write("no C++ compiler (g++) is installed: every step takes half as long again\n")
            return self.state.network, self._pixel_distances
        return torch.compile(self.state.network, dynamic=False), torch.compile(self._pixel_distances, dynamic=False)

    def _batches(self) -> Batches:
        train = self.settings.train
        return Batches(
            self.patches, self.teacher, train.batch, train.crop, train.margin, train.seed, keep_noise=train.keep_noise
        )

    def _finite(self, losses: dict[str, Tensor], step: int) -> dict[str, float]:
        """Figures of a step; looked at before every checkpoint, so that none is written after the loss is lost."""
        values = {name: float(value) for name, value in losses.items()}
        if not all(map(math.isfinite, values.values())):
            figures = ", ".join(f"{name} {value:g}" for name, value in values.items())
            raise TrainingError(
                f"the loss is no number any more at step {step + 1} ({figures}): "
                "lower train.lr and train.kernel_lr, or raise train.warmup, and begin anew with --fresh"
            )
        return values

    def _look(self, log: Log, progress: Progress) -> None:
        """Figures and a sheet of the validation patches, where there are any."""
        seen = look(self.state.average, self.patches, self.teacher, self.compute)
        if seen.figures:
            save_sheet(seen.sheet, Path(self.settings.train.folder) / f"sheet-{self.state.step:06d}.png")
            log.add(self.state.step, seen.figures)
            figures = ", ".join(f"{name} {value:.4g}" for name, value in seen.figures.items())
            progress.say(f"step {self.state.step}: {figures}")

    def _due(self, every: int) -> bool:
        return self.state.step % every == 0 or self.state.step == self.settings.train.steps

    def identity(self) -> dict[str, str]:
        """What must be the same for a run to go on; how often it is looked at need not be."""
        settings = self.settings
        train = {
            name: value
            for name, value in vars(settings.train).items()
            if name not in ("folder", "log_every", "checkpoint_every", "sheet_every", "threads", "compile")
        }
        return {"patches": self.patches.digest, "settings": repr((settings.network, settings.losses, train))}

    def _start(self) -> State:
        train, shape = self.settings.train, self.settings.network
        network = _new_network(shape.num_feat, shape.num_conv)
        if shape.start:
            try:
                network.load_state_dict(start_weights(Path(shape.start)))
            except RuntimeError as exc:
                raise CheckpointError(
                    f"network.start = {shape.start} is of another network than SRVGGNetCompact with "
                    f"num_feat = {shape.num_feat} and num_conv = {shape.num_conv}"
                ) from exc
        average = _new_network(shape.num_feat, shape.num_conv)
        average.load_state_dict(network.state_dict())
        average.requires_grad_(requires_grad=False).eval()
        network, average = (_placed(each, self.compute) for each in (network, average))
        state = State(
            network,
            average,
            make_optimizers(network, lr=train.lr, kernel_lr=train.kernel_lr, weight_decay=train.weight_decay),
        )
        if self.settings.losses.adversarial:
            judge = UNetDiscriminatorSN(num_feat=self.settings.losses.discriminator_feat)
            state.discriminator = judge.to(self.compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            state.discriminator_optimizer = torch.optim.Adam(
                judge.parameters(), lr=train.lr * ADVERSARIAL_LR, betas=(0.9, 0.99)
            )
        return state

    def _rate(self, step: int) -> float:
        """Share of the highest learning rate: up in a line, down in a cosine."""
        train = self.settings.train
        if step < train.warmup:
            return (step + 1) / train.warmup
        done = (step - train.warmup) / max(1, train.steps - train.warmup)
        return train.lr_end + (1 - train.lr_end) * 0.5 * (1 + math.cos(math.pi * done))

    def _step(self, batches: Batches, numbers: NDArray[np.intp], step: int) -> dict[str, Tensor]:
        state, train = self.state, self.settings.train
        lq, gt, teacher = self._tensors(batches.at(step, numbers))
        with self._autocast():
            sr = self._network(lq)
        sr = sr.float()
        losses = self._losses(sr, gt, gt if teacher is None else teacher, step)
        for optimizer in state.optimizers:
            optimizer.zero_grad()
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("highest lr", group["lr"]) * self._rate(step)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        losses["gradient norm"] = nn.utils.clip_grad_norm_(state.network.parameters(), train.clip)
        for optimizer in state.optimizers:
            optimizer.step()
        if self._judging(step):
            real = gt if self.settings.losses.real == "gt" or teacher is None else teacher
            losses["discriminator"] = self._judge(real, sr.detach())
        decay = min(train.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for mean, now in zip(state.average.parameters(), state.network.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)
        return {name: value.detach() for name, value in losses.items()}

    def _losses(self, sr: Tensor, gt: Tensor, answer: Tensor, step: int) -> dict[str, Tensor]:
        parts = self._distances(sr, gt, answer, step)
        if self._judging(step) and self.state.discriminator is not None:
            self.state.discriminator.requires_grad_(requires_grad=False)
            with self._autocast():
                logits = self.state.discriminator(sr)
            parts["adversarial"] = self.settings.losses.adversarial * generator_loss(logits.float())
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    def _distances(self, sr: Tensor, gt: Tensor, answer: Tensor, step: int) -> dict[str, Tensor]:
        weights = self.settings.losses
        parts = self._from_pixels(sr, gt, answer)
        if weights.spectrum:
            shift = (step % BLOCK, step // BLOCK % BLOCK)
            parts["spectrum"] = weights.spectrum * spectrum_loss(sr, answer, shift=shift)
        if self._vgg is not None:
            parts["perceptual"] = weights.perceptual * perceptual_loss(self._vgg, sr, gt)
        return parts

    def _pixel_distances(self, sr: Tensor, gt: Tensor, answer: Tensor) -> dict[str, Tensor]:
        weights = self.settings.losses
        parts: dict[str, Tensor] = {}
        if weights.gt:
            parts["gt"] = weights.gt * charbonnier(sr, gt)
        if weights.teacher:
            parts["teacher"] = weights.teacher * charbonnier(sr, answer)
        if weights.gradient:
            parts["gradient"] = weights.gradient * gradient_loss(sr, answer)
        return parts

    def _judging(self, step: int) -> bool:
        return bool(self.settings.losses.adversarial) and step >= self.settings.losses.adversarial_from

    def _judge(self, real: Tensor, sr: Tensor) -> Tensor:
        judge, optimizer = self.state.discriminator, self.state.discriminator_optimizer
        assert judge is not None  # noqa: S101 - for the type checker
        assert optimizer is not None  # noqa: S101
        judge.requires_grad_(requires_grad=True)
        with self._autocast():
            of_real, of_sr = judge(real), judge(sr)
        loss = discriminator_loss(of_real.float(), of_sr.float())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss.detach()

    def _autocast(self) -> torch.autocast:
        heavy = self.compute.dtype
        return torch.autocast(self.compute.device.type, dtype=heavy, enabled=heavy != torch.float32)

    def _tensors(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        lq, gt = self._tensor(batch.lq), self._tensor(batch.gt)
        return lq, gt, None if batch.teacher is None else self._tensor(batch.teacher)

    def _tensor(self, pictures: NDArray[np.uint8] | NDArray[np.float32]) -> Tensor:
        """(N, H, W, 3) levels to (N, 3, H, W), 0 to 1, float32, channels last in memory."""
        return torch.from_numpy(pictures).to(self.compute.device).permute(0, 3, 1, 2).float() / 255


def _new_network(num_feat: int, num_conv: int) -> SRVGGNetCompact:
    """Weights to begin with: what comes in is handed on, and only the last layer changes the picture, a little.

    Deep plain networks learn slowly from random kernels alone. As every kernel adds a little to what it hands on, this
    one begins as a residual network would; "DiracNets", Zagoruyko and Komodakis 2017, https://arxiv.org/abs/1706.00388.
    """
    network = SRVGGNetCompact(num_feat=num_feat, num_conv=num_conv)
    convolutions = [layer for layer in network.body if isinstance(layer, nn.Conv2d)]
    for layer in convolutions:
        nn.init.kaiming_normal_(layer.weight, a=0.25)  # the slope that PReLU begins with
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    with torch.no_grad():
        for layer in convolutions[1:-1]:
            layer.weight.mul_(RANDOM_SHARE).add_(nn.init.dirac_(torch.empty_like(layer.weight)))
        convolutions[-1].weight.mul_(0.1)
    return network


def _placed(network: SRVGGNetCompact, compute: Compute) -> SRVGGNetCompact:
    placed: SRVGGNetCompact = network.to(compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed
