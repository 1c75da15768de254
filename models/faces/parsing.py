"""What of an upright face is skin, hair, glasses or background: BiSeNet, where its weights are there."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.archs.bisenet import normalised
from models.engine.device import Engine
from models.engine.watch import ShouldStop, before_each_convolution
from models.stopping import check, never


class FaceParser:
    """BiSeNet on a device, float32. Used by one thread at a time.

    Args:
        network: :class:`models.archs.BiSeNet` with its weights; taken over.
        engine: where it runs.
    """

    def __init__(self, network: nn.Module, engine: Engine) -> None:
        self._device = engine.device
        self._network = network.to(engine.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    @torch.inference_mode()
    def __call__(self, crop: NDArray[np.uint8], should_stop: ShouldStop = never) -> NDArray[np.uint8]:
        """(512, 512, 3) uint8 RGB to (512, 512) uint8: numbers of :data:`models.archs.bisenet.LABELS`.

        Raises:
            RestorationStopped: ``should_stop``, which is asked before every convolution, said so.
        """
        planes = torch.from_numpy(np.ascontiguousarray(crop)).to(self._device).permute(2, 0, 1)[None].float() / 255
        with before_each_convolution(self._network, lambda _conv, _lq: check(should_stop)):
            answer = self._network(normalised(planes))
        logits = answer if isinstance(answer, torch.Tensor) else answer[0]
        return np.asarray(logits[0].argmax(0).to(torch.uint8).cpu().numpy())
