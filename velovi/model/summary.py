"""Posterior means and standard deviations of everything, in one pass.

Every quantity here is linear in the state probabilities given the cell state, so its mean and
variance over their Dirichlet distribution are known in closed form; only the cell state is
sampled. With ``v_k`` the value in state ``k``, ``p`` the expected probabilities and ``a0`` the
total concentration,

    mean = sum_k p_k v_k,    variance = (sum_k p_k v_k^2 - mean^2) / (a0 + 1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from velovi.errors import UnknownNameError
from velovi.model import directional_statistics, dirichlet, posterior
from velovi.model.compiled import sample_quantiles
from velovi.model.compiled.moments import (
    N_DEVIATIONS,
    QUANTITIES,
    Decoded,
    RunningMoments,
    draw_velocities,
    values_at,
)
from velovi.model.module import STATES, VELOVAE
from velovi.model.posterior import Minibatches, PosteriorSample
from velovi.numerics.out_of_core import Allocator, RowWriter, in_memory


@dataclass(frozen=True)
class PosteriorSummary:
    """Means, standard deviations and quantiles, by the result store's layer names.

    ``velocity`` and ``velocity_u`` are ds/dt and du/dt, ``fit_t`` the latent time, ``fit_s`` and
    ``fit_u`` the fitted abundance, ``p_*`` the state probabilities, and names that end in ``_sd``
    posterior standard deviations.

    Attributes
    ----------
    layers
        Each float32 ``(cells, genes)``.
    log_likelihood
        Mean over cells of each gene's log-likelihood, ``(genes,)``.
    cosines
        Directional cosines ``(cells, samples)``; no columns when none were asked for.
    levels
        Which quantiles there are, between 0 and 1.
    quantiles
        For ``velocity``, ``velocity_u``, ``fit_t``, ``fit_s`` and ``fit_u`` float32
        ``(levels, cells, genes)``; empty when no level was asked for.
    cell_names, gene_names
        Names of rows and columns; numbers when they are not known.
    """

    layers: Mapping[str, np.ndarray]
    log_likelihood: np.ndarray
    cosines: np.ndarray
    levels: tuple[float, ...] = ()
    quantiles: Mapping[str, np.ndarray] = field(default_factory=dict)
    cell_names: pd.Index | None = None
    gene_names: pd.Index | None = None

    def __post_init__(self) -> None:
        shapes = {layer.shape for layer in self.layers.values()}
        if len(shapes) != 1 or self.log_likelihood.shape != next(iter(shapes))[1:]:
            raise ValueError(f"layers of one shape expected, found {shapes}")
        expected = {(len(self.levels), *next(iter(shapes)))} if self.quantiles else set()
        if {values.shape for values in self.quantiles.values()} != expected:
            raise ValueError(f"quantiles of shape {expected} expected")

    def table(self, name: str, level: float | None = None) -> pd.DataFrame:
        """One layer, or one of its quantiles, as a labelled table ``(cells, genes)``.

        Raises
        ------
        UnknownNameError
            There is no such layer, or no such quantile of it.
        """
        known = self.layers if level is None else self.quantiles
        if name not in known or (level is not None and level not in self.levels):
            raise UnknownNameError(
                f"there is no {name!r}" + ("" if level is None else f" at level {level}"),
                where="PosteriorSummary.table",
                expected=", ".join(known) + (f" at {self.levels}" if level is not None else ""),
                found=repr(name),
                remedy="Ask get_posterior_summary for it with quantiles=...",
            )
        values = known[name] if level is None else known[name][self.levels.index(level)]
        return pd.DataFrame(values, index=self.cell_names, columns=self.gene_names)


def _values(sample: PosteriorSample) -> dict[str, tuple[Tensor, ...]]:
    """What is summarised: each quantity's value in every state."""
    return {
        "velocity": posterior.state_velocities(sample, "spliced"),
        "velocity_u": posterior.state_velocities(sample, "unspliced"),
        "fit_t": posterior.state_times(sample),
        "fit_s": posterior.state_fits(sample, "spliced"),
        "fit_u": posterior.state_fits(sample, "unspliced"),
    }


