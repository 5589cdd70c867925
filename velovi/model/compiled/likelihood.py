"""The loss of one cell and gene with its derivatives, as compiled scalar functions.

The formulas are those of :mod:`velovi.model.kinetics` and :mod:`velovi.model.module`, where they
stand in tensor form; here each function also gives the derivatives, so that one pass over the
data replaces forward and backward. Everything is inlined into the loops of
:mod:`velovi.model.compiled.loss` and vectorised over genes: no branches beside selections, no calls
into the mathematics library.
"""

from __future__ import annotations

import math

import numpy as np

from velovi.model.compiled.vector_math import compiled, exp, fitted, log, number

_ZERO, _ONE, _TWO, _HALF = number(0), number(1), number(2), number(0.5)

# Below this the direct formulas would cancel; polynomials take over.
_SERIES_LIMIT = number(0.5)
_g_series = fitted(lambda x: -np.expm1(-x) / x, 0.0, 0.5, 5)
_r_series = fitted(lambda x: (-np.expm1(-x) - x * np.exp(-x)) / x**2, 0.0, 0.5, 5)


@compiled
def decay_pair(x, falling):  # type: ignore[no-untyped-def]
    """``g(x) = (1 - exp(-x)) / x`` and ``r(x) = -g'(x)``, given ``falling = exp(-x)``."""
    per_x = _ONE / x
    small = x < _SERIES_LIMIT
    g = _g_series(x) if small else (_ONE - falling) * per_x
    r = _r_series(x) if small else (g - falling) * per_x
    return g, r


@compiled
def _second_difference_series(a, b):  # type: ignore[no-untyped-def]
    r"""``[0, a, b]`` and its derivatives for small ``a <= b``.

    :math:`\sum_n (-1)^n h_n(a, b) / (n + 2)!` with the complete homogeneous polynomials
    :math:`h_n = a h_{n-1} + b^n`.
    """
    h, power, slope_a, slope_b = _ONE, _ONE, _ZERO, _ZERO
    coefficient = _HALF
    value, by_a, by_b = _HALF, _ZERO, _ZERO
    for order in range(1, 8):
        slope_a = h + a * slope_a
        slope_b = h + b * slope_b
        power = power * b
        h = a * h + power
        coefficient = -coefficient / number(order + 2)
        value += coefficient * h
        by_a += coefficient * slope_a
        by_b += coefficient * slope_b
    return value, by_a, by_b


@compiled
def _first_difference(low, span, time):  # type: ignore[no-untyped-def]
    r"""The exponentials of two rates, ``low <= high = low + span``, after ``time``.

    Returns :math:`e^{-a}, e^{-b}`, their divided difference :math:`F = (e^{-a} - e^{-b})/(b - a)`
    and :math:`-\partial F / \partial b`, at ``a = low time`` and ``b = high time``.
    """
    slow = exp(-low * time)
    apart = exp(-span * time)
    g, r = decay_pair(span * time, apart)
    return slow, slow * apart, slow * g, slow * r


@compiled
def induction(alpha, beta, gamma, time):  # type: ignore[no-untyped-def]
    r"""Abundance after transcribing for ``time``, starting empty, and its derivatives.

    With :math:`a, b` the smaller and the larger of :math:`\beta t, \gamma t` and
    :math:`Q = [0, a, b]` the second divided difference of :math:`e^{-x}`,

    .. math::

        u = \alpha t\, g(\beta t), \qquad s = \alpha \beta t^2 Q, \qquad
        \partial u / \partial t = \alpha e^{-\beta t}, \qquad
        \partial s / \partial t = \alpha \beta t F .

    Returns
    -------
    tuple
        ``u, s``, then their derivatives by time, by ``beta`` and by ``gamma`` (``s`` only);
        those by ``alpha`` are ``u / alpha`` and ``s / alpha``.
    """
    low, high = min(beta, gamma), max(beta, gamma)
    slow, fast, first, first_slope = _first_difference(low, high - low, time)
    a, b = low * time, high * time
    g_slow, r_slow = decay_pair(a, slow)
    g_fast, r_fast = decay_pair(b, fast)
    near, near_a, near_b = _second_difference_series(a, b)
    per_b = _ONE / b
    small = b < _SERIES_LIMIT
    second = near if small else (g_slow - first) * per_b
    by_a = near_a if small else (first - first_slope - r_slow) * per_b
    by_b = near_b if small else (first_slope - second) * per_b

    splicing_is_slow = beta < gamma
    falling = slow if splicing_is_slow else fast
    g = g_slow if splicing_is_slow else g_fast
    r = r_slow if splicing_is_slow else r_fast
    by_beta = by_a if splicing_is_slow else by_b
    by_gamma = by_b if splicing_is_slow else by_a

    made = alpha * time
    return (
        made * g,
        made * beta * time * second,
        alpha * falling,
        made * beta * first,
        -made * time * r,
        made * time * (second + beta * time * by_beta),
        made * beta * time * time * by_gamma,
    )


