"""``flowtell train average``, ``bands``, ``calibrate``, ``explain``, ``ablate``: what is done with what has learned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from stream.commands.options import Device, FaceModel, say
from stream.downloads import face_model_file

from .cli import Makers, Only, Workers, bar
from .manifest import read_manifest
from .metrics import ClipScores


def average(*checkpoints: Path, out: Path) -> int:
    """Write one checkpoint whose weights are the mean of several: of what a network began from and what it became.

    Parameters
    ----------
    checkpoints
        Checkpoints of 'train fit', of networks that began as one. Configuration and contract are taken from the last.
    out
        The checkpoint to write, for 'export' or 'train evaluate'.
    """
    from .average import average as mean  # noqa: PLC0415  (torch takes seconds to import)

    mean(checkpoints, out)
    print(f"{out}: the mean of {len(checkpoints)} networks")
    return 0


def bands(checkpoint: Path, store: Path, *, out: Path) -> int:
    """Weigh a second opinion beside a ResNet18: how fine the picture is, ring by ring around the face.

    A logistic regression on the store's real clips and deepfakes, its strength chosen by cross-validation over people.
    Two minutes for 148 clips of 24 pairs on two cores.

    Parameters
    ----------
    checkpoint
        A ResNet18 of 'train fit' or 'train average', whose input is rgb or stack.
    store
        A pair store of the clips it was trained on, prepared with its size and margin. Never of those it is judged on.
    out
        The checkpoint to write, for 'export' or 'train evaluate'.
    """
    from .band_fit import STRENGTHS, fit_bands  # noqa: PLC0415  (torch takes seconds to import)

    with bar("clips") as on:
        best = fit_bands(checkpoint, store, out, on)
    told, (right, videos) = best.interval, best.in_order
    figure = f"AUC {told.value:.3f} ({told.low:.3f} to {told.high:.3f})"
    beside = f"; in {right} of {videos} videos the fake above its original" if videos else ""
    print(f"{out}: bands weighed with strength {best.strength:g}")
    print(f"by themselves, on people left out in turn (best of {len(STRENGTHS)}): {figure}{beside}")
    if not told.low > 0.5:
        say("warning: the bands may know nothing, and count as much as the network: compare both on other people")
    return 0


def calibrate(
    model: Path,
    manifest: Path,
    out: Path,
    *,
    only: Only = "",
    false_rate: float = 0.02,
    missed_rate: float = 0.05,
    by_window: bool = False,
    device: Device = "auto",
    face_model: FaceModel = None,
    workers: Workers = 2,
) -> int:
    """Fit temperature and bias on clips nothing was trained on, choose thresholds, and write the model anew.

    Scores every clip twice, before and after: about as long as 'train evaluate' takes twice.

    Parameters
    ----------
    model
        An exported .onnx file.
    manifest
        A CSV file with the columns path,label,method,identity,pair, or a folder with real/ and fake/.
    out
        The calibrated .onnx file.
    false_rate
        At most this share of real clips is called FAKE.
    missed_rate
        At most this share of fake clips is called REAL.
    by_window
        Thresholds that hold at every moment of the live window, not only for the clip's mean.
    workers
        Clips at a time.
    """
    from .calibrate import calibrate as calibrate_model  # noqa: PLC0415  (onnx takes a second to import)
    from .report.scoring import PLAIN, Setting, look_at_all  # noqa: PLC0415

    clips = read_manifest(manifest, only=only)
    detector = face_model_file(face_model)

    def look(file: Path) -> tuple[Sequence[ClipScores], Sequence[tuple[float, float] | None]]:
        with bar(f"clips through {file.name}", len(clips)) as on:
            looks = look_at_all(
                [(c, (PLAIN,)) for c in clips], Setting(file, detector, device), workers, lambda _: on()
            )
        return [found.scores for found in looks], [found.range for found in looks]

    contract = calibrate_model(model, out, look, (false_rate, missed_rate), by_window)
    told = contract.thresholds
    Console().print(
        f"{out}: temperature {contract.temperature:.3g}, bias {contract.bias:+.3g}; FAKE from {told.fake_enter:g} "
        f"until below {told.fake_leave:g}, REAL to {told.real_enter:g} until above {told.real_leave:g}, UNSURE between",
        highlight=False,
        soft_wrap=True,
    )
    return 0


def explain(
    model: Path,
    manifest: Path,
    *,
    out: Path,
    only: Only = "",
    clips: int = 16,
    device: Device = "auto",
    face_model: FaceModel = None,
    workers: Workers = 2,
) -> int:
    """Draw where the network looks, over the clips that it tells most right and most wrong.

    The pictures show the faces of the clips: keep them where the clips may be kept.

    Parameters
    ----------
    model
        An exported .onnx file, or a checkpoint of 'train fit'.
    manifest
        A CSV file with the columns path,label,method,identity,pair, or a folder with real/ and fake/.
    out
        The folder for clips.png, means.png and saliency.json.
    clips
        About how many clips are looked into.
    workers
        Clips at a time.
    """
    from .explain import explain as look_into  # noqa: PLC0415
    from .report.scoring import Setting  # noqa: PLC0415

    found = read_manifest(manifest, only=only)
    setting = Setting(model, face_model_file(face_model), device)
    with bar("clips", len(found) + min(len(found), clips)) as on:
        shown = look_into(found, setting, out, clips, workers, on)
    Console().print(f"{out / 'clips.png'} shows {len(shown)} clips, the most wrong first", highlight=False)
    return 0


def ablate(
    source: Path,
    judge: Path,
    out: Path,
    *,
    recipe: str = "scratch-resnet18",
    changes: Annotated[tuple[str, ...], Parameter(name="--set", help="KEY=VALUE: one value of the recipe.")] = (),
    forms: str = "rgb,flow,fused,stack",
    seeds: int = 3,
    only: Only = "",
    split: Path | None = None,
    pairs: int | None = None,
    face_model: FaceModel = None,
    workers: Makers = 2,
    accelerator: str = "auto",
) -> int:
    """Put flow on trial: train every input form with several seeds by one recipe, and compare them on other clips.

    Takes forms x seeds as long as one 'train fit', and goes on where it was interrupted.

    Parameters
    ----------
    source
        A store of 'train prepare', or what the recipe's data function takes.
    judge
        Clips that nothing was trained on: a CSV file, a folder with real/ and fake/, or a store.
    out
        The folder for the runs, table.md and table.json.
    forms
        Input forms, separated by commas.
    seeds
        Seeds of each form: 0, 1, 2, ...
    only
        Of a judging manifest, the clips alone whose path starts with this.
    split
        A folder of 'train split' for the training store; made once, and the same for every run, otherwise.
    pairs
        At most so many pairs of each judging clip, evenly spread.
    """
    from . import ablate as trial  # noqa: PLC0415
    from . import evaluate  # noqa: PLC0415
    from .fit import Setting  # noqa: PLC0415  (torch takes seconds to import)
    from .recipe import read_recipe  # noqa: PLC0415
    from .scoring import Looking, open_scorer  # noqa: PLC0415

    given = read_recipe(recipe, changes)
    parts = split or (trial.one_split(source, given, out / "split") if given.data == "store" else None)
    looking = Looking(pairs=pairs, face_model=face_model_file(face_model), workers=max(1, workers))
    console, names = Console(stderr=True), forms.replace(" ", "").split(",")

    def score(checkpoint: Path) -> list[ClipScores]:
        return evaluate.gather(open_scorer(checkpoint), judge, looking, only=only)

    with bar("runs", len(names) * seeds) as on:

        def told(form: str, seed: int, value: float) -> None:
            console.print(f"{form}, seed {seed}: AUC {value:.3f}", highlight=False)
            on()

        train = trial.trainer(source, out, given, Setting(accelerator, workers, parts), score)
        rows = trial.outcomes(trial.run_trials(train, names, range(seeds), told))
    note = f"recipe {given.name}, {given.epochs} epochs, {seeds} seeds, judged on {judge.name} {only}".rstrip()
    trial.write_table(rows, note, out)
    Console().print(trial.markdown(rows, note), markup=False, highlight=False, soft_wrap=True)
    return 0
