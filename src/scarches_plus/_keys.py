"""Name every slot that this package writes into an AnnData."""

#: ``obsm`` slot of the latent embedding.
EMBEDDING = "X_scarches"
VARIANCE = "X_scarches_variance"
#: ``obsm`` slot of positions in the map of a reference.
MAP = "X_map"
#: ``uns`` slot of everything the package records about its results.
UNS = "scarches_plus"
#: In it: ``obsm`` slot to what is known of the embedding.
EMBEDDINGS = "embeddings"
#: In it: labels key to the names of the columns of its probabilities.
PROBABILITY_LABELS = "probability_labels"
#: In it: what a joint embedding was made of.
JOINT = "joint"
#: In it: labels key to how labels were transferred.
TRANSFER = "transfer"
#: In it: first part of the names to how novel cells were found.
NOVEL = "novel"
#: In it: ``obsm`` slot to how cells were placed in a map.
PLACEMENT = "placement"
#: In it: name to the presence of a reference's states in the query.
PRESENCE = "presence"
#: In it: ``obsm`` slot to the index by which neighbours in it are searched.
NEIGHBOR_INDEX = "neighbor_index"
#: In it: whether rows are prototypes that stand for cells.
PROTOTYPES = "prototypes"
#: ``obs`` column of a joint embedding: where a cell comes from.
ROLE = "mapping_role"
REFERENCE = "reference"
QUERY = "query"
#: ``var`` column of an aligned query: whether the query measured the gene.
MEASURED = "measured"
#: ``obs`` column of cells that markers single out.
SEEDS = "seed_label"
#: Label of cells without one, and of cells whose label is rejected.
UNKNOWN = "Unknown"
#: What label columns hold for cells without a label, in lower case: what missing values become as text, the three words
#: that BA-scVI leaves out (Methods, "Collection and standardization"), and others of annotators. The only such list.
UNLABELLED = (
    *("", "nan", "na", "n/a", "<na>", "none", "null"),
    *("unknown", "undetermined", "mixed"),
    *("unassigned", "unlabelled", "unlabeled", "unclassified", "unannotated"),
)


def predicted(labels_key: str) -> str:
    """``obs`` column of transferred labels."""
    return f"{labels_key}_pred"


def uncertainty(labels_key: str) -> str:
    """``obs`` column of the uncertainty of transferred labels."""
    return f"{labels_key}_uncertainty"


def probabilities(labels_key: str) -> str:
    """``obsm`` slot of label probabilities."""
    return f"{labels_key}_probabilities"


def novel_score(key: str) -> str:
    """``obs`` column of novelty."""
    return f"{key}_score"


def novel_state(key: str) -> str:
    """``obs`` column of whether a cell is known, novel or not judged."""
    return f"{key}_state"


def novel_label(key: str) -> str:
    """``obs`` column of the label that explains a cell best."""
    return f"{key}_label"


def novel_cluster(key: str) -> str:
    """``obs`` column of clusters of novel cells."""
    return f"{key}_cluster"


def novel_named(key: str) -> str:
    """``obs`` column of labels in which novel cells have the names of their clusters."""
    return f"{key}_named"


def scores(key: str) -> str:
    """``obsm`` slot of the scores that seeds were chosen by."""
    return f"{key}_scores"


def colors(key: str) -> str:
    """``uns`` slot of scanpy's colours for an ``obs`` column."""
    return f"{key}_colors"
