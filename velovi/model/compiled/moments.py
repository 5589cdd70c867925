"""Running moments of the posterior of one minibatch, in one compiled pass over each sample.

Given the cell state, every quantity is linear in the state probabilities, so its mean and variance
over their Dirichlet distribution are closed forms; only the cell state is sampled, and moments
over its samples are updated one sample at a time (Welford 1962). Nothing grows with the number
of samples. :mod:`velovi.model.summary` has the same in tensor form, which is what this must agree
with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from velovi.model.compiled.dirichlet_sampler import ROWS, SHAPES, STATES, draw_three, fresh_keys
from velovi.model.compiled.likelihood import clamped, induction, mixture, repression
from velovi.model.compiled.loss import GeneInputs
from velovi.model.compiled.scratch import CHUNK, load_states
from velovi.model.compiled.vector_math import compiled, compiled_loop, number
from velovi.numerics.parallel import CELLS_PER_BLOCK, over_blocks

# those with a standard deviation first
QUANTITIES = ("velocity", "fit_s", "fit_u", "velocity_u", "fit_t")
N_DEVIATIONS = 3


class Decoded(NamedTuple):
    """What the decoder makes of one cell state of each cell.

    ``concentration`` is ``(cells, genes, 4)``, ``rho`` and ``tau`` are ``(cells, genes)``.
    """

    concentration: Tensor
    rho: Tensor
    tau: Tensor


class RunningMoments:
    """Moments over the samples added so far.

    Parameters
    ----------
    n_cells
        Cells of the minibatch.
    genes
        Rates of every gene and what follows from them, each ``(genes,)``.
    t_max
        End of the time axis.

    Attributes
    ----------
    means
        ``(9, cells, genes)``: the five :data:`QUANTITIES`, then the four state probabilities.
    between
        Sum of squared differences of the samples' means from their mean, and
    within
        mean over samples of the variance over state probabilities, of the first three quantities:
        ``(3, cells, genes)``.
    log_likelihood
        Of every gene, summed over cells and samples, ``(genes,)`` in double precision.
    n_samples
        Samples added so far.
    """

    def __init__(self, n_cells: int, genes: GeneInputs, t_max: float) -> None:
        self._genes, self._t_max, self.n_samples = torch.stack(genes), t_max, 0
        n_genes = len(genes.alpha)
        self.means = torch.zeros(len(QUANTITIES) + 4, n_cells, n_genes)
        self.between = torch.zeros(N_DEVIATIONS, n_cells, n_genes)
        self.within = torch.zeros(N_DEVIATIONS, n_cells, n_genes)
        self.log_likelihood = torch.zeros(n_genes, dtype=torch.float64)

    def add(self, decoded: Decoded) -> None:
        """Take one more sample into account."""
        self.n_samples += 1
        arrays = [t.contiguous().numpy() for t in (*decoded, self._genes)]
        running = [t.numpy() for t in (self.means, self.between, self.within)]
        numbers = (number(self._t_max), number(1 / self.n_samples))
        over_blocks(
            lambda start, stop: _add(start, stop, *arrays, *running, *numbers),
            len(decoded.rho),
            torch.get_num_threads(),
        )

    def add_likelihood(
        self, decoded: Decoded, states: Tensor, spliced: Tensor, unspliced: Tensor
    ) -> None:
        """Add the data's log-density at one draw of the state probabilities.

        Parameters
        ----------
        decoded
            The sample.
        states
            Probabilities drawn for it, ``(cells, genes, 4)``.
        spliced, unspliced
            Data ``(cells, genes)``.
        """
        n_cells, n_genes = decoded.rho.shape
        by_block = torch.zeros(-(-n_cells // CELLS_PER_BLOCK), n_genes)
        tensors = (states, decoded.rho, decoded.tau, spliced, unspliced, self._genes, by_block)
        arrays = [t.contiguous().numpy() for t in tensors]
        over_blocks(
            lambda start, stop: _log_likelihood(start, stop, *arrays, number(self._t_max)),
            n_cells,
            torch.get_num_threads(),
        )
        self.log_likelihood += by_block.sum(dim=0, dtype=torch.float64)

    def deviations(self) -> Tensor:
        """Standard deviations of the first three quantities, ``(3, cells, genes)``.

        The variance is that between the samples' means plus the mean of those within.
        """
        n = self.n_samples
        return (self.between / max(n - 1, 1) + self.within).sqrt()


class RunningMeans:
    """Means of some quantities over the samples added so far, and of nothing else.

    Parameters
    ----------
    n_cells, genes, t_max
        As in :class:`RunningMoments`.
    rows
        Which of the five :data:`QUANTITIES` and, from 5 on, of the four state probabilities.

    Attributes
    ----------
    means
        ``(rows, cells, genes)``.
    """

    def __init__(self, n_cells: int, genes: GeneInputs, t_max: float, rows: Sequence[int]) -> None:
        self._genes, self._t_max, self._n_samples = torch.stack(genes), t_max, 0
        self._rows = np.asarray(rows, dtype=np.int64)
        self.means = torch.zeros(len(rows), n_cells, len(genes.alpha))

    def add(self, decoded: Decoded) -> None:
        """Take one more sample into account."""
        self._n_samples += 1
        arrays = [t.contiguous().numpy() for t in (*decoded, self._genes, self.means)]
        numbers = (number(self._t_max), number(1 / self._n_samples))
        over_blocks(
            lambda start, stop: _add_means(start, stop, *arrays, self._rows, *numbers),
            len(decoded.rho),
            torch.get_num_threads(),
        )


class RunningStates:
    """Means of the four state probabilities alone, which need no times.

    Parameters
    ----------
    n_cells, n_genes
        Size of the results.

    Attributes
    ----------
    means
        ``(4, cells, genes)``.
    """

    def __init__(self, n_cells: int, n_genes: int) -> None:
        self._n_samples = 0
        self.means = torch.zeros(4, n_cells, n_genes)

    def add(self, concentration: Tensor) -> None:
        """Take one more sample into account, ``(cells, genes, 4)``."""
        self._n_samples += 1
        arrays = [t.contiguous().numpy() for t in (concentration, self.means)]
        share = number(1 / self._n_samples)
        over_blocks(
            lambda start, stop: _add_states(start, stop, *arrays, share),
            len(concentration),
            torch.get_num_threads(),
        )


class RunningLikelihood:
    """Mean over samples of the log-density of each cell's data.

    Parameters
    ----------
    n_cells, genes, t_max
        As in :class:`RunningMoments`.

    Attributes
    ----------
    means
        ``(1, cells, genes)``, in nats.
    """

    def __init__(self, n_cells: int, genes: GeneInputs, t_max: float) -> None:
        self._genes, self._t_max, self._n_samples = torch.stack(genes), t_max, 0
        self.means = torch.zeros(1, n_cells, len(genes.alpha))

    def add(self, decoded: Decoded, states: Tensor, spliced: Tensor, unspliced: Tensor) -> None:
        """Take one more sample into account; parameters as in ``add_likelihood``."""
        self._n_samples += 1
        tensors = (states, decoded.rho, decoded.tau, spliced, unspliced, self._genes, self.means[0])
        arrays = [t.contiguous().numpy() for t in tensors]
        numbers = (number(self._t_max), number(1 / self._n_samples))
        over_blocks(
            lambda start, stop: _add_likelihood(start, stop, *arrays, *numbers),
            len(decoded.rho),
            torch.get_num_threads(),
        )


def values_at(drawn: Decoded, genes: GeneInputs, t_max: float) -> Tensor:
    """The five quantities at state probabilities that were drawn, ``(5, cells, genes)``.

    ``drawn.concentration`` holds the drawn probabilities.
    """
    running = RunningMeans(len(drawn.rho), genes, t_max, range(len(QUANTITIES)))
    running.add(drawn)
    return running.means


def draw_velocities(decoded: Decoded, spliced: Tensor, genes: GeneInputs, t_max: float) -> Tensor:
    """Spliced velocity at state probabilities drawn on the way, at least minus the abundance.

    The two steady states both have none, so they are drawn as one.

    Parameters
    ----------
    decoded
        The sample of the cell state.
    spliced
        Data ``(cells, genes)``.
    genes, t_max
        As in :class:`RunningMoments`.

    Returns
    -------
    Tensor
        ``(cells, genes)``.
    """
    found = torch.empty_like(decoded.rho)
    tensors = (*decoded, spliced, torch.stack(genes), found)
    arrays = [t.contiguous().numpy() for t in tensors]
    keys = fresh_keys()
    over_blocks(
        lambda start, stop: _velocities(start, stop, *arrays, number(t_max), *keys),
        len(found),
        torch.get_num_threads(),
    )
    return found


# rows of the work space; those of every gene come first, in the order of GeneInputs
_N_GENE_INPUTS = 10
_RHO, _TAU, _STATES = 10 * CHUNK, 11 * CHUNK, 12 * CHUNK
_SPLICED, _UNSPLICED, _RESULT = 16 * CHUNK, 17 * CHUNK, 18 * CHUNK
_VARIANCE = _RESULT + (len(QUANTITIES) + 4) * CHUNK
_ROWS = 18 + len(QUANTITIES) + 4 + N_DEVIATIONS
_ZERO, _ONE = number(0), number(1)

_loop = compiled_loop("contract", "nsz", "reassoc")


@_loop
def _load_genes(work, genes, first, n):  # type: ignore[no-untyped-def]
    for k in range(_N_GENE_INPUTS):
        work[k * CHUNK : k * CHUNK + n] = genes[k, first : first + n]


@compiled
def _load_times(work, rho, tau, n):  # type: ignore[no-untyped-def]
    work[_RHO : _RHO + n] = rho
    work[_TAU : _TAU + n] = tau


@compiled
def _fitted(work, i, t_max):  # type: ignore[no-untyped-def]
    """Times and abundances of one gene: ``on_time, u, s`` rising, ``off_time, u, s`` falling."""
    alpha, beta, gamma, switch = work[i], work[CHUNK + i], work[2 * CHUNK + i], work[3 * CHUNK + i]
    on_time, off_time = switch * work[_RHO + i], (t_max - switch) * work[_TAU + i]
    on = induction(alpha, beta, gamma, on_time)
    off = repression(beta, gamma, work[6 * CHUNK + i], work[7 * CHUNK + i], off_time)
    return on_time, on[0], on[1], off_time, off[0], off[1]


@_loop
def _sample_moments(work, n, t_max):  # type: ignore[no-untyped-def]
    """Means and variances over the Dirichlet distribution of each gene."""
    for i in range(n):
        alpha, beta, gamma = work[i], work[CHUNK + i], work[2 * CHUNK + i]
        switch = work[3 * CHUNK + i]
        u_steady, s_steady = work[4 * CHUNK + i], work[5 * CHUNK + i]
        on_time, u_on, s_on, off_time, u_off, s_off = _fitted(work, i, t_max)
        at = _STATES + i
        c0, c1, c2, c3 = work[at], work[at + CHUNK], work[at + 2 * CHUNK], work[at + 3 * CHUNK]
        total = (c0 + c1) + (c2 + c3)
        per_total, spread = _ONE / total, _ONE / (total + _ONE)
        p0, p1, p2, p3 = c0 * per_total, c1 * per_total, c2 * per_total, c3 * per_total

        v_on, v_off = beta * u_on - gamma * s_on, beta * u_off - gamma * s_off
        v = p0 * v_on + p2 * v_off
        s = p0 * s_on + p1 * s_steady + p2 * s_off
        u = p0 * u_on + p1 * u_steady + p2 * u_off
        at = _RESULT + i
        work[at], work[at + CHUNK], work[at + 2 * CHUNK] = v, s, u
        work[at + 3 * CHUNK] = p0 * (alpha - beta * u_on) - p2 * (beta * u_off)
        work[at + 4 * CHUNK] = p0 * on_time + p1 * switch + p2 * (switch + off_time)
        work[at + 5 * CHUNK], work[at + 6 * CHUNK] = p0, p1
        work[at + 7 * CHUNK], work[at + 8 * CHUNK] = p2, p3

        # sum of p (x - mean)^2: the difference of squares would cancel
        rest = p1 + p3
        at = _VARIANCE + i
        a, b = v_on - v, v_off - v
        work[at] = spread * (p0 * a * a + p2 * b * b + rest * v * v)
        a, b, c = s_on - s, s_steady - s, s_off - s
        work[at + CHUNK] = spread * ((p0 * a * a + p1 * b * b) + (p2 * c * c + p3 * s * s))
        a, b, c = u_on - u, u_steady - u, u_off - u
        work[at + 2 * CHUNK] = spread * ((p0 * a * a + p1 * b * b) + (p2 * c * c + p3 * u * u))


@_loop
def _update(row, n, mean, share):  # type: ignore[no-untyped-def]
    for i in range(n):
        mean[i] += share * (row[i] - mean[i])


@_loop
def _update_both(row, n, mean, between, share):  # type: ignore[no-untyped-def]
    for i in range(n):
        before = row[i] - mean[i]
        mean[i] += share * before
        between[i] += before * (row[i] - mean[i])


@_loop
def _add(  # type: ignore[no-untyped-def]
    start, stop, concentration, rho, tau, genes, means, between, within, t_max, share
):
    """Cells start..stop, chunk by chunk of genes."""
    n_genes = rho.shape[1]
    work = np.empty(_ROWS * CHUNK, np.float32)
    for first in range(0, n_genes, CHUNK):
        last = min(first + CHUNK, n_genes)
        n = last - first
        _load_genes(work, genes, first, n)
        for cell in range(start, stop):
            _load_times(work, rho[cell, first:last], tau[cell, first:last], n)
            load_states(work, _STATES, concentration[cell, first:last], n)
            _sample_moments(work, n, t_max)
            for k in range(N_DEVIATIONS):
                row = work[_RESULT + k * CHUNK :][:CHUNK]
                mean, spread = means[k, cell, first:last], between[k, cell, first:last]
                _update_both(row, n, mean, spread, share)
                row = work[_VARIANCE + k * CHUNK :][:CHUNK]
                _update(row, n, within[k, cell, first:last], share)
            for k in range(N_DEVIATIONS, means.shape[0]):
                row = work[_RESULT + k * CHUNK :][:CHUNK]
                _update(row, n, means[k, cell, first:last], share)


@_loop
def _add_means(  # type: ignore[no-untyped-def]
    start, stop, concentration, rho, tau, genes, means, rows, t_max, share
):
    """Cells start..stop, chunk by chunk of genes; only some rows of the results are kept."""
    n_genes = rho.shape[1]
    work = np.empty(_ROWS * CHUNK, np.float32)
    for first in range(0, n_genes, CHUNK):
        last = min(first + CHUNK, n_genes)
        n = last - first
        _load_genes(work, genes, first, n)
        for cell in range(start, stop):
            _load_times(work, rho[cell, first:last], tau[cell, first:last], n)
            load_states(work, _STATES, concentration[cell, first:last], n)
            _sample_moments(work, n, t_max)
            for k in range(rows.shape[0]):
                row = work[_RESULT + rows[k] * CHUNK :][:CHUNK]
                _update(row, n, means[k, cell, first:last], share)


@_loop
def _add_states(start, stop, concentration, means, share):  # type: ignore[no-untyped-def]
    """Cells start..stop, chunk by chunk of genes."""
    n_genes = concentration.shape[1]
    work = np.empty(4 * CHUNK, np.float32)
    for cell in range(start, stop):
        for first in range(0, n_genes, CHUNK):
            last = min(first + CHUNK, n_genes)
            n = last - first
            load_states(work, 0, concentration[cell, first:last], n)
            for i in range(n):
                c0, c1, c2, c3 = (
                    work[i],
                    work[CHUNK + i],
                    work[2 * CHUNK + i],
                    work[3 * CHUNK + i],
                )
                per_total = _ONE / ((c0 + c1) + (c2 + c3))
                for k in range(4):
                    work[k * CHUNK + i] *= per_total
            for k in range(4):
                _update(work[k * CHUNK :][:CHUNK], n, means[k, cell, first:last], share)


@_loop
def _sample_likelihood(work, n, t_max):  # type: ignore[no-untyped-def]
    """Log-density of each gene's spliced and unspliced abundance, added up."""
    for i in range(n):
        _, u_on, s_on, _, u_off, s_off = _fitted(work, i, t_max)
        at = _STATES + i
        p0, p1 = clamped(work[at])[0], clamped(work[at + CHUNK])[0]
        p2, p3 = clamped(work[at + 2 * CHUNK])[0], clamped(work[at + 3 * CHUNK])[0]
        s_log = mixture(
            work[_SPLICED + i],
            s_on,
            work[5 * CHUNK + i],
            s_off,
            work[9 * CHUNK + i],
            *(p0, p1, p2, p3),
        )[0]
        u_log = mixture(
            work[_UNSPLICED + i],
            u_on,
            work[4 * CHUNK + i],
            u_off,
            work[8 * CHUNK + i],
            *(p0, p1, p2, p3),
        )[0]
        work[_RESULT + i] += s_log + u_log


