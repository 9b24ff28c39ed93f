"""``flowtell train``: videos -> pairs -> a network -> its figures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from stream.commands.options import Device, FaceModel
from stream.contract import Contract
from stream.downloads import face_model_file
from stream.errors import DataError, UsageError
from stream.scoring import RATE_HZ

from .manifest import Clip, read_manifest, write_manifest
from .prepare import Evenly, Job, Sampling
from .prepare import prepare as prepare_store
from .sampling import TO_LEARN, TO_TEST
from .split import split as split_clips
from .store import is_store

app = App(name="train", help="Prepare data, fit a network, evaluate it.")
app.command(
    "train.synthesize:synthesize", name="synthesize", help="Make pseudo-fakes from real clips, and look at them."
)
app.command("train.synthesize:decoders", name="decoders", help="Train small decoders that paint pseudo-fakes.")
app.command(
    "train.data_commands:manifest", name="manifest", help="Write the manifest of a published data set's folder."
)
app.command("train.data_commands:shards", name="shards", help="Write a pair store as sharded tars.")
app.command("train.data_commands:flow", name="flow", help="Train a flow network (PWC-Net) on synthetic motion.")
app.command("train.judging:average", name="average", help="Average the weights of checkpoints that began as one.")
app.command("train.judging:bands", name="bands", help="Weigh how fine the picture is beside a ResNet18's opinion.")
app.command("train.judging:calibrate", name="calibrate", help="Calibrate an exported model and choose its thresholds.")
app.command("train.judging:explain", name="explain", help="Draw where a network looks, over right and wrong clips.")
app.command(
    "train.judging:ablate", name="ablate", help="Put flow on trial: every input form, several seeds, one table."
)

Only = Annotated[str, Parameter(help="Of a manifest, the clips alone whose path starts with this, as in train/.")]
Seed = Annotated[int, Parameter(validator=Number(gte=0))]
Workers = Annotated[int, Parameter(validator=Number(gte=1))]
Makers = Annotated[
    int, Parameter(validator=Number(gte=0), help="Processes that make samples, for each training process; 0 for none.")
]


@contextmanager
def bar(what: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """A progress bar on standard error; what it yields goes one on, given what was done last."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[last]}"), console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=total, last="")

        def on(last: object = "", total: int | None = None, step: int = 1) -> None:
            shown.update(task, advance=step, last=last.name if isinstance(last, Clip) else str(last))
            if total is not None:
                shown.update(task, total=total)

        yield on


