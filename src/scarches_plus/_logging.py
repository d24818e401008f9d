"""The package's logger: silent until the user configures logging."""

import logging

logger = logging.getLogger("scarches_plus")
logger.addHandler(logging.NullHandler())
