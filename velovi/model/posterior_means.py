"""Posterior means of single quantities by the compiled passes, for the calls that ask for one."""

from __future__ import annotations

import numpy as np

from velovi.model import posterior
from velovi.model.compiled.moments import (
    QUANTITIES,
    Decoded,
    RunningLikelihood,
    RunningMeans,
    RunningStates,
)
from velovi.model.module import STATES, VELOVAE
from velovi.model.posterior import Minibatches, PosteriorSample

# rows of the compiled pass that make up each quantity
_ROWS: dict[str, tuple[int, ...]] = {name: (row,) for row, name in enumerate(QUANTITIES)}
STATE_PROBABILITIES, LIKELIHOOD = "states", "log_likelihood"
_ROWS[STATE_PROBABILITIES] = tuple(range(len(QUANTITIES), len(QUANTITIES) + len(STATES)))
_Running = RunningMeans | RunningStates | RunningLikelihood


def compiled_means(
    module: VELOVAE,
    minibatches: Minibatches,
    names: list[str],
    *,
    exact_states: bool,
    n_cells: int,
    n_samples: int,
    genes: np.ndarray | None = None,
    latent_dim: int | None = None,
) -> dict[str, np.ndarray] | None:
    """Means over samples of quantities that a compiled pass has; None when it has not all.

    Random numbers are drawn in the same order as by :func:`velovi.model.posterior.collect`, which
    is what this must agree with.

    Parameters
    ----------
    module
        A model for which :func:`velovi.model.posterior.compiles` says yes.
    minibatches
        The data, in the order wanted.
    names
        Of :data:`velovi.model.compiled.moments.QUANTITIES`, ``"states"`` or ``"log_likelihood"``.
    exact_states
        Take the exact mean over state probabilities; the likelihood always samples them.
    n_cells, n_samples
        Cells in all minibatches, samples of each.
    genes
        Positions of the genes to keep, in the order wanted; all when left out.
    latent_dim
        Use only this latent dimension for the times.

    Returns
    -------
    dict of numpy.ndarray
        float32 ``(cells, genes)``; ``(cells, genes, 4)`` for ``"states"``.
    """
    likelihood = names == [LIKELIHOOD]
    if not likelihood and not (exact_states and set(names) <= _ROWS.keys()):
        return None
    n_genes = module.n_input if genes is None else len(genes)
    rows = [row for name in names for row in _ROWS.get(name, ())]
    found = np.empty((1 if likelihood else len(rows), n_cells, n_genes), dtype=np.float32)
    running: _Running | None = None
    for sample in posterior.iterate(
        module,
        minibatches,
        n_samples=n_samples,
        draw_states=likelihood,
        times=names != [STATE_PROBABILITIES],
        latent_dim=latent_dim,
    ):
        if sample.number == 0:
            running = _begin(sample, names, rows)
        assert running is not None
        _add(running, sample)
        if sample.number == n_samples - 1:
            means = running.means.numpy()
            cells = slice(sample.first, sample.first + means.shape[1])
            found[:, cells] = means if genes is None else means[:, :, genes]
    return _by_name(found, names)


def _begin(sample: PosteriorSample, names: list[str], rows: list[int]) -> _Running:
    assert sample.genes is not None
    n_cells, n_genes, _ = sample.concentration.shape
    if names == [LIKELIHOOD]:
        return RunningLikelihood(n_cells, sample.genes, sample.module.t_max)
    if names == [STATE_PROBABILITIES]:
        return RunningStates(n_cells, n_genes)
    return RunningMeans(n_cells, sample.genes, sample.module.t_max, rows)


def _add(running: _Running, sample: PosteriorSample) -> None:
    if isinstance(running, RunningStates):
        running.add(sample.concentration)
        return
    decoded = Decoded(sample.concentration, sample.rho, sample.tau)
    if isinstance(running, RunningLikelihood):
        running.add(decoded, sample.states, sample.spliced, sample.unspliced)
    else:
        running.add(decoded)


def _by_name(found: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    by_name, first = {}, 0
    for name in names:
        n_rows = len(_ROWS.get(name, (0,)))
        part = found[first : first + n_rows]
        by_name[name] = part[0] if n_rows == 1 else np.ascontiguousarray(np.moveaxis(part, 0, -1))
        first += n_rows
    return by_name
