"""Read the opcodes of a pickle without making anything.

Why an interpreter of our own, in Python, and neither :class:`pickle.Unpickler` nor ``torch.load(weights_only=True)``:

- The C unpickler takes memory before anyone is asked: ``LONG_BINPUT 2**28`` is an array of 2 GB, and ``EXT``, ``INST`` and
  ``BUILD`` act on real objects. It would need a scan of all opcodes first, which is this file without its last lines.
- torch's ``weights_only`` reads protocol 2 only (not the ``attr.pkl`` of scvi-tools before 0.15), keeps its list of allowed
  names for the whole process, sets up whatever class is on it, numpy's dtypes among them, and does not look at checksums.
- Here there is nothing to allow: every name becomes a :class:`Name`, every call a :class:`Record`, and nothing is hashed,
  called, imported or set up. What is known to be harmless is made later, from checked bytes (``_values.py``).

Pickles of models have some ten thousand opcodes, so that the interpreter takes tens of milliseconds.
"""

from __future__ import annotations

import re
import struct
from itertools import chain, starmap
from typing import TYPE_CHECKING, Any, NoReturn

from scarches_plus._limits import PICKLE_CONTAINERS, PICKLE_STEPS, PICKLE_VALUES

from ._records import TRUST, Items, Name, Pairs, Record, Tag, UnsafeFileError

if TYPE_CHECKING:
    from collections.abc import Callable

_NEWEST_PROTOCOL = 5
#: Bytes of an integer. A file of a model has counts, and at most the 128 bits of a random state.
_LONGEST_INTEGER = 32
_LONGEST_NAME = 512
_MARK = object()
#: Integers, floats and references in a row, as lists of cells and genes have them (a longer row is several); how each is unpacked.
_RUNS = re.compile(
    rb"(?s:(?:K.){8,999}|(?:M..){8,999}|(?:J.{4}){8,999}|(?:G.{8}){8,999}|(?:h.){8,999}|(?:j.{4}){8,999})"
)
_IN_RUNS = {ord(code): form for code, form in zip("KMJGhj", ("<xB", "<xH", "<xi", ">xd", "<xB", "<xI"), strict=True)}
_REFERENCES = b"hj"


def parse(contents: bytes | memoryview) -> tuple[Any, int]:
    """Return what a pickle describes, as plain values and records, and the number of steps it took.

    Parameters
    ----------
    contents
        The pickle, of protocol 2 to 5. What follows its end is not looked at.

    Raises
    ------
    UnsafeFileError
        If it is damaged, has opcodes that no model file has, or far more of them than any.
    """
    return _Machine(bytes(contents)).run()


