"""scanpy's conventions and this package's own, held mechanically over every public name.

Namespaces are read from the source, so that a namespace which does not import fails its own tests only.
"""

import ast
import inspect
import re
import subprocess
import sys
import textwrap
from importlib import import_module
from pathlib import Path

import pytest
from numpydoc.docscrape import ClassDoc, FunctionDoc

import scarches_plus as sp

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "scarches_plus"
#: Namespaces whose functions work on an AnnData, which comes first.
ON_ANNDATA = ("pl", "pp", "tl")
#: Functions that take something else first: they join several, or read a model's records.
FIRST_PARAMETER = {
    "pl.abundance": "table",
    "pl.differential_expression": "table",
    "pl.drift": "lineage",
    "pl.label_summary": "summary",
    "pl.reference_map": "reference_map",
    "pl.reliability": "curve",
    "pl.report": "report",
    "pp.concat_studies": "adatas",
    "pp.harmonize_labels": "labels",
    "pp.write_store": "adatas",
    "pp.open_cells": "path",
    "pp.label_tree": "source",
    "tl.joint_embedding": "reference",
    "tl.label_similarity": "first",
    "tl.label_summary": "explanation",
    "tl.map_many": "queries",
    "tl.place": "query",
    "tl.presence": "reference",
    "tl.reference_map": "reference",
}
#: Functions whose further keywords go to a function that refuses those it does not know.
FORWARDS = {"pl.joint_umap": "scanpy.pl.umap"}
MAX_POSITIONAL = 3
VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

#: Names that share the file, and the tests, of a name they belong to.
BELONGS_TO = {
    "hub.BundleError": "manifest",
    "hub.Card": "manifest",
    "metrics.HierarchicalLabelScores": "hierarchical_label_scores",
    "metrics.KNIScore": "kni",
    "metrics.RbNIScore": "rbni",
    "metrics.LabelTransferReport": "label_transfer_report",
    "metrics.ReferenceDrift": "reference_drift",
    "model.QUERY_RECIPES": "recipes",
    "model.RECIPES": "recipes",
    "model.Recipe": "recipes",
    "model.ModelState": "state",
    "model.TrainingRecord": "state",
    "model.ReferenceSpec": "reference",
    "model.Surgery": "state",
    "pp.Problem": "query_report",
    "pp.QueryError": "query_report",
    "pp.QueryReport": "query_report",
    "tl.Summary": "summary",
    "train.Grouping": "penalty",
    "train.SemiSupervisedTrainingPlan": "plan",
    "train.AdversarialTrainingPlan": "plan",
    "train.Setting": "penalty",
    "train.Step": "penalty",
    "train.TrainingPlan": "plan",
    "train.stride_lengths": "adam_strides",
}
#: Names that live in another package than the one whose names they are.
HOMES = dict.fromkeys(
    ("export_model", "import_model", "import_reference", "load_bundle", "load_reference", "load_summary", "save_bundle",
     "verify_bundle", "BundleError", "Card", "Manifest"), "scarches_plus.bundle",
)  # fmt: skip
HOMES = {f"hub.{name}": home for name, home in HOMES.items()} | {
    "hub.load": "scarches_plus",
    "model.load": "scarches_plus",
    "model.ReferenceSpec": "scarches_plus",
}
#: Names in a file of their own that are tested with another.
TESTED_WITH = {
    "train.Anchors": "store_anchors",
    "pp.GeneSelection": "select_genes",
    "pp.LabelHarmony": "harmonize_labels",
    "pp.Problem": "check_query",
    "tl.ReferenceAssessment": "assess_reference",
    "pp.QueryError": "check_query",
    "pp.QueryReport": "check_query",
    "model.ModelState": "foreign_references",
    "model.ReferenceSpec": "load",
    "model.Surgery": "surgery",
    "model.TrainingRecord": "inherited_training",
    "model.SCVI": "surgery",
    "model.SCANVI": "surgery",
    "module.VAE": "gene_mask",
    "module.SCANVAE": "gene_mask",
}


