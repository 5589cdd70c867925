r"""Dirichlet draws with a pathwise gradient, compiled and spread over threads.

A draw is four gamma variables divided by their sum. The gamma variables come from the method of
Marsaglia and Tsang (2000) for shape ``a + 1`` and are brought to shape ``a`` by a factor
:math:`U^{1/a}`, all in logarithms, because a shape of 1e-3 gives numbers of 1e-300 and below.

With :math:`h_k = d \log x_k / d a_k` of each gamma variable (see
:mod:`velovi.model.compiled.gamma_grad`),

.. math:: \frac{\partial \pi_j}{\partial a_k} = \pi_j (\delta_{jk} - \pi_k)\, h_k .

The sum S of the gamma variables is independent of their shares, so its randomness adds nothing
but noise to :math:`h_k`, which is a function of :math:`\pi_k S`. It is averaged over S and a
second value S', the mirror image of S about the middle of its distribution in a coordinate where
that is nearly symmetric. Weighting the two by their densities keeps the gradient unbiased:
given the pair, that is how often either is the one drawn.

Random numbers are a function of a key and of the place in the matrix (SplitMix64), so neither
threads nor blocks change them; the key comes from torch's global generator.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from velovi.model.compiled.gamma_grad import slope, slope_row
from velovi.model.compiled.scratch import CHUNK, load_states, store_states
from velovi.model.compiled.vector_math import compiled, compiled_loop, exp, fitted, log, number
from velovi.numerics.parallel import over_blocks
from velovi.numerics.random import GOLDEN_GAMMA, splitmix64


def covers(concentration: Tensor) -> bool:
    """Whether concentrations ``(cells, genes, 4)`` are what the compiled sampler takes."""
    return (
        concentration.device.type == "cpu"
        and concentration.dtype == torch.float32
        and concentration.dim() == 3
        and concentration.shape[-1] == 4
    )


def sample(concentration: Tensor, out: Tensor | None = None) -> Tensor:
    """One draw for each cell and gene, ``(cells, genes, 4)``, with the pathwise gradient.

    Parameters
    ----------
    concentration
        For which :func:`covers` says yes.
    out
        Contiguous memory for the draw, which then has no gradient.
    """
    if out is None:
        return _Draw.apply(concentration)
    _draw_into(concentration.contiguous(), out, out[:0])
    return out


def _draw_into(concentration: Tensor, states: Tensor, slopes: Tensor) -> None:
    arrays = [t.numpy() for t in (concentration, states, slopes)]
    keys = fresh_keys()
    over_blocks(
        lambda start, stop: _draw(start, stop, *arrays, *keys),
        len(concentration),
        torch.get_num_threads(),
    )


def fresh_keys() -> NDArray[np.uint64]:
    """Two keys from torch's global generator: for the first proposals and for later ones."""
    return torch.randint(2**63 - 1, (2,), dtype=torch.int64).numpy().view(np.uint64)


class _Draw(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, concentration: Tensor) -> Tensor:
        concentration = concentration.contiguous()
        states = torch.empty_like(concentration)
        sloped = ctx.needs_input_grad[0]  # type: ignore[attr-defined]
        slopes = torch.empty_like(concentration if sloped else concentration[:0])
        _draw_into(concentration, states, slopes)
        ctx.save_for_backward(states, slopes)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, by_states: Tensor) -> Tensor:
        states, slopes = ctx.saved_tensors  # type: ignore[attr-defined]
        by_concentration = torch.empty_like(states)
        arrays = [t.numpy() for t in (states, slopes, by_states.contiguous(), by_concentration)]
        over_blocks(
            lambda start, stop: _pull_back(start, stop, *arrays),
            len(states),
            torch.get_num_threads(),
        )
        return by_concentration


_loop = compiled_loop("contract", "nsz")

_ZERO, _ONE, _TWO, _HALF, _THIRD = number(0), number(1), number(2), number(0.5), number(1 / 3)
_PER_2_31 = number(2.0**-31)


