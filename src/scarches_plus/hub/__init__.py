"""Models as folders that can be shared: plain files without code, checked before use.

The hub returns models and describes them; what is done with a model belongs into ``tl``.
"""

from ._delete_draft import delete_draft
from ._export_model import export_model
from ._import_model import import_model
from ._import_reference import import_reference
from ._info import info
from ._list_models import list_models
from ._list_uploads import list_uploads
from ._load import load
from ._load_bundle import load_bundle
from ._load_profiles import load_profiles
from ._load_reference import load_reference
from ._manifest import BundleError, Card, Manifest
from ._pull import pull
from ._save_bundle import save_bundle
from ._upload import Upload, upload
from ._verify_bundle import verify_bundle
from ._write_index import write_index

__all__ = [
    "BundleError",
    "Card",
    "Manifest",
    "Upload",
    "delete_draft",
    "export_model",
    "import_model",
    "import_reference",
    "info",
    "list_models",
    "list_uploads",
    "load",
    "load_bundle",
    "load_profiles",
    "load_reference",
    "pull",
    "save_bundle",
    "upload",
    "verify_bundle",
    "write_index",
]
