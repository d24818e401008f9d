"""Set up the package's logger, silent until the user configures logging."""

import logging

from ._text import for_terminal


class _Plain(logging.Filter):
    """Takes from messages what would act on a terminal: they name what stands in foreign files."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every message pass, as plain text."""
        record.msg, record.args = for_terminal(record.getMessage()), None
        return True


#: Loggers of libraries that tell of their machine and tips; those above them set their own level when imported.
_CHATTER = ("lightning.pytorch.utilities", "lightning.fabric.utilities", "scvi.data", "scvi.model")

logger = logging.getLogger("scarches_plus")
logger.addHandler(logging.NullHandler())
logger.addFilter(_Plain())


def quiet_libraries() -> None:
    """Turn down the chatter of libraries, in a process that is ours."""
    for name in _CHATTER:
        logging.getLogger(name).setLevel(logging.WARNING)
