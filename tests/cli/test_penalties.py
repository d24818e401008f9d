import pytest

from scarches_plus.cli._penalties import parse_penalties
from scarches_plus.train import EWC, MMD, BatchAdversary, LatentReplay


def test_words():
    words = [
        "mmd",
        "mmd:on=decoder,weight=10,max_groups=5",
        "batch_adversary:lr=0.001",
        "ewc:weight=1e3",
        "latent_replay:n_cells=9",
    ]
    assert parse_penalties(words) == (
        MMD(),
        MMD(on="decoder", weight=10, max_groups=5),
        BatchAdversary(lr=0.001),
        EWC(weight=1e3),
        LatentReplay(n_cells=9),
    )
    assert parse_penalties(()) == ()


@pytest.mark.parametrize("word", ["mdm", "mmd:place=z", "mmd:weight"])
def test_what_is_wrong_is_named(word):
    with pytest.raises(ValueError, match=word.split(":")[-1].split("=")[0]):
        parse_penalties([word])
