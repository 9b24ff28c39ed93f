"""A pair of crops -> the picture that the network sees: pure functions, shared by training and watching.

The flow comes from ``flows`` by the contract; the blend is that of the published notebook that flowtell grew out of.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .contract import Contract
from .flows import Flow, FlowFunction, flow_function
from .records import Image, Pair


def flow_picture(flow: Flow) -> Image:
    """The notebook's drawing of a flow, (S, S, 3) BGR: hue is direction, value the min-max scaled magnitude."""
    magnitude, angle = cv2.cartToPolar(flow[..., 0], flow[..., 1])
    hsv = np.full((*flow.shape[:2], 3), 255, np.uint8)
    hsv[..., 0] = angle * 180 / np.pi / 2
    # OpenCV's own scaling: written out in numpy it rounds a fifth of the pictures differently.
    hsv[..., 2] = cv2.normalize(magnitude, np.empty_like(magnitude), 0, 255, cv2.NORM_MINMAX)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.uint8)


def blend(first: Image, second: Image, drawn: Image, face: float, flow: float) -> Image:
    """``face * (first + second) / 2 + flow * drawn``, each step rounded to uint8 as the notebook does; BGR -> RGB."""
    faces = cv2.addWeighted(first, 0.5, second, 0.5, 0)
    return np.asarray(cv2.cvtColor(cv2.addWeighted(faces, face, drawn, flow, 0), cv2.COLOR_BGR2RGB), np.uint8)


def warp_back(second: Image, flow: Flow) -> Image:
    """``second`` moved back along the flow, so that it lies on the first crop; borders are replicated."""
    ys, xs = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    return np.asarray(
        cv2.remap(second, xs + flow[..., 0], ys + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
        np.uint8,
    )


def _signed(values: NDArray[np.float32], gain: float) -> NDArray[np.uint8]:
    """Signed values as bytes around 128: linear, clipped, and the same scale for every pair."""
    return np.asarray(np.clip(np.rint(values * gain) + 128, 0, 255), np.uint8)


def fuse(pair: Pair, contract: Contract, flow: FlowFunction | None = None) -> Image:
    """The network's input for one pair, (S, S, C) uint8, in the form that the contract names.

    ``fused``: the notebook's 0.7/0.3 blend, RGB. ``rgb``: the second crop alone. ``flow``: the drawn flow
    alone. ``stack``: RGB of the second crop, then flow x and y (16 levels a pixel of motion), then what the
    flow cannot explain: the second crop's luma moved back minus the first's (2 levels a gray level), 6 channels.
    ``flow`` is the contract's flow function where the caller keeps it (a learned one needs its file).
    """
    first, second = pair.first, pair.second
    if contract.input == "rgb":
        return np.asarray(cv2.cvtColor(second, cv2.COLOR_BGR2RGB), np.uint8)
    moved = (flow or flow_function(contract))(first, second)
    if contract.input == "flow":
        return np.asarray(cv2.cvtColor(flow_picture(moved), cv2.COLOR_BGR2RGB), np.uint8)
    if contract.input == "fused":
        return blend(first, second, flow_picture(moved), contract.face_weight, contract.flow_weight)
    gray = [np.asarray(cv2.cvtColor(c, cv2.COLOR_BGR2GRAY), np.float32) for c in (first, warp_back(second, moved))]
    channels = [
        cv2.cvtColor(second, cv2.COLOR_BGR2RGB),
        _signed(moved, 16.0),
        _signed(gray[1] - gray[0], 2.0)[..., None],
    ]
    return np.concatenate(channels, axis=2)
