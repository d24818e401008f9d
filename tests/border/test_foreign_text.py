"""Foreign text says what it says, and does nothing, in every output."""

import csv
import io
import json
import logging
import re
import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from shipped import FOLDER, entry_of

import scarches_plus as sp
from scarches_plus.bundle import card_text
from scarches_plus.hub import BundleError
from scarches_plus.metrics import Report
from scarches_plus.pp import Problem, QueryError, QueryReport

pytestmark = [
    pytest.mark.border,
    pytest.mark.filterwarnings("ignore:The set_bad function:PendingDeprecationWarning"),
]
#: What acts on a terminal: escapes of seven and eight bits, bells, backspaces, lines written over, turned directions,
#: hidden links.
NASTY = {
    "escape": "\x1b[31mred\x1b[0m",
    "title of the window": "\x1b]0;owned\x07",
    "link": "\x1b]8;;https://evil.example\x1b\\zenodo\x1b]8;;\x1b\\",
    "escape of eight bits": "\x9b31mred",
    "backspaces": "evil\b\b\b\bgood",
    "line written over": "evil\rgood",
    "turned direction": "abc\u202ecba",
    "isolated direction": "a\u2066b\u2069",
    "invisible": "a\u200bb\ufeffc",
    "nothing": "a\0b",
    "new lines": "a\nb\u2028c\x85d",
    "markup": "[/red]q[bold]",
    "emoji": ":warning: x",
    "half a character": "a\ud83d",
}
SEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202e\u2028\u2066\u2069\ufeff\ud800-\udfff]")


