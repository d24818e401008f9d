from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, f1_score, roc_auc_score

from scarches_plus.metrics import LabelTransferReport, label_transfer_report

REFERENCE = ["B", "T", "NK", "mono"]


def example(n=400, seed=0):
    """Types B, T, NK known, pDC unseen; mono known but absent from the query; some cells rejected."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(["B", "T", "NK", "pDC"], n, p=[0.5, 0.3, 0.1, 0.1])
    predictions = np.where((rng.random(n) < 0.25) | (labels == "pDC"), rng.choice(REFERENCE, n), labels)
    uncertainty = rng.beta(1, 3, n) + 0.2 * (labels == "pDC")
    uncertainty = np.round(uncertainty.clip(0, 1), 2)  # ties
    return labels, np.where(uncertainty > 0.5, "Unknown", predictions), uncertainty


def test_equals_loops_over_cells():
    labels, predictions, uncertainty = example()
    report = label_transfer_report(labels, predictions, uncertainty, known_labels=REFERENCE)

    right, of_known, rejected_known, rejected_unseen = [], [], [], []
    for true, predicted in zip(labels, predictions, strict=True):
        of_known.append(true in REFERENCE)
        if true in REFERENCE:
            right.append(true == predicted)
            rejected_known.append(predicted == "Unknown")
        else:
            rejected_unseen.append(predicted == "Unknown")
    assert report.accuracy == pytest.approx(np.mean(right))
    assert report.unknown_rate_known == pytest.approx(np.mean(rejected_known))
    assert report.unknown_rate_unseen == pytest.approx(np.mean(rejected_unseen))
    assert (report.n_cells, report.n_known, report.n_unseen) == (400, sum(of_known), 400 - sum(of_known))

    recalls = {name: np.mean(predictions[labels == name] == name) for name in ["B", "NK", "T"]}
    assert report.weighted_accuracy == pytest.approx(np.mean(list(recalls.values())))
    assert report.per_type["recall"].dropna().to_dict() == pytest.approx(recalls)

    higher = [
        (u > v) + 0.5 * (u == v)
        for u, un in zip(uncertainty, of_known, strict=True)
        for v, kn in zip(uncertainty, of_known, strict=True)
        if kn and not un
    ]
    assert report.auroc_unseen == pytest.approx(np.mean(higher))


def test_equals_scikit_learn():
    labels, predictions, uncertainty = example()
    report = label_transfer_report(labels, predictions, uncertainty, known_labels=REFERENCE)
    known = np.isin(labels, REFERENCE)
    types = ["B", "NK", "T"]
    assert report.macro_f1 == pytest.approx(
        f1_score(labels[known], predictions[known], labels=types, average="macro", zero_division=0)
    )
    assert report.auroc_unseen == pytest.approx(roc_auc_score(~known, uncertainty))
    names = ["B", "NK", "T", "mono", "pDC", "Unknown"]
    table = pd.DataFrame(confusion_matrix(labels, predictions, labels=names), index=names, columns=names)
    pd.testing.assert_frame_equal(
        report.confusion,
        table.loc[["B", "NK", "T", "pDC"], ["B", "NK", "T", "mono", "Unknown"]],
        check_names=False,
        check_index_type=False,
        check_column_type=False,
    )


def test_calibration_error_by_hand():
    labels = ["A"] * 7 + ["Z"]
    predictions = ["A", "B", "A", "A", "B", "Unknown", "A", "A"]
    uncertainty = [0.75, 0.80, 0.40, 0.45, 0.0, 0.9, 0.0, 0.3]
    # confidence of accepted known cells: .25 .20 | .60 .55 | 1 1 in bins (0, .5], (.5, .75], (.75, 1] of 4: (0,.25] has
    # both
    report = label_transfer_report(labels, predictions, uncertainty, known_labels=["A", "B"], n_bins=4)
    low = abs((1 - 0.25) + (0 - 0.20))
    middle = abs((1 - 0.60) + (1 - 0.55))
    high = abs((0 - 1) + (1 - 1))
    assert report.calibration_error == pytest.approx((low + middle + high) / 6)


@given(seed=st.integers(0, 10**6), n_bins=st.integers(1, 20))
@settings(deadline=None, max_examples=20)
def test_calibration_error_equals_loop_over_bins(seed, n_bins):
    labels, predictions, uncertainty = example(60, seed)
    report = label_transfer_report(labels, predictions, uncertainty, known_labels=REFERENCE, n_bins=n_bins)
    kept = np.isin(labels, REFERENCE) & (predictions != "Unknown")
    confidence, right = 1 - uncertainty[kept], (labels == predictions)[kept]
    edges = np.linspace(0, 1, n_bins + 1)
    expected = 0.0
    for low, high in pairwise(edges):
        inside = (confidence > low) & (confidence <= high) | (low == 0) & (confidence == 0)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert report.calibration_error == pytest.approx(expected)


@given(seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=20)
def test_bounds_and_order_of_cells(seed):
    labels, predictions, uncertainty = example(50, seed)
    report = label_transfer_report(labels, predictions, uncertainty, known_labels=REFERENCE)
    order = np.random.default_rng(seed).permutation(50)
    again = label_transfer_report(labels[order], predictions[order], uncertainty[order], known_labels=REFERENCE)
    numbers = report.to_series()
    np.testing.assert_allclose(again.to_series(), numbers, atol=1e-12)
    rates = numbers.drop([name for name in numbers.index if name.startswith("n_")]).dropna()
    assert rates.between(0, 1).all()
    assert report.confusion.to_numpy().sum() == report.n_cells == report.per_type["n"].sum()


def test_per_type():
    labels = ["A", "A", "A", "A", "B", "B", "Z", "Z", "Z"]
    predictions = ["A", "B", "C", "Unknown", "B", "B", "A", "Unknown", "A"]
    uncertainty = [0.1, 0.2, 0.3, 0.8, 0.0, 0.2, 0.4, 0.9, 0.5]
    table = label_transfer_report(labels, predictions, uncertainty, known_labels=["A", "B", "C"]).per_type
    assert table.index.tolist() == ["A", "B", "Z"]
    assert table["n"].tolist() == [4, 2, 3]
    assert table["known"].tolist() == [True, True, False]
    np.testing.assert_allclose(table["recall"], [0.25, 1.0, np.nan])
    np.testing.assert_allclose(table["unknown_rate"], [0.25, 0.0, 1 / 3])
    assert table["confused_with"].fillna("").tolist() == ["B", "", "A"]  # B and C tie: by name
    np.testing.assert_allclose(table["uncertainty"], [0.35, 0.1, 0.6])


def test_by_default_every_true_label_is_known():
    labels, predictions, uncertainty = example()
    report = label_transfer_report(labels, predictions, uncertainty)
    assert report.n_unseen == 0
    assert report.accuracy == pytest.approx((labels == predictions).mean())
    assert np.isnan(report.auroc_unseen)
    assert np.isnan(report.unknown_rate_unseen)
    assert report.per_type.loc["pDC", "recall"] == 0


def test_without_uncertainty():
    labels, predictions, _ = example()
    report = label_transfer_report(labels, predictions, known_labels=REFERENCE)
    assert np.isnan(report.auroc_unseen)
    assert np.isnan(report.calibration_error)
    assert report.per_type["uncertainty"].isna().all()
    assert report.accuracy > 0


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, "Unknown"])
def test_missing_labels_are_left_out_and_counted(missing):
    labels, predictions, uncertainty = example()
    whole = label_transfer_report(labels[5:], predictions[5:], uncertainty[5:], known_labels=REFERENCE)
    holes = labels.astype(object)
    holes[:5] = missing
    report = label_transfer_report(holes, predictions, uncertainty, known_labels=REFERENCE)
    assert report.n_missing == 5
    pd.testing.assert_series_equal(report.to_series().drop("n_missing"), whole.to_series().drop("n_missing"))


def test_columns_of_a_data_frame():
    labels, predictions, uncertainty = example()
    obs = pd.DataFrame({"label": pd.Categorical(labels), "pred": pd.Categorical(predictions), "u": uncertainty})
    reference = pd.Series(pd.Categorical([*REFERENCE, None, "Unknown", *REFERENCE]))
    report = label_transfer_report(obs["label"], obs["pred"], obs["u"], known_labels=reference)
    expected = label_transfer_report(labels, predictions, uncertainty, known_labels=REFERENCE)
    pd.testing.assert_series_equal(report.to_series(), expected.to_series())


def test_numbers_as_labels():
    report = label_transfer_report([0, 1, 1, 2], ["0", "1", "Unknown", "1"], known_labels=[0, 1])
    assert report.accuracy == pytest.approx(2 / 3)
    assert report.n_unseen == 1


def test_nothing_known_and_nothing_accepted():
    report = label_transfer_report(["Z", "Z"], ["Unknown", "Unknown"], [0.9, 0.8], known_labels=["A"])
    assert report.unknown_rate_unseen == 1
    assert report.to_series()[["accuracy", "weighted_accuracy", "macro_f1", "unknown_rate_known"]].isna().all()
    assert report.confusion.columns.tolist() == ["Unknown"]
    assert report.per_type["confused_with"].isna().all()


def test_another_name_of_the_unknown():
    report = label_transfer_report(["A", "Z"], ["A", "nope"], known_labels=["A"], unknown_category="nope")
    assert report.unknown_rate_unseen == 1
    assert report.confusion.columns[-1] == "nope"


def test_a_known_type_may_be_missing_from_the_predictions():
    report = label_transfer_report(["A", "A", "B", "B"], ["A"] * 4, known_labels=["A", "B"])
    assert report.n_known == 4
    assert report.weighted_accuracy == 0.5


def test_shows():
    labels, predictions, uncertainty = example()
    report = label_transfer_report(labels, predictions, uncertainty, known_labels=REFERENCE)
    assert isinstance(report, LabelTransferReport)
    for text in (repr(report), str(report)):
        assert f"{report.accuracy:.3f}" in text
        assert "pDC" in text
    html = label_transfer_report(["<b>"], ["<b>"])._repr_html_()
    assert "<table" in html
    assert "<b>" not in html
    assert report.to_series().index[0] == "n_cells"


def test_errors():
    with pytest.raises(ValueError, match="labels has 2 entries and predictions 1"):
        label_transfer_report(["A", "B"], ["A"])
    with pytest.raises(ValueError, match="predictions is missing for 1 cells: use 'Unknown'"):
        label_transfer_report(["A", "B"], ["A", None])
    with pytest.raises(ValueError, match="labels has no true label"):
        label_transfer_report([None, "Unknown"], ["A", "B"])
    with pytest.raises(ValueError, match=r"uncertainty must have one entry .* 2 cells; its shape is \(1,\)"):
        label_transfer_report(["A", "B"], ["A", "B"], [0.5])
    with pytest.raises(ValueError, match="outside of 0 to 1 for 2 cells"):
        label_transfer_report(["A", "B", "B"], ["A", "B", "B"], [0.5, np.nan, 1.5])
    with pytest.raises(ValueError, match=r"labels that known_labels lacks: \['C'\]"):
        label_transfer_report(["A", "B"], ["A", "C"], known_labels=["A", "B"])


def test_per_group_equals_loops_over_cells():
    """scArches, Fig. 3g: correct, incorrect and unknown cells of every tissue."""
    labels, predictions, uncertainty = example()
    tissues = np.random.default_rng(1).choice(np.array(["lung", "heart", None], dtype=object), len(labels))
    report = label_transfer_report(labels, predictions, uncertainty, known_labels=REFERENCE, by=tissues)
    assert list(report.per_group.index) == ["heart", "lung"]
    for tissue, row in report.per_group.iterrows():
        cells = [
            "unknown" if predicted == "Unknown" else "correct" if predicted == true else "incorrect"
            for true, predicted, where in zip(labels, predictions, tissues, strict=True)
            if where == tissue
        ]
        assert row["n"] == len(cells)
        for outcome in ("correct", "incorrect", "unknown"):
            assert row[outcome] == pytest.approx(cells.count(outcome) / len(cells))
        assert row["uncertainty"] == pytest.approx(uncertainty[tissues == tissue].mean())
    assert "heart" in repr(report)
    assert "heart" in report._repr_html_()
    assert label_transfer_report(labels, predictions).per_group is None
    with pytest.raises(ValueError, match=r"by must have one entry .* 400 cells; its shape is \(399,\)"):
        label_transfer_report(labels, predictions, by=tissues[1:])
