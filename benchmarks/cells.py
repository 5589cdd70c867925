"""Cells for timing: plausible, of any size, made without torch."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

LABELS, NEIGHBOURS, COMPONENTS = 8, 30, 30


def simulated(cells: int, genes: int, seed: int = 0) -> AnnData:
    """Cells along the closed-form dynamics with noise, scaled to [0, 1] for each gene."""
    rng = np.random.default_rng(seed)
    alpha, beta, gamma = (rng.lognormal(mean, 0.3, genes) for mean in (0.0, -0.5, -1.0))
    since, switch = rng.uniform(0, 20, (cells, 1)), rng.uniform(4, 12, genes)

    def after(on: np.ndarray, off: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mixed = alpha / (gamma - beta)
        u = alpha / beta * (1 - np.exp(-beta * on))
        s = alpha / gamma * (1 - np.exp(-gamma * on)) + mixed * (
            np.exp(-gamma * on) - np.exp(-beta * on)
        )
        fallen = beta * u / (gamma - beta) * (np.exp(-beta * off) - np.exp(-gamma * off))
        return u * np.exp(-beta * off), s * np.exp(-gamma * off) + fallen

    u, s = after(np.minimum(since, switch), np.maximum(since - switch, 0))
    noisy = [np.maximum(x * rng.normal(1, 0.1, x.shape), 0) for x in (s, u)]
    scaled = [((x - x.min(0)) / np.ptp(x, axis=0)).astype(np.float32) for x in noisy]
    return AnnData(np.zeros_like(scaled[0]), layers=dict(zip(("Ms", "Mu"), scaled, strict=True)))


def with_neighbours(n_cells: int, n_genes: int) -> AnnData:
    """Simulated cells with a neighbour graph, labels and a map."""
    from sklearn.neighbors import kneighbors_graph

    adata = simulated(n_cells, n_genes)
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(n_genes, COMPONENTS)).astype(np.float32) / np.sqrt(n_genes)
    adata.obsm["X_pca"] = adata.layers["Ms"] @ directions
    adata.obsm["X_map"] = adata.obsm["X_pca"][:, :2].copy()
    graph = kneighbors_graph(adata.obsm["X_pca"], NEIGHBOURS, mode="distance")
    adata.obsp["distances"] = graph
    adata.obsp["connectivities"] = (graph + graph.T > 0).astype(np.float32)
    adata.uns["neighbors"] = {
        "params": {"n_neighbors": NEIGHBOURS + 1, "method": "umap"},
        "distances_key": "distances",
        "connectivities_key": "connectivities",
    }
    adata.obs["label"] = rng.integers(LABELS, size=n_cells).astype(str)
    return adata
