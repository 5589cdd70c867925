"""The fitted course of a gene: transcription on (induction), then off (repression)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from velovi.errors import OptionError
from velovi.keys import TIME_AXIS
from velovi.kinetics import splicing_solution


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
    u_on, s_on = splicing_solution(0.0, 0.0, alpha, beta, gamma, t_on)
    u_off, s_off = splicing_solution(u_on[-1], s_on[-1], 0.0, beta, gamma, since)
    return FittedCurve(u_on, s_on, u_off, s_off, t_on, switch_time + since)
