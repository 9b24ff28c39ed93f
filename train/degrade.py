"""What cameras, codecs and calls do to a picture: the same draw for a real and its fake, on crops, before flow."""

from __future__ import annotations

import io
from dataclasses import dataclass

import av
import cv2
import numpy as np

from .pseudo import Frames, Rng, Tone, grain

_DARK_NOISE = 4.0  # gray levels that a sensor has in low light at least


@dataclass(frozen=True, slots=True)
class Degrade:
    """One draw of everything that may happen between the lens and the detector; frames in, frames out."""

    skin: float
    light: float
    scale: float
    blur: float
    noise: float
    tone: Tone | None
    codec: str
    quality: int
    seed: int

    @classmethod
    def draw(cls, rng: Rng) -> Degrade:
        return cls(
            skin=float(rng.uniform(20, 60)) if rng.random() < 0.12 else 0.0,
            light=float(rng.uniform(0.3, 0.7)) if rng.random() < 0.15 else 1.0,
            scale=float(rng.uniform(0.45, 1.0)) if rng.random() < 0.35 else 1.0,
            blur=float(rng.uniform(0.3, 1.3)) if rng.random() < 0.25 else 0.0,
            noise=float(rng.uniform(0.5, 6.0)) if rng.random() < 0.3 else 0.0,
            tone=Tone.draw(rng, 0.8) if rng.random() < 0.5 else None,
            codec=str(rng.choice(["none", "jpeg", "h264"], p=[0.3, 0.35, 0.35])),
            quality=int(rng.integers(0, 101)),
            seed=int(rng.integers(2**31)),
        )

    def __call__(self, frames: Frames) -> Frames:
        rng, out = np.random.default_rng(self.seed), []
        for frame in frames:
            image = frame
            if self.skin:  # a beauty filter, for real people use them too
                across = max(5, round(image.shape[1] / 40)) | 1
                image = np.asarray(cv2.bilateralFilter(image, across, self.skin, across), np.uint8)
            if self.light < 1:
                image = np.asarray(cv2.convertScaleAbs(image, alpha=self.light), np.uint8)
            if self.scale < 1:
                side = max(32, round(image.shape[1] * self.scale))
                image = np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
            if self.blur:
                image = np.asarray(cv2.GaussianBlur(image, (0, 0), self.blur), np.uint8)
            if self.tone:
                image = self.tone(image)
            if sigma := max(self.noise, _DARK_NOISE if self.light < 1 else 0.0):
                image = grain(image[None], sigma, rng)[0]
            out.append(image)
        if self.codec == "jpeg":
            out = [jpeg(f, 40 + round(self.quality * 0.55)) for f in out]
        elif self.codec == "h264":
            out = h264(out, 40 - round(self.quality * 0.22))
        return np.stack(out)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """There and back through JPEG at ``quality`` 0..100."""
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1), np.uint8)


def h264(frames: list[np.ndarray], crf: int) -> list[np.ndarray]:
    """There and back through H.264 at ``crf``, the frames as one short stream (an I frame, then P frames)."""
    height, width = (v // 2 * 2 for v in frames[0].shape[:2])
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="h264") as out:
        stream = out.add_stream(
            "libx264", rate=25, options={"crf": str(crf), "preset": "ultrafast", "tune": "zerolatency", "threads": "1"}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="bgr24")
            # Converted on one thread: slices converted side by side are not always the same bytes.
            out.mux(stream.encode(picture.reformat(format="yuv420p", threads=1)))
        out.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer, "r", format="h264") as back:
        back.streams.video[0].thread_type = "NONE"
        return [f.to_ndarray(format="bgr24", threads=1) for f in back.decode(video=0)]