@app.command
def prepare(
    manifest: Path,
    store: Path,
    *,
    only: Only = "",
    pairs: str = "all",
    size: int = 224,
    margin: float = 0.2,
    face_model: FaceModel = None,
    workers: Workers | None = None,
) -> int:
    """Cut the pairs of crops of every clip into a store; an interrupted run goes on where it was.

    Bad files are listed at the end and cost nothing else: the exit code is 0 as long as any clip gave pairs, else 8.

    Parameters
    ----------
    manifest
        A CSV file with the columns path,label,method,identity,pair, or a folder with real/ and fake/.
    store
        The folder to make, or to go on with.
    pairs
        Pairs of each clip: a number, evenly spread; 'all'; 'notebook' (10, as it trained) or 'notebook-test' (30).
    size
        Side of the crops in pixels.
    margin
        What the crops show around the face on each side, as a share of it; recipe flowtell wants 0.1.
    workers
        Clips at a time; one for each core by default.
    """
    clips = read_manifest(manifest, only=only)
    job = Job(store, Contract(size=size, margin=margin), _sampling(pairs), face_model_file(face_model))
    with bar("clips", len(clips)) as on:
        done = prepare_store(clips, job, workers or os.cpu_count() or 1, on)
    console = Console(stderr=True)
    for bad in done.bad:
        console.print(f"{bad.clip.name}: {bad.reason}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"{done.made} clips prepared, {done.kept} there already, {len(done.bad)} bad", highlight=False)
    if not done.made and not done.kept:
        raise DataError(f"none of the {len(clips)} clips gave pairs: see the lines above")
    return 0


@app.command
def split(
    manifest: Path, out: Path, *, only: Only = "", shares: str = "70/20/10", seed: Seed = 0, drop_crossing: bool = False
) -> int:
    """Deal the people of a manifest out to train.csv, valid.csv and test.csv; nobody is in two of them.

    Parameters
    ----------
    out
        The folder for the new manifests.
    shares
        Percent for training, validation and, if wanted, test.
    drop_crossing
        Deal out single people, and leave out fakes whose people came apart: for data sets that swap all with all.
    """
    names = ("train", "valid", "test")
    try:
        numbers = [float(text) for text in shares.split("/")]
    except ValueError as error:
        raise UsageError(f"--shares takes numbers like 70/20/10, not {shares!r}") from error
    if len(numbers) not in (2, 3):
        raise UsageError(f"--shares takes two or three numbers like 70/20/10, not {shares!r}")
    made = split_clips(read_manifest(manifest, only=only), dict(zip(names, numbers, strict=False)), seed, drop_crossing)
    out.mkdir(parents=True, exist_ok=True)
    for name, part in made.parts.items():
        write_manifest(part, out / f"{name}.csv")
        real = sum(c.label == "real" for c in part)
        Console().print(f"{name}: {real} real, {len(part) - real} fake", highlight=False)
    if made.crossing:
        Console().print(f"left out, for their people came apart: {len(made.crossing)}", highlight=False)
    return 0


@app.command
def fit(
    source: Path,
    out: Path,
    *,
    recipe: str = "notebook-resnet18",
    changes: Annotated[tuple[str, ...], Parameter(name="--set", help="KEY=VALUE: one value of the recipe.")] = (),
    weights: Annotated[str | None, Parameter(help="imagenet, none (from scratch), or a file of weights.")] = None,
    epochs: int | None = None,
    split: Path | None = None,
    workers: Makers = 2,
    accelerator: str = "auto",
) -> int:
    """Train a network into a folder; the same command goes on with a run that was interrupted.

    Under ``torchrun --nproc-per-node N --no-python flowtell train fit ...`` N processes share the same batch.

    Parameters
    ----------
    source
        A store of 'train prepare', or what the recipe's data function takes.
    out
        The run's folder: configuration, curves, last.pt, best.pt, evaluation.json.
    recipe
        A recipe by name or file.
    split
        A folder of 'train split'; by identity and the recipe's shares otherwise.
    accelerator
        auto, cpu or cuda.
    """
    from .fit import Setting  # noqa: PLC0415  (torch takes seconds to import)
    from .fit import fit as fit_network  # noqa: PLC0415
    from .recipe import read_recipe  # noqa: PLC0415

    given = read_recipe(recipe, changes)
    given = replace(given, weights=weights or given.weights, epochs=given.epochs if epochs is None else epochs)
    setting = Setting(accelerator, workers, split)
    if int(os.environ.get("RANK", "0")):  # one voice among many processes
        fit_network(source, out, given, setting)
        return 0
    console = Console(stderr=True)
    with bar("steps") as on:
        seen = 0

        def on_step(step: int, total: int, loss: float) -> None:
            nonlocal seen
            on(f"loss {loss:.4f}", total, step - seen)
            seen = step

        def on_epoch(figures: dict[str, float]) -> None:
            console.print("  ".join(f"{k} {v:.4g}" for k, v in figures.items()), highlight=False, soft_wrap=True)

        judgement = fit_network(source, out, given, setting, on_step, on_epoch)
    if "clips" in judgement:
        _tell(judgement, f"{out / 'best.pt'} on the {judgement['part']} part")
    return 0


@app.command
def evaluate(
    model: Path,
    manifest: Path,
    *,
    json: Path | None = None,
    report: Path | None = None,
    quick: bool = False,
    only: Only = "",
    pairs: int | None = None,
    every_pair: bool = False,
    device: Device = "auto",
    face_model: FaceModel = None,
    workers: Workers = 2,
) -> int:
    """Measure a model on clips: AUC, EER, AP and accuracy by clip and pair, with 95 % intervals by identity.

    Parameters
    ----------
    model
        A checkpoint of 'train fit', or an exported .onnx file.
    manifest
        A CSV file, a folder with real/ and fake/, or a store of 'train prepare'.
    json
        Write the figures to this file.
    report
        Write an HTML page and a JSON file with everything (robustness, shortcuts, alarms) to this folder; takes about
        15 times as long.
    quick
        Of the report, leave out what scores changed clips: robustness, harmless changes, probes.
    pairs
        At most so many pairs of each clip, evenly spread.
    every_pair
        Score every pair of frames instead of 10 a second.
    workers
        Clips at a time.
    """
    from . import evaluate as judged  # noqa: PLC0415  (what only preparing needs should start at once)
    from .scoring import Looking, open_scorer  # noqa: PLC0415

    if report is not None and (json is not None or pairs is not None):
        raise UsageError("--report judges every clip whole and writes a report.json: leave out --json and --pairs")
    if quick and report is None:
        raise UsageError("--quick shortens a report: give --report DIR as well")
    if is_store(manifest) and (pairs is not None or every_pair or face_model is not None):
        raise UsageError("a store's pairs are as they were prepared: leave out --pairs, --every-pair and --face-model")
    detector = face_model_file(face_model)
    rate_hz = None if every_pair else RATE_HZ
    if report is not None:
        from .report import Options, Setting, write_report  # noqa: PLC0415

        setting = Setting(model, device=device, face_model=detector, rate_hz=rate_hz)
        write_report(setting, manifest, report, Options(quick, workers, only))
        Console().print(f"{report / 'report.html'} and report.json hold everything", highlight=False)
        return 0
    scorer = open_scorer(model, device)
    looking = Looking(rate_hz, pairs, detector, workers)
    with bar("clips") as on:
        scores = judged.gather(scorer, manifest, looking, on, only)
    figures = judged.report(model, manifest, scorer.contract, judged.judge(scores))
    if json is not None:
        judged.write_json(figures, json)
    _tell(figures, f"{model} on {manifest}")
    return 0


def _sampling(text: str) -> Sampling:
    if text in ("notebook", "notebook-test"):
        return TO_LEARN if text == "notebook" else TO_TEST
    if text == "all":
        return Evenly()
    try:
        return Evenly(int(text))
    except ValueError as error:
        raise UsageError(f"--pairs takes a number, all, notebook or notebook-test, not {text!r}") from error


def _tell(figures: dict[str, Any], title: str) -> None:
    from .evaluate import lines  # noqa: PLC0415

    table = Table("figure", "value (95 % interval by identity)", "of", title=title)
    for row in lines(figures):
        table.add_row(row[0], row[1], str(row[2]))
    console = Console()
    console.print(table)
    for one in figures["unscored"]:
        console.print(f"not scored: {one['clip']}: {one['reason']}", markup=False, highlight=False, soft_wrap=True)
