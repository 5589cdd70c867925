"""Small made-up data for the tests of velovi.dynamics."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse


def knn_graph(points: np.ndarray, k: int) -> sparse.csr_matrix:
    """Distances to the k nearest other cells, by brute force."""
    square = ((points[:, None] - points[None]) ** 2).sum(-1)
    np.fill_diagonal(square, np.inf)
    nearest = np.sort(np.argsort(square, axis=1, kind="stable")[:, :k], axis=1)
    data = np.sqrt(np.take_along_axis(square, nearest, axis=1)).ravel()
    starts = np.arange(0, nearest.size + 1, k)
    return sparse.csr_matrix((data, nearest.ravel(), starts), shape=square.shape)


def random_cells(cells: int = 60, genes: int = 11, k: int = 5, seed: int = 0):
    """Expression, velocity and neighbours without any structure."""
    rng = np.random.default_rng(seed)
    x = rng.gamma(2.0, size=(cells, genes)).astype(np.float32)
    v = rng.normal(size=(cells, genes)).astype(np.float32)
    return x, v, knn_graph(x.astype(float), k)


class Tree(NamedTuple):
    """A trunk (time below 0.5) and two branches."""

    time: np.ndarray  # (cells,) true time in [0, 1]
    branch: np.ndarray  # (cells,) 0 trunk, 1 and 2
    expression: np.ndarray  # (cells, genes) spliced
    velocity: np.ndarray  # (cells, genes) ds/dt
    gene_time: np.ndarray  # (cells, genes) noisy, 0..20, wrapped to 0 for half of the genes
    distances: sparse.csr_matrix
    connectivities: sparse.csr_matrix


def _kinetics(since: np.ndarray, off: float, beta: float, gamma: float):
    """Unspliced and spliced after transcription (rate beta) starts at 0 and ends at ``off``."""
    on = np.clip(since, 0, off)
    u = 1 - np.exp(-beta * on)
    s = (1 - np.exp(-gamma * on)) / gamma
    s = beta * (s - (np.exp(-beta * on) - np.exp(-gamma * on)) / (gamma - beta))
    after = np.clip(since - off, 0, None)
    rest = beta * u * (np.exp(-beta * after) - np.exp(-gamma * after)) / (gamma - beta)
    return u * np.exp(-beta * after), s * np.exp(-gamma * after) + rest


def simulate_tree(cells: int = 600, genes: int = 80, noise: float = 0.05, seed: int = 0) -> Tree:
    rng = np.random.default_rng(seed)
    time = rng.uniform(size=cells)
    branch = np.where(time < 0.5, 0, rng.integers(1, 3, cells))
    x, v, t = (np.zeros((cells, genes)) for _ in range(3))
    for g in range(genes):
        where = g % 3  # 0: active everywhere; 1, 2: only on that branch
        start = rng.uniform(-0.3, 0.7) if where == 0 else rng.uniform(0.45, 0.8)
        since = time - start
        if where:
            since = np.where(branch == where, since, -1.0)
        off, beta, gamma = rng.uniform(0.2, 0.8), rng.uniform(3, 10), rng.uniform(2, 7) + 0.01
        u, s = _kinetics(since, off, beta, gamma)
        x[:, g], v[:, g] = s, beta * u - gamma * s
        reading = np.clip(since, 0, None)
        if g % 2:  # rests after repression: the model calls it time 0
            reading = np.where(since > off + 2.5 / min(beta, gamma), 0.0, reading)
        reading = np.clip(reading + noise * rng.normal(size=cells), 0, None)
        t[:, g] = 20 * reading / max(reading.max(), 1e-9)
    bad = rng.choice(genes, genes // 6, replace=False)  # genes that the model got wrong
    v[:, bad] *= -1
    t[:, bad] = 20 - t[:, bad]
    scale = x.max(axis=0) + 1e-9
    x, v = x / scale, v / scale
    x += noise * 0.5 * rng.normal(size=x.shape)
    v += noise * 3 * rng.normal(size=v.shape)
    distances = knn_graph(x, 15)
    near = distances.copy()
    near.data = np.exp(-near.data / near.data.mean())
    f32 = (item.astype(np.float32) for item in (x, v, t))
    return Tree(time, branch, *f32, distances, near.maximum(near.T).tocsr())
