"""Train a PWC-Net on synthetic motion of the pictures in a folder, and export it as a flow network.

OUT holds ``config.json``, ``curve.csv`` (step, mean training loss, held-out end-point error), ``last.pt`` and
``flow.onnx``. A run that was killed goes on from ``last.pt`` when the same command is given again: the samples of a
step are drawn from that step's own seed, so that the result is that of an unbroken run.
"""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own habit

from stream.errors import DataError, OutputError, UsageError
from stream.flows import KEY, LearnedFlow

from .motion import moving_pair, picture_files, read_picture
from .pwcnet import PLANS, UNIT_PX, FlowNet, PwcNet, parameters

# The paper's weights, finest level first.
_LEVEL_WEIGHTS = (0.005, 0.01, 0.02, 0.08, 0.32)


@dataclass(frozen=True, slots=True)
class FlowOptions:
    """How a flow network is trained. plan: full or small; size: side of its input, in pixels; rate: peak of the
    one-cycle learning rate; every: steps between two checkpoints with a held-out end-point error."""

    plan: str = "small"
    size: int = 128
    steps: int = 2000
    batch: int = 8
    rate: float = 1e-3
    every: int = 200
    seed: int = 1


def batches(files: list[Path], options: FlowOptions, start: int, end: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The samples of steps ``start`` to ``end``: first, second (N, S, S, 3) uint8 and flow (N, S, S, 2) in pixels."""
    for step in range(start, end):
        made = []
        for i in range(options.batch):
            rng = np.random.default_rng((options.seed, step, i))
            made.append(moving_pair(read_picture(files[int(rng.integers(len(files)))]), options.size, rng))
        first, second, flow = (torch.from_numpy(np.stack(part)) for part in zip(*made, strict=True))
        yield first, second, flow


def flow_loss(flows: list[Tensor], truth: Tensor) -> Tensor:
    """The paper's training loss: weighted end-point errors of all levels, for (N, S, S, 2) true flows in pixels."""
    target = truth.permute(0, 3, 1, 2) / UNIT_PX
    total = torch.zeros((), device=target.device)
    for weight, flow in zip(_LEVEL_WEIGHTS, reversed(flows), strict=False):
        error = flow - F.adaptive_avg_pool2d(target, (flow.shape[2], flow.shape[3]))
        # A hundredth of a pixel under the root keeps the gradient finite where nothing is wrong.
        total = total + weight * (error.square().sum(1) + 2.5e-7).sqrt().sum((1, 2)).mean()
    return total


def end_point_error(flow: Tensor, truth: Tensor) -> float:
    """Mean length of the difference of two (N, S, S, 2) flows, in pixels."""
    return float((flow - truth).square().sum(-1).sqrt().mean())


def train_flow(
    images: Path, out: Path, options: FlowOptions, say: Callable[[str], None] = print, device: str = "cpu"
) -> Path:
    """Train on the pictures below ``images``; returns the exported ``flow.onnx``.

    Raises:
        UsageError: an unknown plan or a size that it cannot take. DataError: too few pictures, or OUT holds
            another run. OutputError: OUT cannot be written.
    """
    if options.plan not in PLANS:
        raise UsageError(f"unknown plan {options.plan!r}: choose one of {', '.join(PLANS)}")
    plan = PLANS[options.plan]
    if options.size % plan.multiple_px or options.size < 2 * plan.multiple_px:
        raise UsageError(
            f"--size must be a multiple of {plan.multiple_px} and at least {2 * plan.multiple_px} for {options.plan}"
        )
    train_files, held_files = picture_files(images, held_out=False), picture_files(images, held_out=True)
    _begin(out, options)
    torch.manual_seed(options.seed)
    net = PwcNet(plan).to(device)
    counts = f"{len(train_files)} pictures, {len(held_files)} held out"
    say(f"PWC-Net {options.plan}: {parameters(net):,} parameters; {counts}")
    optimizer = torch.optim.AdamW(net.parameters(), lr=options.rate, weight_decay=4e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.rate, options.steps + 1, pct_start=0.1)
    step, curve = 0, list[tuple[int, float, float]]()
    if (out / "last.pt").is_file():
        saved = torch.load(out / "last.pt", map_location=device, weights_only=True)
        net.load_state_dict(saved["net"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        step, curve = saved["step"], [tuple(row) for row in saved["curve"]]
        say(f"going on after step {step}")
    held = list(batches(held_files, FlowOptions(**{**asdict(options), "seed": options.seed + 1_000_003}), 0, 4))
    losses: list[float] = []
    started = time.monotonic()
    for first, second, truth in batches(train_files, options, step, options.steps):
        net.train()
        one, two = (x.to(device).permute(0, 3, 1, 2).float() / 255 for x in (first, second))
        loss = flow_loss(net(one, two), truth.to(device))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
        step += 1
        if step % options.every == 0 or step == options.steps:
            error = _held_out(net, options.size, held, device)
            curve.append((step, math.fsum(losses) / len(losses), error))
            losses.clear()
            _keep(out, net, optimizer, schedule, step, curve)
            say(
                f"step {step}: loss {curve[-1][1]:.3f}, held-out end-point error {error:.3f} px, "
                f"{time.monotonic() - started:.0f} s"
            )
    return export_flow(
        net, options.size, out / "flow.onnx", {"plan": options.plan, "steps": step, "epe_px": curve[-1][2]}
    )


def _begin(out: Path, options: FlowOptions) -> None:
    """Write what the run is, or see that a run to be continued is this one."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        config = out / "config.json"
        if config.is_file() and json.loads(config.read_text()) != asdict(options):
            raise DataError(
                f"{out} holds a run with other settings: give another folder, or the same settings to go on"
            )
        config.write_text(json.dumps(asdict(options), indent=2) + "\n")
    except OSError as error:
        raise OutputError(f"cannot write to {out}: {error.strerror}") from error


def _keep(
    out: Path,
    net: PwcNet,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.OneCycleLR,
    step: int,
    curve: list[tuple[int, float, float]],
) -> None:
    state = {
        "net": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "step": step,
        "curve": curve,
    }
    try:
        torch.save(state, out / "last.tmp")
        (out / "last.tmp").replace(out / "last.pt")  # killed at any moment, the old one is still whole
        with (out / "curve.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("step", "loss", "held_out_epe_px"), *curve])
    except OSError as error:
        raise OutputError(f"cannot write the checkpoint to {out}: {error.strerror}") from error


def _held_out(net: PwcNet, size: int, held: list[tuple[Tensor, Tensor, Tensor]], device: str) -> float:
    full = FlowNet(net, size).eval()
    with torch.inference_mode():
        return float(np.mean([end_point_error(full(a.to(device), b.to(device)).cpu(), t) for a, b, t in held]))


def export_flow(net: PwcNet, size: int, file: Path, about: dict[str, object]) -> Path:
    """Write a flow network as ONNX with its metadata, checked against torch (1e-3 px) on a random pair.

    Raises:
        DataError: ONNX Runtime's flow differs from torch's. OutputError: the file cannot be written.
    """
    import onnx  # noqa: PLC0415 - only who exports needs it

    full = FlowNet(net.cpu(), size).eval()
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (size // 8, size // 8, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    first, second, _ = moving_pair(picture, size, rng)
    pair = (torch.from_numpy(first[None]), torch.from_numpy(second[None]))
    # One pair at a time, all shapes fixed: that is how the stream asks, and ONNX Runtime plans its memory once.
    program = torch.onnx.export(
        full, pair, input_names=["first", "second"], output_names=["flow"], opset_version=18, dynamo=True, verbose=False
    )
    if program is None:
        raise DataError("torch could not export the flow network")
    model = program.model_proto
    onnx.helper.set_model_props(model, {KEY: json.dumps({"version": 1, "method": "pwcnet", "size": size, **about})})
    try:
        onnx.save(model, str(file))
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror}") from error
    with torch.inference_mode():
        expected = full(*pair)[0].numpy()
    if float(np.abs(LearnedFlow(file)(first, second) - expected).max()) > 1e-3:
        raise DataError(f"the exported flow network {file} differs from torch by more than 0.001 px")
    return file
