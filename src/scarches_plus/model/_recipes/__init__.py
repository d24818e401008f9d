"""Define the training recipes of published reference models, one file for each paper."""

from ._recipe import Recipe as Recipe
from ._table import QUERY_RECIPES as QUERY_RECIPES
from ._table import RECIPES as RECIPES
