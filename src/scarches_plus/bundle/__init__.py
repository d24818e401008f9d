"""Models on disk: the bundles of this package and what scvi-tools saved, from path to model. Nothing here knows a network.

Its public functions are names of ``hub``; ``sp.load`` opens all of it.
"""

from ._export_model import export_model
from ._format._folder import no_bundle
from ._import_model import import_model
from ._import_reference import import_reference
from ._layouts._find import BUNDLE
from ._load_bundle import load_bundle
from ._load_profiles import load_profiles
from ._load_reference import load_reference
from ._manifest import BundleError, Card, Manifest
from ._open import layout_at, open_path, read_registry
from ._save_bundle import save_bundle
from ._verify_bundle import verify_bundle

__all__ = [
    "BUNDLE",
    "BundleError",
    "Card",
    "Manifest",
    "export_model",
    "import_model",
    "import_reference",
    "layout_at",
    "load_bundle",
    "load_profiles",
    "load_reference",
    "no_bundle",
    "open_path",
    "read_registry",
    "save_bundle",
    "verify_bundle",
]
