"""A column is found, or it is said which ones come near."""

import pandas as pd
import pytest

from scarches_plus._cells._columns import column_not_found, column_of

TABLE = pd.DataFrame({"cell_type": ["a"], "Batch": [1], 3: [0.5]})


def test_a_column():
    assert column_of(TABLE, "Batch").tolist() == [1]


@pytest.mark.parametrize(("key", "near"), [("celltype", "cell_type"), ("batch", "Batch"), ("CELL_TYPES", "cell_type")])
def test_near_names(key, near):
    with pytest.raises(KeyError, match=f"did you mean '{near}'"):
        column_of(TABLE, key)


def test_many_and_other_names():
    assert "did you mean" not in column_not_found(TABLE, "zzz")
    assert "columns ['a', 'b'] not found in query.obs" in column_not_found(TABLE, ["a", "b"], "query.obs")
    many = pd.DataFrame(columns=[f"c{i}" for i in range(300)])
    assert "and 280 more" in column_not_found(many, "zzz")


def test_a_column_twice():
    twice = pd.concat([TABLE, TABLE[["Batch"]]], axis=1)
    with pytest.raises(ValueError, match=r"2 columns of adata\.obs are named 'Batch'"):
        column_of(twice, "Batch")
