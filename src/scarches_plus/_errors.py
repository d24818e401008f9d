"""Tell errors that speak to users from mistakes of code."""

from __future__ import annotations

import dis

_RAISES = {dis.opmap["RAISE_VARARGS"], dis.opmap["RERAISE"]}


def is_for_users(error: BaseException) -> bool:
    """Return whether the package raised an error on purpose, with a message for users.

    Errors of libraries and mistakes of the package are none.
    """
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None or not isinstance(error, ValueError | KeyError | TypeError | RuntimeError | ImportError):
        return False
    module = str(last.tb_frame.f_globals.get("__name__", ""))
    return module.split(".", 1)[0] == "scarches_plus" and last.tb_frame.f_code.co_code[last.tb_lasti] in _RAISES
