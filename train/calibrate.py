"""A trained model -> the same model whose P(fake) can be taken at its word, with thresholds that hold back.

Temperature and bias are fitted to the clips of a manifest that nothing was trained on (Guo et al., On Calibration of
Modern Neural Networks, 2017; Platt, Probabilistic Outputs for Support Vector Machines, 1999), each class weighing the
same; they live in the ONNX graph, just before its last sigmoid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

from stream.contract import KEY, Contract, Thresholds
from stream.errors import ContractError, DataError, ModelError, UsageError

from .evaluate import judge, plain
from .metrics import ClipScores, Scores
from .store import copy_flow, write_atomically

LEAST, MOST = 1e-6, 1 - 1e-6  # float32 keeps no more of a probability near 0 or 1
_PASSED = frozenset({"Cast", "Squeeze", "Unsqueeze", "Reshape", "Flatten", "Identity"})


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns a P(fake) p into a better one: sigmoid(logit(p) / temperature + bias)."""

    temperature: float = 1.0
    bias: float = 0.0

    def __call__(self, p_fake: Scores) -> Scores:
        """Calibrated P(fake), (N,)."""
        return sigmoid(logit(p_fake) / self.temperature + self.bias)

    def after(self, temperature: float, bias: float) -> tuple[float, float]:
        """Temperature and bias of both steps in one, where ``temperature`` and ``bias`` come before this one."""
        return temperature * self.temperature, bias / self.temperature + self.bias


def logit(p: Scores) -> Scores:
    """log(p / (1 - p)), with p held within what float32 can tell from 0 and 1."""
    held = np.clip(np.asarray(p, float), LEAST, MOST)
    return np.asarray(np.log(held / (1 - held)))


def sigmoid(x: Scores) -> Scores:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def fit_calibration(scores: Sequence[ClipScores]) -> Calibration:
    """The temperature and bias under which clip means (not single pairs) are the likeliest, classes weighing the same.

    A clip's P(fake) is the mean over its pairs, as the verdict takes it. The targets are Platt's smoothed ones, so
    that clips told apart without a mistake do not ask for infinite confidence.

    Raises:
        DataError: no scored clip of one of the classes.
    """
    from scipy.optimize import minimize  # type: ignore[import-untyped]  # noqa: PLC0415  (slow to import)

    told = [s for s in scores if len(s.p_fake)]
    fake = np.array([s.clip.fake for s in told], bool)
    if fake.all() or not fake.any():
        raise DataError("calibration needs scored clips of both classes: give a manifest with real and fake faces")
    logits, counts = logit(np.concatenate([s.p_fake for s in told])), np.array([len(s.p_fake) for s in told])
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    fakes, reals = int(fake.sum()), int((~fake).sum())
    target = np.where(fake, (fakes + 1) / (fakes + 2), 1 / (reals + 2))
    weight = np.where(fake, 0.5 / fakes, 0.5 / reals)

    def surprise(at: Scores) -> float:
        means = np.add.reduceat(sigmoid(logits * math.exp(-at[0]) + at[1]), starts) / counts
        p = np.clip(means, LEAST, MOST)
        return float(-(weight * (target * np.log(p) + (1 - target) * np.log(1 - p))).sum())

    # The mean of sigmoids leaves the surface with flat parts: several starts, no gradients, the best end.
    centre = -float(np.median(logits))
    ends = [
        minimize(surprise, [at, centre * math.exp(-at)], method="Nelder-Mead", bounds=[(-4, 4), (-20, 20)])
        for at in (-1.0, 0.0, 1.0)
    ]
    best = min(ends, key=lambda end: float(end.fun))
    return Calibration(math.exp(float(best.x[0])), float(best.x[1]))


def choose_thresholds(
    real: Scores, fake: Scores, false_rate: float = 0.02, missed_rate: float = 0.05, hysteresis: float = 0.1
) -> Thresholds:
    """Thresholds at which at most ``false_rate`` of reals are called FAKE and ``missed_rate`` of fakes REAL.

    real, fake: (N,) calibrated values of clips. Each rate holds by count, and also by a normal distribution of the
    logits: twenty clips cannot show two percent by counting. FAKE never begins below 0.5, REAL never above it; where
    the model is weak, the UNSURE band between them is wide.

    Raises:
        UsageError: a rate outside [0, 0.5].
    """
    if not (0 <= false_rate <= 0.5 and 0 <= missed_rate <= 0.5):
        raise UsageError(f"the rates of wrong calls must lie between 0 and 0.5, not {false_rate} and {missed_rate}")
    high = max(0.5, _beyond(real, false_rate))
    low = 1 - max(0.5, _beyond(1 - fake, missed_rate))
    fake_enter = min(1.0, math.ceil(high * 1000) / 1000)
    real_enter = max(0.0, math.floor(low * 1000) / 1000)
    return Thresholds(
        fake_enter,
        round(max(0.5, fake_enter - hysteresis), 3),
        real_enter,
        round(min(0.5, real_enter + hysteresis), 3),
    )


def _beyond(values: Scores, rate: float) -> float:
    """The least value that no more than ``rate`` of such values reach."""
    ordered = np.sort(values)[::-1]
    counted = float(ordered[min(int(rate * len(ordered)), len(ordered) - 1)]) + 1e-4
    if len(values) < 3:
        return counted
    logits = logit(values)
    spread = NormalDist(float(logits.mean()), max(1e-6, float(logits.std(ddof=1))))
    # A normal distribution reaches every value at times: where none is allowed, one in a thousand is.
    return max(counted, float(sigmoid(np.array(spread.inv_cdf(1 - max(rate, 1e-3))))))


