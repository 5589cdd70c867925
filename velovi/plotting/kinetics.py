"""The fitted curve of a gene: closed-form solution of the splicing equations.

``du/dt = alpha - beta u`` and ``ds/dt = beta u - gamma s``, first with transcription on
(induction), then with ``alpha = 0`` (repression).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from velovi.errors import OptionError

TIME_AXIS = 20.0


@dataclass(frozen=True)
class FittedCurve:
    """A gene's fitted course: unspliced and spliced in induction, then in repression.

    ``t_on`` and ``t_off`` are times on the gene's axis; all arrays have one length (points,).
    """

    u_on: np.ndarray
    s_on: np.ndarray
    u_off: np.ndarray
    s_off: np.ndarray
    t_on: np.ndarray
    t_off: np.ndarray

    def __post_init__(self) -> None:
        parts = (self.u_on, self.s_on, self.u_off, self.s_off, self.t_on, self.t_off)
        lengths = {len(part) for part in parts}
        if len(lengths) != 1:
            raise OptionError("the parts of a fitted curve differ in length", found=str(lengths))


def fitted_curve(
    alpha: float,
    beta: float,
    gamma: float,
    switch_time: float,
    *,
    t_max: float = TIME_AXIS,
    points: int = 160,
) -> FittedCurve | None:
    """Solve the splicing equations for one gene.

    Parameters
    ----------
    alpha, beta, gamma
        Transcription, splicing and degradation rate, per scaled time.
    switch_time
        When transcription turns off.
    t_max
        How long repression is followed.
    points
        Points in each half.

    Returns
    -------
    The curve, or None when a rate is missing or makes no sense.

    Examples
    --------
    >>> curve = fitted_curve(1.0, 0.5, 0.3, 8.0)
    >>> round(float(curve.u_on[-1]), 3)
    1.963
    """
    rates = np.array([alpha, beta, gamma, switch_time], dtype=float)
    if not np.isfinite(rates).all() or (rates[1:3] <= 0).any() or rates[3] < 0:
        return None
    t_on, since = np.linspace(0.0, switch_time, points), np.linspace(0.0, t_max, points)
    u_on, s_on = induction(t_on, alpha, beta, gamma)
    u_off, s_off = repression(since, u_on[-1], s_on[-1], beta, gamma)
    return FittedCurve(u_on, s_on, u_off, s_off, t_on, switch_time + since)


def induction(
    t: np.ndarray, alpha: float, beta: float, gamma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Unspliced and spliced, starting from none of either, with transcription on."""
    u = alpha / beta * -np.expm1(-beta * t)
    s = alpha / gamma * -np.expm1(-gamma * t) + alpha * _difference(t, beta, gamma)
    return u, s


def repression(
    t: np.ndarray, u_start: float, s_start: float, beta: float, gamma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Unspliced and spliced after transcription has turned off."""
    u = u_start * np.exp(-beta * t)
    s = s_start * np.exp(-gamma * t) - beta * u_start * _difference(t, beta, gamma)
    return u, s


def _difference(t: np.ndarray, beta: float, gamma: float) -> np.ndarray:
    """``(exp(-gamma t) - exp(-beta t)) / (gamma - beta)``, also where the rates are equal.

    With ``m`` the smaller rate and ``d`` their distance it is
    ``-t exp(-m t) (1 - exp(-d t)) / (d t)``, and the last factor tends to one.
    """
    smaller, x = min(beta, gamma), abs(gamma - beta) * t
    tiny = x < 1e-8
    factor = np.where(tiny, 1.0 - x / 2, -np.expm1(-x) / np.where(tiny, 1.0, x))
    return -t * np.exp(-smaller * t) * factor
