"""Save and load models on disk: bundles of this package and folders of scvi-tools.

Nothing here knows a network.
Its public functions are names of ``hub``; ``sp.load`` opens all of it. What else is listed is what ``hub`` needs of the
format.
"""

from scarches_plus._pickles import FORMER_FILES

from ._export_model import export_model
from ._finding._find import BUNDLE, CELL_FILES, MODEL_FILE
from ._finding._locate import layout_at, read_bundle
from ._finding._open import open_path, read_registry
from ._format._card import card_text
from ._format._folder import all_files, checksums, no_bundle, read_file, read_listed, read_manifest, sha256_of
from ._import_model import import_model
from ._import_reference import import_reference
from ._load_bundle import load_bundle
from ._load_reference import load_reference
from ._load_summary import load_summary
from ._manifest import (
    CHECKSUMS,
    MANIFEST,
    README,
    WEIGHTS,
    BundleError,
    Card,
    Count,
    FileEntry,
    FileName,
    Manifest,
    Sha256,
    StrictModel,
    Texts,
)
from ._save_bundle import save_bundle
from ._verify_bundle import verify_bundle

__all__ = [
    "BUNDLE",
    "CELL_FILES",
    "CHECKSUMS",
    "FORMER_FILES",
    "MANIFEST",
    "MODEL_FILE",
    "README",
    "WEIGHTS",
    "BundleError",
    "Card",
    "Count",
    "FileEntry",
    "FileName",
    "Manifest",
    "Sha256",
    "StrictModel",
    "Texts",
    "all_files",
    "card_text",
    "checksums",
    "export_model",
    "import_model",
    "import_reference",
    "layout_at",
    "load_bundle",
    "load_reference",
    "load_summary",
    "no_bundle",
    "open_path",
    "read_bundle",
    "read_file",
    "read_listed",
    "read_manifest",
    "read_registry",
    "save_bundle",
    "sha256_of",
    "verify_bundle",
]
