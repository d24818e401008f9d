"""Send HTTP requests with checked addresses, followed redirects and a limit for slow servers.

No other folder sends requests.
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
from ._transport import REDIRECTS, Answer, TransferError, TryLaterError, chunks, follow, new_session
from ._watch import Watch

__all__ = [
    "REDIRECTS",
    "AddressError",
    "Answer",
    "Origin",
    "TransferError",
    "TryLaterError",
    "Watch",
    "address_below",
    "check_address",
    "chunks",
    "follow",
    "is_address",
    "join_address",
    "new_session",
    "origin_of",
    "quoted_path",
    "require_https",
    "require_step",
    "segments_below",
    "shown",
]
