"""Does the classifier do what its formula says, choose genes of labels, and bear genes that are not there?"""

import anndata
import numpy as np
import pytest
from scipy import sparse
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

import scarches_plus as sp


def simulated(n_cells=900, n_genes=300, shift=0.3, rng=0, **kwargs):
    return sp.datasets.simulate(
        n_cells, n_genes, 4, n_batches=3, batch_effect=shift, type_effect=0.5, rng=rng, **kwargs
    )


@pytest.fixture(scope="module")
def parts():
    adata = simulated()
    query = (adata.obs["batch"] == "batch2").to_numpy()
    return adata[~query].copy(), adata[query].copy()


@pytest.fixture(scope="module")
def classifier(parts):
    return sp.tl.expression_classifier(parts[0], "cell_type", batch_key="batch")


def dense(adata):
    return np.asarray(adata.X.todense() if sparse.issparse(adata.X) else adata.X, dtype=float)


def accuracy(classifier, adata, genes=None):
    adata = adata if genes is None else adata[:, genes]
    best = classifier.probabilities(adata.X, list(adata.var_names)).argmax(axis=1)
    return np.mean(np.array(classifier.labels)[best] == adata.obs["cell_type"].astype(str).to_numpy())


def test_probabilities_are_those_of_the_formula(classifier, parts):
    """Written as loops, on genes in another order and with one that the classifier does not know."""
    query = parts[1][:20, ::-1].copy()
    query.var_names = ["stranger", *query.var_names[1:]]
    lacking = set(classifier.genes) - set(query.var_names)
    known = [gene for gene in classifier.genes if gene not in lacking]
    given = classifier.probabilities(query.X, list(query.var_names))
    np.testing.assert_allclose(given.sum(axis=1), 1)
    if lacking:  # then the rest is inferred, which has tests of its own
        query.var_names = [*lacking, *query.var_names[1:]]
        known = list(classifier.genes)
        given = classifier.probabilities(query.X, list(query.var_names))
    counts = dense(query[:, known])
    for cell in range(len(counts)):
        scores = []
        for label in range(len(classifier.labels)):
            score = classifier.intercepts[label]
            for gene in range(len(known)):
                log = np.log1p(1e4 * counts[cell, gene] / counts[cell].sum())
                x = np.clip((log - classifier.mean[gene]) / classifier.scale[gene], -6, 6)
                score += classifier.coefficients[label, gene] * x
            scores.append(score / classifier.temperature)
        expected = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(given[cell], expected, rtol=1e-3, atol=1e-5)


def test_coefficients_are_those_of_scikit_learn(classifier, parts):
    """A copy of each label's cells until all have as many stands for labels that weigh the same."""
    reference = parts[0]
    counts = dense(reference[:, list(classifier.genes)])
    logs = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(classifier.mean, logs.mean(axis=0), rtol=1e-3)
    np.testing.assert_allclose(classifier.scale, logs.std(axis=0) + 0.1, rtol=1e-3)
    x = np.clip((logs - classifier.mean) / classifier.scale, -6, 6)
    labels = reference.obs["cell_type"].astype(str).to_numpy()
    size = {label: (labels == label).sum() for label in classifier.labels}
    strength = classifier.held_out["strength"]
    fit = LogisticRegression(C=strength, tol=1e-8, max_iter=5000).fit(
        x, labels, sample_weight=[1000 / 4 / size[label] for label in labels]
    )
    weights = np.array([1000 / 4 / size[label] for label in labels])

    def objective(coefficients, intercepts):
        logs = log_softmax(x @ coefficients.T + intercepts, axis=1)
        truth = logs[np.arange(len(labels)), np.searchsorted(classifier.labels, labels)]
        return -strength * weights @ truth + 0.5 * np.square(coefficients).sum()

    least = objective(fit.coef_, fit.intercept_)
    assert least <= objective(classifier.coefficients, classifier.intercepts) < 1.02 * least


