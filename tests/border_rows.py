"""Run one case of what comes from outside and require its right outcome.

Every method records a row (kind of `docs/guide/border.md`, case, call, outcome, message) for the table that
`make test-border` prints.
"""

import gc
import os
import pickle
import resource
import signal
import sys
import time
import traceback
import warnings
from dataclasses import dataclass, field

import pytest

#: What a hostile file may cost: seconds of CPU and bytes of memory.
MOST_SECONDS = 1.0
MOST_BYTES = 200 * 2**20
_HANGS = 60
#: Errors of Python and libraries that say nothing to a user.
CRYPTIC = (
    "NoneType",
    "object has no attribute",
    "invalid load key",
    "cannot convert the series",
    "Expected parameter",
    "not subscriptable",
)


@dataclass
class Border:
    """Runs cases of one test.

    Parameters
    ----------
    rows
        Receives a row for each case.
    test
        Name of the test, for messages.
    body
        Where it is written; all cases of a parametrised test have the same.
    place
        Its number among the tests.
    """

    rows: list = field(repr=False)
    test: str
    body: str = ""
    place: int = 0

    def refused(self, call, errors, says, *, kind, case, shown):
        """Require that ``call()`` raises one of the documented errors, with every text of ``says`` in its message."""
        with pytest.raises(errors) as caught:
            call()
        message = str(
            caught.value.args[0] if isinstance(caught.value, KeyError) and caught.value.args else caught.value
        )
        self._understandable(message, says)
        self._row(kind, case, shown, type(caught.value).__name__, message)
        return message

    def warned(self, call, says, *, kind, case, shown, category=UserWarning):
        """Require that ``call()`` goes on with a warning that holds every text of ``says``; return its result."""
        with pytest.warns(category) as caught:
            result = call()
        message = "; ".join(str(one.message) for one in caught)
        self._understandable(message, says)
        self._row(kind, case, shown, "warned", message)
        return result

    def works(self, call, check, *, kind, case, shown):
        """Require that ``call()`` goes on without a warning and that ``check(result)`` is true."""
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            result = call()
        assert check(result), f"{case}: wrong result {result!r}"
        self._row(kind, case, shown, "works", "")
        return result

    def command(self, words, says, *, kind, case, status=2):
        """Require that a command ends with a status and one line that holds every text of ``says``, without a
        traceback.
        """
        from scarches_plus.cli import main

        status_found, out, err = run_command(main, [str(word) for word in words])
        assert status_found == status, f"{case}: status {status_found}\n{out}\n{err}"
        assert "Traceback" not in out + err, err
        self._understandable(err if status else out, says)
        self._row(
            kind, case, "scarches-plus " + " ".join(map(str, words)), f"exit {status}", err if status else out[-200:]
        )
        return out

    def in_child(self, call, errors, says, *, kind, case, shown, seconds=MOST_SECONDS, n_bytes=MOST_BYTES):
        """As :meth:`refused`, in a forked child whose CPU time, memory and end are looked at; ``errors=None``: it
        works.
        """
        found = run_in_child(call)
        assert found.signal is None, f"{case}: the process died of signal {found.signal}"
        assert found.seconds < seconds, f"{case}: {found.seconds:.2f} s"
        assert found.n_bytes < n_bytes, f"{case}: {found.n_bytes / 2**20:.0f} MiB"
        if errors is None:
            assert found.error is None, f"{case}: {found.traceback}"
        else:
            assert isinstance(found.error, errors), f"{case}: {found.error!r}\n{found.traceback}"
            self._understandable(str(found.error), says)
        outcome = "works" if found.error is None else type(found.error).__name__
        cost = f"{found.seconds:.2f} s, {found.n_bytes / 2**20:.0f} MiB"
        self._row(kind, case, shown, f"{outcome} ({cost})", str(found.error or ""))

    def _understandable(self, message, says):
        for text in (says,) if isinstance(says, str) else says:
            assert text in message, f"{self.test}: {text!r} is not in {message!r}"
        for text in CRYPTIC:
            assert text not in message, f"{self.test}: cryptic: {message!r}"

    def _row(self, kind, case, call, outcome, message):
        row = {"kind": kind, "case": case, "call": call, "outcome": outcome, "message": message, "body": self.body}
        # names of files may hold bytes that are no text, which workers cannot send
        row = {name: text.encode(errors="backslashreplace").decode() for name, text in row.items()}
        self.rows.append({**row, "place": self.place})


@dataclass
class Ended:
    """How a child process ended."""

    error: Exception | None
    traceback: str
    signal: int | None
    seconds: float
    n_bytes: int


def fork():
    """Fork this process; JAX, which some test imported, warns that its threads do not come along."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of any thread
        return os.fork()


def run_in_child(call):
    """Return how ``call()`` ended in a forked child: its error, signal, CPU seconds and additional memory."""
    read, write = os.pipe()
    child = fork()
    if child == 0:
        _child(call, write)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        told = file.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) or not told:
        return Ended(None, "", os.WTERMSIG(status) if os.WIFSIGNALED(status) else -1, 0.0, 0)
    return Ended(**pickle.loads(told))  # noqa: S301 (written by the child above)


def _child(call, write):
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_HANGS)
    gc.freeze()  # what earlier tests left is no cost of this call
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    error, text = None, ""
    try:
        call()
    except Exception as caught:  # noqa: BLE001 (any error is told)
        error, text = caught, traceback.format_exc()
    seconds, after = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = {"error": error, "traceback": text, "signal": None, "seconds": seconds, "n_bytes": (after - before) * 1024}
    try:
        contents = pickle.dumps(told)
        pickle.loads(contents)  # noqa: S301
    except Exception:  # noqa: BLE001 (an error that cannot be sent)
        contents = pickle.dumps({**told, "error": RuntimeError(f"{type(error).__name__}: {error}")})
    os.write(write, contents) if len(contents) < 2**16 else os.fdopen(write, "wb").write(contents)
    os._exit(0)


def run_command(main, words):
    """Return status, stdout and stderr of the command line, run in this process."""
    import contextlib
    import io

    out, err = io.StringIO(), io.StringIO()
    before = sys.argv
    sys.argv = ["scarches-plus", *words]
    status = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        status = 0 if end.code is None else end.code if isinstance(end.code, int) else 1
    finally:
        sys.argv = before
    return status, out.getvalue(), err.getvalue()
