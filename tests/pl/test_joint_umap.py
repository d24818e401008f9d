import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from scarches_plus.pl import joint_umap

REFERENCE_COLOR, QUERY_COLOR, UNKNOWN_COLOR = "#dcdcdc", "#0072b2", "#6b6b6b"

# scanpy 1.11 with matplotlib 3.11
pytestmark = pytest.mark.filterwarnings("ignore:The set_bad function:PendingDeprecationWarning")


def layers(ax):
    """Scatters with points: the reference, then the query."""
    return [c for c in ax.collections if len(c.get_offsets()) and c.get_label() != "_colorbar"]


def legend(ax):
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    colors = [to_hex(handle.get_facecolor()[0]) for handle in ax.get_legend().legend_handles]
    return dict(zip(names, colors, strict=True))


def sorted_rows(points):
    return sorted(map(tuple, np.round(np.asarray(points), 6)))


def test_reference_is_grey_behind_the_query(joint):
    ax = joint_umap(joint)
    assert isinstance(ax, Axes)
    reference, query = layers(ax)
    is_query = (joint.obs["mapping_role"] == "query").to_numpy()
    assert sorted_rows(reference.get_offsets()) == sorted_rows(joint.obsm["X_umap"][~is_query])
    assert sorted_rows(query.get_offsets()) == sorted_rows(joint.obsm["X_umap"][is_query])
    assert {to_hex(c) for c in reference.get_facecolors()} == {REFERENCE_COLOR}
    assert legend(ax) == {"reference": REFERENCE_COLOR, "query": QUERY_COLOR}


def test_one_panel_per_column(joint, assert_unchanged):
    assert_unchanged(joint)
    axes = joint_umap(joint, color=["cell_type_pred", "tech", "cell_type_uncertainty", "is_fresh"])
    assert_unchanged(joint)
    assert isinstance(axes, np.ndarray)
    assert [ax.get_title() for ax in axes] == ["cell_type_pred", "tech", "cell_type_uncertainty", "is_fresh"]
    assert list(legend(axes[0])) == ["reference", "alpha", "beta", "ductal", "Unknown"]
    assert legend(axes[0])["Unknown"] == UNKNOWN_COLOR
    assert list(legend(axes[1])) == ["reference", "celseq2", "smartseq2"]
    assert axes[2].get_legend() is None
    assert list(legend(axes[3])) == ["reference", "False", "True"]
    assert isinstance(joint_umap(joint, color=["tech"]), np.ndarray)


def test_labels_have_the_color_of_the_legend(joint):
    ax = joint_umap(joint, color="cell_type_pred")
    _, query = layers(ax)
    colors = legend(ax)
    label_of = {
        tuple(np.round(point, 6)): label
        for point, label in zip(joint.obsm["X_umap"], joint.obs["cell_type_pred"], strict=True)
    }
    for point, color in zip(query.get_offsets(), query.get_facecolors(), strict=True):
        assert to_hex(color) == colors[label_of[tuple(np.round(point, 6))]]


def test_colors_of_the_user(joint):
    joint.uns["cell_type_colors"] = np.array(["#ff0000", "#00ff00", "#0000ff", "#123456"])
    before = joint.uns["cell_type_colors"].copy()
    assert legend(joint_umap(joint, color="cell_type")) == {
        "reference": REFERENCE_COLOR,
        "alpha": "#ff0000",
        "beta": "#00ff00",
        "delta": "#0000ff",
        "ductal": "#123456",
    }
    np.testing.assert_array_equal(joint.uns["cell_type_colors"], before)


def test_colors_do_not_depend_on_the_types_of_the_query(joint):
    every = legend(joint_umap(joint, color="cell_type"))
    joint.obs.loc[joint.obs["cell_type"] == "alpha", "mapping_role"] = "reference"
    some = legend(joint_umap(joint, color="cell_type"))
    assert "alpha" not in some
    assert some == {name: every[name] for name in some}


