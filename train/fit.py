"""Train a network: read it from top to bottom.

One process or many (``torchrun --nproc-per-node N -m stream.cli train fit ...``) give the same curves, for a
sample is a function of (seed, epoch, index) alone, the batch is one whatever it is cut into, the learning rate a
function of the step, and dropout's randomness of (seed, step, process). So a checkpoint is weights, optimiser
and a step number, and a run that was killed goes on to the same result.
"""

from __future__ import annotations

import copy
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (its name everywhere)
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from stream.errors import DataError, FlowtellError, UsageError
from stream.model import Device

from . import evaluate, metrics, runs
from .checkpoint import CheckpointScorer
from .dataset import ORIGINAL, Samples
from .dense import Localiser, dense_loss
from .distributed import gather_striped, share_norms
from .models import build, freeze, read_checkpoint, start_from
from .parts import Parts, open_parts
from .recipe import Recipe
from .scoring import score_stored
from .store import copy_flow, write_atomically

Batch = tuple[Tensor, Tensor]
Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a run computes, which must not change what it computes.

    ``accelerator``: as Lightning Fabric names them (auto, cpu, cuda). ``workers``: processes that make samples.
    ``split``: a folder of ``train split`` with train.csv, valid.csv and perhaps test.csv; by identity otherwise.
    """

    accelerator: str = "auto"
    workers: int = 2
    split: Path | None = None


def fit(  # noqa: PLR0912, PLR0915  (a script, read from top to bottom)
    source: Path,
    out: Path,
    recipe: Recipe,
    setting: Setting | None = None,
    on_step: Callable[[int, int, float], None] = lambda step, total, loss: None,
    on_epoch: Callable[[Figures], None] = lambda figures: None,
) -> evaluate.Figures:
    """Train by ``recipe`` on ``source`` (a pair store, or what the recipe's data function takes) into folder ``out``.

    A run of the same recipe and data that lies in ``out`` is gone on with; where the schedule is constant or trapezoid,
    with other ``epochs`` too. Returns the evaluation of ``best.pt``.

    Raises:
        DataError: the store is another, a part is empty or lacks a class, ImageNet weights cannot be had.
        UsageError: an impossible recipe, or another run in ``out``. OutputError: ``out`` cannot be written.
    """
    setting = setting or Setting()
    parts = open_parts(source, recipe, setting.split)
    contract = parts.contract

    # How many we are. torchrun tells by the environment; without it we are one.
    world, local = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if recipe.batch % (world * recipe.accumulate):
        raise UsageError(f"a batch of {recipe.batch} cannot be cut into {world} processes x {recipe.accumulate} passes")
    share = recipe.batch // (world * recipe.accumulate)
    if recipe.dense and share % 2:
        raise UsageError(f"twins must stay together: {share} samples a pass and process is odd, give another batch")
    per_epoch = (recipe.epoch_samples or len(parts.train)) // recipe.batch
    if not per_epoch or len(parts.train) < recipe.batch:
        raise DataError(
            f"{len(parts.train)} training samples are fewer than one batch of {recipe.batch}: "
            "prepare more pairs, or give --set batch=N"
        )
    total = per_epoch * recipe.epochs
    torch.backends.cudnn.deterministic = True  # the same result as an unbroken run, for a little speed
    fabric = Fabric(
        accelerator=setting.accelerator,
        devices=local,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        precision=recipe.precision,
    )
    fabric.launch()

    # The network: every process starts from the same weights.
    torch.manual_seed(recipe.seed)
    network = build(contract, recipe.arch)
    pretrained = start_from(network, recipe.weights)
    freeze(network, recipe.frozen_children if pretrained else 0)
    network.to(memory_format=torch.channels_last)
    trainee = Localiser(network) if recipe.dense else network
    if world > 1:
        share_norms(network)
    optimizer = make_optimizer(trainee, recipe)

    # Where it stands: a run that was interrupted goes on.
    stands: dict[str, Any] = {"step": 0, "losses": [], "epochs": [], "sums": [0.0, 0.0, 0.0], "best": -math.inf}
    average = copy.deepcopy(network) if recipe.ema else None
    code = runs.commit()
    saved = read_checkpoint(out / "last.pt") if (out / "last.pt").is_file() else None
    if saved and saved["stands"]["step"] > total:
        raise UsageError(f"{out} has run for more than {recipe.epochs} epochs already: give more, or another folder")
    if fabric.is_global_zero:
        # A rate that stays the same, or falls at the end alone, leaves open when that is: the run may become longer,
        # or end sooner. It goes on from where it is; its result is not that of an unbroken run of as many epochs.
        open_ended = recipe.schedule in ("constant", "trapezoid")
        runs.begin(out, _config(source, recipe, parts, fabric), ("recipe", "contract", "parts"), open_ended)
        copy_flow(contract, source, out)
    model, fabric_optimizer = fabric.setup(trainee, optimizer)
    judged = average.to(fabric.device) if average is not None else network
    if saved:
        stands = saved["stands"]
        judged.load_state_dict(saved["model"])
        trainee.load_state_dict(saved["raw"] or saved["model"])
        optimizer.load_state_dict(saved["optimizer"])

    def save(name: str, **more: Any) -> None:
        if fabric.is_global_zero:
            state = {
                "model": judged.state_dict(),
                "arch": recipe.arch,
                "recipe": recipe.values(),
                "contract": replace(
                    contract,
                    trained_on=f"{recipe.name}: {parts.told}",
                    scores=dict(stands["epochs"][-1]) if stands["epochs"] else {},
                    commit=code["commit"],
                ).to_json(),
                **more,
            }
            write_atomically(out / name, lambda file: torch.save(state, file))

    def save_all() -> None:
        raw = None if trainee is judged else trainee.state_dict()
        save("last.pt", raw=raw, optimizer=optimizer.state_dict(), stands=stands)
        if fabric.is_global_zero:
            runs.write_csv(out / "steps.csv", [{"step": i, "loss": x} for i, x in enumerate(stands["losses"])])

    # The loop.
    batches = _batches(parts.train, recipe, share, stands["step"], total, setting.workers, fabric)
    for step in range(stands["step"], total):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate(step, per_epoch)
        torch.manual_seed((recipe.seed * 1_000_003 + step) * world + fabric.global_rank)  # for dropout
        model.train()
        seen = torch.zeros(3, dtype=torch.float64)
        for turn in range(recipe.accumulate):
            images, labels = next(batches)
            if recipe.dense:  # the last channel is for the loss alone
                images, where = images[..., :-1].contiguous(), images[..., -1]
            with fabric.no_backward_sync(model, enabled=turn < recipe.accumulate - 1):
                logits, maps = model(images) if recipe.dense else (model(images), [])
                logits = logits.float()
                loss = F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
                if recipe.dense:
                    loss = loss + recipe.dense * dense_loss(maps, where)
                fabric.backward(loss / recipe.accumulate)
            seen += _seen(logits, labels, loss) / recipe.accumulate
        if recipe.clip_norm:
            fabric.clip_gradients(model, fabric_optimizer, max_norm=recipe.clip_norm, error_if_nonfinite=False)
        fabric_optimizer.step()
        fabric_optimizer.zero_grad()
        if average is not None:
            _follow(average, network, recipe.ema)

        loss_now, soft, right = cast(Tensor, fabric.all_reduce(seen.float().to(fabric.device))).tolist()
        if not math.isfinite(loss_now):
            raise FlowtellError(f"the loss is no longer a number at step {step}: give a lower --set lr=")
        stands["losses"].append(loss_now)
        stands["sums"] = [a + b for a, b in zip(stands["sums"], (loss_now, soft, right), strict=True)]
        stands["step"] = step + 1
        on_step(step + 1, total, loss_now)

        if (step + 1) % per_epoch == 0:
            train = [s / per_epoch for s in stands["sums"]]
            figures: Figures = {
                "epoch": (step + 1) // per_epoch,
                "lr": recipe.rate(step, per_epoch),
                **dict(zip(("train_loss", "train_soft_accuracy", "train_accuracy"), train, strict=True)),
                **validate(judged, parts.valid, recipe, setting.workers, fabric),
            }
            stands["epochs"].append(figures)
            stands["sums"] = [0.0, 0.0, 0.0]
            if (rank := _rank(figures, recipe)) > stands["best"]:
                stands["best"] = rank
                save("best.pt")
            if fabric.is_global_zero:
                runs.write_csv(out / "curves.csv", stands["epochs"])
                runs.write_curves(out / "curves.png", stands["epochs"])
            on_epoch(figures)
            save_all()
        elif (step + 1) % recipe.checkpoint_steps == 0:
            save_all()

    # The judgement, on people whom neither training nor the choice of the epoch has seen where there are any.
    epochs: list[Figures] = stands["epochs"]
    best = max(epochs, key=lambda row: _rank(row, recipe))
    judgement: evaluate.Figures = {"part": "valid", **best}
    if fabric.is_global_zero:
        if parts.held_out:
            device: Device = "cuda" if fabric.device.type == "cuda" else "cpu"
            scores = score_stored(parts.held_out, CheckpointScorer(out / "best.pt", device))
            judgement = {"part": parts.judged_by, **evaluate.judge(scores)}
        evaluate.write_json(judgement, out / "evaluation.json")
    fabric.barrier()
    return judgement


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over what learns; only matrices and kernels decay, not biases and norms."""
    learning = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]
    match recipe.optimizer:
        case "sgd":
            return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum)
        case "adam":
            return torch.optim.Adam(groups, lr=recipe.lr)
        case "adamw":
            return torch.optim.AdamW(groups, lr=recipe.lr)


