"""Commands and calls that verdicts propose, typed as a reader types them, on small data."""

import ast
import re
import shlex
from pathlib import Path

import anndata
import pytest

import scarches_plus as sp
from scarches_plus.cli import app

SOURCE = Path(sp.__file__).parent
VERDICTS = ("_visit/_verdict.py", "metrics/_evaluation/page.py")
_LABELLED = "--reference model --labels-key cell_type"
#: What a verdict says to what a reader then types, in an order in which each finds the files that it needs.
COMMANDS = {
    "(build --anchors 2000)": "build ref.h5ad --batch-key batch --labels-key cell_type --recipe scanvi "
    "--anchors 2000 --max-epochs 2 --out model",
    "scarches-plus check for genes": "check query.h5ad --model model",
    "map --strategy condition": "map query.h5ad --model model --strategy condition --max-epochs 1 --out still.h5ad",
    "map --penalty mmd:weight=1,anchors=true": "map query.h5ad --model model --penalty mmd:weight=1,anchors=true "
    "--max-epochs 1 --save-model mapped --out mapped.h5ad",
    "with a weight of up to 10": "map query.h5ad --model model --penalty mmd:weight=10,anchors=true --max-epochs 1 "
    "--out pulled.h5ad",
    "Embed its cells again with the mapped model": "embed ref.h5ad --model mapped --out embedded.h5ad",
    "lower novel --alpha": "novel mapped.h5ad --reference ref.h5ad --labels-key cell_type --batch-key batch "
    "--alpha 0.01 --out fewer.h5ad",
    "scarches-plus novel": "novel mapped.h5ad --reference ref.h5ad --labels-key cell_type --batch-key batch "
    "--out novel.h5ad",
    "transfer --novel-key novel": f"transfer novel.h5ad {_LABELLED} --novel-key novel --out labelled.h5ad",
    "transfer --unknown-above": f"transfer novel.h5ad {_LABELLED} --unknown-above 0.8 --out more.h5ad",
    "markers --groupby cell_type_pred": "markers labelled.h5ad --groupby cell_type_pred --out markers.csv",
    "markers --groupby novel_cluster": "markers labelled.h5ad --groupby novel_cluster --out markers.csv",
    "name them": "name labelled.h5ad --names names.json --predictions cell_type_pred --out named.h5ad",
    "extend the reference": "extend named.h5ad --model mapped --labels-key novel_named --reference model --out more",
    "the reference's cells with --reference": f"report labelled.h5ad {_LABELLED} --out report",
    "(--labels-key)": "evaluate joint.h5ad --batch-key batch --labels-key cell_type --out evaluation",
    "recipe scanvi": "build ref.h5ad --batch-key batch --labels-key cell_type --recipe scanvi --max-epochs 1 --out again",
}  # fmt: skip
#: The same of calls, with ``query``, ``model``, ``joint`` and ``sp`` at hand.
CALLS = {
    "penalties=[sp.train.MMD(weight=1, anchors=True)] in map_query": "sp.tl.map_query(query, model, max_epochs=1, "
    "penalties=[sp.train.MMD(weight=1, anchors=True)])",
    "Give labels_key": "sp.metrics.evaluate(joint, 'X_scarches', 'batch', labels_key='cell_type')",
}  # fmt: skip


def texts_of(node):
    """Texts of code, those with values in braces whole."""
    if isinstance(node, ast.JoinedStr):
        yield ast.unparse(node)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    else:
        for child in ast.iter_child_nodes(node):
            yield from texts_of(child)


def said():
    """Read what verdicts say, with names of labels as they are here."""
    texts = []
    for file in VERDICTS:
        for function in ast.walk(ast.parse((SOURCE / file).read_text())):
            if isinstance(function, ast.FunctionDef) and function.name.startswith(("_of_", "_points")):
                body = function.body[bool(ast.get_docstring(function)) :]
                texts += [text for statement in body for text in texts_of(statement)]
    return "\n".join(texts).replace("{_keys.predicted(labels_key)}", "cell_type_pred")


def test_every_command_and_call_is_here():
    rest = said()
    for phrase in sorted((*COMMANDS, *CALLS), key=len, reverse=True):
        assert phrase in rest, f"no verdict says {phrase!r} any more"
        rest = rest.replace(phrase, "")
    assert not re.findall(r".*(?:--[a-z]|\bsp\.[a-z]|scarches-plus [a-z]|\w=\[).*", rest)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A reference without a type that the query has."""
    folder = tmp_path_factory.mktemp("verdict")
    adata = sp.datasets.simulate(500, 120, 5, n_batches=3, type_effect=0.8, mean_depth=1500.0, rng=0)
    is_query = (adata.obs["batch"] == "batch2").to_numpy()
    adata[~is_query & (adata.obs["cell_type"] != "type4").to_numpy()].write_h5ad(folder / "ref.h5ad")
    adata[is_query].write_h5ad(folder / "query.h5ad")
    (folder / "names.json").write_text('{"novel 1": "found"}')
    return folder


def run(line):
    app(shlex.split(line), result_action="return_value", exit_on_error=False, print_error=False)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # of a quarter that is novel, and the like
def test_commands_run_as_they_are_proposed(folder, monkeypatch):
    monkeypatch.chdir(folder)
    for line in COMMANDS.values():
        if line.startswith("evaluate"):
            run("joint labelled.h5ad --reference model --out joint.h5ad")
        run(line)
    named = anndata.read_h5ad("named.h5ad").obs
    assert (named.loc[named["novel_named"] == "found", "cell_type"] == "type4").mean() > 0.9
    assert "found" in sp.load("more").spec.labels
    record = anndata.read_h5ad("still.h5ad").uns["scarches_plus"]["embeddings"]["X_scarches"]
    assert record["mapping"]["drift"]["weights"] == 0
    query, joint = anndata.read_h5ad("query.h5ad"), anndata.read_h5ad("joint.h5ad")
    for code in CALLS.values():
        exec(code, {"sp": sp, "query": query, "joint": joint, "model": sp.load("model")})  # noqa: S102
