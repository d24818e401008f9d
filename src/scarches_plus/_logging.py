"""Set up the package's logger, silent until the user configures logging."""

import logging

from ._text import for_terminal


class _Plain(logging.Filter):
    """Takes from messages what would act on a terminal: they name what stands in foreign files."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every message pass, as plain text."""
        record.msg, record.args = for_terminal(record.getMessage()), None
        return True


logger = logging.getLogger("scarches_plus")
logger.addHandler(logging.NullHandler())
logger.addFilter(_Plain())
