"""Makes the README's picture: both parts of the demo clip, as a model (the bundled one) judges them."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from stream import Model, judge, open_source
from stream.demo import CLIP, TAMPERED_FROM_S
from stream.overlay import draw
from stream.records import Image

PICTURE = CLIP.with_name("overlay.jpg")
_SHOWN_S = (TAMPERED_FROM_S - 0.6, 2 * TAMPERED_FROM_S - 0.6)


def main(model: Model) -> None:
    """Write the picture with what ``model`` says of the two parts."""
    shown: list[Image] = []
    with open_source(str(CLIP)) as source:
        for frame, verdicts in judge(source, model):
            if len(shown) < len(_SHOWN_S) and frame.pts_s >= _SHOWN_S[len(shown)]:
                told = f"flowtell demo   {frame.pts_s:.1f} s of the clip   {model.device}"
                shown.append(draw(frame.picture.bgr(), verdicts, told, model.contract.thresholds))
    cv2.imwrite(str(PICTURE), np.hstack(shown), [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main(Model(Path(sys.argv[1]) if len(sys.argv) > 1 else None, "cpu"))