CELLS_TOGETHER = 48  # of which all velocity samples are kept at a time
WITH_DEVIATION = QUANTITIES[:N_DEVIATIONS]


def summarise(
    module: VELOVAE,
    minibatches: Minibatches,
    *,
    n_cells: int,
    n_samples: int = 25,
    directional_samples: int = 0,
    levels: tuple[float, ...] = (),
    genes: np.ndarray | None = None,
    on_batch: Callable[[int], None] | None = None,
    allocate: Allocator = in_memory,
) -> PosteriorSummary:
    """Summarise the posterior of every cell and gene in one pass.

    Parameters
    ----------
    module
        A trained model.
    minibatches
        The data, in the order wanted.
    n_cells
        Number of cells in all minibatches.
    n_samples
        Samples of the cell state for means, standard deviations and quantiles.
    directional_samples
        Samples of the velocity for directional cosines.
    levels
        Quantiles, between 0 and 1. They are those of drawn samples, state probabilities included,
        so a minibatch's samples are in memory together.
    genes
        Positions of the genes to keep, in the order wanted; all when left out.
    on_batch
        Called with the number of cells done.
    allocate
        Gives the matrices for the layers; see :class:`velovi.numerics.out_of_core.MatrixAllocator`.
    """
    n_genes = module.n_input if genes is None else len(genes)
    layers: dict[str, np.ndarray] = {}
    writers: dict[str, RowWriter] = {}
    quantiles: dict[str, np.ndarray] = {}
    likelihood = np.zeros(n_genes)
    cosines = np.zeros((n_cells, directional_samples), dtype=np.float32)
    first = 0
    for tensors in minibatches:
        columns = None if genes is None else torch.as_tensor(genes, device=module.device)
        batch, spread = _summarise_batch(module, tensors, n_samples, levels, columns)
        size = len(batch["velocity"])
        rows = slice(first, first + size)
        likelihood += batch.pop("log_likelihood").cpu().double().numpy()
        for name, value in batch.items():
            if name not in layers:
                layers[name] = allocate(name, (n_cells, n_genes), "genes")
                writers[name] = RowWriter(layers[name])
            writers[name].add(value.cpu().numpy())
        for name, value in spread.items():
            if name not in quantiles:
                quantiles[name] = np.empty((len(levels), n_cells, n_genes), dtype=np.float32)
            quantiles[name][:, rows] = value.cpu().numpy()
        if directional_samples:
            cosines[rows] = directional_cosines(module, tensors, directional_samples, genes=genes)
        first += size
        if on_batch:
            on_batch(first)
    for writer in writers.values():
        writer.close()
    return PosteriorSummary(layers, likelihood / max(n_cells, 1), cosines, levels, quantiles)


