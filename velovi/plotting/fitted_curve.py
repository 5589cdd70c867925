"""The fitted course of a gene: transcription on (induction), then off (repression)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, Self

import numpy as np

from velovi.errors import OptionError
from velovi.keys import TIME_AXIS
from velovi.kinetics import splicing_solution

CURVE_PARTS: tuple[Literal["induction"], Literal["repression"]] = ("induction", "repression")
"""Parts of a fitted course, in the order of time."""
NO_CELLS = "no cells there"
"""Names the part of a fitted course where no cells lie, in a key."""
_NEAR = 0.03 * TIME_AXIS  # how far in time a cell may be from a point of the curve
_LEAST_SHARE, _LEAST_CELLS = 0.002, 3.0  # of the cells in which the gene does not rest


@dataclass(frozen=True)
class CurveSegment:
    """A piece of a fitted course that is drawn in one dress.

    Attributes
    ----------
    part
        Whether transcription is on or off.
    measured
        Whether cells lie at these times; elsewhere the curve says what was never seen.
    t, u, s
        Time, unspliced and spliced abundance, (points,).
    name
        In a key; empty for what needs none beside the others.
    """

    part: Literal["induction", "repression"]
    measured: bool
    t: np.ndarray
    u: np.ndarray
    s: np.ndarray
    name: str = ""


@dataclass(frozen=True)
class FittedCurve:
    """A gene's fitted course: unspliced and spliced in induction, then in repression.

    ``t_on`` and ``t_off`` are times on the gene's axis; all arrays have one length (points,).
    ``measured_on`` and ``measured_off`` say where cells lie; None when that is not known.
    """

    u_on: np.ndarray
    s_on: np.ndarray
    u_off: np.ndarray
    s_off: np.ndarray
    t_on: np.ndarray
    t_off: np.ndarray
    measured_on: np.ndarray | None = None
    measured_off: np.ndarray | None = None

    def __post_init__(self) -> None:
        parts = (self.u_on, self.s_on, self.u_off, self.s_off, self.t_on, self.t_off)
        told = (self.measured_on, self.measured_off)
        lengths = {len(part) for part in (*parts, *told) if part is not None}
        if len(lengths) != 1:
            raise OptionError("the parts of a fitted curve differ in length", found=str(lengths))

    def with_cells(self, time: np.ndarray, weights: np.ndarray | None = None) -> Self:
        """The same curve, told at which of its points cells lie.

        Parameters
        ----------
        time
            Latent time of this gene in each cell (cells,).
        weights
            How much a cell counts (cells,): the probability that the gene is not at rest there.

        Examples
        --------
        >>> curve = fitted_curve(1.0, 0.5, 0.3, 8.0, points=21).with_cells(np.linspace(0, 5, 50))
        >>> curve.measured_on.sum(), curve.measured_off.sum()
        (np.int64(14), np.int64(0))
        """
        time = np.asarray(time, dtype=float)
        counts = np.ones(len(time)) if weights is None else np.asarray(weights, dtype=float)
        known = np.isfinite(time) & np.isfinite(counts)
        order = np.argsort(time[known])
        at, total = time[known][order], np.append(0.0, np.cumsum(counts[known][order]))
        least = max(_LEAST_SHARE * total[-1], _LEAST_CELLS)

        def measured(points: np.ndarray) -> np.ndarray:
            first = np.searchsorted(at, points - _NEAR, "left")
            last = np.searchsorted(at, points + _NEAR, "right")
            return total[last] - total[first] >= least

        return replace(self, measured_on=measured(self.t_on), measured_off=measured(self.t_off))

    def segments(self, last: float = np.inf) -> Iterator[CurveSegment]:
        """Pieces of the curve in the order of time, up to a last time, ready to be drawn.

        The first piece of each part that has cells is named by it, else the first of the part,
        which says that it has none; so does the first unnamed piece without cells.
        """
        halves = (
            (CURVE_PARTS[0], self.t_on, self.u_on, self.s_on, self.measured_on),
            (CURVE_PARTS[1], self.t_off, self.u_off, self.s_off, self.measured_off),
        )
        told_of_none = False
        for part, t, u, s, measured in halves:
            shown = np.flatnonzero(t <= last)
            if len(shown) < 2:
                continue
            flags = np.ones(len(t), dtype=bool) if measured is None else measured
            flags = flags[shown]
            edges = [0, *(np.flatnonzero(np.diff(flags)) + 1), len(flags)]
            pieces = list(pairwise(edges))
            named = next((at for at, (low, _) in enumerate(pieces) if flags[low]), 0)
            for number, (low, high) in enumerate(pieces):
                name: str = part if number == named else ""
                if name and not flags[low]:
                    name = f"{part} ({NO_CELLS})"
                if not name and not flags[low] and not told_of_none:
                    name, told_of_none = NO_CELLS, True
                # one point more, so that the pieces touch
                rows = shown[low : min(high + 1, len(shown))]
                yield CurveSegment(part, bool(flags[low]), t[rows], u[rows], s[rows], name)


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
