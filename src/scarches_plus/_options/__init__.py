"""Check options that are passed by name, such as ``plan_kwargs``.

Only known options are taken, each checked by its rule.
"""

from ._check import by_name, check_options, or_none, parameters_of
from ._networks import check_network
from ._plans import check_plan
from ._signature import extends

__all__ = ["by_name", "check_network", "check_options", "check_plan", "extends", "or_none", "parameters_of"]