@compiled
def _bits(key, counter):  # type: ignore[no-untyped-def]
    """64 random bits for each counter."""
    return splitmix64(key + np.uint64(counter) * GOLDEN_GAMMA)


@compiled
def _uniforms(key, counter):  # type: ignore[no-untyped-def]
    """Two uniform numbers in (0, 1]."""
    bits = _bits(key, counter)
    high = np.int32(bits >> np.uint64(33))
    low = np.int32(bits & np.uint64(0x7FFFFFFF))
    return (number(high) + _HALF) * _PER_2_31, (number(low) + _HALF) * _PER_2_31


_sine = fitted(lambda q: np.sin(np.pi * np.sqrt(q)) / np.sqrt(q), 0.0, 0.25, 4)
_cosine = fitted(lambda q: np.cos(np.pi * np.sqrt(q)), 0.0, 0.25, 5)


@compiled
def _normals(for_radius, for_angle):  # type: ignore[no-untyped-def]
    """Two normal numbers from two uniform ones (Box and Muller 1958)."""
    radius = np.sqrt(-_TWO * log(for_radius))
    # an angle of the right half of the circle, in half turns, and which half it is
    right = for_angle < _HALF
    angle = _TWO * (for_angle - (number(0.25) if right else number(0.75)))
    side = _ONE if right else -_ONE
    square = angle * angle
    return radius * angle * _sine(square), radius * side * _cosine(square)


@compiled
def _log_gamma_draw(shape, normal, for_acceptance, for_boost):  # type: ignore[no-untyped-def]
    """Logarithm of a proposed gamma variable, and whether it is accepted."""
    middle = shape + _TWO * _THIRD  # shape + 1 - 1/3
    root = _ONE + normal * _THIRD / np.sqrt(middle)
    log_cube = number(3) * log(max(root, number(1e-6)))
    cube = root * root * root
    bound = _HALF * normal * normal + middle * ((_ONE - cube) + log_cube)
    accepted = root > _ZERO and log(for_acceptance) < bound
    return log(middle) + log_cube + log(for_boost) / shape, accepted


@compiled
def _mirrored(total_shape, log_total):  # type: ignore[no-untyped-def]
    """Mirror image of log S, and the share of the density that the image has of the two.

    In r = (S / M)^(1/3), S has the density r^(3 a - 1) exp(-S), nearly symmetric about r = 1
    for M near its mode.
    """
    middle = max(total_shape - _THIRD, _THIRD)
    log_middle = log(middle)
    root = _TWO - exp((log_total - log_middle) * _THIRD)
    image = log_middle + number(3) * log(max(root, number(1e-6)))
    power = total_shape - _THIRD
    gain = power * (image - log_total) - (exp(image) - exp(log_total))
    share = _ONE / (_ONE + exp(-gain))
    return image, (share if root > _ZERO else _ZERO)


# rows of the work space
SHAPES, _LOG_GAMMA, _REJECTED, STATES, _SLOPES = (k * CHUNK for k in (0, 4, 8, 12, 16))
_UNIFORMS = 20 * CHUNK
_LOG_TOTAL = 32 * CHUNK
ROWS = 33
_SMALLEST_SHAPE = number(1e-10)
# Pairs of uniform numbers. Two gamma variables need one for their normal numbers and one each
# for acceptance and the factor; the last of three needs two.
_PAIRS_FOR_FOUR, _PAIRS_FOR_THREE = 6, 5


@_loop
def _bound_shapes(work, n, states):  # type: ignore[no-untyped-def]
    """Keep shapes so far from zero that slopes stay finite; a missing number stays missing."""
    for k in range(states):
        for i in range(n):
            at = SHAPES + k * CHUNK + i
            work[at] = _SMALLEST_SHAPE if work[at] < _SMALLEST_SHAPE else work[at]


@_loop
def _fill_uniforms(work, n, key, first, pairs):  # type: ignore[no-untyped-def]
    for pair in range(pairs):
        at = _UNIFORMS + 2 * pair * CHUNK
        for i in range(n):
            work[at + i], work[at + CHUNK + i] = _uniforms(key, (first + i) * pairs + pair)


