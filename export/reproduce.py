"""``flowtell reproduce``: the bundled model's whole recipe, from clips to a calibrated file, as one command."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from stream.commands.options import FaceModel, say
from stream.contract import Contract
from train.bank import DECODERS, INDEX
from train.cli import Makers, fit, prepare
from train.judging import average, bands, calibrate
from train.manifest import read_manifest
from train.recipe import read_recipe
from train.synthesize import decoders, synthesize

from .cli import export_checkpoint


def reproduce(
    manifest: Path,
    out: Path,
    *,
    stills: Path | None = None,
    face_model: FaceModel = "yunet",
    changes: Annotated[
        tuple[str, ...],
        Parameter(name="--set", help="KEY=VALUE: one value of both recipes, flowtell-trunk and flowtell."),
    ] = (),
    workers: Makers = 2,
    accelerator: str = "auto",
) -> int:
    """Make the bundled model again from clips; the same command goes on where it was. Other clips want another OUT.

    About three and a half hours on two cores: 85 minutes for the trunk, 72 for the second fit, 15 for the decoders, the
    rest for everything else. No GPU was measured: making the pictures on the CPU's cores then bounds both fits.

    Parameters
    ----------
    manifest
        A CSV file with the columns path,label,method,identity,pair: real clips and some deepfakes under train/, clips
        of other people, to calibrate on, under dev/.
    out
        The folder for everything; out/flowtell.onnx is the model.
    stills
        A CSV of photographs with the columns path,identity: more people.
    face_model
        YuNet's file, for its landmarks; pulled by 'flowtell models pull yunet'. Everything else finds faces by Haar.
    workers
        Processes that make samples, for each training process; 0 for none.
    accelerator
        auto, cpu or cuda.
    """
    bank, trunk, run, store = (out / name for name in ("bank", "trunk", "run", "store"))
    for part in ("train/", "dev/"):  # rather than to find out hours later
        read_manifest(manifest, only=part)
    contract = read_recipe("flowtell", changes).make_contract(Contract())
    learn = partial(fit, bank, changes=changes, workers=workers, accelerator=accelerator)
    if not (bank / INDEX).is_file():
        say("1 of 9: the faces of all clips and photographs")
        synthesize(manifest, bank, only="train/", stills=stills, face_model=face_model)
    say("2 of 9: the trunk")
    learn(trunk, recipe="flowtell-trunk")
    if not (bank / DECODERS).is_file():
        say("3 of 9: decoders that paint pseudo-fakes")
        decoders(bank)
    say("4 of 9: the second fit")
    learn(run, recipe="flowtell", weights=str(trunk / "best.pt"))
    say("5 of 9: the mean of both")
    average(trunk / "best.pt", run / "best.pt", out=out / "mean.pt")
    say("6 of 9: pairs of the clips that it was trained on")
    prepare(manifest, store, only="train/", pairs="24", size=contract.size, margin=contract.margin)
    say("7 of 9: bands, weighed beside it")
    bands(out / "mean.pt", store, out=out / "bands.pt")
    say("8 of 9: the file, in 8-bit integers")
    export_checkpoint(out / "bands.pt", out / "int8.onnx", precision="int8", store=store)
    say("9 of 9: calibration and thresholds")
    return calibrate(out / "int8.onnx", manifest, out / "flowtell.onnx", only="dev/")
