"""The types of arrays that pictures are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8 | np.uint16]
"""(H, W) gray or (H, W, 3) RGB, full range of its type."""

UInt16 = NDArray[np.uint16]
Depth = np.dtype[np.uint8 | np.uint16]
