"""Every recipe and strategy means the same before and after a bundle."""

import pytest
import torch
from golden_references import cells_of
from round_trips import deviations, strategies_of
from shipped import FOLDER, NAMES

import scarches_plus as sp


@pytest.mark.filterwarnings("ignore:the summary of:UserWarning")  # squared errors draw no cells to carry it over
@pytest.mark.parametrize("name", NAMES)
def test_latents_are_equal_to_the_bit(name, tmp_path):
    model = sp.hub.load_bundle(FOLDER / name)
    again = sp.hub.load_bundle(sp.hub.save_bundle(model, tmp_path / name))
    found = dict(deviations(model, again, cells_of(name)))
    assert set(found) == {"embedded", *strategies_of(model)}
    assert set(found.values()) == {0.0}


def test_one_changed_bias_is_seen_by_all_of_them():
    name = "simulated-scvi"
    model, other = (sp.hub.load_bundle(FOLDER / name) for _ in range(2))
    with torch.no_grad():
        other.module.z_encoder.mean_encoder.bias[0] += 0.01
    assert all(found > 1e-3 for found in dict(deviations(model, other, cells_of(name))).values())