def test_it_labels_a_batch_it_has_not_seen(classifier, parts):
    assert accuracy(classifier, parts[1]) > 0.97
    assert classifier.held_out["accuracy"] > 0.97
    assert classifier.held_out["batches"]
    assert classifier.n_cells.sum() == parts[0].n_obs


def test_genes_of_batches_do_not_win():
    """60 genes tell types apart, 200 others batches: the classifier takes the former."""
    rng = np.random.default_rng(0)
    n, types, batches = 400, rng.integers(0, 3, 400), rng.integers(0, 2, 400)
    means = np.full((n, 1260), 0.5)
    for one in range(3):
        means[np.ix_(types == one, range(20 * one, 20 * one + 20))] = 4
    means[np.ix_(batches == 1, range(60, 260))] = 8
    adata = anndata.AnnData(sparse.csr_matrix(rng.poisson(means).astype(np.float32)))
    adata.var_names = [f"{'type' if i < 60 else 'batch' if i < 260 else 'none'}{i}" for i in range(1260)]
    adata.obs["cell_type"], adata.obs["batch"] = types.astype(str), batches.astype(str)
    found = sp.tl.expression_classifier(adata, "cell_type", batch_key="batch")
    assert len(found.genes) in {300, 1000}
    assert sum(gene.startswith("type") for gene in found.genes) == 60
    weight = np.abs(found.coefficients).sum(axis=0)
    of_type = np.array([gene.startswith("type") for gene in found.genes])
    assert weight[of_type].min() > weight[~of_type].max()


