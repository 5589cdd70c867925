"""Transition probabilities between cells from the velocity graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from velovi.dynamics.graph import VelocityGraph
from velovi.errors import check_range

SCALE = 10.0
Kernel = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def transition_matrix(
    graph: VelocityGraph,
    *,
    scale: float = SCALE,
    self_transitions: bool = True,
    use_negative_cosines: bool = True,
) -> sparse.csr_matrix:
    r"""Exponential kernel of the cosines, each row normalised.

    With :math:`\lambda` = ``scale``, cosines :math:`\pi_{ij}` and the self transition
    :math:`\pi_{ii} = \mathrm{clip}(q_{98}(c) - c_i, 0, 1)`, where :math:`c_i = \max_j \pi_{ij}`
    is a cell's confidence and :math:`q_{98}` its 98th percentile over cells:

    .. math::
        w_{ij} = \begin{cases}
            \mathrm{sign}(\pi_{ij}) \, (e^{\lambda |\pi_{ij}|} - 1) & \text{negative cosines used}\\
            e^{\lambda \pi_{ij}} & \text{otherwise}
        \end{cases}
        \qquad T_{ij} = \frac{w_{ij}}{\sum_k |w_{ik}|}

    over stored (non-zero) cosines only. This is scVelo 0.3.4's kernel. With negative cosines a row
    holds negative entries and its *absolute* values sum to 1: a signed kernel for projecting
    velocities, not a Markov chain. Without them rows sum to 1.

    A cell without any non-zero entry (scVelo leaves its row empty) stays where it is: 1 on the
    diagonal.

    Parameters
    ----------
    graph
        Cosines from :func:`velovi.dynamics.velocity_graph`.
    scale
        Inverse width of the kernel; larger follows the best cosines more strictly.
    self_transitions
        Whether a cell with low confidence may stay where it is.
    use_negative_cosines
        Whether steps against the velocity count as negative evidence.

    Returns
    -------
    csr float32 (cells, cells).

    Raises
    ------
    OptionError
        ``scale`` is not a positive number.
    """
    check_range("scale", scale, 0, above_low=True)
    stay = sparse.csr_matrix(graph.positive.shape, dtype=np.float32)
    if self_transitions:
        stay = sparse.csr_matrix(sparse.diags_array(graph.self_transition))
        stay.eliminate_zeros()
    if use_negative_cosines:
        parts = [
            _apply(m, lambda c: signed_kernel(c, scale))
            for m in (graph.positive, graph.negative, stay)
        ]
    else:
        parts = [
            _apply(m, lambda c: np.exp(scale * c)) for m in (graph.positive, graph.negative, stay)
        ]
    # the three patterns are disjoint, so the sum only merges them
    return _normalise((parts[0] + parts[1] + parts[2]).tocsr())


def signed_kernel(cosines: NDArray[Any], scale: float) -> NDArray[Any]:
    r""":math:`\mathrm{sign}(\pi) \, (e^{\lambda |\pi|} - 1)`, of any shape."""
    return np.copysign(np.expm1(scale * np.abs(cosines)), cosines)


def _apply(matrix: sparse.csr_matrix, function: Kernel) -> sparse.csr_matrix:
    data = function(matrix.data)
    return sparse.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def _normalise(weights: sparse.csr_matrix) -> sparse.csr_matrix:
    """Rows divided by the sum of their absolute values; empty rows get 1 on the diagonal."""
    filled = np.diff(weights.indptr) > 0
    total = np.zeros(len(filled))
    starts = weights.indptr[:-1][filled]
    if starts.size:
        total[filled] = np.add.reduceat(np.abs(weights.data), starts, dtype=np.float64)
    empty = total == 0
    if empty.any():
        diagonal = sparse.diags_array(empty.astype(np.float32))
        weights = (weights + sparse.csr_matrix(diagonal)).tocsr()
        total = np.where(empty, 1.0, total)
    weights.data /= np.repeat(total.astype(np.float32), np.diff(weights.indptr))
    return weights
