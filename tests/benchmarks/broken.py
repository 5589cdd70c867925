"""Cells whose velocity was taken away or turned round on purpose, and those they were made from."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from tests.conftest import DATA
from velovi.data.simulate import simulate
from velovi.evidence import count_split
from velovi.neighbors import neighbor_graph
from velovi.preprocessing import PreprocessOptions, moment_weights, preprocess

KINDS = ("real", "uperm", "uperm_within", "steady", "split", "mirror")
CAPTURES = {"simulated": 0.3, "simulated-weak": 0.06, "simulated-faint": 0.02}
SOURCES = ("pancreas", *CAPTURES, "dyngen", "dentate")
_FILES = {
    "pancreas": "pancreas_3696x2000.h5ad",
    "dyngen": "unitvelo_dyngen_2000x264.h5ad",
    "dentate": "dentategyrus_200x530.h5ad",
}


def source(name: str, *, seed: int = 0, n_cells: int = 1000, folder: Path = DATA) -> AnnData:
    """Cells with groups in ``obs["clusters"]``; another seed draws other cells."""
    if name in CAPTURES:
        return simulate(n_cells, 240, seed=seed, capture=CAPTURES[name])
    cells = anndata.read_h5ad(folder / _FILES[name])
    chosen = np.random.default_rng(seed).permutation(cells.n_obs)[:n_cells]
    cells = cells[np.sort(chosen)].copy()
    if name == "dyngen":
        parts = pd.qcut(cells.obs["sim_time"], 6, labels=[f"t{i}" for i in range(6)])
        cells.obs["clusters"] = parts.astype("category")
    return cells


def broken(adata: AnnData, kind: str, *, seed: int = 0) -> AnnData:
    """The same cells without velocity, or with its mirror image.

    Parameters
    ----------
    adata
        Counts in the layers spliced and unspliced, groups in ``obs["clusters"]``.
    kind
        ``"uperm"``: unspliced counts permuted over cells, gene by gene; ``"uperm_within"``: inside
        each group; ``"steady"``: unspliced drawn as Poisson(gamma x smoothed spliced);
        ``"split"``: spliced counts split at random in two; ``"mirror"``: smoothed unspliced
        reflected about the steady-state line, and drawn; ``"real"``: as they are.
    seed
        Of what is drawn.
    """
    rng = np.random.default_rng(100 + seed)
    spliced, unspliced = (_counts(adata, name) for name in ("spliced", "unspliced"))
    if kind == "real":
        return adata.copy()
    if kind in ("uperm", "uperm_within"):
        groups = adata.obs["clusters"].cat.codes.to_numpy()
        codes = groups if kind == "uperm_within" else np.zeros(adata.n_obs, dtype=int)
        unspliced = _permuted(unspliced, codes, rng)
    elif kind == "split":
        spliced, unspliced = count_split(spliced, unspliced, seed=100 + seed)
    else:
        unspliced = _from_the_line(adata, spliced, unspliced, kind == "mirror", rng)
    made = adata.copy()
    made.layers["spliced"] = sp.csr_matrix(spliced, dtype=np.float32)
    made.layers["unspliced"] = sp.csr_matrix(unspliced, dtype=np.float32)
    made.X = made.layers["spliced"].copy()
    return made


def _counts(adata: AnnData, layer: str) -> sp.csr_matrix:
    counts = sp.csr_matrix(adata.layers[layer], dtype=np.float64)
    counts.data = np.round(counts.data)
    counts.eliminate_zeros()
    return counts


def _permuted(counts: sp.csr_matrix, codes: np.ndarray, rng: np.random.Generator) -> sp.csr_matrix:
    dense = counts.toarray()
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        dense[rows] = rng.permuted(dense[rows], axis=0)
    return sp.csr_matrix(dense)


def _from_the_line(
    adata: AnnData,
    spliced: sp.csr_matrix,
    unspliced: sp.csr_matrix,
    mirror: bool,
    rng: np.random.Generator,
) -> sp.csr_matrix:
    options = PreprocessOptions(filter_on_r2=False, compute_umap=False)
    places = preprocess(adata, options).adata.obsm["X_pca"]
    weights = moment_weights(neighbor_graph(places, options.n_neighbors)[1])
    s, u = (weights @ layer.toarray() for layer in (spliced, unspliced))
    gamma = (s * u).sum(axis=0) / np.maximum((s * s).sum(axis=0), 1e-9)
    mean = np.clip(2 * gamma * s - u, 0, None) if mirror else gamma * s
    return sp.csr_matrix(rng.poisson(mean).astype(np.float64))
