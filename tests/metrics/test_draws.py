"""The cells that scores take where they do not take all."""

import numpy as np
import pandas as pd

from scarches_plus.metrics._shared._neighbor_vote import _draw
from scarches_plus.metrics._shared._scored_cells import stratified_draw


def test_the_draw_keeps_shares():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 300)
    batches = np.where(labels == 3, 1, rng.integers(0, 2, 300))
    rows = stratified_draw(batches, labels, 100, 0)
    assert len(set(rows)) == 100
    whole, drawn = (
        pd.Series(list(zip(b, t, strict=True))).value_counts()
        for b, t in ((batches, labels), (batches[rows], labels[rows]))
    )
    assert (drawn.reindex(whole.index).fillna(0) - whole / 3).abs().max() <= 1


def test_every_cell_is_equally_likely_to_be_drawn():
    batches = np.array([0] * 7 + [1] * 2 + [2])
    draws = [_draw(batches, 4, np.random.default_rng(seed)) for seed in range(3000)]
    assert all(len(set(draw.tolist())) == 4 for draw in draws)
    shares = np.bincount(np.concatenate(draws), minlength=10) / 3000
    np.testing.assert_allclose(shares, 0.4, atol=5 * np.sqrt(0.24 / 3000))


def test_cells_of_small_strata_are_as_likely_to_be_drawn_as_others():
    batches = np.array([0, 1, 1, 1])
    draws = np.concatenate([stratified_draw(batches, None, 1, seed) for seed in range(3000)])
    np.testing.assert_allclose(np.bincount(draws, minlength=4) / 3000, 0.25, atol=5 * np.sqrt(0.1875 / 3000))
