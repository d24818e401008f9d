"""The cells that every golden model was trained on, and a query: the same numbers on any Python from 3.7 on.

Counts are sums of uniform draws below a probability: numpy promises those bits, and no logarithm has a say in them.
"""

import warnings
from hashlib import sha256

import numpy as np

GENES = ["gene" + str(number) for number in range(60)]
PROTEINS = ["protein" + str(number) for number in range(6)]
LABELS = ["type0", "type1", "type2"]
UNKNOWN = "Unknown"
BATCHES = {"reference": ["batch0", "batch1", "batch2"], "query": ["batch3"]}
PER_BATCH = 24
_DEPTH = 12  # the most counts of a gene in a cell


def draw(part):
    """Return what was seen in the cells of one part, by name.

    Parameters
    ----------
    part
        ``"reference"`` or ``"query"``; they share types, donors, genes and proteins, not batches.

    Returns
    -------
    ``counts`` (cells x genes) and ``proteins`` (cells x proteins), integers; ``stress``, a number for each cell;
    ``batch``, ``donor``, ``cell_type`` (a sixth of the cells ``"Unknown"``) and ``cell`` (names), lists of text.
    """
    shared = np.random.RandomState(0)
    genes = 0.5 * shared.random_sample((len(LABELS), len(GENES))) ** 2
    proteins = 0.2 + 0.6 * shared.random_sample((len(LABELS), len(PROTEINS)))
    shifts = 0.6 + 0.8 * shared.random_sample((4, len(GENES)))  # of the efficiency of each gene, by batch

    batches = np.repeat(BATCHES[part], PER_BATCH)
    numbers = np.arange(len(batches))
    types = numbers % len(LABELS)
    shift = shifts[[int(batch[-1]) for batch in batches]]
    rng = np.random.RandomState({"reference": 1, "query": 2}[part])
    stress = rng.random_sample(len(numbers))
    return {
        "counts": _counts(genes[types] * shift, rng),
        "proteins": _counts(proteins[types], rng),
        "stress": stress,
        "batch": batches.tolist(),
        "donor": ["donor" + str(number // 3 % 2) for number in numbers],
        "cell_type": [UNKNOWN if number % 6 == 5 else LABELS[number % 3] for number in numbers],
        "cell": [part + str(number) for number in numbers],
    }


def _counts(probabilities, rng):
    return (rng.random_sample((*probabilities.shape, _DEPTH)) < probabilities[..., np.newaxis]).sum(axis=-1)


def digest(part):
    """Return the sha256 of all that ``draw`` returns."""
    seen = draw(part)
    summary = sha256()
    for name in sorted(seen):
        value = seen[name]
        if isinstance(value, list):
            summary.update("\n".join(value).encode())
        else:
            summary.update(np.ascontiguousarray(value, dtype="<f8").tobytes())
    return summary.hexdigest()


def adata(part):
    """Return the cells of one part as AnnData, with their proteins in ``obsm``."""
    import anndata
    import pandas as pd

    seen = draw(part)
    obs = pd.DataFrame(index=seen["cell"])
    for name in ["batch", "donor", "cell_type"]:
        obs[name] = pd.Categorical(seen[name])
    obs["stress"] = seen["stress"]
    cells = anndata.AnnData(seen["counts"].astype(np.float32), obs, pd.DataFrame(index=GENES))
    cells.obsm["proteins"] = pd.DataFrame(seen["proteins"].astype(np.float32), seen["cell"], PROTEINS)
    return cells


def mdata(part):
    """Return the cells of one part as MuData, with modalities ``rna`` and ``protein`` and columns in its own ``obs``."""
    import anndata
    import mudata
    import pandas as pd

    rna = adata(part)
    proteins = rna.obsm.pop("proteins")
    protein = anndata.AnnData(proteins.to_numpy(), rna.obs[[]].copy(), pd.DataFrame(index=PROTEINS))
    columns = rna.obs
    rna.obs = rna.obs[[]].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of columns that modalities pull: here are none
        joint = mudata.MuData({"rna": rna, "protein": protein})
    for name in columns:
        joint.obs[name] = columns[name]
    return joint
