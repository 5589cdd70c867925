"""A large result made from a small one, to see how the pages behave with it.

``python -m benchmarks.enlarge RUN_FOLDER NEW_RUN_FOLDER --cells 1000000 [--genes 60]``

Cells are repeated; places and abundances of the copies are jittered, so that no two are the same.
The graphs are left out: no page reads them.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

from velovi.runs.folder import RunFolder
from velovi.runs.results import ResultStore, write_result

JITTER = 0.015  # of a map's width, and of a gene's largest value


def enlarged(store: ResultStore, n_cells: int, n_genes: int) -> anndata.AnnData:
    """The result with as many cells as asked for, and its first genes."""
    rng = np.random.default_rng(0)
    rows = np.concatenate([np.arange(store.n_cells), rng.integers(0, store.n_cells, n_cells)])
    rows = rows[:n_cells]
    obs = store.obs.iloc[rows].copy()
    obs.index = pd.Index([f"{name}-{i}" for i, name in enumerate(obs.index)])
    var = store.var.iloc[:n_genes].copy()
    adata = anndata.AnnData(obs=obs, var=var)
    for name in store.layers:
        layer = np.empty((n_cells, len(var)), dtype=np.float32, order="F")
        for g, gene in enumerate(var.index):
            column = store.gene(name, gene)
            noise = rng.normal(scale=JITTER * float(np.abs(column).max()), size=n_cells)
            layer[:, g] = column[rows] + noise
            if column.min() >= 0:
                np.clip(layer[:, g], 0, None, out=layer[:, g])
        adata.layers[name] = layer
    for name in store.embeddings:
        places = store.embedding(name)
        noise = rng.normal(scale=JITTER * np.ptp(places, axis=0).max(), size=(n_cells, 2))
        adata.obsm[name] = (places[rows] + noise).astype(np.float32)
        adata.obsm[f"velocity_{name.removeprefix('X_')}"] = store.embedded_velocity(name)[rows]
    adata.uns["velovi"] = store.details
    for label in store.label_columns:
        colors = store.colors(label)
        if colors:
            adata.uns[f"{label}_colors"] = np.array(list(colors.values()), dtype=object)
    return adata


def main() -> None:
    """Write the enlarged run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--genes", type=int, default=60)
    given = parser.parse_args()
    source, target = RunFolder(given.run), RunFolder(given.out)
    shutil.copytree(source.path, target.path, ignore=shutil.ignore_patterns("result.zarr", "model"))
    spec = source.spec()
    target.write_spec(
        replace(spec, run_id=target.run_id, name=f"{spec.name}, {given.cells:,} cells")
    )
    write_result(
        enlarged(ResultStore(source.result_path), given.cells, given.genes), target.result_path
    )


if __name__ == "__main__":
    main()
