"""Writes ncnn models as ncnn documents them: the oracle of our reader.

https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure
"""

from __future__ import annotations

import struct
from pathlib import Path

LEAKY = "9=2 -23310=1,2.000000e-01"


class NcnnWriter:
    """Appends layers, each taking the blob before it unless told otherwise."""

    def __init__(self, *, half: bool) -> None:
        self.half = half
        self.lines = ["Input in 0 1 data"]
        self.weights = b""
        self.last = "data"

    def layer(self, kind: str, params: str, *inputs: str) -> str:
        inputs = inputs or (self.last,)
        self.last = f"b{len(self.lines)}"
        self.lines.append(f"{kind} l{len(self.lines)} {len(inputs)} 1 {' '.join(inputs)} {self.last} {params}")
        return self.last

    def conv(self, state, stem: str, params: str = "", *inputs: str) -> str:
        weight, bias = state[f"{stem}.weight"].numpy(), state[f"{stem}.bias"].numpy()
        if self.half:
            raw = weight.astype("<f2").tobytes()
            self.weights += struct.pack("<I", 0x01306B47) + raw + bytes(-len(raw) % 4)
        else:
            self.weights += struct.pack("<I", 0) + weight.astype("<f4").tobytes()
        self.weights += bias.astype("<f4").tobytes()
        shape = f"0={weight.shape[0]} 1=3 4=1 5=1 6={weight.size} {params}"
        return self.layer("Convolution", shape.strip(), *inputs)

    def prelu(self, slopes) -> None:
        self.weights += slopes.numpy().astype("<f4").tobytes()
        self.layer("PReLU", f"0={slopes.numel()}")

    def write(self, folder: Path, stem: str = "net") -> tuple[Path, Path]:
        text = f"7767517\n{len(self.lines)} {len(self.lines)}\n" + "\n".join(self.lines) + "\n"
        (folder / f"{stem}.param").write_text(text)
        (folder / f"{stem}.bin").write_bytes(self.weights)
        return folder / f"{stem}.param", folder / f"{stem}.bin"


def write_srvgg(state, *, scale: int, half: bool = False) -> NcnnWriter:
    writer, last = NcnnWriter(half=half), max(int(key.split(".")[1]) for key in state)
    for index in range(0, last, 2):
        writer.conv(state, f"body.{index}")
        writer.prelu(state[f"body.{index + 1}.weight"])
    writer.conv(state, f"body.{last}")
    shuffled = writer.layer("PixelShuffle", f"0={scale}")
    enlarged = writer.layer("Interp", f"0=1 1={scale}.0 2={scale}.0", "data")
    writer.layer("BinaryOp", "0=0", shuffled, enlarged)
    return writer


def write_rrdbnet(state, *, blocks: int, half: bool = False, slope: str = LEAKY) -> NcnnWriter:
    writer = NcnnWriter(half=half)
    first = features = writer.conv(state, "conv_first")
    for block in range(blocks):
        around = features
        for dense in range(1, 4):
            stem, seen = f"body.{block}.rdb{dense}", [features]
            for conv in range(1, 5):
                joined = writer.layer("Concat", "0=0", *seen) if conv > 1 else features
                seen.append(writer.conv(state, f"{stem}.conv{conv}", slope, joined))
            writer.conv(state, f"{stem}.conv5", "", writer.layer("Concat", "", *seen))
            features = writer.layer("Eltwise", "0=1 -23301=2,2.0e-01,1.0e+00", writer.last, features)
        # Half of the exporters write the shortcut in two steps.
        writer.layer("BinaryOp", "0=2 1=1 2=2.000000e-01", features)
        features = writer.layer("BinaryOp", "0=0", writer.last, around)
    body = writer.conv(state, "conv_body", "", features)
    writer.layer("Eltwise", "0=1", first, body)
    for stem in ("conv_up1", "conv_up2"):
        writer.layer("Interp", "0=1 1=2.0 2=2.0")
        writer.conv(state, stem, slope)
    writer.conv(state, "conv_hr", slope)
    writer.conv(state, "conv_last")
    return writer
