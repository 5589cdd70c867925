"""Posterior means and standard deviations of everything, in one pass.

Every quantity here is linear in the state probabilities given the cell state, so its mean and
variance over their Dirichlet distribution are known in closed form; only the cell state is
sampled. With ``v_k`` the value in state ``k``, ``p`` the expected probabilities and ``a0`` the
total concentration,

    mean = sum_k p_k v_k,    variance = (sum_k p_k v_k^2 - mean^2) / (a0 + 1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from velovi.model import dirichlet, posterior, uncertainty
from velovi.model.module import STATES, VELOVAE
from velovi.model.posterior import Minibatches, PosteriorSample


@dataclass(frozen=True)
class PosteriorSummary:
    """Means and standard deviations, by the result store's layer names.

    Attributes
    ----------
    layers
        Each float32 ``(cells, genes)``.
    log_likelihood
        Mean over cells of each gene's log-likelihood, ``(genes,)``.
    cosines
        Directional cosines ``(cells, samples)``; no columns when none were asked for.
    """

    layers: Mapping[str, np.ndarray]
    log_likelihood: np.ndarray
    cosines: np.ndarray

    def __post_init__(self) -> None:
        shapes = {layer.shape for layer in self.layers.values()}
        if len(shapes) != 1 or self.log_likelihood.shape != next(iter(shapes))[1:]:
            raise ValueError(f"layers of one shape expected, found {shapes}")


def _values(sample: PosteriorSample) -> dict[str, tuple[Tensor, ...]]:
    """What is summarised: each quantity's value in every state."""
    return {
        "velocity": posterior.state_velocities(sample, "spliced"),
        "velocity_u": posterior.state_velocities(sample, "unspliced"),
        "fit_t": posterior.state_times(sample),
        "fit_s": posterior.state_fits(sample, "spliced"),
        "fit_u": posterior.state_fits(sample, "unspliced"),
    }


WITH_DEVIATION = ("velocity", "fit_s", "fit_u")


def summarise(
    module: VELOVAE,
    minibatches: Minibatches,
    *,
    n_cells: int,
    n_samples: int = 25,
    directional_samples: int = 0,
    on_batch: Callable[[int], None] | None = None,
) -> PosteriorSummary:
    """Summarise the posterior of every cell and gene.

    Parameters
    ----------
    module
        A trained model.
    minibatches
        The data, in the order wanted.
    n_cells
        Number of cells in all minibatches.
    n_samples
        Samples of the cell state for means and standard deviations.
    directional_samples
        Samples of the velocity for directional cosines.
    on_batch
        Called with the number of cells done.
    """
    layers: dict[str, np.ndarray] = {}
    likelihood = np.zeros(module.n_input)
    cosines = np.zeros((n_cells, directional_samples), dtype=np.float32)
    first = 0
    for tensors in minibatches:
        batch = _summarise_batch(module, tensors, n_samples)
        size = len(batch["velocity"])
        rows = slice(first, first + size)
        likelihood += batch.pop("log_likelihood").sum(dim=0).cpu().double().numpy()
        for name, value in batch.items():
            if name not in layers:
                layers[name] = np.empty((n_cells, module.n_input), dtype=np.float32)
            layers[name][rows] = value.cpu().numpy()
        if directional_samples:
            cosines[rows] = directional_cosines(module, tensors, directional_samples)
        first += size
        if on_batch:
            on_batch(first)
    return PosteriorSummary(layers, likelihood / max(n_cells, 1), cosines)


def _summarise_batch(
    module: VELOVAE, tensors: Mapping[str, Tensor], n_samples: int
) -> dict[str, Tensor]:
    sums: dict[str, Tensor] = {}
    squares: dict[str, Tensor] = {}
    within: dict[str, Tensor] = {}
    for sample in posterior.iterate(module, [tensors], n_samples=n_samples):
        probabilities = dirichlet.mean(sample.concentration)
        total = sample.concentration.sum(dim=-1)
        for name, values in _values(sample).items():
            mean, variance = _moments(probabilities, total, values)
            _add(sums, name, mean)
            if name in WITH_DEVIATION:
                _add(squares, name, mean.double() ** 2)
                _add(within, name, variance)
        _add(sums, "log_likelihood", posterior.log_likelihood(sample))
        for state, share in zip(STATES, probabilities.unbind(dim=-1), strict=True):
            _add(sums, f"p_{state}", share)
    means = {name: value / n_samples for name, value in sums.items()}
    _clip(means, sample)
    for name in WITH_DEVIATION:
        between = squares[name] / n_samples - (sums[name].double() / n_samples) ** 2
        correction = n_samples / max(n_samples - 1, 1)
        total_variance = between.clamp(min=0) * correction + within[name] / n_samples
        means[f"{name}_sd"] = total_variance.sqrt().float()
    return means


def _clip(means: dict[str, Tensor], sample: PosteriorSample) -> None:
    # a cell cannot lose more in one unit of time than it has
    means["velocity"] = torch.maximum(means["velocity"], -sample.spliced)
    means["velocity_u"] = torch.maximum(means["velocity_u"], -sample.unspliced)


def _moments(
    probabilities: Tensor, total: Tensor, values: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    shares = probabilities.unbind(dim=-1)
    mean = sum((p * v for p, v in zip(shares, values, strict=True)), torch.zeros_like(total))
    square = sum((p * v * v for p, v in zip(shares, values, strict=True)), torch.zeros_like(total))
    return mean, (square - mean * mean).clamp(min=0) / (total + 1)


def _add(sums: dict[str, Tensor], name: str, value: Tensor) -> None:
    sums[name] = sums[name] + value if name in sums else value


def directional_cosines(
    module: VELOVAE,
    tensors: Mapping[str, Tensor],
    n_samples: int,
    *,
    genes: np.ndarray | None = None,
) -> np.ndarray:
    """Cosines of velocity samples with their mean for one minibatch, ``(cells, samples)``.

    ``genes`` are the positions of those that span the direction; all when left out.
    """
    quantity = posterior.velocity()
    columns = slice(None) if genes is None else torch.as_tensor(genes, device=module.device)
    drawn = []
    for sample in posterior.iterate(module, [tensors], n_samples=n_samples):
        drawn.append(torch.maximum(quantity(sample), -sample.spliced)[:, columns])
    return uncertainty.centred_cosines(torch.stack(drawn)).T.cpu().numpy()
