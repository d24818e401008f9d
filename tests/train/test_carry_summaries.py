import numpy as np
import pytest
import scvi
import torch
from small_models import SCVI, cells, reference, split, train

import scarches_plus as sp
from scarches_plus.train import EWC, carry_summaries, estimate_importance, summarize_reference

SILENT = {"enable_progress_bar": False}


@pytest.fixture(scope="module")
def built():
    ref, rest = split(cells(800, n_batches=4), "batch2", "batch3")
    model = train(reference(SCVI, ref), 60)
    summarize_reference(model, "cell_type")
    estimate_importance(model)
    return ref, rest, model


def centres(summary):
    weights = torch.zeros(len(summary.labels), len(summary))
    weights[summary.of_label, torch.arange(len(summary))] = summary.n_cells
    return ((weights / weights.sum(1, keepdim=True)) @ summary.means).numpy()


def test_summaries_lie_where_the_mapped_model_puts_the_reference(built):
    ref, rest, model = built
    query, _ = split(rest, "batch3")
    scvi.settings.seed = 0
    mapped = sp.tl.map_query(
        query,
        model,
        strategy="all",
        penalties=[EWC(weight=1.0)],
        max_epochs=30,
        plan_kwargs={"lr": 0.01},
        train_kwargs=SILENT,
    )
    carried, before = mapped.state.summaries["cell_type"], model.state.summaries["cell_type"]
    assert carried.space == mapped.state.space != before.space
    there = mapped.embed(ref)
    truth = np.stack([there[(ref.obs["cell_type"] == label).to_numpy()].mean(0) for label in carried.labels])
    distance = {name: np.linalg.norm(truth - centres(one)) for name, one in (("before", before), ("carried", carried))}
    assert distance["carried"] < 0.5 * distance["before"]


def test_where_nothing_moves_nothing_changes(built):
    _, rest, model = built
    mapped = train(SCVI.load_query_data(rest, model), 1)
    assert carry_summaries(model, mapped)["cell_type"].space == model.state.space


def test_queries_in_sequence(built):
    _, rest, model = built
    current = model
    for batch in ("batch2", "batch3"):
        query = rest[rest.obs["batch"] == batch].copy()
        scvi.settings.seed = 0
        current = sp.tl.map_query(query, current, strategy="all", max_epochs=2, train_kwargs=SILENT)
        assert current.state.summaries["cell_type"].space == current.state.space


def test_without_summaries_of_this_latent_space(built):
    ref, rest, _ = built
    model = reference(SCVI, ref)
    with pytest.raises(ValueError, match="summarize_reference"):
        carry_summaries(model, train(SCVI.load_query_data(rest, model), 1))
    summarize_reference(model, "cell_type")
    train(model, 1)
    with pytest.raises(ValueError, match="once it is trained"):
        carry_summaries(model, train(SCVI.load_query_data(rest, model), 1))
