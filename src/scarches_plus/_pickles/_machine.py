"""Interpret pickle opcodes on a stack, building inert records instead of objects."""

from __future__ import annotations

import struct
from itertools import chain, starmap
from typing import Any, NoReturn

from scarches_plus._limits import PICKLE_CONTAINERS, PICKLE_INTEGER_BYTES, PICKLE_NAME_BYTES, PICKLE_VALUES

from ._records import TRUST, Items, Name, Pairs, Record, Tag, UnsafeFileError

BYTE = struct.Struct("<B")
SHORT = struct.Struct("<H")
INTEGER = struct.Struct("<i")
LENGTH = struct.Struct("<I")
LONGEST = struct.Struct("<Q")
FLOAT = struct.Struct(">d")
_NEWEST_PROTOCOL = 5
#: How integers, floats and references in a row are unpacked.
IN_RUNS = {ord(code): form for code, form in zip("KMJGhj", ("<xB", "<xH", "<xi", ">xd", "<xB", "<xI"), strict=True)}
_REFERENCES = b"hj"


class Machine:
    """Carries out opcodes: holds the stack, the marks and the memo of an unpickler, and counts.

    Parameters
    ----------
    contents
        The pickle.
    """

    def __init__(self, contents: bytes) -> None:
        self.contents = contents
        self.at = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.tags: list[Tag] = []
        self.n_steps = self.n_values = self.n_containers = 0

    # --- bytes ---

    def take(self, n: int) -> bytes:
        end = self.at + n
        if end > len(self.contents):
            refuse_pickle(f"byte {self.at}: it ends before the {n} bytes that it announces")
        found, self.at = self.contents[self.at : end], end
        return found

    def number(self, form: struct.Struct) -> Any:
        end = self.at + form.size
        if end > len(self.contents):
            refuse_pickle(f"byte {self.at}: it ends within a number")
        (found,) = form.unpack_from(self.contents, self.at)
        self.at = end
        return found

    def line(self) -> str:
        end = self.contents.find(b"\n", self.at, self.at + PICKLE_NAME_BYTES)
        if end < 0:
            refuse_pickle(f"byte {self.at}: a name is too long")
        found, self.at = self.contents[self.at : end], end + 1
        return _text(found)

    def take_run(self, code: int, end: int) -> None:
        form = IN_RUNS[code]
        n_values = (end - self.at) // struct.calcsize(form)
        # a reference takes less than half of what a number takes
        self._count(n_values // 2 if code in _REFERENCES else n_values)
        values = struct.iter_unpack(form, self.contents[self.at : end])
        self.stack.extend(starmap(self.remembered, values) if code in _REFERENCES else chain.from_iterable(values))
        self.at = end

    def _count(self, n_values: int) -> None:
        self.n_values += n_values
        if self.n_values > PICKLE_VALUES:
            refuse_size(f"it has more than {PICKLE_VALUES} values")

    # --- stack and memo ---

    def top(self) -> Any:
        if not self.stack or (self.marks and self.marks[-1] >= len(self.stack)):
            refuse_pickle("it takes a value where there is none")
        return self.stack[-1]

    def pop(self) -> Any:
        found = self.top()
        self.stack.pop()
        return found

    def since_mark(self) -> list[Any]:
        if not self.marks:
            refuse_pickle("it ends a list that it never began")
        start = self.marks.pop()
        found = self.stack[start:]
        del self.stack[start:]
        return found

    def new(self, value: Any) -> None:
        self.n_containers += 1
        if self.n_containers > PICKLE_CONTAINERS:
            refuse_size(f"it has more than {PICKLE_CONTAINERS} lists, tuples, dictionaries and objects")
        self.stack.append(value)

    def tag(self) -> None:
        self.tags.append(Tag(self.pop()))
        self.new(self.tags[-1])

    def remember(self, key: int) -> None:
        self.memo[key] = self.top()

    def remembered(self, key: int) -> Any:
        if key not in self.memo:
            refuse_pickle(f"it refers to value {key}, which it never stored")
        return self.memo[key]

    # --- steps ---

    def proto(self) -> None:
        if (version := self.number(BYTE)) > _NEWEST_PROTOCOL:
            refuse_pickle(f"it is a pickle of protocol {version}; {_NEWEST_PROTOCOL} is the newest that is known")

    def frame(self) -> None:
        if self.number(LONGEST) > len(self.contents) - self.at:
            refuse_pickle("a frame is longer than the file")

    def mark(self) -> None:
        self.marks.append(len(self.stack))

    def drop(self) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.pop()

    def integer(self, n_bytes: int) -> None:
        if not 0 <= n_bytes <= PICKLE_INTEGER_BYTES:
            refuse_pickle(f"an integer of {n_bytes} bytes")
        self.stack.append(int.from_bytes(self.take(n_bytes), "little", signed=True))

    def text(self, n_bytes: int) -> None:
        self.stack.append(_text(self.take(n_bytes)))

    def append(self) -> None:
        value = self.pop()
        self._extend([value])

    def appends(self) -> None:
        values = self.since_mark()
        self._extend(values)

    def _extend(self, values: list[Any]) -> None:
        target = self.top()
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, Record | Items):
            target.items.extend(values)
        else:
            refuse_pickle("it appends to what is no list")

    def setitem(self) -> None:
        value, key = self.pop(), self.pop()
        self._set([key, value])

    def setitems(self) -> None:
        values = self.since_mark()
        self._set(values)

    def _set(self, values: list[Any]) -> None:
        target = self.top()
        if not isinstance(target, Pairs | Record) or len(values) % 2:
            refuse_pickle("it sets keys of what is no dictionary")
        self._count(len(values) // 2)
        target.pairs.extend(zip(values[::2], values[1::2], strict=True))

    def tuple_of(self, n: int) -> None:
        start = len(self.stack) - n
        if start < (self.marks[-1] if self.marks else 0):
            refuse_pickle("it takes a value where there is none")
        values = tuple(self.stack[start:])
        del self.stack[start:]
        self.new(values)

    def name(self) -> None:
        module = self.line()
        self.new(Name(module, self.line()))

    def name_of_stack(self) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            refuse_pickle("it names a class by something else than text")
        self.new(Name(module, name))

    def call(self) -> None:
        arguments, function = self.pop(), self.pop()
        self.new(Record(function, arguments))

    def call_with_names(self) -> None:
        named, arguments, function = self.pop(), self.pop(), self.pop()
        self.new(Record(function, (arguments, named)))

    def build(self) -> None:
        state, target = self.pop(), self.top()
        if isinstance(target, Record):
            target.state = state

    def frozen_set(self) -> None:
        self.new(Items(self.since_mark()))


def _text(contents: bytes) -> str:
    try:
        return contents.decode()
    except UnicodeDecodeError:
        refuse_pickle("it has text that is not UTF-8")


def refuse_size(why: str) -> NoReturn:
    """Refuse a pickle that is larger than those of models."""
    message = f"{why}; {TRUST}"
    raise UnsafeFileError(message)


def refuse_pickle(why: str) -> NoReturn:
    """Refuse a pickle that no pickler wrote."""
    message = f"its pickle is damaged or was made by hand: {why}"
    raise UnsafeFileError(message)
