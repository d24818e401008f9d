"""Load 700 cells of the 10x Genomics PBMC 68k data set, with raw counts."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from scarches_plus import _keys
from scarches_plus._colors import LABELS

#: Counts recovered from rounded log values may miss a whole number by this much.
_TOLERANCE = 0.1


def pbmc68k() -> AnnData:
    """Fresh blood cells of one donor: 700 cells of the 10x Genomics PBMC 68k data set, with raw counts.

    The file comes with scanpy (:func:`scanpy.datasets.pbmc68k_reduced`), so nothing is downloaded. scanpy's file
    holds log-normalised values; the raw counts are recovered from them exactly.

    Returns
    -------
    AnnData
        700 cells x 765 genes. ``X`` holds raw counts (CSR, float32) and ``obs``:

        - ``cell_type``: 10 labels. The original study [1]_ gave each cell the label of the sorted population it
          correlates with best; scANVI's authors [2]_ found part of these labels wrong, most visibly T cells labelled as
          dendritic or natural killer cells. Do not read agreement with them as accuracy. Colours are in
          ``uns["cell_type_colors"]``.
        - ``batch``: the 10x lane, ``"lane1"`` to ``"lane8"`` (the digit that ends the barcode). Lanes carry cells of
          one sample, so their effect is weak.
        - ``phase``, ``percent_mito``: cell-cycle phase and the share of mitochondrial counts, as scanpy ships them.
        - ``n_counts``: counts of the cell over all genes of the original data, not only the 765 kept.

    Raises
    ------
    RuntimeError
        If the installed scanpy ships other data, from which whole-number counts cannot be recovered.

    References
    ----------
    .. [1] Zheng et al. (2017), Massively parallel digital transcriptional profiling of single cells, Nature
       Communications 8, 14049, https://doi.org/10.1038/ncomms14049. Data: 10x Genomics, "Fresh 68k PBMCs (Donor A)".
    .. [2] Xu et al. (2021), Probabilistic harmonization and annotation of single-cell transcriptomics data with deep
       generative models, Molecular Systems Biology 17, e9620, https://doi.org/10.15252/msb.20209620
    """
    import scanpy as sc

    with warnings.catch_warnings():
        # anndata asks pandas 3 for a deprecated option whenever it reads a file
        warnings.simplefilter("ignore", DeprecationWarning)
        reduced = sc.datasets.pbmc68k_reduced()
    obs = reduced.obs
    lanes = obs.index.str.rpartition("-").get_level_values(2)
    return AnnData(
        X=_recover_counts(sparse.csr_matrix(reduced.raw.X), obs["n_counts"].to_numpy()),
        obs=pd.DataFrame(
            {
                "cell_type": obs["bulk_labels"].astype("category"),
                "batch": pd.Categorical("lane" + lanes),
                "phase": obs["phase"].astype("category"),
                "percent_mito": obs["percent_mito"],
                "n_counts": obs["n_counts"],
            },
            index=obs.index,
        ),
        var=reduced.raw.var,
        uns={_keys.colors("cell_type"): list(LABELS[:10])},
    )


def _recover_counts(logged: sparse.csr_matrix, depth: np.ndarray) -> sparse.csr_matrix:
    """Undo ``log1p(counts / depth * 1e4)``; shapes ``(n_cells, n_genes)`` and ``(n_cells,)``."""
    scale = np.repeat(depth.astype(np.float64) / 1e4, np.diff(logged.indptr))
    values = np.expm1(logged.data.astype(np.float64)) * scale
    counts = np.round(values)
    worst = np.abs(values - counts).max(initial=0.0)
    if not worst <= _TOLERANCE:
        message = (
            f"scanpy.datasets.pbmc68k_reduced() does not hold log1p(counts / n_counts * 1e4): a recovered count is "
            f"{worst:.3g} away from a whole number. The installed scanpy ships other data than this function knows; "
            "please report it with your scanpy version"
        )
        raise RuntimeError(message)
    return sparse.csr_matrix((counts.astype(np.float32), logged.indices, logged.indptr), shape=logged.shape)
