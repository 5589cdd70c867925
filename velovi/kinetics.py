"""The splicing equations in NumPy: ``du/dt = alpha - beta u`` and ``ds/dt = beta u - gamma s``.

The model has them in torch (:mod:`velovi.model.kinetics`) and in compiled loops
(:mod:`velovi.model.compiled.likelihood`), where gradients are needed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

_TINY = 1e-8


def splicing_solution(
    unspliced: ArrayLike,
    spliced: ArrayLike,
    alpha: ArrayLike,
    beta: ArrayLike,
    gamma: ArrayLike,
    time: ArrayLike,
) -> tuple[np.ndarray, np.ndarray]:
    """Unspliced and spliced abundance after some time at constant rates; shapes broadcast.

    Parameters
    ----------
    unspliced, spliced
        Abundance at the beginning.
    alpha, beta, gamma
        Transcription, splicing and degradation rate, per unit of time; ``beta`` and ``gamma`` are
        above 0 and may be equal.
    time
        How long, 0 or more.

    Examples
    --------
    >>> u, s = splicing_solution(0.0, 0.0, 1.0, 0.5, 0.3, 100.0)
    >>> round(float(u), 6), round(float(s), 6)  # steady state: alpha / beta, alpha / gamma
    (2.0, 3.333333)
    """
    u, alpha, beta, gamma, time = map(np.asarray, (unspliced, alpha, beta, gamma, time))
    new_u = u * np.exp(-beta * time) + alpha / beta * -np.expm1(-beta * time)
    new_s = np.asarray(spliced) * np.exp(-gamma * time) + alpha / gamma * -np.expm1(-gamma * time)
    return new_u, new_s + (alpha - beta * u) * _difference(beta, gamma, time)


def _difference(beta: np.ndarray, gamma: np.ndarray, time: np.ndarray) -> np.ndarray:
    """``(exp(-gamma t) - exp(-beta t)) / (gamma - beta)``, also where the rates are equal.

    With ``m`` the smaller rate and ``d`` their distance it is
    ``-t exp(-m t) (1 - exp(-d t)) / (d t)``, and the last factor tends to one.
    """
    x = np.abs(gamma - beta) * time
    tiny = x < _TINY
    factor = np.where(tiny, 1.0 - x / 2, -np.expm1(-x) / np.where(tiny, 1.0, x))
    return -time * np.exp(-np.minimum(beta, gamma) * time) * factor