def validate(network: nn.Module, samples: Samples, recipe: Recipe, workers: int, fabric: Fabric) -> Figures:
    """Loss, the notebook's soft accuracy (mean over batches), accuracy in percent, and AUC, each by pair."""
    mine = range(fabric.global_rank, len(samples), fabric.world_size)
    share = max(1, recipe.valid_batch // fabric.world_size)
    batches = [[(0, i) for i in mine[k : k + share]] for k in range(0, len(mine), share)]
    rows: list[NDArray[np.float64]] = [np.zeros((0, 3))]
    network.eval()
    with torch.inference_mode(), fabric.autocast():
        for images, labels in _load(samples, batches, workers, fabric):
            logits = network(images).float()
            losses = F.cross_entropy(logits, labels, reduction="none")
            row = torch.stack([losses, torch.softmax(logits, 1)[:, 0], labels.float()], 1)
            rows.append(row.cpu().double().numpy())
    losses_, p_fake, labels_ = gather_striped(fabric, np.concatenate(rows), len(samples)).T
    fake = labels_ < ORIGINAL
    batch_starts = range(0, len(samples), recipe.valid_batch)
    soft = [metrics.soft_accuracy(p_fake[k : (e := k + recipe.valid_batch)], fake[k:e]) for k in batch_starts]
    return {
        "valid_loss": float(losses_.mean()),
        "valid_soft_accuracy": float(np.mean(soft)),
        "valid_accuracy": 100 * metrics.accuracy(p_fake, fake),
        "valid_auc": metrics.auc(p_fake, fake),
    }


def _rank(figures: Mapping[str, float], recipe: Recipe) -> float:
    """The higher, the better the epoch. One that cannot be told (NaN) is the worst, yet better than none."""
    value = figures[f"valid_{recipe.best}"] * (-1 if recipe.best == "loss" else 1)
    return -sys.float_info.max if math.isnan(value) else value


def _seen(logits: Tensor, labels: Tensor, loss: Tensor) -> Tensor:
    """Loss, soft accuracy and accuracy (percent) of one batch."""
    with torch.no_grad():
        true = torch.softmax(logits, 1).gather(1, labels[:, None])
        right = (logits.argmax(1) == labels).float()
        return torch.stack([loss.detach(), 100 * true.mean(), 100 * right.mean()]).cpu().double()


def _follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights and statistics towards the present ones (Polyak's averaging, exponentially)."""
    with torch.no_grad():
        for mine, theirs in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if mine.is_floating_point():
                mine.lerp_(theirs, 1 - decay)
            else:
                mine.copy_(theirs)


class _Draws(Dataset[Batch]):
    """Samples by (epoch, index), as a DataLoader's workers ask for them."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def __getitem__(self, at: tuple[int, int]) -> Batch:
        image, label = self._samples.sample(*at)
        return torch.from_numpy(np.ascontiguousarray(image)), torch.tensor(label)


class _Draw:
    """The (epoch, index) of each batch of one process, from a step on."""

    def __init__(self, usable: int, recipe: Recipe, share: int, steps: range, fabric: Fabric) -> None:
        self._usable, self._recipe, self._share, self._steps = usable, recipe, share, steps
        self._rank, self._world = fabric.global_rank, fabric.world_size

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in self._steps:
            for turn in range(self._recipe.accumulate):
                start = step * self._recipe.batch + (turn * self._world + self._rank) * self._share
                yield [divmod(draw, self._usable) for draw in range(start, start + self._share)]


def _batches(
    samples: Samples, recipe: Recipe, share: int, start: int, total: int, workers: int, fabric: Fabric
) -> Iterator[Batch]:
    # Whole batches only: what is left over of a pass is shuffled into the next.
    usable = len(samples) // recipe.batch * recipe.batch
    return _load(samples, _Draw(usable, recipe, share, range(start, total), fabric), workers, fabric)


def _load(samples: Samples, batches: Iterable[list[tuple[int, int]]], workers: int, fabric: Fabric) -> Iterator[Batch]:
    if workers:
        # Before the fork, which takes no threads along: a child that is to end OpenCV's crashes or waits for ever.
        cv2.setNumThreads(1)
    loader: DataLoader[Batch] = DataLoader(
        _Draws(samples),
        batch_sampler=cast(Any, batches),
        num_workers=workers,
        worker_init_fn=_one_thread,
        pin_memory=fabric.device.type == "cuda",
    )
    for images, labels in loader:
        yield fabric.to_device(images), fabric.to_device(labels)


def _one_thread(worker: int) -> None:
    if cv2.getNumThreads() != 1:  # spawned, not forked
        cv2.setNumThreads(1)


def _config(source: Path, recipe: Recipe, parts: Parts, fabric: Fabric) -> dict[str, Any]:
    return {
        "recipe": recipe.values(),
        "contract": asdict(parts.contract),
        "source": str(source),
        "parts": parts.described,
        "processes": fabric.world_size,
        "device": str(fabric.device),
        "environment": runs.environment(),
    }