def _summarise_batch(
    module: VELOVAE,
    tensors: Mapping[str, Tensor],
    n_samples: int,
    levels: tuple[float, ...],
    columns: Tensor | None,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Means and deviations, and quantiles, of one minibatch.

    The log-likelihood is summed over its cells.
    """
    moments: _Moments | None = None
    drawn: _Drawn | None = None
    for sample in posterior.iterate(module, [tensors], n_samples=n_samples):
        moments = moments or _moments_like(sample)
        moments.add(sample)
        if levels:
            drawn = drawn or _drawn_like(sample, n_samples)
            drawn.add(sample)
    assert moments is not None
    found = {
        name: _pick(_clipped(item, name, sample), columns)
        for name, item in moments.result().items()
    }
    if drawn is None:
        return found, {}
    return found, {
        name: _pick(quantile, columns) for name, quantile in drawn.quantiles(levels).items()
    }


class _Drawn(Protocol):
    """Every quantity at drawn state probabilities, of the samples added."""

    def add(self, sample: PosteriorSample) -> None: ...

    def quantiles(self, levels: tuple[float, ...]) -> dict[str, Tensor]: ...


def _drawn_like(sample: PosteriorSample, n_samples: int) -> _Drawn:
    """Nothing yet, for samples like this one."""
    return _TensorDrawn() if sample.genes is None else _CompiledDrawn(sample, n_samples)


class _CompiledDrawn:
    """The compiled passes."""

    def __init__(self, sample: PosteriorSample, n_samples: int) -> None:
        shape = (len(QUANTITIES), n_samples, *sample.rho.shape)
        self._values = torch.empty(shape)
        self._spliced, self._unspliced = sample.spliced, sample.unspliced

    def add(self, sample: PosteriorSample) -> None:
        assert sample.genes is not None
        decoded = Decoded(sample.states, sample.rho, sample.tau)
        values = values_at(decoded, sample.genes, sample.module.t_max)
        self._values[:, sample.number] = values

    def quantiles(self, levels: tuple[float, ...]) -> dict[str, Tensor]:
        least = {"velocity": self._spliced, "velocity_u": self._unspliced}
        return {
            name: sample_quantiles.quantiles(values, levels, least.get(name))
            for name, values in zip(QUANTITIES, self._values, strict=True)
        }


class _TensorDrawn:
    """The same in tensor form, for every device and every model."""

    def __init__(self) -> None:
        self._values: dict[str, list[Tensor]] = {}

    def add(self, sample: PosteriorSample) -> None:
        total = sample.concentration.sum(dim=-1)
        for name, values in _values(sample).items():
            value, _ = _moments(sample.states, total, values)
            self._values.setdefault(name, []).append(_clipped(value, name, sample))

    def quantiles(self, levels: tuple[float, ...]) -> dict[str, Tensor]:
        return {
            name: _quantiles(torch.stack(values), levels) for name, values in self._values.items()
        }


class _Moments(Protocol):
    """Means and deviations by the result store's names, of the samples added."""

    def add(self, sample: PosteriorSample) -> None: ...

    def result(self) -> dict[str, Tensor]: ...


def _moments_like(sample: PosteriorSample) -> _Moments:
    """Nothing yet, for samples like this one."""
    return _TensorMoments() if sample.genes is None else _CompiledMoments(sample)


class _CompiledMoments:
    """The compiled pass."""

    def __init__(self, sample: PosteriorSample) -> None:
        assert sample.genes is not None
        self._running = RunningMoments(len(sample.rho), sample.genes, sample.module.t_max)

    def add(self, sample: PosteriorSample) -> None:
        decoded = Decoded(sample.concentration, sample.rho, sample.tau)
        self._running.add(decoded)
        if sample.drawn_states is not None:
            self._running.add_likelihood(decoded, sample.states, sample.spliced, sample.unspliced)

    def result(self) -> dict[str, Tensor]:
        names = (*QUANTITIES, *(f"p_{state}" for state in STATES))
        found = dict(zip(names, self._running.means, strict=True))
        for name, deviation in zip(WITH_DEVIATION, self._running.deviations(), strict=True):
            found[f"{name}_sd"] = deviation
        found["log_likelihood"] = self._running.log_likelihood / self._running.n_samples
        return found


class _TensorMoments:
    """The same in tensor form, for every device and every model."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._squares: dict[str, Tensor] = {}
        self._within: dict[str, Tensor] = {}
        self._n_samples = 0

    def add(self, sample: PosteriorSample) -> None:
        probabilities = dirichlet.mean(sample.concentration)
        total = sample.concentration.sum(dim=-1)
        for name, values in _values(sample).items():
            mean, variance = _moments(probabilities, total, values)
            _add(self._sums, name, mean)
            if name in WITH_DEVIATION:
                _add(self._squares, name, _wide(mean) ** 2)
                _add(self._within, name, variance)
        for state, share in zip(STATES, probabilities.unbind(dim=-1), strict=True):
            _add(self._sums, f"p_{state}", share)
        if sample.drawn_states is not None:
            _add(self._sums, "log_likelihood", _wide(posterior.log_likelihood(sample).sum(dim=0)))
        self._n_samples += 1

    def result(self) -> dict[str, Tensor]:
        n = self._n_samples
        found = {name: value / n for name, value in self._sums.items()}
        for name in WITH_DEVIATION:
            between = self._squares[name] / n - (_wide(self._sums[name]) / n) ** 2
            variance = between.clamp(min=0) * n / max(n - 1, 1) + self._within[name] / n
            found[f"{name}_sd"] = variance.sqrt().float()
        return found


def _clipped(values: Tensor, name: str, sample: PosteriorSample) -> Tensor:
    """A cell cannot lose more in one unit of time than it has."""
    lowest = {"velocity": sample.spliced, "velocity_u": sample.unspliced}.get(name)
    return values if lowest is None else torch.maximum(values, -lowest)


def _pick(values: Tensor, columns: Tensor | None) -> Tensor:
    return values if columns is None else values[..., columns]


def _quantiles(samples: Tensor, levels: tuple[float, ...]) -> Tensor:
    """Quantiles over the first axis, linear between samples, of any number of values."""
    ordered = samples.sort(dim=0).values
    place = torch.tensor(levels, dtype=torch.float64) * (len(samples) - 1)
    below = place.floor().long()
    above = (below + 1).clamp(max=len(samples) - 1)
    share = (place - below).to(samples.dtype).view(-1, *[1] * (samples.dim() - 1))
    share = share.to(samples.device)
    return torch.lerp(ordered[below], ordered[above], share)


def _wide(value: Tensor) -> Tensor:
    """In double precision, where the device has it."""
    return value if value.device.type == "mps" else value.double()


def _moments(
    probabilities: Tensor, total: Tensor, values: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    shares = probabilities.unbind(dim=-1)
    mean = sum((p * v for p, v in zip(shares, values, strict=True)), torch.zeros_like(total))
    square = sum((p * v * v for p, v in zip(shares, values, strict=True)), torch.zeros_like(total))
    return mean, (square - mean * mean).clamp(min=0) / (total + 1)


def _add(sums: dict[str, Tensor], name: str, value: Tensor) -> None:
    sums[name] = sums[name] + value if name in sums else value


def expected_fits(
    module: VELOVAE, minibatches: Minibatches, n_samples: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Mean fitted spliced and unspliced abundance of each minibatch, ``(cells, genes)`` each.

    Exact means over the state probabilities of ``n_samples`` samples of the cell state.
    """
    for tensors in minibatches:
        moments: _Moments | None = None
        for sample in posterior.iterate(module, [tensors], n_samples=n_samples, draw_states=False):
            moments = moments or _moments_like(sample)
            moments.add(sample)
        assert moments is not None
        found = moments.result()
        yield found["fit_s"], found["fit_u"]


def directional_cosines(
    module: VELOVAE,
    tensors: Mapping[str, Tensor],
    n_samples: int,
    *,
    genes: np.ndarray | None = None,
) -> np.ndarray:
    """Cosines of velocity samples with their mean for one minibatch, ``(cells, samples)``.

    Samples of few cells at a time are in memory together. ``genes`` are the positions of those
    that span the direction; all when left out.
    """
    n_cells = len(next(iter(tensors.values())))
    found = np.empty((n_cells, n_samples), dtype=np.float32)
    for start in range(0, n_cells, CELLS_TOGETHER):
        rows = slice(start, start + CELLS_TOGETHER)
        some = {key: values[rows] for key, values in tensors.items()}
        drawn = velocity_samples(module, some, n_samples, genes=genes)
        found[rows] = directional_statistics.centred_cosines(drawn).T.cpu().numpy()
    return found


def velocity_samples(
    module: VELOVAE,
    tensors: Mapping[str, Tensor],
    n_samples: int,
    *,
    genes: np.ndarray | None = None,
) -> Tensor:
    """Samples of the spliced velocity for one minibatch, ``(samples, cells, genes)``.

    None is below minus the abundance; ``genes`` as in :func:`directional_cosines`.
    """
    columns = None if genes is None else torch.as_tensor(genes, device=module.device)
    quantity, compiled = posterior.velocity(), posterior.compiles(module) and module.compiled_draws
    drawn: list[Tensor] = []
    for sample in posterior.iterate(
        module, [tensors], n_samples=n_samples, draw_states=not compiled
    ):
        if compiled and sample.genes is not None:
            decoded = Decoded(sample.concentration, sample.rho, sample.tau)
            velocity = draw_velocities(decoded, sample.spliced, sample.genes, module.t_max)
        else:
            velocity = torch.maximum(quantity(sample), -sample.spliced)
        drawn.append(_pick(velocity, columns))
    return torch.stack(drawn)
