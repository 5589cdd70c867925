"""The part of the loss that every cell and gene has, in one pass with its gradients.

Fitting states, mixtures and the divergence of the state probabilities are nine tenths of a
training step when each operation reads and writes whole matrices. Here one compiled loop goes
over the genes of a cell, keeps everything in registers, and gives the loss together with its
gradients; automatic differentiation sees a single operation. :meth:`VELOVAE.loss` in tensor form
is what it must agree with, and what remains in use where :func:`covers` says no.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from velovi.model.compiled.likelihood import clamped, induction, mixture, repression
from velovi.model.compiled.scratch import CHUNK, load_states, store_states
from velovi.model.compiled.vector_math import compiled_loop, gamma_functions, number
from velovi.numerics.parallel import CELLS_PER_BLOCK, over_blocks

_GENE_INPUTS = 10


class GeneInputs(NamedTuple):
    """What the pass needs of every gene, each ``(genes,)``; the order is the kernel's."""

    alpha: Tensor
    beta: Tensor
    gamma: Tensor
    switch_time: Tensor
    unspliced_steady: Tensor
    spliced_steady: Tensor
    unspliced_switch: Tensor
    spliced_switch: Tensor
    noise_unspliced: Tensor
    noise_spliced: Tensor


class DataTerms(NamedTuple):
    """Negative log-likelihood and divergence of the state probabilities.

    Attributes
    ----------
    mean
        Mean over cells of their sum; the only one that carries gradients.
    reconstruction, divergence
        Of every cell, summed over genes, ``(cells,)``.
    """

    mean: Tensor
    reconstruction: Tensor
    divergence: Tensor


def covers(concentration: Tensor, *matrices: Tensor) -> bool:
    """Whether the pass can take these: float32 on the CPU, one minibatch without further axes.

    Parameters
    ----------
    concentration
        ``(cells, genes, 4)``.
    *matrices
        ``(cells, genes)``.
    """
    return (
        concentration.dim() == 3
        and all(t.dim() == 2 for t in matrices)
        and all(
            t.device.type == "cpu" and t.dtype == torch.float32 for t in (concentration, *matrices)
        )
    )


def data_terms(
    spliced: Tensor,
    unspliced: Tensor,
    concentration: Tensor,
    states: Tensor,
    rho: Tensor,
    tau: Tensor,
    genes: GeneInputs,
    *,
    t_max: float,
    prior: float,
) -> DataTerms:
    """Evaluate the data's part of the loss.

    Parameters
    ----------
    spliced, unspliced
        Data ``(cells, genes)``.
    concentration, states
        Dirichlet concentrations and the probabilities drawn from them, ``(cells, genes, 4)``.
    rho, tau
        Times as shares of the induction and the repression interval, ``(cells, genes)``.
    genes
        Rates and what follows from them.
    t_max
        End of the time axis.
    prior
        Prior concentration of the state probabilities.
    """
    return DataTerms(
        *_DataTerms.apply(
            concentration, states, rho, tau, torch.stack(genes), spliced, unspliced, t_max, prior
        )
    )


