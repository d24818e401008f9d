import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb

from scarches_plus.pl import joint_umap

REFERENCE_COLOR, QUERY_COLOR, UNKNOWN_COLOR, NOVEL_COLOR = "#e2e2e2", "#0072b2", "#b3b3b3", "#d55e00"
#: How deuteranopes see, on linear RGB: Machado, Oliveira and Fernandes 2009, severity 1.
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)

# scanpy 1.11 with matplotlib 3.11
pytestmark = pytest.mark.filterwarnings("ignore:The set_bad function:PendingDeprecationWarning")


def layers(ax):
    """Scatters with points: the reference, then the query."""
    return [c for c in ax.collections if len(c.get_offsets()) and c.get_label() != "_colorbar"]


def legend(ax):
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    colors = [to_hex(handle.get_facecolor()[0]) for handle in ax.get_legend().legend_handles]
    return dict(zip(names, colors, strict=True))


def distances(colors, sees=None):
    """Distances of colours in CIELAB, shape ``(n, n)``."""
    rgb = np.array([to_rgb(color) for color in colors])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = linear if sees is None else np.clip(linear @ sees.T, 0, 1)
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    xyz = linear @ np.transpose(to_xyz) / [0.95047, 1, 1.08883]
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116).T
    lab = np.column_stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])
    return np.linalg.norm(lab[:, None] - lab, axis=2)


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
    joint.uns["cell_type_pred_colors"] = ["#ff0000", "#00ff00", "#123456", "#0000ff"]
    assert legend(joint_umap(joint, color="cell_type_pred"))["Unknown"] == "#ff0000"
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


@pytest.mark.parametrize(("n", "any_two", "neighbours"), [(2, 80, 80), (8, 15, 40), (20, 12, 30), (30, 8, 15)])
@pytest.mark.parametrize("sees", [None, DEUTERANOPIA], ids=["normal", "deuteranopia"])
def test_colour_blind_readers_tell_labels_apart(joint, n, any_two, neighbours, sees):
    names = [f"type {place:02}" for place in range(n)]
    joint.obs["many"] = pd.Categorical([names[place % n] for place in range(joint.n_obs)], categories=names)
    shown = legend(joint_umap(joint, color="many", cells="all"))
    assert list(shown) == names
    apart = distances(shown.values(), sees)
    assert apart[np.triu_indices(n, 1)].min() > any_two
    assert np.diag(apart, 1).min() > neighbours
    assert distances([*shown.values(), UNKNOWN_COLOR], sees)[-1, :-1].min() > 10


def test_what_is_no_label_is_light_and_lies_below(joint):
    novel = (joint.obs["cell_type"] == "delta") & (joint.obs["mapping_role"] == "query")
    joint.obs["novel"] = novel
    joint.obs["novel_state"] = pd.Categorical(np.where(novel, "novel", "known"))
    joint.obs["novel_cluster"] = pd.Categorical(np.where(novel, "novel 1", None))
    axes = joint_umap(joint, color=["novel", "novel_state", "novel_cluster", "cell_type_pred"])
    assert [legend(ax) for ax in axes[:3]] == [
        {"reference": REFERENCE_COLOR, "False": UNKNOWN_COLOR, "True": NOVEL_COLOR},
        {"reference": REFERENCE_COLOR, "known": UNKNOWN_COLOR, "novel": NOVEL_COLOR},
        {"reference": REFERENCE_COLOR, "novel 1": QUERY_COLOR, "not novel": UNKNOWN_COLOR},
    ]
    for ax in axes[2:]:
        grey = [to_hex(color) == UNKNOWN_COLOR for color in layers(ax)[1].get_facecolors()]
        assert 0 < sum(grey) < len(grey)
        assert grey == sorted(grey, reverse=True)


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
