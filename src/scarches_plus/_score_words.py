"""Name scores as people say, and explain each in one sentence."""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """Name of a score, and a sentence about what it measures."""

    name: str
    sentence: str


#: Kinds of scores of an evaluation.
KINDS = {
    "mixing": "Mixing of batches",
    "conservation": "Conservation of biology",
    "agreement": "Both in one score",
    "mapping": "Labels from the reference",
    "summary": "Summary",
}
#: Scores of an evaluation; 1 is best in all of them.
EVALUATION = {
    "EBM": Words(
        "entropy of batch mixing (EBM)",
        "How evenly batches share the neighbours of a cell: 0 if these are of one batch, 1 if all are as frequent.",
    ),
    "iLISI": Words(
        "batches among neighbours (iLISI)",
        "How many batches the neighbours of a cell are of, as the inverse Simpson's index says (LISI), from 0 to 1.",
    ),
    "kBET": Words(
        "neighbours as all cells (kBET)",
        "Share of cells whose neighbours have the batches of all cells, by a chi-squared test (batch-effect test).",
    ),
    "BRAS": Words(
        "batches overlap (BRAS)",
        "How little a cell is nearer to its own batch than to others of its type, by the silhouette.",
    ),
    "silhouette of batches": Words(
        "batches overlap (silhouette)",
        "How little cells of a type are nearer to their own batch, by scib's silhouette.",
    ),
    "kBET per label": Words(
        "neighbours as all cells of the type (kBET per label)", "kBET within each cell type, averaged over types."
    ),
    "PCR": Words(
        "batch variance removed (PCR)",
        "How much of the variance that batches explain before integration is gone, by principal component regression.",
    ),
    "cLISI": Words(
        "one type among neighbours (cLISI)",
        "How few types the neighbours of a cell are of, as the inverse Simpson's index says (LISI), from 0 to 1.",
    ),
    "graph connectivity": Words(
        "types hang together (graph connectivity)", "Share of a type's cells that its largest connected part holds."
    ),
    "label purity": Words("neighbours of one type (label purity)", "Share of a cell's neighbours that have its label."),
    "isolated labels": Words(
        "rare types found (isolated labels)", "How well neighbours find the types that few batches have (F1 score)."
    ),
    "isolated labels (silhouette)": Words(
        "rare types apart (isolated labels, silhouette)", "How far types of few batches lie from others, by silhouette."
    ),
    "silhouette of labels": Words(
        "types apart (silhouette)", "How much nearer cells are to their own type than to the next."
    ),
    "one-batch types apart": Words(
        "one-batch types apart",
        "Whether types that only one batch has keep apart from other batches; their mixing is a mistake.",
    ),
    **{
        f"{measure} {clusters}": Words(
            f"clusters match types ({measure}, {clusters})", f"Agreement of {clusters} clusters with types: {spelt}."
        )
        for measure, spelt in (("NMI", "normalised mutual information"), ("ARI", "adjusted Rand index"))
        for clusters in ("k-means", "Leiden")
    },
    "KNI": Words(
        "labels known from other batches (KNI)",
        "Share of cells whose label their nearest neighbours of other batches know, if enough of these are near "
        "(k-nearest-neighbour intersection).",
    ),
    "RbNI": Words(
        "labels known within a radius (RbNI)", "KNI with all cells within a radius (radius-based intersection)."
    ),
    "label accuracy": Words(
        "labels right", "Share of query cells to which the nearest reference cells give their label."
    ),
    "macro F1": Words("labels right, types alike (macro F1)", "F1 score of each type, averaged over types."),
    "AUROC of unseen types": Words(
        "unseen types found (AUROC)",
        "How well uncertainty tells cells of types that the reference lacks: 0.5 is chance, 1 perfect.",
    ),
    "mixing": Words("mixing", "Mean of the scores of mixing."),
    "conservation": Words(
        "conservation", "Mean of the scores of conservation, 0 being what labels dealt at random would score."
    ),
    "total": Words("total", "mixing^0.4 x conservation^0.6: low if either is."),
    "scib total": Words("total of scib", "0.4 x mixing + 0.6 x conservation, chance not taken off, as scib has it."),
}
#: Scores of a mapped query.
MAPPING = {
    "cells of the query": Words("cells of the query", ""),
    "called unknown": Words("cells called unknown", "Share of cells that got no label: too uncertain, or novel."),
    "entropy of reference and query mixing (0 to 1)": Words(
        "mixing of reference and query (entropy)",
        "How evenly both share the neighbours of a cell, from 0 to 1; types that only one of them has should not mix.",
    ),
    "called novel": Words("cells called novel", "Share of cells that look like no label of the reference."),
    "clusters of novel cells": Words("clusters of novel cells", "Candidates for types that the reference lacks."),
    "not judged novel or known": Words(
        "cells not judged novel or known", "Share of cells about which no answer can be given."
    ),
    "reference drift, largest change of a weight": Words(
        "largest change of a weight of the reference", "0 means that reference cells have the embedding they had."
    ),
    "reference drift, cells (relative RMSD)": Words(
        "how far the reference's cells moved", "Root mean square of their displacement; 1 is the spread of all cells."
    ),
    "n cells": Words("cells with a true label", "All scores below are about these."),
    "n known": Words("cells of types that the reference has", ""),
    "n unseen": Words("cells of types that the reference lacks", ""),
    "n missing": Words("cells without a true label", "They are left out."),
    "accuracy": Words("labels right (accuracy)", "Share of the cells of known types; calling one unknown is wrong."),
    "weighted accuracy": Words("labels right, types alike", "The same for each type, averaged over types."),
    "macro f1": Words("labels right, types alike (macro F1)", "F1 score of each known type, averaged over types."),
    "unknown rate known": Words("known types called unknown", "Share of the cells of types that the reference has."),
    "unknown rate unseen": Words(
        "unseen types called unknown", "Share of the cells of types that it lacks; 1 is best."
    ),
    "auroc unseen": Words(
        "unseen types found by uncertainty (AUROC)", "0.5 is chance, 1 perfect; undefined if no type is unseen."
    ),
    "calibration error": Words(
        "calibration error", "How far probabilities of labels are from the share that is right; 0 is best."
    ),
}


def name_of_score(score: str) -> str:
    """Return the name of a score of an evaluation as people say it."""
    return EVALUATION[score].name if score in EVALUATION else score
