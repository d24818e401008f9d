"""Define commands that build a reference and map a query: demo, build, map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from scarches_plus import tl
from scarches_plus._arguments import at_home
from scarches_plus._cell_files import kind_of
from scarches_plus._files import check_apart
from scarches_plus.cli._app import AS_IT_IS, Epochs, Reading, Recipe, Unlabelled, Whole, Words
from scarches_plus.cli._files._bundles import NOTHING_SAID, About, known_profiles, model_kept, write_bundle
from scarches_plus.cli._files._inputs import (
    read_cells,
    read_hierarchy,
    require_columns,
    require_counts,
    require_different,
)
from scarches_plus.cli._files._models import open_model
from scarches_plus.cli._files._outputs import (
    CELLS,
    output_file,
    output_files,
    output_folder,
    require_room,
    size_of,
    write_cells,
)
from scarches_plus.cli._penalties import parse_penalties
from scarches_plus.cli._steps import (
    build_model,
    check_arguments,
    console,
    map_cells,
    save_with_cells,
    split_cells,
    trained_model_kept,
    transfer_and_report,
    without_counts,
)
from scarches_plus.cli._words import parse_options
from scarches_plus.datasets import pbmc68k


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


def demo(
    *,
    out: Path = Path("demo"),
    data: Path | None = None,
    batch_key: str = "batch",
    labels_key: str = "cell_type",
    reference_batches: Words = (),
    withhold: Words = (),
    unlabelled: Unlabelled = None,
    layer: str | None = None,
    recipe: Recipe = "scanvi",
    max_epochs: Epochs = None,
    seed: Whole = 0,
    reading: Reading = AS_IT_IS,
) -> None:
    """Build a reference from some batches, map the others, label, score and draw them.

    Without --data: 10x PBMC that the installed scanpy carries, five lanes as reference with its B cells withheld, three
    lanes as query. Writes mapped.h5ad, umap.png and report.html.

    Parameters
    ----------
    out
        Folder for the results.
    data
        A file of cells with raw counts, batches and labels, to run the same on.
    batch_key
        Column of batches.
    labels_key
        Column of cell types.
    reference_batches
        Batches that make up the reference; the others are the query.
    withhold
        Cell types to leave out of the reference: the query's own must come out as unknown.
    unlabelled
        Words that are no label, as they are spelt ("" lets all count), instead of Unknown, Undetermined, Mixed, NA and
        their like.
    layer
        Layer with raw counts; X by default.
    recipe
        Recipe of the reference. Where its encoder does not see batches, the query is embedded without training.
    max_epochs
        Epochs of each training; by default 200, and 20 for scANVI's second part.
    seed
        Seed of the training.
    """
    require_different(batch_key=batch_key, labels_key=labels_key)
    if recipe == "totalvi":
        message = "the demo is of genes alone, and recipe totalvi takes proteins, too: use the commands build and map"
        raise ValueError(message)
    out = output_files(out, ("mapped.h5ad", "umap.png", "report.html"), {"--data": data, "--columns": reading.columns})
    if data is None:
        adata = pbmc68k()
        lanes = sorted(adata.obs["batch"].unique())
        reference_batches = reference_batches or tuple(lanes[:5])
        withhold = withhold or ("CD19+ B",)
    else:
        if not reference_batches:
            message = "name the batches of the reference: --reference-batches A B ..."
            raise ValueError(message)
        adata = read_cells(data, reading)
        require_columns(adata, data, batch_key=batch_key, labels_key=labels_key)
        require_counts(adata, data, layer)
    reference, query = split_cells(adata, batch_key, labels_key, reference_batches, withhold)
    console.print(
        f"reference: {reference.n_obs} cells of {', '.join(reference_batches)}"
        + (f", without {', '.join(withhold)}" if withhold else "")
        + f"\nquery: {query.n_obs} cells of {', '.join(sorted(query.obs[batch_key].astype(str).unique()))}"
    )
    model = build_model(
        reference,
        batch_key,
        labels_key,
        recipe=recipe,
        unlabelled=unlabelled,
        layer=layer,
        max_epochs=max_epochs,
        seed=seed,
    )
    if model.spec.encodes_batch:
        map_cells(query, model, strategy="condition", max_epochs=max_epochs, seed=seed)
    else:
        tl.embed(query, model)
        console.print("embedded the query without training: the encoder does not see batches")
    transfer_and_report(query, reference, labels_key, out, "Mapping demo", unlabelled=unlabelled)


def build(  # noqa: PLR0913 (all that a training takes)
    reference: Path,
    *,
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
    reference
        A file of cells with raw counts; for recipe totalvi an .h5mu file, or cells with proteins in obsm.
    batch_key
        Column of batches.
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
    reads = {"the reference": reference, "--columns": reading.columns, "--hierarchy": hierarchy, "--card": about.card}
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
    adata = read_cells(reference, reading, keep_modalities=recipe == "totalvi")
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
            console.print(f"wrote {out}")
        if bundle is not None:
            with model_kept(model, bundle, saved=out):
                genes = read_cells(reference, reading) if hasattr(adata, "mod") else adata
                profiles = (
                    None if labels_key is None else known_profiles(genes, labels_key, batch_key, layer, unlabelled)
                )
                write_bundle(
                    model, bundle, card=described, anchors=bool(anchors), profiles=profiles, overwrite=overwrite
                )


def map_(
    query: Path,
    *,
    model: str,
    out: Path,
    strategy: Literal["condition", "input_layers", "all", "clcvae"] = "condition",
    penalty: Words = (),
    layer: str | None = None,
    batch_key: str | None = None,
    shared_batches: Words = (),
    max_epochs: Epochs = None,
    engine: Literal["auto", "fast", "scvi"] = "auto",
    seed: Whole = 0,
    on_problem: Literal["raise", "warn"] = "raise",
    save_model: Path | None = None,
    overwrite: bool = False,
    batch: str | None = None,
    reading: Reading = AS_IT_IS,
) -> None:
    """Map query cells into the latent space of a reference model.

    Parameters
    ----------
    query
        A file of cells with raw counts.
    model
        What names the reference model: its folder or file, a bundle, an archive, a name of hub list, a DOI,
        hf://owner/repository.
    out
        The .h5ad file to write (.h5mu for an .h5mu file): the query with its embedding.
    strategy
        What trains: condition (the reference stays exactly where it is), input_layers, all, or clcvae (all, with
        elastic weight consolidation; the reference needs build --importance).
    penalty
        Terms of the loss instead of those that the reference was trained with, such as mmd, mmd:weight=10 or
        ewc:weight=100; none for no such term.
    layer
        Layer with raw counts (X for none), if not the reference's.
    batch_key
        Column of batches, if not the reference's.
    shared_batches
        Batches of the query that are the reference's own.
    max_epochs
        Epochs of training; 200 by default.
    engine
        scvi is scvi-tools' training in lightning's loop. fast follows it in long strides where only columns of batches
        train, and else takes the same steps without lightning. auto takes fast where it applies.
    seed
        Seed of the training.
    on_problem
        raise stops at problems that would mislead, warn goes on where it can.
    save_model
        Folder for the mapped model, a reference for the next query.
    overwrite
        Replace a model that is there.
    batch
        Name of a batch that all cells are of, for files that have no column of batches.
    """
    kind = kind_of(query)
    keeps = kind == "h5mu" and reading.modality is None
    reads = {"--model": at_home(model), "--columns": reading.columns}
    out = output_file(out, (".h5mu",) if keeps else CELLS, reads, updates=query)
    if save_model is not None:
        save_model = output_folder(
            save_model,
            {"the query": query, **reads},
            option="--save-model",
            overwrite=overwrite,
            n_bytes=size_of(at_home(model)),
        )
        check_apart({"--out": out, "--save-model": save_model})
    penalties = parse_penalties(penalty)
    reference = open_model(model)
    if strategy == "condition" and not reference.spec.encodes_batch:
        message = (
            f"the encoder of {model} does not see batches: embed the cells without training, scarches-plus embed "
            f"{query} --model {model} --out {out}, or train more with --strategy input_layers or all"
        )
        raise ValueError(message)
    adata = read_cells(query, reading, keep_modalities=keeps)
    key = batch_key or reference.spec.batch_key
    if batch is not None:
        if key in adata.obs:
            message = f"{query} has a column {key!r} of batches: leave --batch out, or name another with --batch-key"
            raise ValueError(message)
        adata.obs[key] = batch
    hint = "; if all cells are of one batch, name it: --batch NAME"
    require_columns(adata, query, hint=hint, batch_key=key)
    require_counts(adata, query, layer)
    with trained_model_kept(save_model):
        mapped = map_cells(
            adata,
            reference,
            strategy=strategy,
            penalties=penalties,
            layer=layer,
            batch_key=batch_key,
            shared_batches=shared_batches,
            max_epochs=max_epochs,
            engine=engine,
            seed=seed,
            on_problem=on_problem,
        )
    try:
        if save_model is not None:
            mapped.save(save_model, overwrite=overwrite)
    finally:  # one result is not lost with the other
        write_cells(adata, out)
    console.print(f"wrote {out}")
