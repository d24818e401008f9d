"""Find, fetch, publish and describe shared models, by name, DOI or address.

What a model looks like on disk is known to ``bundle``; what is done with a model belongs into ``tl``.
"""

from scarches_plus import bundle as _bundle
from scarches_plus._load import load
from scarches_plus.bundle import BundleError, Card, Manifest

from ._delete_draft import delete_draft
from ._info import info
from ._list_models import list_models
from ._list_uploads import list_uploads
from ._names._by_name import by_name as _by_name
from ._names._local import local_path as local_path
from ._pull import pull
from ._upload import Upload, upload
from ._write_index import write_index

export_model = _by_name(_bundle.export_model)
import_model = _by_name(_bundle.import_model)
import_reference = _by_name(_bundle.import_reference, with_cells=True)
load_bundle = _by_name(_bundle.load_bundle)
load_reference = _by_name(_bundle.load_reference, with_cells=True)
load_summary = _by_name(_bundle.load_summary)
save_bundle = _by_name(_bundle.save_bundle)
verify_bundle = _by_name(_bundle.verify_bundle, with_cells=True)

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
    "load_reference",
    "load_summary",
    "pull",
    "save_bundle",
    "upload",
    "verify_bundle",
    "write_index",
]
