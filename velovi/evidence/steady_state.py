"""Velocities of the steady-state model, in closed form, to set beside those of veloVI."""

from __future__ import annotations

from typing import Literal

import numpy as np
import scipy.sparse as sp

from velovi.errors import DataError, check_choice
from velovi.numerics.out_of_core import gene_blocks
from velovi.preprocessing import moment_weights
from velovi.scaling import steady_state_line

Mode = Literal["deterministic", "stochastic"]
MODES = {"deterministic": "Deterministic", "stochastic": "Stochastic"}
_EXTREME = 95  # percentile beyond which a cell counts as in steady state


def steady_state_gamma(
    spliced: sp.spmatrix,
    unspliced: sp.spmatrix,
    neighbors: sp.spmatrix,
    *,
    mode: Mode = "stochastic",
    cells: np.ndarray | None = None,
) -> np.ndarray:
    r"""Degradation over splicing rate of each gene at steady state.

    *Deterministic*: least squares of :math:`u = \gamma s` over the cells beyond the 95th percentile
    (La Manno et al. 2018). *Stochastic*: the same together with second moments
    :math:`2 \langle us \rangle + \langle u \rangle = \gamma (2 \langle s^2 \rangle - \langle s
    \rangle)` of all cells, each weighed by the spread of its residuals (Bergen et al. 2020). These
    are the numbers of scVelo 0.3.4 for its velocity genes.

    Parameters
    ----------
    spliced, unspliced
        Counts divided by cell size, not smoothed, (cells, genes).
    neighbors
        (cells, cells); means are over a cell and all its neighbours, alike.
    mode
        Which of the two.
    cells
        Positions of the cells that are fitted; all when left out.

    Returns
    -------
    (genes,) float64, in the units of u over s; 0 where a gene has no spliced counts.

    Raises
    ------
    DataError
        Shapes disagree.
    OptionError
        There is no such mode.

    Examples
    --------
    >>> from velovi.evidence import steady_state_gamma
    >>> layers = result.layers["spliced"], result.layers["unspliced"]
    >>> steady_state_gamma(*layers, result.obsp["connectivities"]).shape == (result.n_vars,)
    True
    """
    check_choice("mode", mode, MODES)
    s, u = (sp.csc_matrix(layer, dtype=np.float64) for layer in (spliced, unspliced))
    if s.shape != u.shape or neighbors.shape != (s.shape[0], s.shape[0]):
        raise DataError(
            "layers and neighbours disagree",
            where="steady_state_gamma",
            expected="two layers of one shape, and neighbours of the same cells",
            found=f"{s.shape}, {u.shape} and {neighbors.shape}",
            remedy="Take all three from one AnnData",
        )
    weights = moment_weights(neighbors)
    if cells is not None:
        weights = weights[cells]
    gamma = np.zeros(s.shape[1])
    for block in gene_blocks(weights.shape[0], s.shape[1]):
        smooth_s, smooth_u = (weights @ layer[:, block].toarray() for layer in (s, u))
        gamma[block] = steady_state_line(smooth_s, smooth_u)[0]
        if mode == "stochastic":
            squares = weights @ s[:, block].multiply(s[:, block]).toarray()
            products = weights @ s[:, block].multiply(u[:, block]).toarray()
            gamma[block] = _generalised(smooth_s, smooth_u, squares, products, gamma[block])
    return gamma


def _generalised(
    s: np.ndarray, u: np.ndarray, ss: np.ndarray, us: np.ndarray, gamma: np.ndarray
) -> np.ndarray:
    """Slope of first and second moments together, (genes,)."""
    spread, both = 2 * ss - s, 2 * us + u
    second = _ratio((spread * both).sum(axis=0), (spread * spread).sum(axis=0))
    noise = (u - gamma * s).var(axis=0)
    second_noise = (both - second * spread).var(axis=0)
    level = s / np.maximum(s.max(axis=0), 1e-3) + u / np.maximum(u.max(axis=0), 1e-3)
    extreme = (level >= np.percentile(level, _EXTREME, axis=0)) | (
        s >= np.percentile(s, _EXTREME, axis=0)
    )
    # a residual without any spread leaves nothing to weigh by
    usable = (noise > 0) & (second_noise > 0)
    w1, w2 = (1 / np.where(usable, item, 1.0) for item in (noise, second_noise))
    top = w1 * (extreme * s * u).sum(axis=0) + w2 * (spread * both).sum(axis=0)
    bottom = w1 * (extreme * s * s).sum(axis=0) + w2 * (spread * spread).sum(axis=0)
    return np.where(usable, _ratio(top, bottom), gamma)


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)


def steady_state_velocity(
    smoothed_spliced: np.ndarray, smoothed_unspliced: np.ndarray, gamma: np.ndarray
) -> np.ndarray:
    """What unspliced counts are above the steady-state line: ``u - gamma s``.

    Parameters
    ----------
    smoothed_spliced, smoothed_unspliced
        Means over neighbours, not scaled, (cells, genes).
    gamma
        From :func:`steady_state_gamma`, (genes,).

    Returns
    -------
    (cells, genes), change of spliced counts in the time in which a molecule is spliced.

    Examples
    --------
    >>> import numpy as np
    >>> from velovi.evidence import steady_state_velocity
    >>> steady_state_velocity(np.array([[2.0]]), np.array([[3.0]]), np.array([0.5]))
    array([[2.]])
    """
    return smoothed_unspliced - gamma * smoothed_spliced