class _Machine:
    def __init__(self, contents: bytes) -> None:
        self.contents = contents
        self.at = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.n_steps = self.n_values = self.n_containers = 0

    def run(self) -> tuple[Any, int]:
        contents, n_bytes = self.contents, len(self.contents)
        while True:
            if self.at >= n_bytes:
                _refuse("it ends too early")
            code = contents[self.at]
            if code in _IN_RUNS and (run := _RUNS.match(contents, self.at)):
                self._take_run(code, run.end())
                continue
            self.at += 1
            if code == _STOP:
                return self._top(), self.n_steps + self.n_values
            self.n_steps += 1
            if self.n_steps > PICKLE_STEPS:
                _too_much(f"it has more than {PICKLE_STEPS} steps")
            step = _STEPS.get(code)
            if step is None:
                _refuse(f"byte {self.at - 1} is the opcode {bytes([code])!r}, which no model file has")
            step(self)

    # --- bytes ---

    def _bytes(self, n: int) -> bytes:
        end = self.at + n
        if end > len(self.contents):
            _refuse(f"byte {self.at}: it ends before the {n} bytes that it announces")
        found, self.at = self.contents[self.at : end], end
        return found

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._bytes(struct.calcsize(form)))[0]

    def _line(self) -> str:
        end = self.contents.find(b"\n", self.at, self.at + _LONGEST_NAME)
        if end < 0:
            _refuse(f"byte {self.at}: a name is too long")
        found, self.at = self.contents[self.at : end], end + 1
        return _text(found)

    def _take_run(self, code: int, end: int) -> None:
        form = _IN_RUNS[code]
        n_values = (end - self.at) // struct.calcsize(form)
        # a reference takes less than half of what a number takes
        self.n_values += n_values // 2 if code in _REFERENCES else n_values
        if self.n_values > PICKLE_VALUES:
            _too_much(f"it has more than {PICKLE_VALUES} values")
        values = struct.iter_unpack(form, self.contents[self.at : end])
        self.stack.extend(starmap(self._remembered, values) if code in _REFERENCES else chain.from_iterable(values))
        self.at = end

    # --- stack and memo ---

    def _top(self) -> Any:
        if not self.stack or (self.marks and self.marks[-1] >= len(self.stack)):
            _refuse("it takes a value where there is none")
        return self.stack[-1]

    def _pop(self) -> Any:
        found = self._top()
        self.stack.pop()
        return found

    def _since_mark(self) -> list[Any]:
        if not self.marks:
            _refuse("it ends a list that it never began")
        start = self.marks.pop()
        found = self.stack[start:]
        del self.stack[start:]
        return found

    def _new(self, value: Any) -> None:
        self.n_containers += 1
        if self.n_containers > PICKLE_CONTAINERS:
            _too_much(f"it has more than {PICKLE_CONTAINERS} lists, tuples, dictionaries and objects")
        self.stack.append(value)

    def _remember(self, key: int) -> None:
        self.memo[key] = self._top()

    def _remembered(self, key: int) -> Any:
        if key not in self.memo:
            _refuse(f"it refers to value {key}, which it never stored")
        return self.memo[key]

    # --- steps ---

    def proto(self) -> None:
        if (version := self._number("<B")) > _NEWEST_PROTOCOL:
            _refuse(f"it is a pickle of protocol {version}; {_NEWEST_PROTOCOL} is the newest that is known")

    def frame(self) -> None:
        if self._number("<Q") > len(self.contents) - self.at:
            _refuse("a frame is longer than the file")

    def mark(self) -> None:
        self.marks.append(len(self.stack))

    def pop(self) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self._pop()

    def integer(self, n_bytes: int) -> None:
        if not 0 <= n_bytes <= _LONGEST_INTEGER:
            _refuse(f"an integer of {n_bytes} bytes")
        self.stack.append(int.from_bytes(self._bytes(n_bytes), "little", signed=True))

    def text(self, n_bytes: int) -> None:
        self.stack.append(_text(self._bytes(n_bytes)))

    def append(self) -> None:
        value = self._pop()
        self._extend([value])

    def appends(self) -> None:
        values = self._since_mark()
        self._extend(values)

    def _extend(self, values: list[Any]) -> None:
        target = self._top()
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, Record | Items):
            target.items.extend(values)
        else:
            _refuse("it appends to what is no list")

    def setitem(self) -> None:
        value, key = self._pop(), self._pop()
        self._set([key, value])

    def setitems(self) -> None:
        values = self._since_mark()
        self._set(values)

    def _set(self, values: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, Pairs | Record) or len(values) % 2:
            _refuse("it sets keys of what is no dictionary")
        target.pairs.extend(zip(values[::2], values[1::2], strict=True))

    def tuple_of(self, n: int) -> None:
        start = len(self.stack) - n
        if start < (self.marks[-1] if self.marks else 0):
            _refuse("it takes a value where there is none")
        values = tuple(self.stack[start:])
        del self.stack[start:]
        self._new(values)

    def name(self) -> None:
        module = self._line()
        self._new(Name(module, self._line()))

    def name_of_stack(self) -> None:
        name, module = self._pop(), self._pop()
        if not isinstance(name, str) or not isinstance(module, str):
            _refuse("it names a class by something else than text")
        self._new(Name(module, name))

    def call(self) -> None:
        arguments, function = self._pop(), self._pop()
        self._new(Record(function, arguments))

    def call_with_names(self) -> None:
        named, arguments, function = self._pop(), self._pop(), self._pop()
        self._new(Record(function, (arguments, named)))

    def build(self) -> None:
        state, target = self._pop(), self._top()
        if isinstance(target, Record):
            target.state = state

    def frozen_set(self) -> None:
        self._new(Items(self._since_mark()))