@_loop
def _propose_two(work, n, first_state):  # type: ignore[no-untyped-def]
    """Gamma variables of two states for each gene, and whether they were rejected."""
    uniforms, states = _UNIFORMS + 3 * first_state * CHUNK, first_state * CHUNK
    for i in range(n):
        at = uniforms + i
        normal_0, normal_1 = _normals(work[at], work[at + CHUNK])
        accept_0, boost_0 = work[at + 2 * CHUNK], work[at + 3 * CHUNK]
        accept_1, boost_1 = work[at + 4 * CHUNK], work[at + 5 * CHUNK]
        at = states + i
        draw_0, good_0 = _log_gamma_draw(work[SHAPES + at], normal_0, accept_0, boost_0)
        draw_1, good_1 = _log_gamma_draw(work[SHAPES + CHUNK + at], normal_1, accept_1, boost_1)
        work[_LOG_GAMMA + at], work[_LOG_GAMMA + CHUNK + at] = draw_0, draw_1
        work[_REJECTED + at] = _ZERO if good_0 else _ONE
        work[_REJECTED + CHUNK + at] = _ZERO if good_1 else _ONE


@_loop
def _propose_third(work, n):  # type: ignore[no-untyped-def]
    """The same for the last of three states."""
    for i in range(n):
        at = _UNIFORMS + 6 * CHUNK + i
        normal, _ = _normals(work[at], work[at + CHUNK])
        accept, boost = work[at + 2 * CHUNK], work[at + 3 * CHUNK]
        at = 2 * CHUNK + i
        draw, good = _log_gamma_draw(work[SHAPES + at], normal, accept, boost)
        work[_LOG_GAMMA + at] = draw
        work[_REJECTED + at] = _ZERO if good else _ONE


_ATTEMPTS = 32  # room in the counter; one in twenty is rejected, so this is never reached


@_loop
def _propose_again(work, n, key, first, states):  # type: ignore[no-untyped-def]
    """Draw the rejected ones until they are accepted."""
    for state in range(states):
        for i in range(n):
            at = state * CHUNK + i
            if work[_REJECTED + at] == _ZERO:
                continue
            counter = ((first + i) * 4 + state) * 2 * _ATTEMPTS
            for attempt in range(_ATTEMPTS):
                radius, angle = _uniforms(key, counter + 2 * attempt)
                accept, boost = _uniforms(key, counter + 2 * attempt + 1)
                normal, _ = _normals(radius, angle)
                draw, good = _log_gamma_draw(work[SHAPES + at], normal, accept, boost)
                if good:
                    work[_LOG_GAMMA + at] = draw
                    break


@_loop
def _normalise(work, n):  # type: ignore[no-untyped-def]
    """State probabilities, and the logarithm of the sum they were divided by."""
    for i in range(n):
        at = _LOG_GAMMA + i
        x0, x1, x2, x3 = work[at], work[at + CHUNK], work[at + 2 * CHUNK], work[at + 3 * CHUNK]
        top = max(max(x0, x1), max(x2, x3))
        p0, p1, p2, p3 = exp(x0 - top), exp(x1 - top), exp(x2 - top), exp(x3 - top)
        total = (p0 + p1) + (p2 + p3)
        per_total = _ONE / total
        at = STATES + i
        work[at], work[at + CHUNK] = p0 * per_total, p1 * per_total
        work[at + 2 * CHUNK], work[at + 3 * CHUNK] = p2 * per_total, p3 * per_total
        work[_LOG_TOTAL + i] = top + log(total)


