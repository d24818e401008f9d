"""Neighbours as scikit-learn finds them."""

from sklearn.neighbors import NearestNeighbors


def nearest_others(embedding, k):
    """Indices of the `k` nearest other cells of every cell; a duplicate of a cell is another cell."""
    return NearestNeighbors(n_neighbors=k, algorithm="kd_tree").fit(embedding).kneighbors(return_distance=False)
