"""Files of torch and pickles made by hand, as an attacker would."""

import io
import pickle
import struct
import zipfile

import numpy as np


class Call:
    """Is pickled as a call of ``function``, with a state, items and pairs to put into its result."""

    def __init__(self, function, *args, state=None, items=None, pairs=None):
        self._parts = function, args, state, items and iter(items), pairs and iter(pairs)

    def __reduce__(self):
        return self._parts


def archive(pickled, storages=None, *, folder="archive", **members):
    """An archive as ``torch.save`` writes it, around any pickle and any storages."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as whole:
        whole.writestr(f"{folder}/data.pkl", pickled)
        whole.writestr(f"{folder}/byteorder", members.get("byteorder", "little"))
        for key, contents in (storages or {}).items():
            whole.writestr(f"{folder}/data/{key}", contents)
        whole.writestr(f"{folder}/version", "3\n")
    return file.getvalue()


def named(module, name):
    """Opcodes that name anything, whether it exists or not."""
    return f"c{module}\n{name}\n".encode()


def text(value):
    """Opcodes of a text."""
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def integer(value):
    """Opcodes of an integer."""
    encoded = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(encoded)]) + encoded


def values(*parts):
    """Opcodes of a tuple."""
    return b"(" + b"".join(parts) + b"t"


def storage(kind="FloatStorage", key="0", n=4, module="torch"):
    """Opcodes of a storage."""
    return values(text("storage"), named(module, kind), text(key), text("cpu"), integer(n)) + b"Q"


def tensor(offset, size, strides, of=None):
    """Opcodes of a tensor."""
    numbers = [values(*map(integer, one)) for one in (size, strides)]
    parts = [storage() if of is None else of, integer(offset), *numbers, b"\x89", b"N"]
    return named("torch._utils", "_rebuild_tensor_v2") + values(*parts) + b"R"


def whole(registry, weights=b"}"):
    """Opcodes of a file with a model's three parts, whose registry is anything."""
    attributes = b"}(" + text("registry_") + registry + text("init_params_") + b"}" + b"u"
    return (
        b"\x80\x02}(" + text("attr_dict") + attributes + text("model_state_dict") + weights + text("var_names") + b"]u."
    )


def dtype(name, state=None):
    """A dtype, set up with any state."""
    return Call(np.dtype, name, False, True, state=state)


def opcodes_of(value, protocol=2):
    """Opcodes of a value, without their beginning and end."""
    pickled = pickle.dumps(value, protocol)
    return pickled[2:-1]
