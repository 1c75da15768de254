"""Faces: found, aligned, restored and put back."""

from __future__ import annotations

from models.faces.alignment import AlignedFace, align_face
from models.faces.detection import FaceDetector, Limits, RetinaFaceDetector, YuNetDetector, find_faces
from models.faces.face import Face
from models.faces.preview import FaceMask

__all__ = [
    "AlignedFace",
    "Face",
    "FaceDetector",
    "FaceMask",
    "Limits",
    "RetinaFaceDetector",
    "YuNetDetector",
    "align_face",
    "find_faces",
]
