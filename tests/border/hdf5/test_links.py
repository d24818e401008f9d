"""HDF5 files that take data from elsewhere, or contain themselves, are refused before they are read."""

import h5py
import pytest

import scarches_plus as sp
from scarches_plus.hub import BundleError

pytestmark = pytest.mark.border


def external_storage(file):
    file.create_dataset("uns/s", (25,), "f8", external=[("/etc/passwd", 0, 200)])


def virtual(file):
    layout = h5py.VirtualLayout((5,), "f8")
    layout[:] = h5py.VirtualSource("/etc/passwd", "X", (5,))
    file.create_virtual_dataset("uns/v", layout)


def link(one):
    def change(file):
        file["uns/link"] = one

    return change


def circle(file):
    file["uns/again"] = file["/"]


OUTSIDE = {
    "a link to another file": (
        link(h5py.ExternalLink("/etc/passwd", "/")),
        "/uns/link: it is a link to somewhere else",
    ),
    "a soft link": (link(h5py.SoftLink("/obs")), "/uns/link: it is a link to somewhere else"),
    "a virtual data set": (virtual, "/uns/v: it takes its data from other files"),
    "data in another file": (external_storage, "/uns/s: it takes its data from other files"),
    "a circle": (circle, "/uns/again: it nests in a circle"),
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_files_that_reach_out(border, changed, case):
    change, says = OUTSIDE[case]
    folder = changed(change)
    border.in_child(
        lambda: sp.hub.import_reference(folder), BundleError, ("adata.h5ad is refused: ", says),
        kind="A5", case=f"h5ad: {case}", shown="sp.hub.import_reference(folder)",
    )  # fmt: skip
