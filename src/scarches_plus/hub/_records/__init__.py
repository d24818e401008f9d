"""Fetch models by address from Zenodo records and Hugging Face repositories.

``_place`` reads addresses, ``_zenodo`` and ``_huggingface`` list files, ``_choose`` says which are the model, ``_pins``
remembers what was there at first use, ``_fetch`` puts it together.
"""

from ._fetch import fetch_record
from ._place import Place, place_of

__all__ = ["Place", "fetch_record", "place_of"]
