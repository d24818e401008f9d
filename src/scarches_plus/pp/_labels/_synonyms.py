"""List abbreviations and synonyms of cell types that hold in any tissue, and those that a tissue decides.

Words are as :func:`._words.spelled` writes them: lower case, singular, without "cell".
"""

from __future__ import annotations

#: Word to the words it stands for. Left out is what stands for several, such as "endo", "epi", "mk" and "ec".
ABBREVIATIONS: dict[str, tuple[str, ...]] = {
    "astro": ("astrocyte",),
    "at1": ("alveolar", "type", "1"),
    "at2": ("alveolar", "type", "2"),
    "cdc": ("conventional", "dendritic"),
    "cdc1": ("conventional", "dendritic", "1"),
    "cdc2": ("conventional", "dendritic", "2"),
    "eo": ("eosinophil",),
    "fib": ("fibroblast",),
    "fibro": ("fibroblast",),
    "gdt": ("gamma", "delta", "t"),
    "haematopoietic": ("hematopoietic",),
    "ilc": ("innate", "lymphoid"),
    "leucocyte": ("leukocyte",),
    "mac": ("macrophage",),
    "macro": ("macrophage",),
    "mait": ("mucosal", "associated", "invariant", "t"),
    "mono": ("monocyte",),
    "neut": ("neutrophil",),
    "neutro": ("neutrophil",),
    "nk": ("natural", "killer"),
    "nkt": ("natural", "killer", "t"),
    "oligo": ("oligodendrocyte",),
    "opc": ("oligodendrocyte", "precursor"),
    "pdc": ("plasmacytoid", "dendritic"),
    "rbc": ("erythrocyte",),
    "smc": ("smooth", "muscle"),
    "tcm": ("central", "memory", "t"),
    "tem": ("effector", "memory", "t"),
    "treg": ("regulatory", "t"),
    "tumour": ("tumor",),
    # genes of surface proteins
    "cd8a": ("cd8",),
    "fcgr3a": ("cd16",),
    "ms4a1": ("cd20",),
    "ncam1": ("cd56",),
}
#: Abbreviations that stand for another type in one tissue or by one author: HSC for hepatic stellate cells, neu for
#: neurons, DC for ductal cells, mDC for mature dendritic cells, baso for basal cells.
DOUBTFUL_ABBREVIATIONS: dict[str, tuple[str, ...]] = {
    "baso": ("basophil",),
    "dc": ("dendritic",),
    "hsc": ("hematopoietic", "stem"),
    "mdc": ("myeloid", "dendritic"),
    "neu": ("neutrophil",),
}
#: Names in other words.
SYNONYMS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("blood", "red"): ("erythrocyte",),
    ("plasma", "b"): ("plasma",),
    ("thrombocyte",): ("platelet",),
    ("pancreatic", "a"): ("pancreatic", "alpha"),
    ("pancreatic", "b"): ("pancreatic", "beta"),
    ("pancreatic", "d"): ("pancreatic", "delta"),
    ("pancreatic", "pp"): ("pancreatic", "gamma"),
    ("pancreatic", "b", "type"): ("pancreatic", "beta"),
}
#: Names that mean another in one tissue, or by one author's definition.
IN_CONTEXT: dict[tuple[str, ...], tuple[str, ...]] = {
    ("alpha",): ("pancreatic", "alpha"),
    ("beta",): ("pancreatic", "beta"),
    ("delta",): ("pancreatic", "delta"),
    ("gamma",): ("pancreatic", "gamma"),
    ("pp",): ("pancreatic", "gamma"),
    ("epsilon",): ("pancreatic", "epsilon"),
    ("cd14", "monocyte"): ("classical", "monocyte"),
    ("cd16", "monocyte"): ("nonclassical", "monocyte"),
    ("helper", "t"): ("cd4", "t"),
    ("cytotoxic", "t"): ("cd8", "t"),
}
#: Words that never count as misspelt: another is another type.
EXACT_WORDS = frozenset({"alpha", "beta", "gamma", "delta", "epsilon"})
#: Ends of words that name kinds of cells: words that differ in them are no misspellings of each other.
KINDS = ("blast", "clast", "cyte", "phage", "phil", "thelial")
