import pandas as pd
import pytest

import scarches_plus as sp


def test_counts_by_hand():
    explanation = pd.DataFrame(
        {
            "reason": ["accepted", "accepted", "uncertain", "uncertain", "uncertain", "novel", "no labelled neighbor"],
            "label": pd.Categorical(["T", "T", "T", "T", "T", "B", None], ["B", "NK", "T"]),
            "probability": [1.0, 0.8, 0.4, 0.4, 0.3, 0.9, 0.0],
            "second_label": pd.Categorical([None, "B", "NK", "NK", "B", "T", None], ["B", "NK", "T"]),
        }
    )
    table = sp.tl.label_summary(explanation)
    assert table.index.tolist() == ["T", "B"]
    assert table[["n_cells", "accepted", "uncertain", "novel"]].to_numpy().tolist() == [[5, 2, 3, 0], [1, 0, 0, 1]]
    assert table["probability"].tolist() == [0.4, 0.9]
    assert table["rival"].iloc[0] == "NK"
    assert pd.isna(table["rival"].iloc[1])
    certain = sp.tl.label_summary(explanation.iloc[:2])
    assert certain["rival"].isna().all()
    assert certain["uncertain"].tolist() == [0]
    with pytest.raises(ValueError, match=r"lacks \['reason'\]"):
        sp.tl.label_summary(explanation.drop(columns="reason"))