def test_genes_that_are_not_there_are_inferred_as_the_normal_distribution_has_them(classifier, parts):
    """The scores are those of the conditional mean, which is computed here from the whole covariance matrix."""
    query = parts[1]
    there = np.arange(len(classifier.genes)) % 3 > 0
    genes = [gene for gene, one in zip(classifier.genes, there, strict=True) if one]
    covariance = classifier.factors.T.astype(float) @ classifier.factors + np.diag(classifier.noise)
    slopes = covariance[np.ix_(~there, there)] @ np.linalg.inv(covariance[np.ix_(there, there)])
    counts = dense(query[:, genes])
    target = 1e4 * classifier.shares[there].sum() / classifier.shares.sum()
    logs = np.log1p(target * counts / counts.sum(axis=1, keepdims=True))
    x = np.clip((logs - classifier.mean[there]) / classifier.scale[there], -6, 6)
    scores = x @ classifier.coefficients[:, there].T + x @ slopes.T @ classifier.coefficients[:, ~there].T
    scores = (scores + classifier.intercepts) / classifier.temperature
    expected = np.exp(scores - scores.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(classifier.probabilities(query[:, genes].X, genes), expected, atol=1e-4)


def test_a_third_of_the_genes_is_enough(classifier, parts):
    genes = list(classifier.genes[::3])
    assert accuracy(classifier, parts[1], genes) > 0.9


def test_cells_without_counts_have_no_probabilities(classifier, parts):
    counts = parts[1].X[:3].toarray()
    counts[1] = 0
    found = classifier.probabilities(counts, list(parts[1].var_names))
    np.testing.assert_allclose(found.sum(axis=1), [1, 0, 1])
    assert classifier.probabilities(counts[:0], list(parts[1].var_names)).shape == (0, 4)


def test_wrong_counts_are_refused(classifier, parts):
    names = list(parts[1].var_names)
    with pytest.raises(ValueError, match="300 columns, and genes names 299"):
        classifier.probabilities(parts[1].X, names[1:])
    with pytest.raises(ValueError, match="names a gene twice"):
        classifier.probabilities(parts[1].X, [names[0], *names[:-1]])
    with pytest.raises(ValueError, match="names no gene of the classifier"):
        classifier.probabilities(np.ones((2, 1)), ["stranger"])
    with pytest.raises(ValueError, match=r"shape \(cells, genes\)"):
        classifier.probabilities(np.ones(3), names)


def test_it_is_small_plain_and_holds_no_cell(classifier, parts):
    plain = classifier.to_plain()
    assert sum(value.nbytes for value in plain.values() if isinstance(value, np.ndarray)) < 500_000
    again = sp.tl.ExpressionClassifier.from_plain(plain)
    names = list(parts[1].var_names)
    np.testing.assert_array_equal(again.probabilities(parts[1].X, names), classifier.probabilities(parts[1].X, names))
    assert again.labels == classifier.labels
    assert again.vote is None


def test_two_labels_and_one_batch_and_unlabelled_cells(parts):
    adata = parts[0].copy()
    names = adata.obs["cell_type"].astype(str).replace({"type2": "Unknown", "type3": None})
    adata.obs["cell_type"] = names
    adata.obs["one"] = "a"
    with pytest.warns(UserWarning, match="one batch"):
        found = sp.tl.expression_classifier(adata, "cell_type", batch_key="one")
    assert found.labels == ("type0", "type1")
    assert not found.held_out["batches"]
    assert found.temperature >= 1
    known = adata[names.isin(found.labels).to_numpy()]
    assert accuracy(found, known) > 0.99
    same = sp.tl.expression_classifier(adata, "cell_type")  # all cells are one batch, as asked
    np.testing.assert_array_equal(same.coefficients, found.coefficients)


def test_labels_of_one_batch_are_fitted_and_not_held_out(parts):
    adata = parts[0].copy()
    names = adata.obs["cell_type"].astype(str)
    names[(names == "type3") & (adata.obs["batch"] == "batch1").to_numpy()] = "only here"
    names[(names == "type3")] = "only there"
    adata.obs["cell_type"] = names
    found = sp.tl.expression_classifier(adata, "cell_type", batch_key="batch")
    assert found.held_out["n_cells"] == names.isin(["type0", "type1", "type2"]).sum()
    assert accuracy(found, adata) > 0.9
    adata.obs["cell_type"] = adata.obs["batch"].astype(str)
    found = sp.tl.expression_classifier(adata, "cell_type", batch_key="batch")
    assert found.held_out["n_cells"] == 0
    adata.obsm["X_scarches"] = np.zeros((adata.n_obs, 2), dtype=np.float32)
    with pytest.warns(UserWarning, match="is in two batches"):
        found = sp.tl.expression_classifier(adata, "cell_type", batch_key="batch", use_rep="X_scarches")
    assert found.vote is None


def test_what_cannot_be_fitted_is_refused(parts):
    adata = parts[0].copy()
    adata.obs["same"] = "one"
    with pytest.raises(ValueError, match=r"names 1 label\(s\)"):
        sp.tl.expression_classifier(adata, "same", batch_key="batch")
    adata.obs["gap"] = adata.obs["batch"].astype(str).where(np.arange(adata.n_obs) > 2)
    with pytest.raises(ValueError, match="3 labelled cells have no batch"):
        sp.tl.expression_classifier(adata, "cell_type", batch_key="gap")
    adata.X.data[0] = -1
    with pytest.raises(ValueError, match="cannot be used as they are"):
        sp.tl.expression_classifier(adata, "cell_type", batch_key="batch")


def test_large_references_are_drawn_evenly():
    """More cells than are fitted: the rare label keeps all of its cells, and the seed decides about the others."""
    adata = simulated(21_000, 30, shift=0.0, type_shares={"type0": 0.005})
    one, same, other = (
        sp.tl.expression_classifier(adata, "cell_type", batch_key="batch", rng=rng) for rng in (0, 0, 1)
    )
    np.testing.assert_array_equal(one.coefficients, same.coefficients)
    assert not np.array_equal(one.mean, other.mean)
    assert one.n_cells.sum() == adata.n_obs
    assert one.held_out["n_cells"] <= 4000
