r"""How a gamma draw moves with its shape: the pathwise gradient of the gamma distribution.

A draw :math:`x` of Gamma(a) at a fixed quantile obeys

.. math:: \frac{d \log x}{d a} = -\frac{\partial F(a, x) / \partial a}{x f(a, x)} = \frac{T}{a}

(Figurnov, Mohamed and Mnih 2018). With :math:`t = x e^{\mp s}` in the integrals for :math:`F`
and :math:`1 - F`,

.. math::

    T = a \int_0^\infty (\psi(a) - \log x + s)\, e^{-a s + x (1 - e^{-s})}\, ds
      = a \int_0^\infty (\log x + s - \psi(a))\, e^{a s - x (e^s - 1)}\, ds ,

the first without cancellation for :math:`x < a`, the second for :math:`x \ge a`. In the
coordinates :math:`w = a / (a + 1)` and :math:`Y = \log x - \log(a + 1/2)` the function
:math:`R = T (1 + e^Y)` is smooth, has finite limits at :math:`a = 0` and :math:`a = \infty`
(:math:`e^x E_1(x)` and :math:`y \coth(y / 2)` in place of T and R) and becomes linear in Y on
both sides, so a small table, interpolated linearly, gives it to 4e-4 everywhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from velovi.model.compiled.vector_math import compiled, exp, log, number

_ROWS = 64
_PER_UNIT = 16
_FIRST, _LAST = -13, 5
_COLUMNS = (_LAST - _FIRST) * _PER_UNIT + 1
_NODES = 96
_VANISHED = -45.0


def _tabulated() -> NDArray[np.float32]:
    """R on the grid of w and Y, row after row of w."""
    w = np.arange(_ROWS)[:, None] / _ROWS
    y = _FIRST + np.arange(_COLUMNS)[None, :] / _PER_UNIT
    shape = w / (1 - w)
    log_x = y + np.log(shape + 0.5)
    middle = scaled_slope(*np.broadcast_arrays(shape, log_x)) * (1 + np.exp(y))
    at_infinity = np.where(y == 0, 2.0, y / np.tanh(np.where(y == 0, 1.0, y) / 2))
    return np.concatenate([middle, at_infinity]).astype(np.float32).ravel()


def scaled_slope(shape: NDArray[np.float64], log_x: NDArray[np.float64]) -> NDArray[np.float64]:
    """T by quadrature, in double precision.

    Parameters
    ----------
    shape, log_x
        Shapes ``a >= 0`` and logarithms of draws, of one form. For ``a`` of zero, the limit.
    """
    x = np.exp(log_x)
    below = x < shape

    def exponent(s: NDArray[np.float64]) -> NDArray[np.float64]:
        signed = np.where(below, -s, s)
        return shape * signed - x * np.expm1(np.minimum(signed, 50.0))

    # both exponents fall from zero for ever: find where they have fallen enough
    low = np.zeros_like(x)
    high = np.where(below, (x - _VANISHED) / np.where(below, shape, 1.0), 50.0)
    for _ in range(60):
        middle = (low + high) / 2
        there = exponent(middle) < _VANISHED
        low, high = np.where(there, low, middle), np.where(there, middle, high)
    # a psi(a) = a psi(a + 1) - 1 is finite at zero
    distance = shape * (special.digamma(shape + 1) - log_x) - 1
    total = np.zeros_like(x)
    for node, weight in zip(*np.polynomial.legendre.leggauss(_NODES), strict=True):
        s = high * (node + 1) / 2
        factor = np.where(below, distance, -distance) + shape * s
        total += weight * factor * np.exp(exponent(s))
    return total * high / 2


_FIRST_COLUMN, _DENSITY = number(_FIRST), number(_PER_UNIT)
_LAST_ROW, _LAST_COLUMN = np.int32(_ROWS - 1), np.int32(_COLUMNS - 2)
_ONE, _HALF, _SCALE = number(1), number(0.5), number(_ROWS)


# a constant of the compiled code: no store can change it, which the compiler must know in order
# to vectorise the look-ups
TABLE = _tabulated()


@compiled
def slope_row(shape):  # type: ignore[no-untyped-def]
    """Where a shape lies in the table: its row, the share of the next one, ``log(a + 1/2)``."""
    at = _SCALE * shape / (shape + _ONE)
    # a missing number becomes a huge negative integer; its share keeps it missing
    row = max(min(np.int32(at), _LAST_ROW), np.int32(0))
    return row, at - number(row), log(shape + _HALF)


@compiled
def slope(row, share, offset, log_x):  # type: ignore[no-untyped-def]
    """T from the table; ``row, share, offset`` come from :func:`slope_row`."""
    y = log_x - offset
    at = (y - _FIRST_COLUMN) * _DENSITY
    nearest = min(max(at, number(0)), number(_LAST_COLUMN))
    column = max(min(np.int32(nearest), _LAST_COLUMN), np.int32(0))
    beyond = at - number(column)  # outside 0..1 at the ends, where R is linear
    # unsigned, or every look-up would first ask whether it counts from the end
    corner = np.uint32(np.int32(row * np.int32(_COLUMNS)) + column)
    this = TABLE[corner] + beyond * (TABLE[np.uint32(corner + np.uint32(1))] - TABLE[corner])
    after = np.uint32(corner + np.uint32(_COLUMNS))
    following = TABLE[after] + beyond * (TABLE[np.uint32(after + np.uint32(1))] - TABLE[after])
    return (this + share * (following - this)) / (_ONE + exp(y))
