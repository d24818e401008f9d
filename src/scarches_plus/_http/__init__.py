"""Send HTTP requests: check addresses, follow redirects, leave slow servers, retry, download files.

``follow`` gets files; ``hub/_web/_session.py`` and ``hub/_registries/_huggingface.py`` talk to registries.
"""

from ._addresses import (
    AddressError,
    Origin,
    address_below,
    check_address,
    is_address,
    join_address,
    origin_of,
    quoted_path,
    require_https,
    require_step,
    segments_below,
    shown,
)
from ._download import Download, Expected, WrongFileError
from ._retry import TRIES, retry
from ._send import REDIRECTS, Answer, TransferError, TryLaterError, follow, new_session
from ._watch import Watch

__all__ = [
    "REDIRECTS",
    "TRIES",
    "AddressError",
    "Answer",
    "Download",
    "Expected",
    "Origin",
    "TransferError",
    "TryLaterError",
    "Watch",
    "WrongFileError",
    "address_below",
    "check_address",
    "follow",
    "is_address",
    "join_address",
    "new_session",
    "origin_of",
    "quoted_path",
    "require_https",
    "require_step",
    "retry",
    "segments_below",
    "shown",
]
