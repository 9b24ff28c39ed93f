"""Makes the bundled clip and the README's picture: python stream/demo/make_clip.py (needs scikit-image).

The portrait (NASA, public domain, as scikit-image carries it) is moved the way a head before a camera moves:
the camera drifts, the head sways against its background, the mouth opens. From ``TAMPERED_FROM_S`` on, the
face is what a live face swap of the 128 px kind gives: resampled, its colours off, pasted back through a
feathered ellipse that trembles. Both parts have the same motion, sensor noise and encoding.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from skimage import data

from stream.demo import CLIP, TAMPERED_FROM_S
from stream.records import Image

FPS = 25
LENGTH_S = 14.0
WIDTH, HEIGHT = 640, 480
_ZOOM = 1.75
_FACE = (222.0, 122.0)  # centre of the face in the portrait, pixels
_MOUTH = (226.0, 157.0)
_HEAD_PX = 75.0  # how far the head's own motion reaches
_NOISE = 1.6


def tamper(portrait: Image) -> Image:
    """The portrait with its face coarse and off in colour, as a swapped one is; the whole picture, to be masked."""
    small = cv2.resize(portrait, None, fx=0.45, fy=0.45, interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(small, portrait.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    scaled = cv2.warpAffine(coarse, cv2.getRotationMatrix2D(_FACE, 2.0, 1.05), portrait.shape[1::-1])
    hsv = cv2.cvtColor(scaled, cv2.COLOR_BGR2HSV).astype(np.int16)
    hsv += np.array((4, 18, 6), np.int16)
    hsv[..., 0] %= 180
    return np.asarray(cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2BGR), np.uint8)


def pasted(portrait: Image, face: Image, shift: tuple[float, float]) -> Image:
    """``face`` over the portrait through a feathered ellipse, ``shift`` pixels off."""
    moved = cv2.warpAffine(face, np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32), portrait.shape[1::-1])
    mask = np.zeros(portrait.shape[:2], np.float32)
    centre = (round(_FACE[0] + shift[0]), round(_FACE[1] + 4 + shift[1]))
    cv2.ellipse(mask, centre, (44, 56), 0, 0, 360, 1.0, cv2.FILLED)
    weight = cv2.GaussianBlur(mask, (0, 0), 4)[..., None]
    return np.asarray(np.rint(portrait * (1 - weight) + moved * weight), np.uint8)


def filmed(portrait: Image, t_s: float) -> Image:
    """What the camera shows at ``t_s``: (HEIGHT, WIDTH, 3) BGR without noise."""
    ys, xs = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    zoom = _ZOOM * (1 + 0.03 * np.sin(0.5 * t_s))
    turn = 0.02 * np.sin(0.7 * t_s + 1)
    cx, cy = xs - WIDTH / 2, ys - HEIGHT / 2
    x = _FACE[0] + 24 + 5 * np.sin(0.6 * t_s) + (np.cos(turn) * cx - np.sin(turn) * cy) / zoom
    y = _FACE[1] + 14 + 3 * np.sin(0.9 * t_s + 2) + (np.sin(turn) * cx + np.cos(turn) * cy) / zoom
    head = np.exp(-((x - _FACE[0]) ** 2 + (y - _FACE[1]) ** 2) / (2 * _HEAD_PX**2))
    mouth = np.exp(-((x - _MOUTH[0]) ** 2 / (2 * 18.0**2) + (y - _MOUTH[1]) ** 2 / (2 * 12.0**2)))
    x = x - head * (5.0 * np.sin(1.3 * t_s) + 1.5 * np.sin(3.1 * t_s))
    y = y - head * (3.0 * np.sin(1.1 * t_s + 0.5) + 1.0 * np.sin(2.7 * t_s))
    y = y - mouth * (y - _MOUTH[1]) * 0.25 * max(0.0, np.sin(5.5 * t_s) * np.sin(0.8 * t_s))
    return np.asarray(
        cv2.remap(portrait, x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    )


def main(path: Path = CLIP) -> None:
    """Write the clip."""
    chance = np.random.default_rng(20)
    portrait = np.ascontiguousarray(data.astronaut()[..., ::-1])  # type: ignore[no-untyped-call]
    face, tremble = tamper(portrait), np.zeros(2)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        container.metadata["comment"] = "NASA portrait of Eileen Collins (public domain), set in motion by flowtell"
        coding = {"crf": "25", "preset": "slow", "g": "50", "bf": "0"}
        stream = container.add_stream("libx264", rate=FPS, options=coding)
        stream.thread_type = "FRAME"  # one slice a picture, as cameras send; PyAV would cut it into several
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(round(LENGTH_S * FPS)):
            t_s = index / FPS
            tremble = 0.7 * tremble + chance.normal(0, 0.9, 2)
            shown = portrait
            if t_s >= TAMPERED_FROM_S:
                shown = pasted(portrait, face, (float(tremble[0]), float(tremble[1])))
            picture = filmed(shown, t_s) + chance.normal(0, _NOISE, (HEIGHT, WIDTH, 3))
            frame = av.VideoFrame.from_ndarray(np.clip(np.rint(picture), 0, 255).astype(np.uint8), format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    main()
