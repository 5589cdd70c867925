"""How far a cell's direction is off, in degrees, learned on simulated cells of many kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from velovi.numerics.vectors import row_cosines

LEVELS = (0.5, 0.8, 0.95)
"""Shares of cells whose true angle lies below the numbers given."""
FEATURES = ("steady_state_angle", "log_speed", "gene_half_angle")
# Linear quantile regressions of the angle to the true velocity, in degrees, fitted by
# `python -m tests.benchmarks.direction_error`, which says on what and how well they hold.
_COEFFICIENTS: Mapping[float, tuple[float, ...]] = {
    0.5: (20.938, 0.6507, -15.667, 0.1577),
    0.8: (32.839, 0.6063, -16.570, 0.1729),
    0.95: (49.668, 0.4543, -24.269, 0.1604),
}
# The same of cells whose velocity was taken away, by the angle between halves of the genes alone:
# where they agree, something that is no velocity (groups, the smoothing) leads the right way.
_WITHOUT_VELOCITY: Mapping[float, tuple[float, float]] = {
    0.5: (75.4, 0.1409),
    0.8: (87.9, 0.0799),
    0.95: (107.4, -0.0340),
}
_LEAST, _MOST = 5.0, 130.0
_SPEEDS = (-2.0, 1.0)


def direction_features(
    velocity: np.ndarray, steady_state: np.ndarray, gene_halves: np.ndarray
) -> pd.DataFrame:
    """What the error of direction is told from.

    Parameters
    ----------
    velocity
        Posterior means of ds/dt, (cells, genes).
    steady_state
        Velocities of the steady-state model in the same units, (cells, genes).
    gene_halves
        From :func:`gene_half_agreement`, (cells,).

    Returns
    -------
    Row for each cell, columns :data:`FEATURES`: angle to the steady-state velocity over all genes
    (degrees), log of speed over the median speed (-2 to 1), and angle between the arrows of halves
    of the genes (degrees).
    """
    speed = np.linalg.norm(velocity, axis=1)
    middle = np.median(speed[speed > 0]) if (speed > 0).any() else 1.0
    return pd.DataFrame(
        {
            "steady_state_angle": _angle(row_cosines(velocity, steady_state)),
            "log_speed": np.clip(np.log(np.maximum(speed, 1e-12) / middle), *_SPEEDS),
            "gene_half_angle": _angle(gene_halves),
        }
    )


def _angle(cosine: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip(np.nan_to_num(cosine, nan=0.0), -1, 1)))


def direction_error(
    features: pd.DataFrame, support: Sequence[str] | np.ndarray, *, joins: bool = False
) -> pd.DataFrame:
    """Angles between estimated and true direction of change, below which shares of cells lie.

    The angle is that over all genes of the model, each in the units of the result. It is learned on
    simulated cells with known velocities: straight ways, branches and cycles of many depths, paces
    and kinds of noise. It holds on the average of such data sets and not on each, and supposes that
    the map as a whole is not reversed, which nothing in the counts can tell.

    Parameters
    ----------
    features
        From :func:`direction_features`.
    support
        The verdict on each cell, (cells,). Without evidence, and where nothing can be told, the
        angles are those of cells whose velocity was taken away and whose halves of the genes
        agree as these do.
    joins
        Whether ways join, so that the direction is more likely reversed: then the expected angle is
        that of the opposite direction, and there is no bound.

    Returns
    -------
    Row for each cell, columns :data:`LEVELS`, in degrees.

    Examples
    --------
    >>> import pandas as pd
    >>> from velovi.evidence.direction import FEATURES, direction_error
    >>> cells = pd.DataFrame([[30, 0.5, 2], [80, -1, 60], [30, 0.5, 2]], columns=FEATURES)
    >>> direction_error(cells, ["weak", "weak", "no evidence"]).round(0)[0.5].to_list()
    [33.0, 98.0, 76.0]
    """
    values = features[list(FEATURES)].to_numpy(dtype=float)
    found = {}
    for level, (constant, *slopes) in _COEFFICIENTS.items():
        found[level] = np.clip(constant + values @ np.array(slopes), _LEAST, _MOST)
    table = pd.DataFrame(found, index=features.index)
    table[:] = np.maximum.accumulate(table.to_numpy(), axis=1)
    if joins:
        table[0.5] = 180 - table[0.5]
        table[list(LEVELS[1:])] = 180.0
    nothing = np.isin(np.asarray(support).astype(str), ("no evidence", "cannot tell"))
    between = features["gene_half_angle"].to_numpy(dtype=float)[nothing]
    for level, (constant, slope) in _WITHOUT_VELOCITY.items():
        table.loc[nothing, level] = constant + slope * between
    return table
