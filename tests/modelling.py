"""Small data and models for the tests of velovi.model."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
from anndata import AnnData
from scvi import settings

from velovi import VELOVI

ACCELERATOR = {"cpu": "cpu", "cuda": "gpu", "mps": "mps"}[os.environ["VELOVI_TEST_DEVICE"]]
QUIET = {
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "accelerator": ACCELERATOR,
}


def scaled_data(n_cells: int = 120, n_genes: int = 12, seed: int = 0) -> AnnData:
    """Cells along simulated dynamics with noise, scaled to [0, 1] for each gene."""
    rng = np.random.default_rng(seed)
    alpha, beta, gamma = (rng.lognormal(m, 0.3, n_genes) for m in (0.0, -0.5, -1.0))
    time, switch = rng.uniform(0, 12, (n_cells, 1)), rng.uniform(3, 8, n_genes)
    step = 0.02
    u, s = np.zeros((n_cells, n_genes)), np.zeros((n_cells, n_genes))
    for now in np.arange(0, 12, step):  # Euler: obvious, and exact enough for noise
        running = now < time
        on = running & (now < switch)
        u, s = (
            u + step * running * (alpha * on - beta * u),
            s + step * running * (beta * u - gamma * s),
        )
    noisy = [np.maximum(x * rng.normal(1, 0.1, x.shape), 0) for x in (s, u)]
    scaled = [((x - x.min(0)) / (x.max(0) - x.min(0))).astype(np.float32) for x in noisy]
    names = [f"gene{i}" for i in range(n_genes)]
    obs = pd.DataFrame(
        {"label": pd.Categorical(np.where(time.ravel() < 6, "early", "late"))},
        index=[f"cell{i}" for i in range(n_cells)],
    )
    layers = dict(zip(("Ms", "Mu"), scaled, strict=True))
    return AnnData(obs=obs, var=pd.DataFrame(index=names), layers=layers)


def made_model(adata: AnnData, kind: type = VELOVI, seed: int = 0, **kwargs: object):
    """An untrained model of ours, or of another class with the same interface."""
    settings.seed = seed
    kind.setup_anndata(adata, spliced_layer="Ms", unspliced_layer="Mu")
    return kind(adata, **kwargs)


def trained_model(adata: AnnData, kind: type = VELOVI, seed: int = 0, epochs: int = 3, **kwargs):
    """A model after a few epochs."""
    model = made_model(adata, kind, seed, **kwargs)
    model.train(max_epochs=epochs, **QUIET)
    return model
