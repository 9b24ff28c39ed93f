"""``flowtell doctor``: what works here, and how to mend what does not."""

from __future__ import annotations

from stream.doctor import examine
from stream.downloads import face_model_file

from .options import FaceModel, ModelFile


def doctor(*, model: ModelFile = None, face_model: FaceModel = None) -> int:
    """Tell versions, devices, display, face detectors and the model's contract; 1 where something must be mended."""
    broken = False
    for finding in examine(model, face_model_file(face_model)):
        broken = broken or finding.well is False
        sign = {True: "ok  ", False: "BAD ", None: "    "}[finding.well]
        print(f"{sign}{finding.what:<16} {finding.told}")
        if finding.mend:
            print(f"{'':21}-> {finding.mend}")
    return 1 if broken else 0