def test_uncertainty_spans_0_to_1(joint):
    ax = joint_umap(joint, color="cell_type_uncertainty")
    _, query = layers(ax)
    assert query.get_clim() == (0, 1)
    drawn = {tuple(np.round(p, 6)): v for p, v in zip(query.get_offsets(), query.get_array(), strict=True)}
    for point, value in zip(joint.obsm["X_umap"], joint.obs["cell_type_uncertainty"], strict=True):
        if not np.isnan(value):
            assert drawn[tuple(np.round(point, 6))] == pytest.approx(value)
    joint.obs["depth"] = joint.obs["cell_type_uncertainty"] * 1000
    assert layers(joint_umap(joint, color="depth"))[1].get_clim()[1] > 1


def test_many_labels(joint):
    joint.obs["cluster"] = np.arange(240) % 120
    joint.obs["cluster"] = joint.obs["cluster"].astype("category")
    assert "119" in legend(joint_umap(joint, color="cluster"))


def test_legends_are_inside_the_figure(joint):
    axes = joint_umap(joint, color=["cell_type_pred", "tech"])
    figure = axes[0].get_figure()
    figure.canvas.draw()
    boxes = [ax.get_legend().get_window_extent() for ax in axes]
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert boxes[0].x1 <= axes[1].get_window_extent().x0
    widths = [ax.get_window_extent().width for ax in axes]
    assert widths[0] == pytest.approx(widths[1], rel=0.01)


def test_ax_and_arguments_of_scanpy(joint):
    figure, ax = plt.subplots()
    assert joint_umap(joint, color="tech", ax=ax, size=3, title="batches", alpha=0.5) is ax
    assert ax.get_title() == "batches"
    assert [layer.get_sizes()[0] for layer in layers(ax)] == [3, 3]
    assert plt.get_fignums() == [figure.number]


def test_query_alone(joint):
    joint.obs["mapping_role"] = "query"
    ax = joint_umap(joint, color="cell_type")
    assert len(layers(ax)) == 1
    assert "reference" not in legend(ax)


def test_errors(joint):
    with pytest.raises(KeyError, match="column 'nope' not found"):
        joint_umap(joint, color="nope")
    with pytest.raises(KeyError, match=r"column 'role' not found.*; make adata with sp.tl.joint_embedding"):
        joint_umap(joint, role_key="role")
    with pytest.raises(ValueError, match="ax takes one panel, color asks for 2"):
        joint_umap(joint, color=["tech", "cell_type"], ax=plt.subplots()[1])
    joint.obs["mapping_role"] = "reference"
    with pytest.raises(ValueError, match="no cell has 'query'"):
        joint_umap(joint)
    del joint.obsm["X_umap"]
    with pytest.raises(KeyError, match=r'run sc.pp.neighbors\(adata, use_rep=\\?"X_scarches\\?"\); sc.tl.umap'):
        joint_umap(joint)


def test_cells_of_the_reference_or_all(joint):
    is_query = (joint.obs["mapping_role"] == "query").to_numpy()
    ax = joint_umap(joint, color="cell_type", cells="reference")
    behind, front = layers(ax)
    assert sorted_rows(behind.get_offsets()) == sorted_rows(joint.obsm["X_umap"][is_query])
    assert sorted_rows(front.get_offsets()) == sorted_rows(joint.obsm["X_umap"][~is_query])
    assert list(legend(ax)) == ["query", "alpha", "beta", "ductal"]
    (every,) = layers(joint_umap(joint, color="cell_type", cells="all"))
    assert len(every.get_offsets()) == joint.n_obs
    with pytest.raises(ValueError, match="cells must be"):
        joint_umap(joint, cells="both")


def test_a_column_the_query_lacks(joint):
    joint.obs["only_reference"] = joint.obs["cell_type"].astype(object).where(joint.obs["mapping_role"] == "reference")
    ax = joint_umap(joint, color="only_reference")
    assert len(layers(ax)) >= 1
