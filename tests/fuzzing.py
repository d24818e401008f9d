"""Run many random inputs in forked children, and say of each how it ended: nothing may crash, hang or fail in an
undocumented way.
"""

import collections
import contextlib
import mmap
import os
import random
import resource
import shutil
import signal
import struct
import time
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from border_rows import fork

#: Errors that the package documents, from their bases.
DOCUMENTED = (ValueError, TypeError, KeyError, OSError)
_BATCH = 250
_HANGS = 20.0
_SLOW = 5.0
_MEMORY = 2 * 2**30


@dataclass
class Target:
    """Something that is given random input.

    Parameters
    ----------
    name
        For messages and seeds.
    make
        Takes a folder and a random generator, writes one input into the folder, and returns what opens it.
    files
        Names of files, one of which every error has to mention; empty for what is in memory.
    """

    name: str
    make: object
    files: tuple = ()


@dataclass
class Outcome:
    """What became of the inputs of a target."""

    n: int = 0
    kinds: collections.Counter = field(default_factory=collections.Counter)
    failures: list = field(default_factory=list)


def fuzz(target, seed, seconds, folder, first=0):
    """Give a target random input for some seconds; return the outcome, with failing inputs kept in ``folder``.

    Every input is made from the seed, the name of the target and a number, so that it can be made again.
    """
    outcome, deadline, at = Outcome(), time.monotonic() + seconds, first
    progress = mmap.mmap(-1, 16)
    while time.monotonic() < deadline:
        log = folder / f"{target.name}.log"
        log.unlink(missing_ok=True)
        progress[:] = struct.pack("<qd", at, time.monotonic())
        child = fork()
        if child == 0:
            _child(target, seed, range(at, at + _BATCH), deadline, folder, progress, log)
        ended, hung = _wait(child, progress)
        at = _read(log, outcome, at)
        number = struct.unpack("<qd", progress[:])[0]
        if ended or hung:
            kept = _keep(target, number, folder)
            why = "hangs" if hung else f"died of signal {ended}"
            outcome.failures.append(f"{target.name} {number}: {why} ({kept})")
            outcome.n, at = outcome.n + 1, number + 1
    return outcome


def _wait(child, progress):
    """Return the signal that ended a child, and whether it had to be killed as it hung."""
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return (os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)), False
        if time.monotonic() - struct.unpack("<qd", progress[:])[1] > _HANGS:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return 0, True
        time.sleep(0.02)


def _read(log, outcome, at):
    """Add the lines of a child to the outcome; return the number of the next input."""
    for line in log.read_text().splitlines() if log.exists() else ():
        number, kind, *failure = line.split("\t")
        outcome.n += 1
        outcome.kinds[kind] += 1
        outcome.failures += failure
        at = int(number) + 1
    return at


def _child(target, seed, numbers, deadline, folder, progress, log):
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    limit = _used() + _MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    with log.open("w") as file:
        for number in numbers:
            if time.monotonic() > deadline:
                break
            progress[:] = struct.pack("<qd", number, time.monotonic())
            kind, failure = one(target, seed, number, folder)
            file.write(f"{number}\t{kind}" + (f"\t{failure}" if failure else "") + "\n")
            file.flush()
    os._exit(0)


def one(target, seed, number, folder):
    """Run one input; return how it ended, and in words if that is a failure."""
    rng = random.Random(f"{seed} {target.name} {number}")
    work = folder / "now" / target.name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        call = target.make(work, rng)
    except Exception as error:  # noqa: BLE001 (h5py refuses to write some changes)
        return f"not made ({type(error).__name__})", ""
    began = time.process_time()
    text = ""
    with contextlib.suppress(SystemExit):
        try:
            call()
            kind = "works"
        except DOCUMENTED as error:
            kind = type(error).__name__
            message = str(error)
            if target.files and not any(name in message for name in target.files):
                text = f"an error without the name of the file: {type(error).__name__}: {message}"
        except Exception as error:  # noqa: BLE001 (that is what is looked for)
            kind = "undocumented"
            text = f"{type(error).__name__}: {error} at {traceback.extract_tb(error.__traceback__)[-1]}"
    if not text and time.process_time() - began > _SLOW:
        text = f"takes {time.process_time() - began:.1f} s"
    if text:
        kept = _keep(target, number, folder)
        text = " ".join(f"{target.name} {number}: {text} ({kept})".split())[:600]
    return kind, text


def _keep(target, number, folder):
    kept = folder / f"{target.name}-{number}"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(folder / "now" / target.name, kept, symlinks=True)
    return kept


def _used():
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
