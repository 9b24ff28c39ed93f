"""What the training tests make for themselves: videos of a moving portrait, and small pair stores."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from skimage.data import astronaut
from torch import nn

from stream.contract import Contract
from stream.records import Image
from train.bank import INDEX, PIXELS, Bank, Moment, Source
from train.manifest import Clip, read_manifest
from train.pseudo import TEMPLATE
from train.store import create, pairs_file, record

FPS = 25
FACES = Path(os.environ.get("FLOWTELL_SHARED", Path(__file__).parents[2] / "shared")) / "faces" / "manifest.csv"
# Ten live swaps of it whose face Haar finds from the first frame on.
SEEN = tuple(f"dfl_{i}" for i in (189, 192, 193, 203, 204, 223, 226, 230, 231, 235))
SMALL = Contract(size=32)


class SmallBody(nn.Module):
    """Stands in for ResNet18's body where a test trains: the same first children and head, a thousandth of the size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16)
        self.fc = nn.Linear(16, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        out: torch.Tensor = self.fc(x.mean((2, 3)))
        return out


def portrait_video(path: Path, frames: int = 14, fake: bool = False) -> Path:
    """A portrait (NASA, public domain) that drifts by a pixel a frame at 25 a second; a fake one has a smooth face."""
    picture = np.asarray(astronaut()[..., ::-1], np.uint8)[:260, 90:400].copy()
    if fake:
        face = picture[70:180, 90:170]
        face[:] = cv2.GaussianBlur(face, (0, 0), 4)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS, options={"crf": "18", "preset": "ultrafast", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 288, 240, "yuv420p"
        for i in range(frames):
            part = np.ascontiguousarray(picture[i // 2 : i // 2 + 240, i : i + 288])
            frame = av.VideoFrame.from_ndarray(part, format="bgr24")
            frame.pts, frame.time_base = i, Fraction(1, FPS)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def couples(folder: Path, count: int) -> list[tuple[Path, Path]]:
    """Videos as they were and as they were faked: live swaps of ../shared/faces where it lies beside the checkout, each
    of another video; else one portrait, made in ``folder``, again and again.
    """
    if not FACES.is_file():
        one = tuple(portrait_video(folder / f"{k}.mp4", 12, fake=bool(k)) for k in (0, 1))
        return [(one[0], one[1])] * count
    clips = [c for c in read_manifest(FACES) if c.pair]
    reals, fakes = ({c.identities[0]: c.path for c in clips if c.fake is kind} for kind in (False, True))
    return [(reals[who], fakes[who]) for who in SEEN[:count]]


def small_clips(count: int = 12) -> list[Clip]:
    """Real and fake in turn, two clips a person, each couple a ``pair``."""
    return [
        Clip(
            f"{i}.mp4",
            Path(f"{i}.mp4").resolve(),
            "fake" if i % 2 else "real",
            "toy" if i % 2 else "",
            (f"p{i // 2}",),
            f"v{i // 2}",
        )
        for i in range(count)
    ]


def small_store(folder: Path, contract: Contract = SMALL, clips: int = 12, pairs: int = 8) -> Path:
    """A store of noise whose fakes are a little brighter, so that a network can learn it."""
    everybody = small_clips(clips)
    create(folder, contract, f"evenly {pairs}", "haar", everybody)
    (folder / "pairs").mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for clip in everybody:
        rows = np.zeros(pairs, record(contract.size))
        for k, row in enumerate(rows):
            row["pts_s"], row["gap_s"], row["track"], row["face_px"] = k / FPS, 1 / FPS, 1, 60.0
            row["box"] = (10, 10, 60, 60)
            row["first"] = noise(rng, contract.size, 40 if clip.fake else 0)
            row["second"] = np.roll(row["first"], 1, axis=1)
        with pairs_file(folder, clip).open("wb") as out:
            np.save(out, rows)
    return folder


def noise(rng: np.random.Generator, size: int, brighter: int = 0) -> Image:
    """A smooth random picture, (size, size, 3)."""
    coarse = rng.integers(0, 180, (8, 8, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (size, size)), np.uint8) + np.uint8(brighter)


def portrait_bank(folder: Path, sources: Sequence[tuple[Source, int]], side: int, face: float) -> Bank:
    """A face bank of one moment a source, of so many frames of a moving portrait, each source's a little elsewhere."""
    marks = TEMPLATE * np.float32(face) + np.float32((side - face) / 2)
    points = tuple((float(x), float(y)) for x, y in marks)
    moments, offset = [], 0
    with (folder / PIXELS).open("wb") as out:
        for k, (source, count) in enumerate(sources):
            frames = [astronaut()[20 + k + j :][:side, 150 + k :][:, :side, ::-1] for j in range(count)]
            regions = np.ascontiguousarray(np.stack(frames))
            moments.append(Moment(source, offset, side, count, 0.04, face, (points,) * count))
            out.write(regions.tobytes())
            offset += regions.size
    (folder / INDEX).write_text(json.dumps([asdict(m) for m in moments]))
    return Bank(folder)
