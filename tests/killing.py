"""Run writers in forked children and kill them, at random times or between two renames."""

import os
import shutil
import signal
import sys
import time
import traceback
import warnings
from statistics import median

import numpy as np
from border_rows import fork


def forked(call, *, silent=True):
    """Start ``call()`` in a forked child and return its process id; the child ends with 0, or 1 after an error."""
    child = fork()
    if child:
        return child
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        warnings.simplefilter("ignore")
        if silent:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
        call()
    except SystemExit as end:
        os._exit(0 if not end.code else 1)
    except BaseException:  # noqa: BLE001 (told by the status)
        if not silent:
            traceback.print_exc()
        os._exit(1)
    os._exit(0)


def run_whole(call):
    """Run ``call()`` in a child until it ends, and return how many seconds it took."""
    start = time.perf_counter()
    _, status = os.waitpid(forked(call), 0)
    assert status == 0, "the run itself fails"
    return time.perf_counter() - start


def killed_at(call, seconds):
    """Run ``call()`` in a child, kill it after some seconds, and return whether that was before its end."""
    child = forked(call)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def random_kills(call, n, rng, *, late=0.5):
    """Yield ``n`` times after a kill of ``call()``: a part of them in the last fifth of a run, where files are
    written.
    """
    seconds = median(run_whole(call) for _ in range(3))
    for _ in range(n):
        low = 0.8 if rng.random() < late else 0.0
        yield killed_at(call, seconds * rng.uniform(low, 1.05))


def killed_at_rename(call, number, *, after, exchange=True):
    """Kill a child just before or after one of its renames; return ``False`` if it has fewer."""

    def hooked():
        from scarches_plus._files._folders import _swap

        left = [number]

        def deadly(rename):
            def call(*args, **kwargs):
                left[0] -= 1
                if left[0] < 0 and not after:
                    os.kill(os.getpid(), signal.SIGKILL)
                result = rename(*args, **kwargs)
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return result

            return call

        os.rename, os.replace = deadly(os.rename), deadly(os.replace)
        function = _swap._function() if exchange else None
        _swap._function = lambda: function and deadly(function)
        call()

    _, status = os.waitpid(forked(hooked), 0)
    return os.WIFSIGNALED(status)


def kills_at_renames(call, *, exchange=True, most=20):
    """Yield after a kill just before and just after every rename of ``call()``."""
    for number in range(most):
        for after in (False, True):
            if not killed_at_rename(call, number, after=after, exchange=exchange):
                return
            yield number, after


def limited(call, n_bytes):
    """Run ``call()`` in a child that can write no file larger than so many bytes; return whether it failed with an
    error.
    """
    import resource

    def run():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
        call()

    _, status = os.waitpid(forked(run), 0)
    return os.WIFEXITED(status) and os.WEXITSTATUS(status) == 1


def as_nobody(call):
    """Run ``call()`` in a child without the rights of root; return whether it failed with an error."""

    def run():
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        call()

    _, status = os.waitpid(forked(run), 0)
    assert os.WIFEXITED(status)
    return os.WEXITSTATUS(status) == 1


def command(*words):
    """Return a call of the command line."""

    def call():
        from scarches_plus.cli import main

        sys.argv = ["scarches-plus", *map(str, words)]
        main()

    return call


def names_in(folder):
    """Return the names in a folder, hidden ones included."""
    return sorted(path.name for path in folder.iterdir())


def contents_of(folder):
    """Return the contents of all files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fresh(folder):
    """Empty a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def random(seed):
    return np.random.default_rng(seed)