@_loop
def _log_likelihood(  # type: ignore[no-untyped-def]
    start, stop, states, rho, tau, spliced, unspliced, genes, by_block, t_max
):
    """Cells start..stop of one block, chunk by chunk of genes."""
    n_genes = rho.shape[1]
    work = np.empty(_ROWS * CHUNK, np.float32)
    for first in range(0, n_genes, CHUNK):
        last = min(first + CHUNK, n_genes)
        n = last - first
        _load_genes(work, genes, first, n)
        work[_RESULT : _RESULT + n] = _ZERO
        for cell in range(start, stop):
            _load_times(work, rho[cell, first:last], tau[cell, first:last], n)
            work[_SPLICED : _SPLICED + n] = spliced[cell, first:last]
            work[_UNSPLICED : _UNSPLICED + n] = unspliced[cell, first:last]
            load_states(work, _STATES, states[cell, first:last], n)
            _sample_likelihood(work, n, t_max)
        by_block[start // CELLS_PER_BLOCK, first:last] = work[_RESULT : _RESULT + n]


@_loop
def _add_likelihood(  # type: ignore[no-untyped-def]
    start, stop, states, rho, tau, spliced, unspliced, genes, mean, t_max, share
):
    """Cells start..stop, chunk by chunk of genes; every cell by itself."""
    n_genes = rho.shape[1]
    work = np.empty(_ROWS * CHUNK, np.float32)
    for first in range(0, n_genes, CHUNK):
        last = min(first + CHUNK, n_genes)
        n = last - first
        _load_genes(work, genes, first, n)
        for cell in range(start, stop):
            _load_times(work, rho[cell, first:last], tau[cell, first:last], n)
            work[_SPLICED : _SPLICED + n] = spliced[cell, first:last]
            work[_UNSPLICED : _UNSPLICED + n] = unspliced[cell, first:last]
            load_states(work, _STATES, states[cell, first:last], n)
            work[_RESULT : _RESULT + n] = _ZERO
            _sample_likelihood(work, n, t_max)
            _update(work[_RESULT:][:CHUNK], n, mean[cell, first:last], share)


@_loop
def _sample_velocities(work, n, t_max, drawn):  # type: ignore[no-untyped-def]
    """Velocities at the shares of induction and repression that ``drawn`` holds."""
    for i in range(n):
        beta, gamma = work[CHUNK + i], work[2 * CHUNK + i]
        _, u_on, s_on, _, u_off, s_off = _fitted(work, i, t_max)
        at = STATES + i
        velocity = drawn[at] * (beta * u_on - gamma * s_on) + drawn[at + CHUNK] * (
            beta * u_off - gamma * s_off
        )
        lowest = -work[_SPLICED + i]
        work[_RESULT + i] = lowest if velocity < lowest else velocity


@_loop
def _velocities(  # type: ignore[no-untyped-def]
    start, stop, concentration, rho, tau, spliced, genes, found, t_max, key, key_again
):
    """Cells start..stop, chunk by chunk of genes."""
    n_genes = rho.shape[1]
    work, drawn = np.empty(_ROWS * CHUNK, np.float32), np.empty(ROWS * CHUNK, np.float32)
    for first in range(0, n_genes, CHUNK):
        last = min(first + CHUNK, n_genes)
        n = last - first
        _load_genes(work, genes, first, n)
        for cell in range(start, stop):
            _load_times(work, rho[cell, first:last], tau[cell, first:last], n)
            work[_SPLICED : _SPLICED + n] = spliced[cell, first:last]
            for i in range(n):
                at = SHAPES + i
                drawn[at] = concentration[cell, first + i, 0]
                drawn[at + CHUNK] = concentration[cell, first + i, 2]
                drawn[at + 2 * CHUNK] = (
                    concentration[cell, first + i, 1] + concentration[cell, first + i, 3]
                )
            draw_three(drawn, n, cell * n_genes + first, key, key_again)
            _sample_velocities(work, n, t_max, drawn)
            found[cell, first:last] = work[_RESULT : _RESULT + n]
