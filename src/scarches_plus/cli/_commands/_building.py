"""Define the commands that join studies on disk, train a reference and shrink it: store, build and prototypes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from scarches_plus import tl
from scarches_plus._arguments import at_home
from scarches_plus._files import check_apart
from scarches_plus.cli._app import AS_IT_IS, Count, Epochs, Genes, Reading, Recipe, Unlabelled, Whole, Words
from scarches_plus.cli._files._bundles import NOTHING_SAID, About, model_kept, summary_of, write_bundle
from scarches_plus.cli._files._inputs import (
    open_store,
    read_cells,
    read_hierarchy,
    require_columns,
    require_counts,
    require_different,
)
from scarches_plus.cli._files._models import read_reference
from scarches_plus.cli._files._outputs import CELLS, output_file, output_folder, require_room, write_cells
from scarches_plus.cli._penalties import parse_penalties
from scarches_plus.cli._steps import (
    build_model,
    check_arguments,
    console,
    save_with_cells,
    trained_model_kept,
    without_counts,
)
from scarches_plus.cli._terminal import files_read
from scarches_plus.cli._words import parse_options
from scarches_plus.pp import concat_studies, write_store

if TYPE_CHECKING:
    from collections.abc import Sequence


@Parameter(name="*")
@dataclass(frozen=True)
class Changes:
    """Options that change a recipe.

    Parameters
    ----------
    penalty
        Terms of the loss instead of the recipe's, such as mmd, mmd:on=decoder,weight=1 or batch_adversary:weight=1;
        none for no such term.
    categorical_covariate_keys
        Further columns of groups to correct for, such as the study beside the sample (the two-hot batch of BA-scVI,
        whose discriminators read each of them).
    continuous_covariate_keys
        Columns of numbers to correct for.
    model_kwarg
        Arguments of the network, such as n_latent=20 or gene_likelihood=nb.
    plan_kwarg
        Arguments of the training plan, such as lr=1e-4 or max_kl_weight=0.5.
    """

    penalty: Words = ()
    categorical_covariate_keys: Annotated[
        Words, Parameter(name=("--categorical-covariate-keys", "--categorical-covariates"), negative=())
    ] = ()
    continuous_covariate_keys: Annotated[
        Words, Parameter(name=("--continuous-covariate-keys", "--continuous-covariates"), negative=())
    ] = ()
    model_kwarg: Words = ()
    plan_kwarg: Words = ()

    def columns(self) -> dict[str, tuple[str, ...]]:
        """Return the covariates by their argument."""
        return {
            "categorical_covariate_keys": self.categorical_covariate_keys,
            "continuous_covariate_keys": self.continuous_covariate_keys,
        }

    def arguments(self) -> dict[str, dict[str, Any]]:
        """Return arguments of the network and of the training."""
        return {
            "model_kwargs": parse_options(self.model_kwarg, "--model-kwarg"),
            "plan_kwargs": parse_options(self.plan_kwarg, "--plan-kwarg"),
        }


UNCHANGED = Changes()


def store(
    *studies: Path,
    out: Path,
    study_key: str = "study",
    min_studies: Count = 1,
    layer: str | None = None,
    columns: Words = (),
    seed: Whole = 0,
    overwrite: bool = False,
) -> None:
    """Join studies into one shuffled store on disk, for references that memory does not hold.

    Writes a .zarr folder, which the command build and anndata read. Genes that a study did not measure are recorded.

    Parameters
    ----------
    studies
        Files of .h5ad or .zarr with raw counts.
    out
        Folder to write, such as atlas.zarr.
    study_key
        New column of the study's name, which is that of its file.
    min_studies
        Keep genes that at least so many studies measured.
    layer
        Layer with raw counts; X by default.
    columns
        Columns to keep; by default all.
    seed
        Seed of the order of cells.
    overwrite
        Replace a store that is there.
    """
    if not studies:
        message = "name the files to join"
        raise ValueError(message)
    written = write_store(
        studies,
        out,
        study_key=study_key,
        min_studies=min_studies,
        layer=layer,
        columns=columns or None,
        rng=seed,
        overwrite=overwrite,
    )
    console.print(f"wrote {written}")


def build(  # noqa: PLR0913 (all that a training takes)
    *references: Path,
    batch_key: str,
    labels_key: str | None = None,
    out: Path | None = None,
    bundle: Path | None = None,
    about: About = NOTHING_SAID,
    recipe: Recipe = "scvi",
    changes: Changes = UNCHANGED,
    hierarchy: Path | None = None,
    unlabelled: Unlabelled = None,
    layer: str | None = None,
    n_top_genes: Genes = None,
    protein_key: str | None = None,
    max_epochs: Epochs = None,
    seed: Whole = 0,
    importance: bool = False,
    anchors: Whole = 0,
    overwrite: bool = False,
    reading: Reading = AS_IT_IS,
) -> None:
    """Train a reference model and embed the reference.

    With --out, writes a folder with the model and reference.h5ad, the reference's cells with their embedding and labels
    but no counts. Plain scvi-tools opens the model, too, if it has such a network: those of recipes bascvi...,
    scvi_2_layers and the like, trvae_mse and trvae_sse it has not. With --bundle, writes a bundle to share, without
    data of single cells (anchors apart): the command bundle has more choices.

    Parameters
    ----------
    references
        A file of cells with raw counts; for recipe totalvi an .h5mu file, or cells with proteins in obsm. Counts of a
        .zarr folder, such as the command store writes, stay on disk. Several files of .h5ad or .zarr are studies, and
        theirs stay there, too.
    batch_key
        Column of batches; of several files, study names the file.
    labels_key
        Column of cell types; recipes of scANVI need it. These and recipe totalvi keep a summary of them with the model.
    out
        Folder to write.
    bundle
        Folder of the bundle to write.
    recipe
        Name of the recipe.
    hierarchy
        File with a hierarchy of the labels, for recipe scanvi: Newick, OBO, JSON, or lines of parent, child.
    unlabelled
        Words that are no label, as they are spelt ("" lets all count), instead of Unknown, Undetermined, Mixed, NA and
        their like.
    layer
        Layer with raw counts; X by default.
    n_top_genes
        Train on so many genes only, those that vary within batches; by default on all genes of the file.
    protein_key
        For recipe totalvi: modality or slot of obsm with raw counts of proteins, if not found by its name.
    max_epochs
        Epochs of training; by default the recipe's.
    seed
        Seed of the training.
    importance
        Keep with the model how much each weight matters, for mapping with strategy clcvae or penalty ewc.
    anchors
        Keep so many cells with the model, without counts, for mapping a query of one batch with penalty mmd or
        batch_adversary; by default 2,000 for recipes with such a penalty, and none for others. A bundle leaves them out
        unless this is given.
    overwrite
        Replace a model or bundle that is there.
    """
    covariates = changes.columns()
    require_different(batch_key=batch_key, labels_key=labels_key, **covariates)
    if out is None and bundle is None:
        message = "name what to write: --out MODEL, --bundle BUNDLE, or both"
        raise ValueError(message)
    if recipe.startswith("scanvi") and labels_key is None:
        message = f"recipe {recipe} trains on labels: name their column with --labels-key, or take --recipe scvi"
        raise ValueError(message)
    if protein_key is not None and recipe != "totalvi":
        message = f"--protein-key is for recipe totalvi, not {recipe}: leave it out"
        raise ValueError(message)
    reads = {"--columns": reading.columns, "--hierarchy": hierarchy, "--card": about.card}
    reads |= {f"the reference {file}": file for file in references}
    out = out and output_folder(out, reads, overwrite=overwrite)
    bundle = bundle and output_folder(bundle, reads, option="--bundle", overwrite=overwrite, bundle=True)
    check_apart({"--out": out, "--bundle": bundle} if out and bundle else {})
    described = about.read()
    if described and bundle is None:
        message = "--card, --name, --version and --license go with --bundle"
        raise ValueError(message)
    penalties, tree = parse_penalties(changes.penalty), read_hierarchy(hierarchy)
    arguments = changes.arguments()
    if any(arguments.values()):
        check_arguments(recipe, **arguments)
    adata = _cells_of(references, recipe, layer, reading)
    reference = Path(", ".join(map(str, references)))
    require_columns(adata, reference, batch_key=batch_key, labels_key=labels_key)
    for option, columns in covariates.items():
        for column in columns:
            require_columns(adata, reference, **{option: column})
    require_counts(adata, reference, layer)
    for folder in filter(None, (out, bundle)):
        require_room(folder, adata)
    with trained_model_kept(out or bundle):  # type: ignore[arg-type]
        model = build_model(
            adata,
            batch_key,
            labels_key,
            recipe=recipe,
            penalties=penalties,
            hierarchy=tree,
            unlabelled=unlabelled,
            layer=layer,
            n_top_genes=n_top_genes,
            protein_key=protein_key,
            max_epochs=max_epochs,
            seed=seed,
            **covariates,
            **arguments,
        )
    try:
        if importance or anchors:
            from scarches_plus import train

            if importance:
                train.estimate_importance(model)
            if anchors:
                train.store_anchors(model, n_cells=anchors)
    finally:  # what is trained is not lost with what comes after
        if out is not None:
            save_with_cells(model, without_counts(adata, model.spec), out, overwrite=overwrite)
            console.wrote(out)
        if bundle is not None:
            with model_kept(model, bundle, saved=out):
                genes = read_cells(references[0], reading) if hasattr(adata, "mod") else adata
                summary = labels_key is None or summary_of(genes, labels_key, batch_key, layer, unlabelled)
                write_bundle(model, bundle, card=described, anchors=bool(anchors), summary=summary, overwrite=overwrite)


def _cells_of(files: Sequence[Path], recipe: str, layer: str | None, reading: Reading) -> Any:
    """Return the cells of a file, or those of several as studies."""
    if not files:
        message = "name the file of the reference's cells"
        raise ValueError(message)
    with_proteins = recipe == "totalvi"
    if len(files) == 1:
        adata = open_store(files[0]) if reading == AS_IT_IS and not with_proteins else None
        return read_cells(files[0], reading, keep_modalities=with_proteins) if adata is None else adata
    if with_proteins or reading != AS_IT_IS:
        message = (
            "several files are joined as they are: pass one for recipe totalvi, and for --columns, --modality and "
            "--transpose"
        )
        raise ValueError(message)
    files_read.extend(files)
    return concat_studies([at_home(file) for file in files], layer=layer)


def prototypes(
    reference: str,
    *,
    labels_key: str,
    batch_key: str,
    out: Path,
    n_prototypes: Count = 50_000,
    unlabelled: Unlabelled = None,
    seed: Whole = 0,
) -> None:
    """Let prototypes of 20 cells and more stand for the cells of a large reference.

    Writes a small file without cells and counts, which the command transfer takes as --reference.

    Parameters
    ----------
    reference
        The reference's cells with their embedding: a file, the folder of the command build, or a bundle with cells.
    labels_key
        Column of labels.
    batch_key
        Column of batches.
    out
        The .h5ad file to write.
    n_prototypes
        Prototypes at most.
    unlabelled
        Words that are no label, as they are spelt ("" lets all count), instead of Unknown, Undetermined, Mixed, NA and
        their like.
    seed
        Seed of the cells by which large groups are divided.
    """
    require_different(labels_key=labels_key, batch_key=batch_key)
    out = output_file(out, CELLS, {"the reference": at_home(reference)})
    cells = read_reference(reference, counts=False)
    require_columns(cells, Path(reference), labels_key=labels_key, batch_key=batch_key)
    small = tl.reference_prototypes(
        cells, labels_key, batch_key, n_prototypes=n_prototypes, unlabelled=unlabelled, rng=seed
    )
    write_cells(small, out)
    console.print(f"{small.n_obs} prototypes stand for {small.obs['n_cells'].sum()} of {cells.n_obs} cells")
    console.wrote(out)
