"""Networks, one per file, under the parameter names of their official checkpoints."""

from __future__ import annotations

from models.archs.bisenet import BiSeNet
from models.archs.gfpgan import GFPGANv1Clean
from models.archs.retinaface import RetinaFace
from models.archs.rrdbnet import RRDBNet
from models.archs.srvgg import SRVGGNetCompact

__all__ = ["BiSeNet", "GFPGANv1Clean", "RRDBNet", "RetinaFace", "SRVGGNetCompact"]
