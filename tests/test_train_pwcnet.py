"""PWC-Net: its published size, warping and cost volume by known numbers."""

from __future__ import annotations

import pytest
import torch

from train.pwcnet import PLANS, FlowNet, PwcNet, cost_volume, normalised, parameters, warp


def test_the_full_network_has_the_published_8_75_million_parameters() -> None:
    with torch.device("meta"):
        assert parameters(PwcNet(PLANS["full"])) == 8_749_214


def test_the_small_network_is_small_enough_for_live_use() -> None:
    assert parameters(PwcNet(PLANS["small"])) == 353_230


def test_the_full_network_gives_a_flow_at_every_level_down_to_a_quarter() -> None:
    with torch.device("meta"):
        flows = PwcNet(PLANS["full"])(torch.zeros(1, 3, 128, 192), torch.zeros(1, 3, 128, 192))
    assert [tuple(f.shape[2:]) for f in flows] == [(2, 3), (4, 6), (8, 12), (16, 24), (32, 48)]


def test_warping_takes_each_pixel_from_where_the_flow_says() -> None:
    features = torch.arange(20.0).reshape(1, 1, 4, 5)
    flow = torch.zeros(1, 2, 4, 5)
    flow[:, 0] = 1.0  # one to the right
    moved = warp(features, flow)[0, 0]
    assert torch.allclose(moved[:, :4], features[0, 0, :, 1:], atol=1e-4)
    assert torch.allclose(moved[:, 4], torch.zeros(4), atol=1e-4)  # outside is zero
    flow[:, 0], flow[:, 1] = 0.0, 0.5
    assert torch.allclose(warp(features, flow)[0, 0, 1], (features[0, 0, 1] + features[0, 0, 2]) / 2, atol=1e-4)


def test_the_cost_volume_correlates_with_every_neighbour_row_by_row() -> None:
    first = torch.ones(1, 2, 3, 3)
    second = torch.zeros(1, 2, 3, 3)
    second[0, :, 1, 2] = torch.tensor([3.0, 5.0])  # right of the centre
    volume = cost_volume(first, second, 1)
    assert volume.shape == (1, 9, 3, 3)
    # Seen from the centre it is one step in x and none in y: the sixth of nine neighbours.
    assert volume[0, :, 1, 1].tolist() == [0, 0, 0, 0, 0, 4.0, 0, 0, 0]


def test_normalised_features_have_mean_0_and_variance_1_each_picture_for_itself() -> None:
    scale = torch.tensor([1.0, 9.0]).reshape(2, 1, 1, 1)
    out = normalised(torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * scale + 4)
    assert torch.allclose(out.mean((1, 2, 3)), torch.zeros(2), atol=1e-5)
    assert torch.allclose(out.square().mean((1, 2, 3)), torch.ones(2), atol=1e-3)


def test_the_exported_form_takes_bytes_and_gives_pixels_at_full_size() -> None:
    torch.manual_seed(0)
    net = FlowNet(PwcNet(PLANS["small"]), 32).eval()
    crops = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    with torch.inference_mode():
        flow = net(crops, crops)
    assert flow.shape == (2, 32, 32, 2) and flow.dtype == torch.float32


def test_a_size_that_the_pyramid_cannot_halve_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 16 px, not 100"):
        FlowNet(PwcNet(PLANS["small"]), 100)
