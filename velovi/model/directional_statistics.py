"""How much posterior samples agree on a cell's direction."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

COLUMNS = (
    "directional_variance",
    "directional_difference",
    "directional_cosine_sim_variance",
    "directional_cosine_sim_difference",
    "directional_cosine_sim_mean",
)


def centred_cosines(vectors: Tensor) -> Tensor:
    """Mean-centred cosine of each sample with the samples' mean.

    Parameters
    ----------
    vectors
        ``(samples, cells, genes)``.

    Returns
    -------
    Tensor
        ``(samples, cells)`` in [-1, 1]; 0 where a vector has no direction.
    """
    vectors = vectors - vectors.mean(dim=-1, keepdim=True)
    centre = vectors.mean(dim=0)
    # one sample at a time: no second array of this size
    dots = torch.stack([(vector * centre).sum(dim=-1) for vector in vectors])
    sizes = vectors.norm(dim=-1) * centre.norm(dim=-1)
    directed = sizes > 0
    return torch.where(directed, dots / torch.where(directed, sizes, 1.0), 0.0).clamp(-1, 1)


def directional_statistics(cosines: np.ndarray) -> pd.DataFrame:
    """Spread of cosines and of their angles.

    Parameters
    ----------
    cosines
        ``(cells, samples)``, from :func:`centred_cosines`.

    Returns
    -------
    pandas.DataFrame
        ``(cells, 5)`` with scvi-tools' column names: variance and 5-95 % range of the angles in
        radians, the same of the cosines, and the mean cosine.
    """
    cosines = np.asarray(cosines, dtype=np.float64)
    angles = np.arccos(cosines)
    spread = {}
    for name, values in (("directional", angles), ("directional_cosine_sim", cosines)):
        low, high = np.percentile(values, [5, 95], axis=1)
        spread[f"{name}_variance"] = values.var(axis=1)
        spread[f"{name}_difference"] = high - low
    spread["directional_cosine_sim_mean"] = cosines.mean(axis=1)
    return pd.DataFrame(spread, columns=list(COLUMNS))
