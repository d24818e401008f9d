"""The page on letting a model learn from a query: its code, run as it stands."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

PAGE = (Path(__file__).parent.parent.parent / "docs" / "guide" / "continual.md").read_text()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_page_holds_the_reference_and_labels_the_query(tmp_path, monkeypatch):
    plt.switch_backend("agg")
    monkeypatch.chdir(tmp_path)
    said = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(code, said)  # noqa: S102 (the page's own code)
    plt.close("all")
    query, drift = said["query"], said["mapped"].state.lineage[-1]["drift"]
    assert (query.obs["cell_type_pred"].astype(str) == query.obs["cell_type"].astype(str)).mean() > 0.9
    assert 0.3 < drift["neighbor_preservation"] < 0.9
    assert drift["relative_rmsd"] > 0.1
    assert (tmp_path / "reference_2").is_dir()
