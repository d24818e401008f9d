"""Parse the opcodes of a pickle without creating any object.

Why an interpreter of our own, in Python, and neither :class:`pickle.Unpickler` nor ``torch.load(weights_only=True)``:

- The C unpickler takes memory before anyone is asked: ``LONG_BINPUT 2**28`` in a file of 500 bytes takes 4.1 GB. Keys
  are hashed and states set up, whatever they are. It would need a scan of all opcodes first, which is most of this
  file.
- torch's ``weights_only`` reads protocol 2 only (not the ``attr.pkl`` of scvi-tools before 0.15), keeps its list of
  allowed names for the whole process, sets up whatever class is on it, numpy's dtypes among them, and does not look at
  checksums.
- Here there is nothing to allow: every name becomes a :class:`Name`, every call a :class:`Record`, and nothing is
  hashed, called, imported or set up. What is known to be harmless is made later, from checked bytes (``_values.py``).

Pickles of models have some ten thousand opcodes, for which the interpreter takes some milliseconds.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from scarches_plus._limits import PICKLE_STEPS

from ._machine import BYTE, FLOAT, IN_RUNS, INTEGER, LENGTH, LONGEST, SHORT, Machine, refuse_pickle, refuse_size
from ._records import Items, Pairs

if TYPE_CHECKING:
    from collections.abc import Callable
    from struct import Struct

#: Integers, floats and references in a row, as lists of cells and genes have them; a longer row is several.
_RUNS = re.compile(
    rb"(?s:(?:K.){8,999}|(?:M..){8,999}|(?:J.{4}){8,999}|(?:G.{8}){8,999}|(?:h.){8,999}|(?:j.{4}){8,999})"
)


def parse(contents: bytes | memoryview) -> tuple[Any, int]:
    """Return what a pickle describes, as plain values and records, and the number of steps it took.

    As :func:`run`, which says more.
    """
    machine = run(contents)
    return machine.top(), machine.n_steps + machine.n_values


def run(contents: bytes | memoryview, at: int = 0) -> Machine:
    """Carry out the opcodes of a pickle: ``top()`` of the result is what it describes, ``at`` where it ends.

    Parameters
    ----------
    contents
        The pickle, of protocol 2 to 5. What follows its end is not looked at.
    at
        Where it begins.

    Raises
    ------
    UnsafeFileError
        If it is damaged, has opcodes that no model file has, or far more of them than any.
    """
    machine, n_bytes = Machine(bytes(contents)), len(contents)
    machine.at = at
    contents = machine.contents
    while True:
        if machine.at >= n_bytes:
            refuse_pickle("it ends too early")
        code = contents[machine.at]
        if code in IN_RUNS and (run := _RUNS.match(contents, machine.at)):
            machine.take_run(code, run.end())
            continue
        machine.at += 1
        if code == _STOP:
            return machine
        machine.n_steps += 1
        if machine.n_steps > PICKLE_STEPS:
            refuse_size(f"it has more than {PICKLE_STEPS} steps")
        step = _STEPS.get(code)
        if step is None:
            refuse_pickle(f"byte {machine.at - 1} is the opcode {bytes([code])!r}, which no model file has")
        step(machine)


def _push(value: Any) -> Callable[[Machine], None]:
    return lambda machine: machine.stack.append(value)


def _number(form: Struct) -> Callable[[Machine], None]:
    return lambda machine: machine.stack.append(machine.number(form))


def _sized(form: Struct, push: Callable[[Machine, int], None]) -> Callable[[Machine], None]:
    return lambda machine: push(machine, machine.number(form))


def _raw(machine: Machine, n_bytes: int) -> None:
    machine.stack.append(machine.take(n_bytes))


#: Opcodes of protocols 2 to 5 as picklers write them. INST, OBJ, EXT, PERSID, DUP, the text opcodes of protocol 0 and
#: buffers outside the file are not among them.
_STEPS: dict[int, Callable[[Machine], Any]] = {
    code[0]: step
    for code, step in {
        b"\x80": Machine.proto,
        b"\x95": Machine.frame,
        b"(": Machine.mark,
        b"0": Machine.drop,
        b"1": Machine.since_mark,
        b"N": _push(None),
        b"\x88": _push(True),  # noqa: FBT003
        b"\x89": _push(False),  # noqa: FBT003
        b"J": _number(INTEGER),
        b"K": _number(BYTE),
        b"M": _number(SHORT),
        b"G": _number(FLOAT),
        b"\x8a": _sized(BYTE, Machine.integer),
        b"\x8b": _sized(INTEGER, Machine.integer),
        b"\x8c": _sized(BYTE, Machine.text),
        b"X": _sized(LENGTH, Machine.text),
        b"\x8d": _sized(LONGEST, Machine.text),
        b"C": _sized(BYTE, _raw),
        b"B": _sized(LENGTH, _raw),
        b"\x8e": _sized(LONGEST, _raw),
        b"\x96": _sized(LONGEST, _raw),
        b"]": lambda machine: machine.new([]),
        b"a": Machine.append,
        b"e": Machine.appends,
        b")": _push(()),
        b"\x85": lambda machine: machine.tuple_of(1),
        b"\x86": lambda machine: machine.tuple_of(2),
        b"\x87": lambda machine: machine.tuple_of(3),
        b"t": lambda machine: machine.new(tuple(machine.since_mark())),
        b"}": lambda machine: machine.new(Pairs()),
        b"s": Machine.setitem,
        b"u": Machine.setitems,
        b"\x8f": lambda machine: machine.new(Items()),
        b"\x90": Machine.appends,
        b"\x91": Machine.frozen_set,
        b"c": Machine.name,
        b"\x93": Machine.name_of_stack,
        b"R": Machine.call,
        b"\x81": Machine.call,
        b"\x92": Machine.call_with_names,
        b"b": Machine.build,
        b"Q": Machine.tag,
        b"q": lambda machine: machine.remember(machine.number(BYTE)),
        b"r": lambda machine: machine.remember(machine.number(LENGTH)),
        b"\x94": lambda machine: machine.remember(len(machine.memo)),
        b"h": lambda machine: machine.stack.append(machine.remembered(machine.number(BYTE))),
        b"j": lambda machine: machine.stack.append(machine.remembered(machine.number(LENGTH))),
    }.items()
}
_STOP = ord(".")