@_loop
def _slope(work, n):  # type: ignore[no-untyped-def]
    """The slope ``pi_k h_k`` of each state, averaged over the sum."""
    for i in range(n):
        at = SHAPES + i
        a0, a1, a2, a3 = work[at], work[at + CHUNK], work[at + 2 * CHUNK], work[at + 3 * CHUNK]
        at = _LOG_GAMMA + i
        x0, x1, x2, x3 = work[at], work[at + CHUNK], work[at + 2 * CHUNK], work[at + 3 * CHUNK]
        at = STATES + i
        p0, p1, p2, p3 = work[at], work[at + CHUNK], work[at + 2 * CHUNK], work[at + 3 * CHUNK]
        log_total = work[_LOG_TOTAL + i]
        image, share = _mirrored((a0 + a1) + (a2 + a3), log_total)
        shift = image - log_total
        at = _SLOPES + i
        work[at] = p0 * _mean_slope(a0, x0, shift, share)
        work[at + CHUNK] = p1 * _mean_slope(a1, x1, shift, share)
        work[at + 2 * CHUNK] = p2 * _mean_slope(a2, x2, shift, share)
        work[at + 3 * CHUNK] = p3 * _mean_slope(a3, x3, shift, share)


@compiled
def _mean_slope(shape, log_x, shift, share):  # type: ignore[no-untyped-def]
    row, next_row, offset = slope_row(shape)
    own = slope(row, next_row, offset, log_x)
    mirrored = slope(row, next_row, offset, log_x + shift)
    return (own + share * (mirrored - own)) / shape


@_loop
def draw_three(work, n, place, key, key_again):  # type: ignore[no-untyped-def]
    """Shares of the first three rows of shapes, for the genes of one cell.

    A Dirichlet variable with two states taken together has the sum of their concentrations, so
    what needs only three shares need not draw four. ``place`` is that of the first gene in the
    matrix.
    """
    _bound_shapes(work, n, 3)
    _fill_uniforms(work, n, key, place, _PAIRS_FOR_THREE)
    _propose_two(work, n, 0)
    _propose_third(work, n)
    _propose_again(work, n, key_again, place, 3)
    for i in range(n):
        at = _LOG_GAMMA + i
        x0, x1, x2 = work[at], work[at + CHUNK], work[at + 2 * CHUNK]
        top = max(max(x0, x1), x2)
        p0, p1, p2 = exp(x0 - top), exp(x1 - top), exp(x2 - top)
        per_total = _ONE / (p0 + p1 + p2)
        at = STATES + i
        work[at], work[at + CHUNK], work[at + 2 * CHUNK] = (
            p0 * per_total,
            p1 * per_total,
            p2 * per_total,
        )


@_loop
def _draw(start, stop, concentration, states, slopes, key, key_again):  # type: ignore[no-untyped-def]
    """Cells start..stop, chunk by chunk of genes."""
    n_genes = concentration.shape[1]
    work = np.empty(ROWS * CHUNK, np.float32)
    for cell in range(start, stop):
        for first in range(0, n_genes, CHUNK):
            n = min(CHUNK, n_genes - first)
            load_states(work, SHAPES, concentration[cell, first : first + n], n)
            _bound_shapes(work, n, 4)
            place = cell * n_genes + first
            _fill_uniforms(work, n, key, place, _PAIRS_FOR_FOUR)
            _propose_two(work, n, 0)
            _propose_two(work, n, 2)
            _propose_again(work, n, key_again, place, 4)
            _normalise(work, n)
            store_states(work, STATES, states[cell, first : first + n], n)
            if slopes.shape[0]:  # nobody asks for them outside training
                _slope(work, n)
                store_states(work, _SLOPES, slopes[cell, first : first + n], n)


@_loop
def _pull_back(start, stop, states, slopes, by_states, by_concentration):  # type: ignore[no-untyped-def]
    """Gradients by concentration: ``slope_k (g_k - sum_j pi_j g_j)``."""
    for cell in range(start, stop):
        for gene in range(states.shape[1]):
            mean = _ZERO
            for k in range(4):
                mean += states[cell, gene, k] * by_states[cell, gene, k]
            for k in range(4):
                by_concentration[cell, gene, k] = slopes[cell, gene, k] * (
                    by_states[cell, gene, k] - mean
                )
