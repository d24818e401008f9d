"""Every slot this package writes into an AnnData, named once."""

#: ``obsm`` slot of the latent embedding.
EMBEDDING = "X_scarches"
#: ``uns`` slot of everything the package records about its results.
UNS = "scarches_plus"
#: In it: ``obsm`` slot to what is known of the embedding.
EMBEDDINGS = "embeddings"
#: In it: labels key to the names of the columns of its probabilities.
PROBABILITY_LABELS = "probability_labels"
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
#: Its colour, darker than scanpy's grey of cells without a value.
UNKNOWN_COLOR = "#6b6b6b"


def predicted(labels_key: str) -> str:
    """``obs`` column of transferred labels."""
    return f"{labels_key}_pred"


def uncertainty(labels_key: str) -> str:
    """``obs`` column of the uncertainty of transferred labels."""
    return f"{labels_key}_uncertainty"


def probabilities(labels_key: str) -> str:
    """``obsm`` slot of label probabilities."""
    return f"{labels_key}_probabilities"


def scores(key: str) -> str:
    """``obsm`` slot of the scores that seeds were chosen by."""
    return f"{key}_scores"


def colors(key: str) -> str:
    """``uns`` slot of scanpy's colours for an ``obs`` column."""
    return f"{key}_colors"