class _DataTerms(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx,
        concentration: Tensor,
        states: Tensor,
        rho: Tensor,
        tau: Tensor,
        genes: Tensor,
        spliced: Tensor,
        unspliced: Tensor,
        t_max: float,
        prior: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        inputs = [t.contiguous() for t in (concentration, states, rho, tau)]
        gradients = [torch.empty_like(t) for t in inputs]
        n_cells, n_genes = rho.shape
        n_blocks = -(-n_cells // CELLS_PER_BLOCK)
        by_gene = torch.zeros(n_blocks, _GENE_INPUTS, n_genes)
        sums = torch.zeros(2, n_cells, dtype=torch.float64)
        arrays = [
            t.numpy()
            for t in (
                spliced.contiguous(),
                unspliced.contiguous(),
                *inputs,
                genes,
                *gradients,
                by_gene,
                sums,
            )
        ]
        constant = float(
            4 * torch.lgamma(torch.tensor(prior)) - torch.lgamma(torch.tensor(4 * prior))
        )
        numbers = (number(t_max), number(prior), number(constant), number(1 / n_cells))
        over_blocks(
            lambda start, stop: _data_terms(start, stop, *arrays, *numbers),
            n_cells,
            torch.get_num_threads(),
        )
        ctx.save_for_backward(*gradients, by_gene.sum(dim=0))
        reconstruction, divergence = sums.float()
        ctx.mark_non_differentiable(reconstruction, divergence)
        return (reconstruction + divergence).mean(), reconstruction, divergence

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, mean: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        gradients = ctx.saved_tensors  # type: ignore[attr-defined]
        if mean.item() != 1:  # one, unless somebody scales the loss
            gradients = [mean * gradient for gradient in gradients]
        return (*gradients, None, None, None, None)


# rows of the work space; those of every gene come first, in the order of GeneInputs
_BY_GENE = _GENE_INPUTS * CHUNK
_SPLICED, _UNSPLICED, _RHO, _TAU = (k * CHUNK for k in range(20, 24))
_CONCENTRATION, _STATES = 24 * CHUNK, 28 * CHUNK
_BY_RHO, _BY_TAU = 32 * CHUNK, 33 * CHUNK
_BY_CONCENTRATION, _BY_STATES = 34 * CHUNK, 38 * CHUNK
_ROWS = 42
_ZERO, _ONE = number(0), number(1)

_loop = compiled_loop("contract", "nsz", "reassoc")


@_loop
def _divergence_terms(work, n, prior, constant, scale):  # type: ignore[no-untyped-def]
    """Divergence of the state probabilities from the prior, and its gradient."""
    total = _ZERO
    for i in range(n):
        at = _CONCENTRATION + i
        c0, c1, c2, c3 = work[at], work[at + CHUNK], work[at + 2 * CHUNK], work[at + 3 * CHUNK]
        whole = (c0 + c1) + (c2 + c3)
        log_gamma, digamma, trigamma = gamma_functions(whole)
        log_0, slope_0, bend_0 = gamma_functions(c0)
        log_1, slope_1, bend_1 = gamma_functions(c1)
        log_2, slope_2, bend_2 = gamma_functions(c2)
        log_3, slope_3, bend_3 = gamma_functions(c3)
        e0, e1, e2, e3 = c0 - prior, c1 - prior, c2 - prior, c3 - prior
        total += (
            (log_gamma - ((log_0 + log_1) + (log_2 + log_3)))
            + (
                (e0 * (slope_0 - digamma) + e1 * (slope_1 - digamma))
                + (e2 * (slope_2 - digamma) + e3 * (slope_3 - digamma))
            )
            + constant
        )
        shared = ((e0 + e1) + (e2 + e3)) * trigamma
        at = _BY_CONCENTRATION + i
        work[at] = scale * (e0 * bend_0 - shared)
        work[at + CHUNK] = scale * (e1 * bend_1 - shared)
        work[at + 2 * CHUNK] = scale * (e2 * bend_2 - shared)
        work[at + 3 * CHUNK] = scale * (e3 * bend_3 - shared)
    return total


@_loop
def _likelihood_terms(work, n, t_max, scale):  # type: ignore[no-untyped-def]
    """Log-likelihood of the data; gradients of its negative, those by gene added up."""
    total = _ZERO
    for i in range(n):
        alpha, beta, gamma = work[i], work[CHUNK + i], work[2 * CHUNK + i]
        switch = work[3 * CHUNK + i]
        u_steady, s_steady = work[4 * CHUNK + i], work[5 * CHUNK + i]
        u_switch, s_switch = work[6 * CHUNK + i], work[7 * CHUNK + i]
        u_noise, s_noise = work[8 * CHUNK + i], work[9 * CHUNK + i]
        rho, tau = work[_RHO + i], work[_TAU + i]
        rest = t_max - switch
        u_on, s_on, u_on_time, s_on_time, u_on_beta, s_on_beta, s_on_gamma = induction(
            alpha, beta, gamma, switch * rho
        )
        (
            u_off,
            s_off,
            u_off_time,
            s_off_time,
            u_off_beta,
            s_off_beta,
            s_off_gamma,
            u_left,
            became,
            s_left,
        ) = repression(beta, gamma, u_switch, s_switch, rest * tau)

        p0, free_0 = clamped(work[_STATES + i])
        p1, free_1 = clamped(work[_STATES + CHUNK + i])
        p2, free_2 = clamped(work[_STATES + 2 * CHUNK + i])
        p3, free_3 = clamped(work[_STATES + 3 * CHUNK + i])
        s_log, by_s_on, by_s_steady, by_s_off, by_s_noise, s_p0, s_p1, s_p2, s_p3 = mixture(
            work[_SPLICED + i], s_on, s_steady, s_off, s_noise, p0, p1, p2, p3
        )
        u_log, by_u_on, by_u_steady, by_u_off, by_u_noise, u_p0, u_p1, u_p2, u_p3 = mixture(
            work[_UNSPLICED + i], u_on, u_steady, u_off, u_noise, p0, p1, p2, p3
        )
        total += s_log + u_log

        common = number(2) / ((p0 + p1) + (p2 + p3))
        work[_BY_STATES + i] = scale * free_0 * (common - (s_p0 + u_p0))
        work[_BY_STATES + CHUNK + i] = scale * free_1 * (common - (s_p1 + u_p1))
        work[_BY_STATES + 2 * CHUNK + i] = scale * free_2 * (common - (s_p2 + u_p2))
        work[_BY_STATES + 3 * CHUNK + i] = scale * free_3 * (common - (s_p3 + u_p3))

        by_on_time = by_u_on * u_on_time + by_s_on * s_on_time
        by_off_time = by_u_off * u_off_time + by_s_off * s_off_time
        work[_BY_RHO + i] = -scale * switch * by_on_time
        work[_BY_TAU + i] = -scale * rest * by_off_time
        at = _BY_GENE + i
        work[at] -= (by_u_on * u_on + by_s_on * s_on) / alpha
        work[at + CHUNK] -= (by_u_on * u_on_beta + by_s_on * s_on_beta) + (
            by_u_off * u_off_beta + by_s_off * s_off_beta
        )
        work[at + 2 * CHUNK] -= by_s_on * s_on_gamma + by_s_off * s_off_gamma
        work[at + 3 * CHUNK] -= rho * by_on_time - tau * by_off_time
        work[at + 4 * CHUNK] -= by_u_steady
        work[at + 5 * CHUNK] -= by_s_steady
        work[at + 6 * CHUNK] -= by_u_off * u_left + by_s_off * became
        work[at + 7 * CHUNK] -= by_s_off * s_left
        work[at + 8 * CHUNK] -= by_u_noise
        work[at + 9 * CHUNK] -= by_s_noise
    return total


@_loop
def _data_terms(  # type: ignore[no-untyped-def]
    start,
    stop,
    spliced,
    unspliced,
    concentration,
    states,
    rho,
    tau,
    genes,
    by_concentration,
    by_states,
    by_rho,
    by_tau,
    by_gene,
    sums,
    t_max,
    prior,
    constant,
    scale,
):
    """Cells start..stop of one block, chunk by chunk of genes."""
    n_genes = rho.shape[1]
    work = np.empty(_ROWS * CHUNK, np.float32)
    block = start // CELLS_PER_BLOCK
    for first in range(0, n_genes, CHUNK):
        last = min(first + CHUNK, n_genes)
        n = last - first
        for k in range(_GENE_INPUTS):
            work[k * CHUNK : k * CHUNK + n] = genes[k, first:last]
        work[_BY_GENE : _BY_GENE + _GENE_INPUTS * CHUNK] = _ZERO
        for cell in range(start, stop):
            work[_SPLICED : _SPLICED + n] = spliced[cell, first:last]
            work[_UNSPLICED : _UNSPLICED + n] = unspliced[cell, first:last]
            work[_RHO : _RHO + n] = rho[cell, first:last]
            work[_TAU : _TAU + n] = tau[cell, first:last]
            load_states(work, _CONCENTRATION, concentration[cell, first:last], n)
            load_states(work, _STATES, states[cell, first:last], n)
            sums[0, cell] -= _likelihood_terms(work, n, t_max, scale)
            sums[1, cell] += _divergence_terms(work, n, prior, constant, scale)
            by_rho[cell, first:last] = work[_BY_RHO : _BY_RHO + n]
            by_tau[cell, first:last] = work[_BY_TAU : _BY_TAU + n]
            store_states(work, _BY_CONCENTRATION, by_concentration[cell, first:last], n)
            store_states(work, _BY_STATES, by_states[cell, first:last], n)
        for k in range(_GENE_INPUTS):
            at = _BY_GENE + k * CHUNK
            for i in range(n):
                by_gene[block, k, first + i] = scale * work[at + i]