def is_plain(text):
    return not SEEN.search(text)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Write an index whose every text is foreign, and return its folder."""
    monkeypatch.setenv("SCARCHES_PLUS_CACHE", str(tmp_path / "cache"))

    def index(text):
        entry = entry_of("simulated-scvi")
        texts = dict.fromkeys(("title", "species", "tissue", "recipe", "model", "license", "doi", "concept_doi"), text)
        entry |= texts | {"name": "theirs", "labels": [text, "b"], "mirrors": ["theirs"]}
        (tmp_path / "index.json").write_text(json.dumps({"schema_version": 1, "models": [entry]}))
        return tmp_path

    return index


@pytest.fixture
def bundle(tmp_path):
    """Return a bundle whose card is foreign."""

    def bundle(text):
        folder = tmp_path / "bundle"
        shutil.copytree(FOLDER / "simulated-scvi", folder)
        values = json.loads((folder / "manifest.json").read_text())
        card = dict.fromkeys(
            ("title", "description", "license", "citation", "species", "tissue", "doi", "data_url"), text
        )
        values["card"] |= card | {"contacts": [text], "evaluation": {text: text}, "gene_namespace": text}
        (folder / "manifest.json").write_text(json.dumps(values))
        import hashlib

        sums = {name: one["sha256"] for name, one in values["files"].items()}
        sums["manifest.json"] = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
        (folder / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())))
        return folder

    return bundle


@pytest.mark.parametrize("what", sorted(set(NASTY) - {"half a character"}))
def test_hub_list(border, index, what):
    folder = index(NASTY[what])
    words = ["hub", "list", "--index", folder, "--offline"]
    out = border.command(words, "theirs", kind="A6", case=f"hub list: {what}", status=0)
    assert is_plain(out)
    assert len(out.splitlines()) == 11
    assert is_plain(sp.hub.list_models(index=folder).to_string())


@pytest.mark.parametrize("what", sorted(set(NASTY) - {"half a character"}))
def test_hub_info_and_card(border, bundle, what):
    folder = bundle(NASTY[what])
    out = border.command(["hub", "info", folder], "title", kind="A6", case=f"hub info: {what}", status=0)
    assert is_plain(out)
    assert json.loads(out)["card"]["title"] == NASTY[what]
    out = border.command(["hub", "card", folder], "Genes", kind="A6", case=f"hub card: {what}", status=0)
    assert is_plain(out)


MARKDOWN = {
    "raw HTML": "<img src=x onerror=alert(1)>",
    "script": "</td><script>alert(1)</script>",
    "link to a script": "[click](javascript:alert(1))",
    "picture": "![x](https://evil.example/?leak)",
    "automatic link": "<javascript:alert(1)>",
    "entity": "&lt;b&gt; &#60;script&#62;",
    "column of a table": "a | b |\n|---|",
    "heading": "# Use\nimport os",
    "end of code": '"\n```\n<script>',
    "template": "{{ x }} {eval}`1` $x$",
    "reference": "[x]: javascript:alert(1)",
    "quote and rule": "> x\n\n---\n\n1. y",
}


@pytest.mark.parametrize("what", MARKDOWN)
def test_markdown(border, bundle, what):
    text = MARKDOWN[what]
    folder = bundle(text)
    card = border.works(
        lambda: card_text(sp.hub.info(folder).model_dump()), is_plain,
        kind="A6", case=f"card: {what}", shown=f"a card of {text!r}",
    )  # fmt: skip
    assert not re.search(r"(?<!\\)[<>]", card.partition("```python")[0] + card.rpartition("```")[2])
    assert not re.search(r"(?<!\\)\]\(|(?<!\\)\]:|(?<!\\)\$|(?<!\\)\{", card.replace("```python", ""))
    assert [line for line in card.splitlines() if line.startswith("#")] == [
        line for line in card.splitlines() if re.match(r"#+ (?:Use|Data of single cells|Evaluation|Citation)$|# ", line)
    ]
    rows = [line for line in card.splitlines() if line.startswith("|") and "---" not in line]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in rows)
    assert len(re.findall(r"^```", card, re.MULTILINE)) == 2


def test_code_of_a_card_is_code_of_ours(border, bundle):
    values = sp.hub.info(bundle("x")).model_dump()
    summary = {"labels": ["a"], "left_out": [], "space": "x", "temperature": None}
    values["summaries"] = {'x"); import os; os.system("x': summary}
    text = border.works(
        lambda: card_text(values), lambda text: 'query, model, "x\\"); import os' in text,
        kind="A6", case="card: code in a name", shown="a card with a column of labels that ends the call",
    )  # fmt: skip
    code = text.partition("```python\n")[2].partition("```")[0]
    import ast

    assert not [
        node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import) and node.names[0].name == "os"
    ]


# --- Messages ---


@pytest.mark.parametrize("what", sorted(set(NASTY) - {"nothing", "half a character"}))
def test_messages_of_commands(border, what):
    words = ["hub", "verify", f"/nowhere/{NASTY[what]}"]
    border.command(words, "/nowhere", kind="A6", case=f"a name in an error: {what}")


def test_errors_of_bundles(border, tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"\x1b[31m" + "x" * 10**5: 1, "\u202e": 2}))
    message = border.refused(
        lambda: sp.hub.info(tmp_path), BundleError, "is no manifest",
        kind="A6", case="a key in an error", shown="hub.info(folder)",
    )  # fmt: skip
    assert is_plain(message)
    assert is_plain(str(BundleError("".join(NASTY.values()))))


def test_reports_and_logs(border, caplog):
    every = "".join(NASTY.values())
    problem = Problem("error", f"gene {every}", f"drop {every}")
    report = QueryReport((problem,), 1, 1, 1, 1, (every,), (every,), (every,))
    border.works(lambda: str(report), is_plain, kind="A6", case="names in a report on a query", shown="print(report)")
    message = border.refused(
        report.raise_for_problems,
        QueryError,
        "gene",
        kind="A6",
        case="names in a QueryError",
        shown="tl.map_query(...)",
    )
    assert is_plain(message)
    logger = logging.getLogger("scarches_plus")
    with caplog.at_level(logging.INFO, logger="scarches_plus"):
        border.works(
            lambda: logger.info("%s is left out", every) or caplog.text, is_plain,
            kind="A6", case="names in the log", shown="logger.info('%s is left out', name)",
        )  # fmt: skip


def test_warnings_of_indexes(border, tmp_path, monkeypatch):
    (tmp_path / "index.json").write_text(json.dumps({"\x1b[31m": 1}))
    monkeypatch.setenv("SCARCHES_PLUS_HUB_INDEX", f"{tmp_path / 'index.json'} {tmp_path / 'x'}\x1b[31m")
    said = []

    def models():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            sp.hub.list_models(cache_dir=tmp_path)
        said.extend(str(one.message) for one in caught)
        return "".join(said)

    border.works(models, is_plain, kind="A6", case="names in a warning", shown="hub.list_models()")
    assert len(said) == 2


# --- Pages ---


def test_pages(border, tmp_path):
    text = "<script>alert(1)</script>\x1b'\""
    scores = pd.DataFrame({
        "embedding": [text], "kind": ["mixing"], "score": [text], "value": [0.5], "chance": [np.nan], "n_cells": [1],
        "seconds": [0.1],
    })  # fmt: skip
    report = Report(scores, pd.DataFrame({"label": [text], text: [1]}), {text: text})
    border.works(
        lambda: report.to_html(tmp_path / "scores.html") or (tmp_path / "scores.html").read_text(),
        lambda text: "<script" not in text, kind="A6", case="evaluation.html", shown="metrics.Report.to_html",
    )  # fmt: skip
    assert "<script" not in report._repr_html_()
    assert is_plain(repr(report))


# --- Tables ---


def test_tables_of_commands(border, tmp_path):
    rng = np.random.default_rng(0)
    names = np.array(["=A", "+B", "@C"])
    obs = pd.DataFrame(
        {"label": names[np.arange(90) % 3], "batch": [f"-b{i}" for i in np.arange(90) % 2]},
        index=[f"c{i}" for i in range(90)],
    )
    cells = AnnData(rng.poisson(1.0, (90, 5)).astype(np.float32), obs=obs)
    cells.obsm["X_scarches"] = rng.normal(size=(90, 4)).astype(np.float32)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    for words, file in (
        (["abundance", tmp_path / "cells.h5ad", "--labels-key", "label", "--groupby", "batch", "--out", tmp_path / "a.csv"], "a.csv"),
        (["evaluate", tmp_path / "cells.h5ad", "--batch-key", "batch", "--labels-key", "label", "--out", tmp_path / "e"], "e/labels.csv"),
    ):  # fmt: skip
        border.command(words, "wrote", kind="A6", case=f"CSV of the command {words[0]}", status=0)
        text = (tmp_path / file).read_text()
        assert "'=A" in text
        rows = list(csv.reader(io.StringIO(text)))
        number = re.compile(r"-?[\d.]+(?:e[+-]?\d+)?|-?inf")
        assert not [one for row in rows for one in row if one[:1] in "=+@-" and one and not number.fullmatch(one)]


def test_names_in_a_whole_demo(border, tmp_path):
    """Names that look like markup or TeX end no command after its work."""
    cells = sp.datasets.simulate(120, 30, 2, n_batches=2, mean_depth=300.0, rng=0)
    cells.obs["batch"] = cells.obs["batch"].astype(str).replace({"batch0": "[/red]r", "batch1": "[/red]q"})
    cells.obs["cell_type"] = cells.obs["cell_type"].astype(str).replace({"type0": "$a_{$", "type1": "[bold]b"})
    cells.write_h5ad(tmp_path / "cells.h5ad")
    out = border.command(
        ["demo", "--data", tmp_path / "cells.h5ad", "--reference-batches", "[/red]r", "--max-epochs", 1,
         "--out", tmp_path / "demo"],
        "report.html", kind="A6", case="demo: batches and labels of markup and TeX", status=0,
    )  # fmt: skip
    assert "[/red]q" in out
    assert "$a_{$" in (tmp_path / "demo" / "report.html").read_text()


# --- Figures ---

LABELS = [
    "$a$b$",
    "a\\$b$",
    "$\\frac{",
    "^_$$",
    "_hidden",
    "\x1b[31mred",
    "a\nb",
    "nul\0x",
    "[/red]q",
    "%&#~",
    "x" * 500,
    "  ",
]
SHORT = [one for one in LABELS if len(one) < 100]
N = 12 * len(LABELS)


@pytest.fixture
def labelled():
    """Return mapped cells with all of these labels, half of them of a query."""
    rng = np.random.default_rng(0)
    labels = np.array(LABELS, dtype=object)[np.arange(N) % len(LABELS)]
    obs = pd.DataFrame(
        {
            "mapping_role": pd.Categorical(np.where(np.arange(N) // len(LABELS) % 2, "query", "reference")),
            "$k_$\x1b[1m": pd.Categorical(labels),
            "$k_$\x1b[1m_pred": pd.Categorical(rng.permutation(labels)),
            "$k_$\x1b[1m_uncertainty": rng.random(N),
            "novel": rng.random(N) < 0.5,
            "novel_score": rng.random(N),
            "novel_label": pd.Categorical(labels),
        },
        index=[f"c{i}" for i in range(N)],
    )
    uns = {"scarches_plus": {"novel": {"novel": {"threshold": 0.4}}}}
    return AnnData(obs=obs, obsm={"X_umap": rng.normal(size=(N, 2))}, uns=uns)


def drawn(axes):
    """Draw and save a figure, and return all its texts."""
    import matplotlib.pyplot as plt
    from matplotlib.text import Text

    figure = np.ravel(np.asarray(axes, dtype=object))[0].figure
    try:
        figure.savefig(io.BytesIO(), format="png")
        figure.savefig(io.BytesIO(), format="svg")
        return [text.get_text() for text in figure.findobj(Text)]
    finally:
        plt.close("all")


KEY = "$k_$\x1b[1m"
CURVE = pd.DataFrame({"confidence": [0.1, 0.9], "accuracy": [0.2, 0.8], "n_cells": [3, 4]})
FIGURES = {
    "confusion_matrix": lambda cells: sp.pl.confusion_matrix(cells, KEY),
    "joint_umap": lambda cells: sp.pl.joint_umap(cells, color=[KEY, f"{KEY}_uncertainty"]),
    "joint_umap with labels on it": lambda cells: sp.pl.joint_umap(cells, color=KEY, legend_loc="on data"),
    "joint_umap of some groups": lambda cells: sp.pl.joint_umap(cells, color=KEY, cells="all", groups=["$a$b$", "_hidden"]),
    "novelty": lambda cells: sp.pl.novelty(cells),
    "novelty by another column": lambda cells: sp.pl.novelty(cells, groupby=KEY),
    "uncertainty_by_type": lambda cells: sp.pl.uncertainty_by_type(cells, KEY, known_labels=["$a$b$"]),
    "label_summary": lambda _: sp.pl.label_summary(
        pd.DataFrame({"n_cells": 4, "accepted": 2, "uncertain": 1, "novel": 1}, index=LABELS)
    ),
    "reliability": lambda _: sp.pl.reliability(dict.fromkeys(SHORT, CURVE)),
    "reference_map": lambda cells: sp.pl.reference_map(sp.tl.reference_map(cells, use_rep="X_umap", labels_key=KEY)),
    "reference_map with a query": lambda cells: sp.pl.reference_map(
        sp.tl.reference_map(cells, use_rep="X_umap"), cells, color=KEY, novel_key="novel", key="X_umap"
    ),
    "report": lambda _: sp.pl.report(Report(pd.DataFrame([
        (name, kind, score, 0.5, 0.0, 9, 0.1) for name in SHORT for kind, score in (("mixing", "$x$"), ("conservation", "_y"))
    ], columns=["embedding", "kind", "score", "value", "chance", "n_cells", "seconds"]), pd.DataFrame(), {})),
}  # fmt: skip


@pytest.mark.parametrize("what", FIGURES)
@pytest.mark.parametrize("tex", [False, True])
def test_figures(border, labelled, what, tex):
    import matplotlib as mpl

    with mpl.rc_context({"text.usetex": tex} if tex else {}):
        texts = border.works(
            lambda: drawn(FIGURES[what](labelled)), lambda texts: is_plain("".join(texts)),
            kind="A6", case=f"labels in pl.{what}" + (", with TeX asked for" if tex else ""), shown=f"sp.pl.{what}",
        )  # fmt: skip
    joined = "|".join(texts)
    for label in ("$a$b$", "_hidden") if "groups" in what else ("$a$b$", "a\\$b$", "$\\frac{", "_hidden", "[/red]q"):
        assert label in joined, (what, label)
    assert max(map(len, texts)) < 100