def listed(namespace):
    """``__all__`` of a namespace, without importing it."""
    for node in ast.parse((PACKAGE / namespace / "__init__.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return []


def word(path):
    """What the files of a public name are called: ``model.SCVI`` -> ``scvi``, ``pp.AlignGenes`` -> ``align_genes``."""
    name = path.split(".")[1]
    return BELONGS_TO.get(path) or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def resolve(path):
    namespace, name = path.split(".")
    return getattr(import_module(f"scarches_plus.{namespace}"), name)


#: What is no namespace, but a function or an object.
OBJECTS = {"load", "settings"}
NAMESPACES = [name for name in sp.__all__ if name not in OBJECTS]
PUBLIC = [f"{namespace}.{name}" for namespace in NAMESPACES for name in listed(namespace)]
CONSTANTS = ["model.QUERY_RECIPES", "model.RECIPES"]
FUNCTIONS = [path for path in PUBLIC if path.split(".")[1].islower()]
CLASSES = [path for path in PUBLIC if not path.split(".")[1].islower() and path not in CONSTANTS]


def parameters(function):
    return list(inspect.signature(function).parameters.values())


def positional(function):
    return [p for p in parameters(function) if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]


# --- Namespaces ---


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_a_namespace_says_what_belongs_there_and_lists_its_names(namespace):
    module = import_module(f"scarches_plus.{namespace}")
    assert len((module.__doc__ or "").split()) > 10, "the docstring of __init__ says what belongs there"
    assert module.__all__, "__init__ lists its public names"
    assert module.__all__ == listed(namespace)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize("package", sorted(path.parent for path in PACKAGE.rglob("__init__.py")), ids=lambda p: p.name)
def test_every_package_has_a_docstring(package):
    assert len((ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or "").split()) > 5


def test_a_missing_name_is_named():
    with pytest.raises(AttributeError, match="nothing"):
        _ = sp.nothing
    with pytest.raises(ImportError, match="nothing"):
        from scarches_plus import nothing  # noqa: F401


def test_dir_lists_the_namespaces():
    assert set(sp.__all__) <= set(dir(sp))


# --- One name, one file, one test, one docs entry ---


@pytest.mark.parametrize("path", PUBLIC)
def test_a_name_lives_in_the_file_of_its_name(path):
    """``metrics.kni`` in ``metrics/_kni.py``, or in a folder of its topic: ``metrics/_mixing/kni.py``."""
    namespace, name = path.split(".")
    package = HOMES.get(path, f"scarches_plus.{namespace}")
    folder = PACKAGE.joinpath(*package.split(".")[1:])
    by_topic = [file for file in folder.glob(f"_*/{word(path)}.py") if file.is_file()]
    home = import_module(
        f"{package}.{by_topic[0].parent.name}.{word(path)}" if by_topic else f"{package}._{word(path)}"
    )
    one, other = getattr(home, name), resolve(path)
    if namespace == "hub":  # which lets functions of bundle take names
        other = getattr(other, "__wrapped__", other)
    assert one is other


@pytest.mark.parametrize("path", PUBLIC)
def test_a_name_has_a_test_file(path):
    file = ROOT / "tests" / path.split(".")[0] / f"test_{TESTED_WITH.get(path, word(path))}.py"
    assert file.exists(), f"{path} needs {file.relative_to(ROOT)}"


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_the_docs_list_every_name_and_no_other(namespace):
    page = (ROOT / "docs" / "api" / f"{namespace}.md").read_text()
    documented = re.findall(r"^(?: {3}|\.\. py:data:: )(\w+)$", page, re.MULTILINE)
    assert sorted(documented) == sorted(listed(namespace))


def test_exceptions_are_needed():
    assert set(BELONGS_TO) | set(TESTED_WITH) | set(FIRST_PARAMETER) | set(FORWARDS) <= set(PUBLIC)


# --- Signatures ---


@pytest.mark.parametrize("path", [path for path in FUNCTIONS if path.split(".")[0] in ON_ANNDATA])
def test_adata_comes_first(path):
    first = parameters(resolve(path))[0]
    assert first.name == FIRST_PARAMETER.get(path, "adata")
    assert path in FIRST_PARAMETER or str(first.annotation).startswith("AnnData")


@pytest.mark.parametrize("path", FUNCTIONS)
def test_few_positional_parameters(path):
    assert len(positional(resolve(path))) <= MAX_POSITIONAL


@pytest.mark.parametrize("path", FUNCTIONS)
def test_booleans_are_keyword_only(path):
    booleans = [p.name for p in positional(resolve(path)) if isinstance(p.default, bool) or "bool" in str(p.annotation)]
    assert booleans == []


@pytest.mark.parametrize("path", [path for path in FUNCTIONS if path not in FORWARDS])
def test_typos_are_not_swallowed(path):
    assert [str(p) for p in parameters(resolve(path)) if p.kind in VARIADIC] == []


@pytest.mark.parametrize("path", [path for path in FUNCTIONS if path.split(".")[0] in ON_ANNDATA])
def test_copy(path):
    function = resolve(path)
    copy = inspect.signature(function).parameters.get("copy")
    returned = str(inspect.signature(function).return_annotation)
    if copy is None:
        return
    assert copy.kind is inspect.Parameter.KEYWORD_ONLY
    assert copy.default is False
    assert "AnnData | None" in returned


@pytest.mark.parametrize("path", FUNCTIONS)
def test_everything_is_annotated(path):
    signature = inspect.signature(resolve(path))
    assert [p.name for p in signature.parameters.values() if p.annotation is p.empty] == []
    assert signature.return_annotation is not signature.empty


# --- Docstrings ---


def documented_names(doc, *sections):
    """Names of the entries; ``n_genes, n_types`` is two, ``*args`` is ``args``."""
    entries = [entry.name for section in sections for entry in doc[section]]
    return {name.strip().lstrip("*") for entry in entries for name in entry.split(",")}


@pytest.mark.parametrize("path", FUNCTIONS)
def test_a_function_documents_every_parameter(path):
    function = resolve(path)
    doc = FunctionDoc(function)
    assert doc["Summary"]
    assert documented_names(doc, "Parameters", "Other Parameters") == {p.name for p in parameters(function)}
    if str(inspect.signature(function).return_annotation) != "None":
        assert doc["Returns"]


@pytest.mark.parametrize("path", CLASSES)
def test_a_class_documents_every_parameter(path):
    cls = resolve(path)
    assert ClassDoc(cls, config={"show_class_members": False})["Summary"]
    # A mixin that brings the parameters documents them; those of scvi-tools' classes are documented there.
    owner = next(base for base in cls.__mro__ if "__init__" in vars(base))
    wrapped = getattr(inspect.unwrap(owner.__init__), "__module__", owner.__module__)
    if {owner.__module__.split(".")[0], wrapped.split(".")[0]} != {"scarches_plus"}:
        return
    expected = {p.name for p in parameters(owner) if p.kind not in VARIADIC}
    documented = set()
    for base in {cls, owner}:
        doc = ClassDoc(base, config={"show_class_members": False})
        documented |= documented_names(doc, "Parameters", "Other Parameters", "Attributes")
    assert expected <= documented


@pytest.mark.parametrize("path", FUNCTIONS + CLASSES)
def test_a_summary_stands_alone(path):
    summary = inspect.getdoc(resolve(path)).split("\n\n")[0]
    assert "]_" not in summary, "the API table shows the summary without the references it points to"


# --- Importing ---


def in_a_new_python(code):
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_import_is_quick_and_light():
    seconds = [
        float(
            in_a_new_python("""
                import sys, time
                begun = time.perf_counter()
                import scarches_plus
                print(time.perf_counter() - begun)
                heavy = {"anndata", "matplotlib", "mudata", "numpy", "pandas", "scanpy", "scipy", "scvi", "sklearn", "torch"}
                assert not heavy & set(sys.modules), heavy & set(sys.modules)
            """)
        )
        for _ in range(3)
    ]
    assert min(seconds) < 0.5


def test_importing_changes_no_global_state():
    """Third-party libraries do change it; they are imported first, so that what is left is ours."""
    in_a_new_python("""
        import logging, os, random, signal, sys, warnings

        import anndata, lightning.pytorch, matplotlib.pyplot, mudata, numpy, pandas, pooch, requests, scanpy, scvi
        import sklearn.metrics, sklearn.neighbors, torch

        def state():
            return {
                "warning filters": list(warnings.filters),
                "root logger": (logging.root.level, list(logging.root.handlers)),
                "scvi logger": (logging.getLogger("scvi").level, list(logging.getLogger("scvi").handlers)),
                "rcParams": dict(matplotlib.rcParams),
                "scanpy settings": (scanpy.settings.verbosity, scanpy.settings.figdir),
                "scvi settings": (scvi.settings.seed, scvi.settings.verbosity),
                "torch": (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()),
                "numpy": (numpy.get_printoptions(), numpy.geterr()),
                "pandas": {name: pandas.get_option(name) for name in ("display.max_rows", "display.precision")},
                "seeds": (random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()),
                "signals": {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)},
                "environment": dict(os.environ),
                "hooks": (sys.excepthook, sys.displayhook, list(sys.path)),
            }

        before = state()
        import scarches_plus
        for namespace in scarches_plus.__all__:
            getattr(scarches_plus, namespace)
            after = state()
            changed = [name for name in before if before[name] != after[name]]
            assert not changed, f"importing scarches_plus.{namespace} changes {changed}"
    """)