@compiled
def repression(beta, gamma, unspliced, spliced, time):  # type: ignore[no-untyped-def]
    r"""Abundance ``time`` after transcription stopped at ``(unspliced, spliced)``.

    .. math:: u = u_0 e^{-\beta t}, \qquad s = s_0 e^{-\gamma t} + \beta u_0 t F

    Returns
    -------
    tuple
        ``u, s``, their derivatives by time, by ``beta``, ``s`` by ``gamma``, and the shares
        :math:`e^{-\beta t}, \beta t F, e^{-\gamma t}` of the start that are left.
    """
    low, high = min(beta, gamma), max(beta, gamma)
    slow, fast, first, first_slope = _first_difference(low, high - low, time)
    splicing_is_slow = beta < gamma
    u_left = slow if splicing_is_slow else fast
    s_left = fast if splicing_is_slow else slow
    by_beta = first_slope - first if splicing_is_slow else -first_slope
    by_gamma = -first_slope if splicing_is_slow else first_slope - first
    became = beta * time * first
    u = unspliced * u_left
    s = spliced * s_left + unspliced * became
    return (
        u,
        s,
        -beta * u,
        beta * u - gamma * s,
        -time * u,
        unspliced * time * (first + beta * time * by_beta),
        unspliced * beta * time * time * by_gamma - time * spliced * s_left,
        u_left,
        became,
        s_left,
    )


# in the repression steady state the noise is a tenth of elsewhere
_PER_REST_NOISE = number(10)
_LOG_PER_REST_NOISE = number(math.log(10))
_HALF_LOG_TWO_PI = number(0.5 * math.log(2 * math.pi))
_EPS = number(np.finfo(np.float32).eps)
_MOST = number(1) - _EPS


@compiled
def clamped(probability):  # type: ignore[no-untyped-def]
    """A probability kept away from 0 and 1, and whether it was within (1.0) or not (0.0)."""
    kept = _EPS if probability < _EPS else probability
    kept = _MOST if kept > _MOST else kept
    return kept, (_ONE if kept == probability else _ZERO)


@compiled
def mixture(x, ind, steady, rep, noise, p0, p1, p2, p3):  # type: ignore[no-untyped-def]
    r"""Log-density of a mixture of four normals and its derivatives.

    Three have the given means and standard deviation ``noise``, the last is at zero with a tenth
    of it. The weights ``p0 .. p3`` are positive; their sum divides out.

    Returns
    -------
    tuple
        The log-density; its derivatives by the three means and by ``noise``; and those by each
        weight, less the one over their sum that all have in common.
    """
    per_noise = _ONE / noise
    z0, z1, z2 = (x - ind) * per_noise, (x - steady) * per_noise, (x - rep) * per_noise
    z3 = _PER_REST_NOISE * x * per_noise
    q0, q1, q2 = -_HALF * z0 * z0, -_HALF * z1 * z1, -_HALF * z2 * z2
    q3 = _LOG_PER_REST_NOISE - _HALF * z3 * z3
    top = max(max(q0, q1), max(q2, q3))
    e0, e1, e2, e3 = exp(q0 - top), exp(q1 - top), exp(q2 - top), exp(q3 - top)
    w0, w1, w2, w3 = p0 * e0, p1 * e1, p2 * e2, p3 * e3
    total = (w0 + w1) + (w2 + w3)
    per_total = _ONE / total
    value = top + log(total * per_noise / ((p0 + p1) + (p2 + p3))) - _HALF_LOG_TWO_PI
    pull = per_noise * per_total
    by_ind, by_steady, by_rep = w0 * z0 * pull, w1 * z1 * pull, w2 * z2 * pull
    spread = (w0 * z0 * z0 + w1 * z1 * z1) + (w2 * z2 * z2 + w3 * z3 * z3)
    return (
        value,
        by_ind,
        by_steady,
        by_rep,
        spread * pull - per_noise,
        e0 * per_total,
        e1 * per_total,
        e2 * per_total,
        e3 * per_total,
    )
