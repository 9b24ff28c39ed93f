"""CPU time of preparing a video by the notebook's sampling: our way and the notebook's own loop, side by side."""

from __future__ import annotations

import resource
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import av
import cv2
import numpy as np
from cyclopts import Parameter
from cyclopts.validators import Number
from numpy.typing import NDArray

from stream.bench.runs import Figures, machine, report, table
from stream.contract import Contract
from stream.errors import DataError, OutputError
from stream.faces import find_faces
from stream.records import Image
from stream.sources import read_file

from .manifest import SUFFIXES
from .sampling import TO_LEARN, TO_TEST, Notebook

_CASCADE = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_alt2.xml"
FRAMES = 250
WIDTH, HEIGHT, FPS = 1280, 720, 25


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds and pairs of one video, the notebook's way and ours."""

    video: str
    notebook_s: float
    notebook_pairs: int
    our_s: float
    our_pairs: int

    @property
    def share(self) -> float:
        """Our CPU time as a share of the notebook's."""
        return self.our_s / self.notebook_s


def notebook_pairs(path: Path, sampling: Notebook = TO_LEARN) -> list[tuple[Image, Image]]:
    """The published notebook's loop: read every frame, Haar alt2 at full size on both frames of a pair, 40 px margin.

    Flow and fusion are left out, as they are on our side: they come when a sample is drawn.
    """
    cascade = cv2.CascadeClassifier(str(_CASCADE))
    video = cv2.VideoCapture(str(path))
    frames: list[NDArray[np.uint8]] = []
    wanted = {i for s in sampling.starts(int(video.get(cv2.CAP_PROP_FRAME_COUNT))) for i in (s, s + sampling.apart)}
    number = 0
    while True:
        good, frame = video.read()
        if not good:
            break
        if number in wanted:
            frames.append(np.asarray(frame, np.uint8))
        number += 1
    video.release()
    crops = [_notebook_crop(cascade, frame) for frame in frames]
    return [(a, b) for a, b in zip(crops[::2], crops[1::2], strict=False) if a is not None and b is not None]


def _notebook_crop(cascade: cv2.CascadeClassifier, frame: NDArray[np.uint8]) -> Image | None:
    found: Any = cascade.detectMultiScale(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), scaleFactor=1.2, minNeighbors=5)
    if len(found) == 0:
        return None
    x, y, w, h = (int(v) for v in found[-1])
    crop = frame[max(0, y - 40) : y + h + 40, max(0, x - 40) : x + w + 40]
    return np.asarray(cv2.resize(crop, (224, 224), interpolation=cv2.INTER_AREA), np.uint8)


def compare(path: Path, sampling: Notebook = TO_LEARN, face_model: Path | None = None) -> Cost:
    """Prepare one video both ways on one thread. Raises as ``Notebook``."""
    cv2.setNumThreads(1)
    theirs, theirs_s = _timed(lambda: len(notebook_pairs(path, sampling)))
    ours, ours_s = _timed(lambda: len(sampling(path, Contract(), find_faces(face_model))))
    return Cost(path.name, theirs_s, theirs, ours_s, ours)


def _timed(work: Callable[[], int]) -> tuple[int, float]:
    before = resource.getrusage(resource.RUSAGE_SELF)
    result = work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return result, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def join(clips: Sequence[Path], out: Path, frames: int = FRAMES) -> Path:
    """One 1280x720 H.264 video of ``frames`` frames at 25 a second, from clips one after the other, over and over.

    Each picture is scaled to fill the frame's height or width, with black beside it; x264's own defaults at crf 23, as
    the FaceForensics++ videos were made.

    Raises:
        DataError: no clips. SourceBroken: one is not a video. OutputError: it cannot be written.
    """
    if not clips:
        raise DataError("there are no clips to join: give a folder of videos with faces")
    try:
        with av.open(str(out), "w") as container:
            stream = container.add_stream("libx264", rate=FPS, options={"crf": "23"})
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            for _, picture in zip(range(frames), _pictures(clips), strict=False):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
            container.mux(stream.encode(None))
    except (OSError, av.error.FFmpegError) as error:
        raise OutputError(f"cannot write {out}: {error.strerror or 'no H.264 encoder'}") from error
    return out


def _pictures(clips: Sequence[Path]) -> Any:
    while True:
        for clip in clips:
            for frame in read_file(clip):
                yield _fill(frame.picture.bgr())


def _fill(bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = min(WIDTH / bgr.shape[1], HEIGHT / bgr.shape[0])
    size = round(bgr.shape[1] * scale), round(bgr.shape[0] * scale)
    full = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    left, top = (WIDTH - size[0]) // 2, (HEIGHT - size[1]) // 2
    full[top : top + size[1], left : left + size[0]] = cv2.resize(bgr, size, interpolation=cv2.INTER_CUBIC)
    return full


def prepare(
    clips: Path,
    *,
    videos: Annotated[int, Parameter(validator=Number(gte=1))] = 3,
    test: bool = False,
    face_model: Path | None = None,
    out: Path | None = None,
) -> None:
    """CPU time of the notebook's sampling of 720p videos of 250 frames, our way and the notebook's own loop.

    Parameters
    ----------
    clips
        A folder of clips with faces; three and three of them are joined and scaled up to 720p.
    videos
        How many videos to make.
    test
        Take the notebook's 30 pairs for testing instead of its 10 for training.
    out
        Write the JSON there instead of printing it.
    """
    found = sorted(p for p in clips.rglob("*") if p.suffix.lower() in SUFFIXES) if clips.is_dir() else []
    if not found:
        raise DataError(f"{clips} holds no clips to join: give a folder of videos with faces")
    chosen = [found[i * 3 % len(found) :][:3] for i in range(videos)]
    sampling = TO_TEST if test else TO_LEARN
    with TemporaryDirectory() as folder:
        costs = [compare(join(some, Path(folder) / f"{i}.mp4"), sampling, face_model) for i, some in enumerate(chosen)]
    total = Cost("all", *(sum(getattr(c, f.name) for c in costs) for f in fields(Cost)[1:]))
    rows = [_figures(cost) for cost in (*costs, total)]
    table(
        f"preparing {videos} videos of {FRAMES} frames, {sampling.name}",
        ["video", "notebook CPU s", "pairs", "flowtell CPU s", "pairs", "share"],
        [tuple(row.values()) for row in rows],
    )
    measured = {"frames": FRAMES, "size": [WIDTH, HEIGHT], "sampling": sampling.name}
    report({"machine": machine(), **measured, "videos": rows[:-1], "all": rows[-1]}, out)


def _figures(cost: Cost) -> Figures:
    told = {**asdict(cost), "share": cost.share}
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in told.items()}