def read_graph(file: Path) -> tuple[onnx.ModelProto, Contract]:
    """An exported model's graph and contract.

    Raises:
        ModelError: the file is missing or not ONNX. ContractError: it carries no contract, or one that cannot be met.
    """
    if not file.is_file():
        raise ModelError(f"no model at {file}: export one with 'flowtell export'")
    try:
        model = onnx.load(str(file))
    except (OSError, DecodeError) as error:
        raise ModelError(f"{file} is not an ONNX model: export one with 'flowtell export'") from error
    text = next((entry.value for entry in model.metadata_props if entry.key == KEY), None)
    if text is None:
        raise ContractError(f"{file} carries no flowtell contract: export it with 'flowtell export'")
    return model, Contract.from_json(text)


def calibrated(model: onnx.ModelProto, contract: Contract, step: Calibration) -> tuple[onnx.ModelProto, Contract]:
    """The model with ``step`` before its last sigmoid, and the contract that tells the whole of its calibration.

    Raises:
        ModelError: ``p_fake`` is not made by a sigmoid.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    known = {tensor.name: tensor for tensor in graph.initializer}
    if {"temperature", "bias"} <= known.keys():
        before = (float(numpy_helper.to_array(known[name])) for name in ("temperature", "bias"))
        for name, value in zip(("temperature", "bias"), step.after(*before), strict=True):
            kind = numpy_helper.to_array(known[name]).dtype
            known[name].CopyFrom(numpy_helper.from_array(np.array(value, kind), name))
    else:
        _insert(graph, onnx.shape_inference.infer_shapes(model).graph, step)
    temperature, bias = step.after(contract.temperature, contract.bias)
    return changed, replace(contract, temperature=temperature, bias=bias)


def _insert(graph: onnx.GraphProto, inferred: onnx.GraphProto, step: Calibration) -> None:
    """Put Div and Add, with initializers ``temperature`` and ``bias``, before the sigmoid that makes ``p_fake``."""
    makers = {name: node for node in graph.node for name in node.output}
    last = makers.get("p_fake")
    while last is not None and last.op_type in _PASSED:
        last = makers.get(last.input[0])
    if last is None or last.op_type != "Sigmoid":
        raise ModelError(
            "this model's p_fake is not made by a sigmoid: only models of 'flowtell export' are calibrated"
        )
    raw = last.input[0]
    kinds = {value.name: value.type.tensor_type.elem_type for value in inferred.value_info}
    kind = helper.tensor_dtype_to_np_dtype(kinds.get(raw, TensorProto.FLOAT))
    for name, value in (("temperature", step.temperature), ("bias", step.bias)):
        graph.initializer.append(numpy_helper.from_array(np.array(value, kind), name))
    at = list(graph.node).index(last)
    graph.node.insert(at, helper.make_node("Div", [raw, "temperature"], ["logit_scaled"], name="calibrate_scale"))
    graph.node.insert(at + 1, helper.make_node("Add", ["logit_scaled", "bias"], ["logit_calibrated"], name="calibrate"))
    last.input[0] = "logit_calibrated"


def write_graph(model: onnx.ModelProto, contract: Contract, out: Path) -> None:
    """Save a graph with the contract in its metadata, whole or not at all. Raises OutputError."""
    helper.set_model_props(model, {KEY: contract.to_json()})
    write_atomically(out, lambda file: file.write(model.SerializeToString()))


Look = Callable[[Path], tuple[Sequence[ClipScores], Sequence[tuple[float, float] | None]]]
"""A model's file -> its clips' scores, and the lowest and highest mean that the live window would judge each by."""


def calibrate(
    file: Path,
    out: Path,
    look: Look,
    rates: tuple[float, float] = (0.02, 0.05),
    by_window: bool = False,
    hysteresis: float = 0.1,
) -> Contract:
    """Fit, choose thresholds, and write the model anew; gives its contract.

    rates: at most this share of reals called FAKE, and of fakes called REAL. by_window: by the extremes of the live
    window over each clip, which no clip may cross at any moment, instead of by the clip's mean.

    Raises:
        ModelError, ContractError: the model. DataError: the clips. OutputError: ``out`` cannot be written.
    """
    model, contract = read_graph(file)
    model, contract = calibrated(model, contract, fit_calibration(look(file)[0]))
    copy_flow(contract, file.parent, out.parent)
    write_graph(model, contract, out)
    # Scored again through the file that was written: thresholds rest on what it says, not on what it ought to say.
    scores, extremes = look(out)
    told = [
        (s.clip.fake, extreme if by_window and extreme is not None else (s.mean, s.mean))
        for s, extreme in zip(scores, extremes, strict=True)
        if len(s.p_fake)
    ]
    thresholds = choose_thresholds(
        np.array([high for fake, (_, high) in told if not fake]),
        np.array([low for fake, (low, _) in told if fake]),
        *rates,
        hysteresis,
    )
    judged = judge(scores)
    figures = {
        "clip_auc": judged["clips"]["auc"],
        "pair_auc": judged["pairs"]["auc"],
        "paired_auc": judged["paired"] and judged["paired"]["auc"],
        "calibrated_on": {
            "real": sum(not fake for fake, _ in told),
            "fake": sum(fake for fake, _ in told),
            "by": "window" if by_window else "clip",
            "rates": list(rates),
            "thresholds": asdict(thresholds),
        },
    }
    contract = replace(contract, thresholds=thresholds, scores={**contract.scores, **plain(figures)})
    write_graph(model, contract, out)
    return contract
