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


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("mdm", "there is no penalty 'mdm'; choose from"),
        ("mmd:place=z", "'place=z' is not an option of penalty mmd; write option=value, with one of"),
        ("mmd:weight", "'weight' is not an option of penalty mmd; write option=value"),
        ("mmd:on=a b", "penalty 'mmd:on=a b': on must be one of"),
        ("ewc:weight=-1", "penalty 'ewc:weight=-1': weight must be at least 0"),
        ("ewc:weight=" + "(" * 201, r"\(\.\.\. is not a value of an option: it has 201 letters"),
        ("ewc:weight=" + "(" * 200, "weight must be a number"),
    ],
)
def test_what_is_wrong_is_named(word, says):
    with pytest.raises(ValueError, match=says):
        parse_penalties([word])
