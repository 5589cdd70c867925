r"""Closed forms of the splicing dynamics, accurate for every pair of rates.

The system is ``du/dt = alpha(t) - beta u`` and ``ds/dt = beta u - gamma s`` with time in units of
the model's axis. The textbook solutions divide by ``gamma - beta`` and subtract numbers that are
nearly equal at small times; here every sum has terms of one sign, so nothing cancels. Three
functions of one variable carry it all:

.. math::

    g(x) = \frac{1 - e^{-x}}{x}, \qquad
    r(x) = \frac{1 - (1 + x) e^{-x}}{x^2}, \qquad
    w(x) = \frac{x - 1 + e^{-x}}{x^2}

with limits 1, 1/2 and 1/2 at zero. With :math:`m = \min(\beta, \gamma)\,t`,
:math:`D = |\gamma - \beta|\,t` and :math:`\kappa = \min(\beta, \gamma) / \max(\beta, \gamma)`,
induction from an empty cell is

.. math::

    u = \alpha t\, g(\beta t), \qquad
    s = \alpha \beta t^2 \left[ \kappa\, r(m) + (1 - \kappa)\, e^{-m} w(D) \right]

and repression from :math:`(u_0, s_0)` is

.. math::

    u = u_0 e^{-\beta t}, \qquad s = s_0 e^{-\gamma t} + \beta u_0 t\, e^{-m} g(D).

All functions broadcast: rates are usually ``(genes,)`` and times ``(cells, genes)``. They are
pure tensor mathematics and work on any device and in any floating type.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# Below this, Taylor polynomials of degree 9 are exact to float64's need for these functions'
# derivatives in float32; above it, the direct formulas lose less than four bits.
_SERIES_LIMIT = 0.5
_G_SERIES = (1.0, -1 / 2, 1 / 6, -1 / 24, 1 / 120, -1 / 720, 1 / 5040, -1 / 40320, 1 / 362880)


def _factorial_series(numerators: tuple[float, ...]) -> tuple[float, ...]:
    """Coefficients ``numerator_k (-1)^k / (k + 2)!``."""
    coefficients, factorial = [], 2.0
    for order, numerator in enumerate(numerators):
        coefficients.append((-1) ** order * numerator / factorial)
        factorial *= order + 3
    return tuple(coefficients)


_TERMS = 11
_W_SERIES = _factorial_series((1.0,) * _TERMS)
_R_SERIES = _factorial_series(tuple(float(k + 1) for k in range(_TERMS)))


class Rates(NamedTuple):
    """Kinetic rates of every gene, each ``(genes,)``, per unit of model time.

    Transcription goes from ``alpha`` at the start of induction towards ``alpha_1`` at rate
    ``lambda_alpha`` when ``time_dependent`` is set; otherwise it is ``alpha`` throughout.
    """

    alpha: Tensor
    beta: Tensor
    gamma: Tensor
    alpha_1: Tensor
    lambda_alpha: Tensor
    time_dependent: bool = False


class Abundance(NamedTuple):
    """Unspliced and spliced abundance, broadcast to the shape of time."""

    unspliced: Tensor
    spliced: Tensor


def _polynomial(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    value = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value * x + coefficient
    return value


def _by_size(x: Tensor, series: tuple[float, ...], direct: Tensor, small: Tensor) -> Tensor:
    near_zero = torch.where(small, x, torch.zeros_like(x))
    return torch.where(small, _polynomial(near_zero, series), direct)


def _split(x: Tensor) -> tuple[Tensor, Tensor]:
    # the unused branch of ``where`` must stay finite, or its gradient would be NaN
    small = x < _SERIES_LIMIT
    return small, torch.where(small, torch.ones_like(x), x)


def decay_mean(x: Tensor) -> Tensor:
    """``g(x) = (1 - exp(-x)) / x`` for ``x >= 0``; 1 at zero."""
    small, away = _split(x)
    return _by_size(x, _G_SERIES, -torch.expm1(-away) / away, small)


def _r(x: Tensor) -> Tensor:
    small, away = _split(x)
    direct = (-torch.expm1(-away) - away * torch.exp(-away)) / (away * away)
    return _by_size(x, _R_SERIES, direct, small)


def _w(x: Tensor) -> Tensor:
    small, away = _split(x)
    direct = (away + torch.expm1(-away)) / (away * away)
    return _by_size(x, _W_SERIES, direct, small)


def _second_difference(low: Tensor, middle: Tensor, high: Tensor, time: Tensor) -> Tensor:
    """Second divided difference of ``exp(-x t)`` at three sorted rates, over ``t**2``.

    Zero rates are allowed; the result is positive.
    """
    inner, outer = middle - low, high - low
    share = inner / torch.where(outer > 0, outer, torch.ones_like(outer))
    m = inner * time
    bracket = share * _r(m) + (1 - share) * torch.exp(-m) * _w((outer - inner) * time)
    return torch.exp(-low * time) * bracket


def _first_difference(a: Tensor, b: Tensor, time: Tensor) -> Tensor:
    """``(exp(-a t) - exp(-b t)) / ((b - a) t)``, symmetric and positive."""
    return torch.exp(-torch.minimum(a, b) * time) * decay_mean((a - b).abs() * time)


def induction(rates: Rates, time: Tensor) -> Abundance:
    """Abundance after transcribing for ``time``, starting empty.

    Parameters
    ----------
    rates
        Rates, each ``(genes,)``.
    time
        Time since induction began, ``(..., genes)``, not negative.

    Returns
    -------
    Abundance
        Of the shape of ``time``. Gayoso, Weiler et al. 2024, Methods.
    """
    beta, gamma = rates.beta, rates.gamma
    low, high = torch.minimum(beta, gamma), torch.maximum(beta, gamma)
    plateau = rates.alpha_1 if rates.time_dependent else rates.alpha
    at_rest = torch.zeros_like(low)
    unspliced = plateau * time * decay_mean(beta * time)
    spliced = plateau * beta * time * time * _second_difference(at_rest, low, high, time)
    if rates.time_dependent:
        missing = rates.alpha_1 - rates.alpha
        lag = rates.lambda_alpha
        first, second, third = (
            torch.stack(torch.broadcast_tensors(lag, beta, gamma)).sort(dim=0).values
        )
        unspliced = unspliced - missing * time * _first_difference(lag, beta, time)
        spliced = spliced - missing * beta * time * time * _second_difference(
            first, second, third, time
        )
    return Abundance(unspliced, spliced)


def repression(rates: Rates, start: Abundance, time: Tensor) -> Abundance:
    """Abundance after transcription has been off for ``time``.

    Parameters
    ----------
    rates
        Rates, each ``(genes,)``.
    start
        Abundance when transcription stopped, ``(genes,)``.
    time
        Time since then, ``(..., genes)``, not negative.
    """
    beta, gamma = rates.beta, rates.gamma
    unspliced = start.unspliced * torch.exp(-beta * time)
    spliced = start.spliced * torch.exp(
        -gamma * time
    ) + beta * start.unspliced * time * _first_difference(beta, gamma, time)
    return Abundance(unspliced, spliced)


def steady_state(rates: Rates) -> Abundance:
    """Abundance after transcribing for ever, ``(genes,)``."""
    plateau = rates.alpha_1 if rates.time_dependent else rates.alpha
    return Abundance(plateau / rates.beta, plateau / rates.gamma)


def transcription_rate(rates: Rates, time: Tensor) -> Tensor:
    """Transcription rate at ``time`` after induction began, of the shape of ``time``."""
    if not rates.time_dependent:
        return rates.alpha.expand_as(time)
    return rates.alpha_1 - (rates.alpha_1 - rates.alpha) * torch.exp(-rates.lambda_alpha * time)


def spliced_velocity(rates: Rates, at: Abundance) -> Tensor:
    """``ds/dt = beta u - gamma s``."""
    return rates.beta * at.unspliced - rates.gamma * at.spliced


def unspliced_velocity(rates: Rates, at: Abundance, transcription: Tensor | float) -> Tensor:
    """``du/dt = alpha(t) - beta u``."""
    return transcription - rates.beta * at.unspliced
