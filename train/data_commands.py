"""``flowtell train manifest``, ``flow`` and ``shards``, imported only when they are called."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rich.console import Console

from .cli import Seed, Workers
from .datasets import SplitName, make_manifest, parts_folder
from .layouts import Compression, Layout


def manifest(
    root: Path,
    out: Path,
    *,
    layout: Layout | Literal["auto"] = "auto",
    compression: Compression = "c23",
    split: SplitName | None = None,
    seed: Seed = 0,
) -> int:
    """Write the manifest of a published data set's folder, and the manifests of its parts.

    Parameters
    ----------
    root
        The unpacked data set: FaceForensics++, Celeb-DF v2, DFDC, DeeperForensics, or real/ and fake/.
    out
        The manifest to write, a .csv file; parts go to a folder of that name, which 'train fit --split' takes.
    compression
        Of FaceForensics++.
    split
        published; identity (70/20/10, nobody in two parts); notebook-480 and notebook-interleaved as published, which
        leak identities.
    """
    found, parts = make_manifest(root, out, layout, compression, split, seed)
    said, console = Console(stderr=True, soft_wrap=True), Console(soft_wrap=True)
    for remark in found.remarks:
        said.print(remark, markup=False, highlight=False)
    fakes = sum(clip.fake for clip in found.clips)
    console.print(
        f"{out}: {found.layout}, {len(found.clips) - fakes} real, {fakes} fake", markup=False, highlight=False
    )
    if parts is None:
        return 0
    for warning in parts.warnings:
        said.print(f"warning: {warning}", markup=False, highlight=False)
    for name, clips in parts.clips.items():
        fakes = sum(clip.fake for clip in clips)
        row = f"{parts_folder(out) / name}.csv: {len(clips) - fakes} real, {fakes} fake"
        console.print(row, markup=False, highlight=False)
    return 0


def flow(
    images: Path,
    out: Path,
    *,
    plan: str = "small",
    size: int = 128,
    steps: int = 20_000,
    batch: int = 8,
    rate: float = 1e-3,
    seed: Seed = 1,
    device: str = "cpu",
) -> int:
    """Train a PWC-Net on synthetic motion of pictures, and export it as OUT/flow.onnx; a killed run goes on.

    Parameters
    ----------
    images
        A folder of pictures; a tenth of them is held out.
    out
        The run's folder.
    plan
        full (8.75 M parameters, as published) or small (0.35 M, for live use).
    size
        Side of the network's input in pixels; crops of other sizes are scaled to it and back.
    device
        Where torch trains: cpu or cuda.
    """
    from .flow_train import FlowOptions, train_flow  # noqa: PLC0415  (torch takes seconds to import)

    said = Console(stderr=True, soft_wrap=True)
    options = FlowOptions(plan, size, steps, batch, rate, seed=seed)
    file = train_flow(images, out, options, lambda line: said.print(line, markup=False, highlight=False), device)
    Console(soft_wrap=True).print(str(file), markup=False, highlight=False)
    return 0


def shards(
    store: Path, out: Path, *, split: Path | None = None, per_shard: int = 4000, seed: Seed = 0, workers: Workers = 2
) -> int:
    """Write a pair store as sharded tars, which 'train fit --set data=train.shard_stream:samples' reads.

    Parameters
    ----------
    store
        A store of 'train prepare'.
    out
        The folder to make, or to go on with.
    split
        A folder of 'train split' or 'train manifest --split'; by identity, 70/20/10, otherwise.
    per_shard
        Pairs of one file.
    workers
        Record files at a time.
    """
    from .parts import stored_parts  # noqa: PLC0415
    from .recipe import Recipe  # noqa: PLC0415
    from .shards import write_shards  # noqa: PLC0415
    from .store import open_store  # noqa: PLC0415

    opened = open_store(store)
    said = Console(stderr=True, soft_wrap=True)
    parts, leaks = stored_parts(opened, Recipe(seed=seed, valid_share=0.2, test_share=0.1), split)
    if leaks:
        said.print(f"warning: {leaks}", markup=False, highlight=False)
    made = write_shards(
        parts,
        opened.contract,
        out,
        per_shard,
        workers,
        lambda name, total: said.print(f"{name} of {total}", markup=False, highlight=False),
    )
    said.print(f"{made} record files written to {out}", markup=False, highlight=False)
    return 0
