"""How good a fit is: the data's marginal likelihood, and fit against shuffled cells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.stats import ttest_ind
from scvi.module._constants import MODULE_KEYS
from torch import Tensor

from velovi.model.module import SPLICED_KEY, UNSPLICED_KEY, VELOVAE
from velovi.model.posterior import Minibatches, evaluating

# a t statistic needs a variance on both sides
SMALLEST_LABEL = 2
CELLS_A_LABEL = 200


def loss_parts(
    module: VELOVAE, minibatches: Minibatches, **forward_arguments: Any
) -> tuple[Tensor, Tensor]:
    """Reconstruction error and Kullback-Leibler divergence of every cell, each ``(cells,)``.

    Parameters
    ----------
    module
        The model.
    minibatches
        The data.
    **forward_arguments
        Of the module's forward pass.
    """
    parts = []
    with evaluating(module):
        for tensors in minibatches:
            on_device = {key: tensor.to(module.device) for key, tensor in tensors.items()}
            loss = module(on_device, **forward_arguments)[2]
            parts.append(
                (loss.reconstruction_loss["reconstruction_loss"], loss.kl_local["kl_local"])
            )
    reconstruction, divergence = (torch.cat(part).cpu() for part in zip(*parts, strict=True))
    return reconstruction, divergence


def log_marginal_likelihood(module: VELOVAE, minibatches: Minibatches, n_samples: int) -> Tensor:
    r"""Importance-weighted log-likelihood of every cell; memory does not grow with samples.

    The state probabilities are integrated exactly. Given the cell state, a gene's spliced and
    unspliced densities are mixtures with the same weights, so with ``a_k`` and ``b_k`` the
    densities in state ``k`` and a symmetric Dirichlet prior of concentration ``c`` over ``K``
    states,

    .. math::

        \int \Big(\sum_k \pi_k a_k\Big)\Big(\sum_j \pi_j b_j\Big) p(\pi)\,d\pi =
        \frac{c^2 \sum_k a_k \sum_j b_j + c \sum_k a_k b_k}{Kc\,(Kc + 1)} .

    Only the cell state is sampled, from the encoder, and weighted by prior over posterior.

    Parameters
    ----------
    module
        The model; put into evaluation mode and back.
    minibatches
        The data.
    n_samples
        Samples of the cell state.

    Returns
    -------
    Tensor
        ``(cells,)``, in nats; higher is better.
    """
    with evaluating(module):
        return torch.cat([_cells_marginal(module, tensors, n_samples) for tensors in minibatches])


def _cells_marginal(module: VELOVAE, tensors: Mapping[str, Tensor], n_samples: int) -> Tensor:
    """The estimate for one minibatch, samples added up as they come; ``(cells,)``."""
    spliced, unspliced = (tensors[k].to(module.device) for k in (SPLICED_KEY, UNSPLICED_KEY))
    encoded = module.inference(spliced, unspliced)
    mean, variance = encoded[MODULE_KEYS.QZM_KEY], encoded[MODULE_KEYS.QZV_KEY]
    total = torch.full_like(mean[:, 0], -math.inf)
    for _ in range(n_samples):
        noise = torch.randn_like(mean)
        latent = mean + variance.sqrt() * noise
        weight = 0.5 * (noise**2 - latent**2 + variance.log()).sum(dim=-1)
        z = module.z_encoder.z_transformation(latent)
        total = torch.logaddexp(total, weight + _log_density(module, spliced, unspliced, z))
    return (total - math.log(n_samples)).cpu()


def _log_density(module: VELOVAE, spliced: Tensor, unspliced: Tensor, z: Tensor) -> Tensor:
    """Log-density of each cell given its state, state probabilities integrated; ``(cells,)``."""
    _, rho, tau = module.decoder(z)
    means = module.get_state_means(module.get_rates(), rho, tau)
    a, b = module.state_log_densities(spliced, unspliced, means)  # (4, cells, genes) each
    prior = module.dirichlet_concentration
    apart = 2 * math.log(prior) + torch.logsumexp(a, dim=0) + torch.logsumexp(b, dim=0)
    together = math.log(prior) + torch.logsumexp(a + b, dim=0)
    scale = math.log(len(a) * prior * (len(a) * prior + 1))
    return (torch.logaddexp(apart, together) - scale).sum(dim=-1)


class Shuffled(NamedTuple):
    """Abundance with cells permuted within labels, gene by gene, ``(cells, genes)`` each."""

    spliced: np.ndarray
    unspliced: np.ndarray


def shuffle_within(
    spliced: np.ndarray, unspliced: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> Shuffled:
    """Permute the cells of each label, each gene and each matrix on its own.

    Parameters
    ----------
    spliced, unspliced
        ``(cells, genes)``.
    labels
        Code of each cell's label ``(cells,)``; cells with a negative code stay.
    rng
        Source of randomness.
    """
    shuffled = Shuffled(spliced.copy(), unspliced.copy())
    for code in np.unique(labels[labels >= 0]):
        rows = np.flatnonzero(labels == code)
        for matrix in shuffled:
            matrix[rows] = rng.permuted(matrix[rows], axis=0)
    return shuffled


def permutation_statistics(
    error: np.ndarray,
    shuffled_error: np.ndarray,
    labels: pd.Categorical,
    genes: pd.Index,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, list[str]]:
    """The t statistic of shuffled against real errors for each gene and label.

    At most 200 cells of a label count, drawn at random, so that labels can be compared.

    Parameters
    ----------
    error, shuffled_error
        Absolute errors of the fit ``(cells, genes)``.
    labels
        Label of each cell; cells without one are left out.
    genes
        Names of the genes.
    rng
        Draws the cells of large labels.

    Returns
    -------
    statistics
        ``(genes, labels)``; NaN for labels with fewer than two cells.
    too_small
        Those labels.
    """
    found = pd.DataFrame(np.nan, index=genes, columns=list(labels.categories))
    too_small = []
    for code, label in enumerate(labels.categories):
        rows = np.flatnonzero(labels.codes == code)
        if len(rows) < SMALLEST_LABEL:
            too_small.append(str(label))
            continue
        if len(rows) > CELLS_A_LABEL:
            rows = rng.choice(rows, CELLS_A_LABEL, replace=False)
        found[label] = ttest_ind(shuffled_error[rows], error[rows], axis=0).statistic
    return found, too_small
