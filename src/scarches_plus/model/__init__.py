"""Define reference models: scvi-tools' classes with surgery, saving and recipes.

What changes the network belongs into ``module``, what changes the loss into ``train``, what users type into ``tl``.
"""

from scarches_plus._load import load
from scarches_plus._reference import ReferenceSpec

from ._recipes import QUERY_RECIPES, RECIPES, Recipe
from ._scanvi import SCANVI
from ._scvi import SCVI
from ._state import ModelState, Surgery, TrainingRecord
from ._surgery.inherited_training import InheritedTraining
from ._totalvi import TOTALVI

# isort: split
# Offered to other packages of scarches_plus; not public.
from ._mixins._embedding import embed_checked as embed_checked
from ._mixins._posterior import latent_variances as latent_variances
from ._mixins._training import ENGINES as ENGINES
from ._registration._mean_elbo import mean_elbo as mean_elbo
from ._registration._query_columns import prepare_cells as prepare_cells
from ._registration._registry import modalities_of as modalities_of
from ._registration._registry import reference_spec as reference_spec
from ._registration._registry import spec_of_registry as spec_of_registry
from ._registration._registry import text_registry as text_registry
from ._registration._registry import with_text_categories as with_text_categories
from ._saved._convert import CLASSES as CLASSES
from ._saved._convert import as_own as as_own
from ._saved._convert import class_of as class_of
from ._saved._own_cells import is_minified as is_minified
from ._saved._own_cells import with_names_of_today as with_names_of_today
from ._saved._stand_ins import stand_ins as stand_ins
from ._state import ATTRIBUTE as ATTRIBUTE
from ._state import get_state as get_state
from ._state import hash_of as hash_of
from ._state import note_origin as note_origin
from ._state import restore_state as restore_state
from ._state import set_state as set_state
from ._surgery._query_model import weight_change as weight_change
from ._surgery._strategies import STRATEGIES as STRATEGIES
from ._surgery._teach_labels import teach_labels as teach_labels
from ._surgery._teach_summary import teach_summary as teach_summary
from ._totalvi import advice_unsaid as advice_unsaid
from ._training._defaults import current_seed as current_seed
from ._training._defaults import default_epochs as default_epochs
from ._training._defaults import set_seed as set_seed
from ._training._interrupt import trained_model_kept as trained_model_kept
from ._training._train_reference import ReferenceTraining as ReferenceTraining
from ._training._training_options import check_training as check_training

__all__ = [
    "QUERY_RECIPES",
    "RECIPES",
    "SCANVI",
    "SCVI",
    "TOTALVI",
    "InheritedTraining",
    "ModelState",
    "Recipe",
    "ReferenceSpec",
    "Surgery",
    "TrainingRecord",
    "load",
]
