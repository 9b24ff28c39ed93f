"""``flowtell export``: a checkpoint -> a model file that watches."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console

from stream.errors import UsageError
from train.models import load
from train.store import copy_flow, write_atomically

from .onnx_file import export
from .parity import compare, real_images, refuse
from .precision import Precision, convert

app = App(name="export", help="Turn a checkpoint into a model file.")


@app.default
def export_checkpoint(
    checkpoint: Path,
    out: Path,
    *,
    precision: Precision = "fp32",
    store: Annotated[Path | None, Parameter(help="A pair store to compare on; the bundled clip by default.")] = None,
    images: int = 64,
) -> int:
    """Write a checkpoint as one ONNX file that carries its contract, once it is shown to say the same.

    The float32 file must give P(fake) within 1e-4 of torch on real fused images; what fp16 and int8 change is told.

    Parameters
    ----------
    checkpoint
        best.pt or last.pt of 'train fit'.
    out
        The ONNX file to make.
    precision
        fp32; fp16, half the size; int8, a quarter of it and the fastest on CPUs (calibrated on the store's images).
    images
        How many images to compare on; int8 is calibrated on ten times as many.
    """
    if images < 1:
        raise UsageError("--images must be at least 1")
    if out.suffix.lower() != ".onnx":
        raise UsageError(f"the model file must end in .onnx: {out} does not")
    network, contract = load(checkpoint)
    shown = real_images(contract, images, store, checkpoint.parent)
    with tempfile.TemporaryDirectory() as folder:
        copy_flow(contract, checkpoint.parent, Path(folder))  # to be compared, it must run
        made = export(network, contract, Path(folder, "fp32.onnx"))
        parity = compare(checkpoint, made, shown)
        refuse(parity, "fp32")
        if precision != "fp32":
            learned_on = real_images(contract, 10 * images, store, checkpoint.parent) if precision == "int8" else None
            made = convert(made, Path(folder, "converted.onnx"), precision, learned_on)
            parity = compare(checkpoint, made, shown)
            refuse(parity, precision)
        copy_flow(contract, checkpoint.parent, out.parent)
        write_atomically(out, lambda file: file.write(made.read_bytes()))
    size = out.stat().st_size / 1e6
    Console().print(f"{out}: {size:.1f} MB, {precision}; {parity}", highlight=False, soft_wrap=True)
    return 0
