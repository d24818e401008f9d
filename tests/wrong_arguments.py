"""Values that are wrong for a kind of parameter, and what is wrong about how a call refuses them."""

import math
import warnings
from functools import cache

import numpy as np
import pandas as pd
from border_rows import CRYPTIC
from small_models import NETWORK, cells, setup

import scarches_plus as sp

NAN, INF = math.nan, math.inf
WRONG = {
    "size": (-1, 0, 2.5, NAN, INF, True, "text", []),
    "count": (-1, 2.5, NAN, INF, True, "text", []),
    "few": (-1, 0, 2.5, NAN, INF, True, "text", [], 10**9),
    "positive": (-1, 0, NAN, INF, True, "text", []),
    "not negative": (-1, NAN, INF, True, "text", []),
    "share": (-0.1, 1.5, NAN, INF, True, "text", []),
    "flag": (1, 2.5, "text", []),
    "name": (1, 2.5, "", True, []),
    "slot": ("a/b", ".", "a\0b", "\udc80", "_index", "", 1, True, []),
    "column and slot": ("a/b", ".", "a\0b", "", 1, True),
    "choice": ("text", 1, True, []),
    "names": ("text", 1, True, [1], {"a": 1}),
    "name or names": (1, True, [1], {"a": 1}),
    "values": ("text", 1, True),
    "sizes": ("text", 1, [0], [2.5], ["a"], [True]),
    "seed": ("text", -1, 2.5, True, []),
    "cells": ("cells.h5ad", 1, True, [], pd.DataFrame()),
    "model": (1, True, [], pd.DataFrame()),
    "source": (1, True),
    "array": ("text", 1, True, {"a": 1}),
    "labels": ("text", 1, True, []),
    "mapping": ("text", 1, True),
    "options": ("text", 1, True, {"no_such_option": 1}),
    "table": ("text", 1, True, []),
    "path": (1, True, [], ""),
    "paths": (1, True, [1]),
    "axes": ("text", 1, True, []),
    "penalties": ("text", 1, sp.train.EWC, sp.train.EWC(), [sp.train.EWC], [1]),
    "optimiser": (-1, 0, NAN, INF, True, "text", []),
}


@cache
def things():
    """What calls are made of: cells with an embedding, a model that is not trained yet, arrays."""
    adata = cells(90)
    adata.obsm["X_scarches"] = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)
    adata.obs["other"] = adata.obs["cell_type"].to_numpy()[::-1]
    for name in ("cell_type_pred", "novel_label", "novel_cluster", "cluster"):
        adata.obs[name] = adata.obs["cell_type"].to_numpy()
    adata.obs["novel"] = np.arange(90) % 2 == 0
    registered = adata.copy()
    setup(sp.model.SCANVI, registered)
    model = sp.model.SCANVI(registered, **NETWORK)
    return adata, model


def complaint(call, name):
    """Say what is wrong about how a call refuses; ``None`` if it refuses by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            call()
        except (TypeError, ValueError, KeyError) as error:
            message = str(error.args[0] if error.args else error)
            if name not in message or any(text in message for text in CRYPTIC):
                return f"cryptic: {type(error).__name__}: {message[:150]}"
            return None
        except Exception as error:  # noqa: BLE001 (any other is wrong)
            return f"{type(error).__name__}: {str(error)[:150]}"
    return "silent"


def complaints(call, given, kinds, said=None):
    found = []
    for name, kind in kinds.items():
        if kind is None:
            continue
        wrong = WRONG[kind.rstrip("?")] + (() if kind.endswith("?") else (None,))
        for value in wrong:
            what = complaint(
                lambda name=name, value=value: call(**{**given, name: value}), (said or {}).get(name, name)
            )
            if what is not None:
                found.append(f"{name}={value!r}: {what}")
    return found
