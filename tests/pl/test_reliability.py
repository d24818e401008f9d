import matplotlib.pyplot as plt
import numpy as np
import pytest

from scarches_plus.metrics import reliability_curve
from scarches_plus.pl import reliability


@pytest.fixture
def curve():
    rng = np.random.default_rng(0)
    confidence = rng.random(500)
    return reliability_curve(confidence, rng.random(500) < confidence)


def test_points_are_the_curve(curve):
    ax = reliability(curve)
    np.testing.assert_allclose(ax.collections[0].get_offsets(), curve[["confidence", "accuracy"]])
    (text,) = [text.get_text() for text in ax.get_legend().get_texts()]
    assert text == f"calibration error {curve.attrs['calibration_error']:.3f}"
    sizes = ax.collections[0].get_sizes()
    assert (np.argsort(sizes, kind="stable") == np.argsort(curve["n_cells"], kind="stable")).all()


def test_several_curves_into_given_axes(curve):
    _, ax = plt.subplots()
    assert reliability({"before": curve, "after": curve}, ax=ax) is ax
    assert [text.get_text().split(",")[0] for text in ax.get_legend().get_texts()] == ["before", "after"]
    assert len(ax.collections) == 2
    curve.attrs.clear()
    assert reliability(curve).get_legend() is None
    with pytest.raises(ValueError, match="no curve"):
        reliability({})
