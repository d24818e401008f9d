"""What torch wrote before 1.6 is read as torch reads it, and refused where it is damaged."""

import random
import re
from collections import OrderedDict

import pytest
import torch

from scarches_plus._pickles import UnsafeFileError, read_torch_file


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pt"


def save(contents, path):
    torch.save(contents, path, _use_new_zipfile_serialization=False)
    return path


def state():
    torch.manual_seed(0)
    shared = torch.randn(6, 4)
    return OrderedDict(
        a=torch.randn(3, 5), b=shared, c=shared[1:3].T, d=torch.arange(7), e=torch.rand(2).double(),
        f=torch.tensor([True, False]), g=torch.empty(0, 3), h=torch.tensor(4.0).half(), i=torch.randint(0, 9, (2,)).to(torch.uint8),
    )  # fmt: skip


def test_as_torch_reads_it(path):
    save(state(), path)
    expected = torch.load(path, weights_only=True)
    found = read_torch_file(path).make()
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value), name


def test_without_tensors(path):
    save({"a": [1, 2.5, "text", None]}, path)
    assert read_torch_file(path).make() == {"a": [1, 2.5, "text", None]}


@pytest.mark.parametrize("kept", [0.05, 0.3, 0.6, 0.9, 0.999])
def test_cut_off(kept, path):
    whole = save(state(), path).read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(UnsafeFileError):
        read_torch_file(path).make()


def test_any_other_byte(path):
    whole = save(state(), path).read_bytes()
    rng = random.Random(0)
    refused = 0
    for _ in range(400):
        at = rng.randrange(20, len(whole))
        path.write_bytes(whole[:at] + bytes([rng.randrange(256)]) + whole[at + 1 :])
        try:
            read_torch_file(path).make()
        except UnsafeFileError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize("numel", [2**40, -1, 2**62])
def test_a_storage_of_another_size(numel, path):
    whole = save({"a": torch.arange(5.0)}, path).read_bytes()
    at = len(whole) - 5 * 4 - 8
    assert int.from_bytes(whole[at : at + 8], "little") == 5
    path.write_bytes(whole[:at] + numel.to_bytes(8, "little", signed=True) + whole[at + 8 :])
    with pytest.raises(UnsafeFileError, match="ends too early"):
        read_torch_file(path)


def test_a_storage_of_two_types(path):
    whole = save({"a": torch.arange(4.0), "b": torch.arange(4.0).double()}, path).read_bytes()
    first, second, *_ = dict.fromkeys(re.findall(rb"\d{9,}", whole))
    path.write_bytes(whole.replace(second, first, 1))
    with pytest.raises(UnsafeFileError, match="of two types"):
        read_torch_file(path)


def test_part_of_a_storage(path):
    whole = save({"a": torch.arange(5.0)}, path).read_bytes()
    assert whole.count(b"K\x05Nt") == 1
    path.write_bytes(whole.replace(b"K\x05Nt", b"K\x05\x88t"))
    with pytest.raises(UnsafeFileError, match="without a storage"):
        read_torch_file(path)


def test_nothing_is_called(path):
    class Attack:
        def __reduce__(self):
            return (open, (str(path) + ".made", "w"))

    save({"a": Attack()}, path)
    with pytest.raises(UnsafeFileError):
        read_torch_file(path).make()
    assert not path.with_name("weights.pt.made").exists()