def _text(contents: bytes) -> str:
    try:
        return contents.decode()
    except UnicodeDecodeError:
        _refuse("it has text that is not UTF-8")


def _too_much(why: str) -> NoReturn:
    message = f"{why}; {TRUST}"
    raise UnsafeFileError(message)


def _refuse(why: str) -> NoReturn:
    message = f"its pickle is damaged or was made by hand: {why}"
    raise UnsafeFileError(message)


def _push(value: Any) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(value)


def _number(form: str) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(machine._number(form))


def _sized(form: str, push: Callable[[_Machine, int], None]) -> Callable[[_Machine], None]:
    return lambda machine: push(machine, machine._number(form))


def _raw(machine: _Machine, n_bytes: int) -> None:
    machine.stack.append(machine._bytes(n_bytes))


#: Opcodes of protocols 2 to 5 as picklers write them. INST, OBJ, EXT, PERSID, DUP, the text opcodes of protocol 0 and buffers
#: outside the file are not among them.
_STEPS: dict[int, Callable[[_Machine], Any]] = {
    code[0]: step
    for code, step in {
        b"\x80": _Machine.proto,
        b"\x95": _Machine.frame,
        b"(": _Machine.mark,
        b"0": _Machine.pop,
        b"1": _Machine._since_mark,
        b"N": _push(None),
        b"\x88": _push(True),  # noqa: FBT003
        b"\x89": _push(False),  # noqa: FBT003
        b"J": _number("<i"),
        b"K": _number("<B"),
        b"M": _number("<H"),
        b"G": _number(">d"),
        b"\x8a": _sized("<B", _Machine.integer),
        b"\x8b": _sized("<i", _Machine.integer),
        b"\x8c": _sized("<B", _Machine.text),
        b"X": _sized("<I", _Machine.text),
        b"\x8d": _sized("<Q", _Machine.text),
        b"C": _sized("<B", _raw),
        b"B": _sized("<I", _raw),
        b"\x8e": _sized("<Q", _raw),
        b"\x96": _sized("<Q", _raw),
        b"]": lambda machine: machine._new([]),
        b"a": _Machine.append,
        b"e": _Machine.appends,
        b")": _push(()),
        b"\x85": lambda machine: machine.tuple_of(1),
        b"\x86": lambda machine: machine.tuple_of(2),
        b"\x87": lambda machine: machine.tuple_of(3),
        b"t": lambda machine: machine._new(tuple(machine._since_mark())),
        b"}": lambda machine: machine._new(Pairs()),
        b"s": _Machine.setitem,
        b"u": _Machine.setitems,
        b"\x8f": lambda machine: machine._new(Items()),
        b"\x90": _Machine.appends,
        b"\x91": _Machine.frozen_set,
        b"c": _Machine.name,
        b"\x93": _Machine.name_of_stack,
        b"R": _Machine.call,
        b"\x81": _Machine.call,
        b"\x92": _Machine.call_with_names,
        b"b": _Machine.build,
        b"Q": lambda machine: machine._new(Tag(machine._pop())),
        b"q": lambda machine: machine._remember(machine._number("<B")),
        b"r": lambda machine: machine._remember(machine._number("<I")),
        b"\x94": lambda machine: machine._remember(len(machine.memo)),
        b"h": lambda machine: machine.stack.append(machine._remembered(machine._number("<B"))),
        b"j": lambda machine: machine.stack.append(machine._remembered(machine._number("<I"))),
    }.items()
}
_STOP = ord(".")
