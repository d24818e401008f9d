"""Read counts, columns, modalities and measured genes from AnnData and MuData.

Cells that cannot take a result are refused here, before any work.
"""

from ._columns import column_not_found, column_of, column_repeated, complete_names
from ._counts import (
    counts_layer,
    counts_of,
    left_on_disk,
    matrix_of,
    readable_counts,
    row_blocks,
    rows_of_csr,
    stored_counts,
)
from ._matrices import (
    UnreadableMatrixError,
    in_memory,
    is_in_memory,
    require_sound,
    require_sound_cells,
    take_columns,
)
from ._measured import STUDY_KEY, measured_genes, read_record, unmeasured_genes, write_record
from ._modalities import (
    GENE_NAMES,
    columns_of,
    find_modalities,
    gene_cells,
    gene_modality,
    in_modality,
    is_mudata,
    keep_complete_cells,
    looks_like_proteins,
    protein_cells,
    require_same_cells,
)
from ._names import look_alike, missing, name_of, names_of, plain_texts, texts_of, unused_name
from ._on_disk import CountsOnDisk
from ._prototypes import are_prototypes, refuse_prototypes
from ._results import require_writable
from ._stacked import StackedCounts
from ._unlabelled import without_label

__all__ = [
    "GENE_NAMES",
    "STUDY_KEY",
    "CountsOnDisk",
    "StackedCounts",
    "UnreadableMatrixError",
    "are_prototypes",
    "column_not_found",
    "column_of",
    "column_repeated",
    "columns_of",
    "complete_names",
    "counts_layer",
    "counts_of",
    "find_modalities",
    "gene_cells",
    "gene_modality",
    "in_memory",
    "in_modality",
    "is_in_memory",
    "is_mudata",
    "keep_complete_cells",
    "left_on_disk",
    "look_alike",
    "looks_like_proteins",
    "matrix_of",
    "measured_genes",
    "missing",
    "name_of",
    "names_of",
    "plain_texts",
    "protein_cells",
    "read_record",
    "readable_counts",
    "refuse_prototypes",
    "require_same_cells",
    "require_sound",
    "require_sound_cells",
    "require_writable",
    "row_blocks",
    "rows_of_csr",
    "stored_counts",
    "take_columns",
    "texts_of",
    "unmeasured_genes",
    "unused_name",
    "without_label",
    "write_record",
]
