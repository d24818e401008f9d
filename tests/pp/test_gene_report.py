"""What was lost can be read."""

from dataclasses import replace

from scarches_plus.pp import GeneReport

REPORT = GeneReport(
    n_genes=100,
    n_mapped=90,
    n_result=88,
    lost=tuple(f"g{i}" for i in range(10)),
    kept=(),
    merged={"A": ("a", "b"), "B": ("c", "d")},
    ambiguous={"e": ("E", "F")},
    lost_counts=0.0312,
)


def test_says_what_was_lost():
    assert str(REPORT).splitlines() == [
        "90 of 100 genes mapped, 88 genes in the result",
        "10 genes lost, with 3.1% of the counts: g0, g1, g2, g3, g4, ...",
        "2 genes sum several: A = a + b, B = c + d",
        "1 genes have several new names: e = E or F",
    ]


def test_nothing_lost():
    report = replace(REPORT, lost=(), lost_counts=0.0, merged={}, ambiguous={}, kept=("x",))
    assert str(report).splitlines() == [
        "90 of 100 genes mapped, 88 genes in the result",
        "0 genes lost, with 0.0% of the counts",
        "1 genes kept without a new name: x",
    ]


def test_repr_is_short():
    assert repr(REPORT) == "GeneReport(n_genes=100, n_mapped=90, n_result=88, lost_counts=0.0312)"
