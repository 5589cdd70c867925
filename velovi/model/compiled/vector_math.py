"""Elementary and gamma functions that the compiler can vectorise, in single precision.

LLVM keeps a loop scalar as soon as it calls the mathematics library. Here exponential and
logarithm are bit tricks and a polynomial, and the gamma function with its first two logarithmic
derivatives is one shifted asymptotic series, so that loops over genes run eight wide. Errors are
a few units in the last place of float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.polynomial import Chebyshev, Polynomial
from numpy.typing import NDArray

from velovi.numerics.numba_utils import cached_njit

# No reassociation: the exponential splits its argument exactly, which regrouping would undo.
compiled = numba.njit(
    nogil=True, error_model="numpy", fastmath={"contract", "nsz"}, forceinline=True
)

# what gets built into the loops of other files
_HERE = Path(__file__).parent
_INLINED = (
    *(_HERE / f"{name}.py" for name in ("vector_math", "likelihood", "gamma_grad", "scratch")),
    _HERE / "dirichlet_sampler.py",
    _HERE.parents[1] / "numerics" / "random.py",
)


def compiled_loop(*fastmath: str) -> Callable[[Callable[..., Any]], Any]:
    """Compile a loop and keep it on disk for as long as nothing that is built into it changes.

    Numba looks at the file of the loop alone and would go on with old code after a change here.

    Parameters
    ----------
    *fastmath
        What the compiler may assume of numbers, in LLVM's words.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = cached_njit(error_model="numpy", fastmath=set(fastmath))(function)
        kept = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
        if kept is not None:  # there is none where nothing is compiled or nothing can be kept
            kept._source_stamp = (kept._source_stamp, *map(_stamp, _INLINED))
        return dispatcher

    return decorate


def _stamp(path: Path) -> tuple[float, int]:
    status = path.stat()
    return status.st_mtime, status.st_size


number = np.float32
_ONE, _TWO, _HALF = number(1), number(2), number(0.5)


def polynomial(*coefficients: float) -> Any:
    """A compiled polynomial by Horner's rule, lowest order first."""
    first = number(coefficients[0])
    if len(coefficients) == 1:

        @compiled
        def constant(x: Any) -> Any:
            return first

        return constant
    rest = polynomial(*coefficients[1:])

    @compiled
    def value(x: Any) -> Any:
        return rest(x) * x + first

    return value


def fitted(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    low: float,
    high: float,
    degree: int,
) -> Any:
    """A compiled polynomial close to the best one for ``function`` on ``low .. high``."""
    fit = Chebyshev.interpolate(function, degree, domain=[low, high])
    return polynomial(*fit.convert(kind=Polynomial).coef)


# exp(x) = 2**n exp(rest), |rest| <= log(2) / 2; the first part of log(2) has so few bits that
# n times it is exact
_PER_BIT = number(1 / math.log(2))
_BIT_HIGH = number(0.693359375)
_BIT_LOW = number(math.log(2) - 0.693359375)
_SMALLEST_EXPONENT = number(-87)
_LARGEST_EXPONENT = number(88)
# adding it rounds to an integer, which then stands in the lowest bits
_TO_INTEGER = number(1.5 * 2**23)
_exp_core = fitted(np.exp, -0.3475, 0.3475, 6)


@compiled
def exp(x):  # type: ignore[no-untyped-def]
    """``exp(x)``; 1.6e-38 below -87, 1.7e38 above 88, and NaN for NaN."""
    x = number(x)
    x = _SMALLEST_EXPONENT if x < _SMALLEST_EXPONENT else x
    x = _LARGEST_EXPONENT if x > _LARGEST_EXPONENT else x
    shifted = x * _PER_BIT + _TO_INTEGER
    n = shifted - _TO_INTEGER
    rest = (x - n * _BIT_HIGH) - n * _BIT_LOW
    bits = number(shifted).view(np.int32)
    power = np.int32(np.int32(bits + np.int32(127)) << np.int32(23)).view(np.float32)
    return _exp_core(rest) * power


# log(x) = n log(2) + log(1 + f) with 1 + f between sqrt(1/2) and sqrt(2)
_SQRT_HALF_BITS = np.int32(0x3F3504F3)
_log_core = fitted(lambda f: np.log1p(f) / f, math.sqrt(0.5) - 1, math.sqrt(2) - 1, 9)


@compiled
def log(x):  # type: ignore[no-untyped-def]
    """Logarithm of a positive, normal number; NaN for NaN."""
    bits = number(x).view(np.int32)
    n = np.int32(np.int32(bits - _SQRT_HALF_BITS) >> np.int32(23))
    f = np.int32(bits - np.int32(n << np.int32(23))).view(np.float32) - _ONE
    power = number(n)
    missing = x - x  # zero, or NaN, which the bits would hide
    return f * _log_core(f) + (power * _BIT_LOW + missing) + power * _BIT_HIGH


# Stirling's series in z = 1 / y**2, accurate from y = 4 on
_SHIFT = number(4)
_HALF_LOG_TWO_PI = number(0.5 * math.log(2 * math.pi))
_stirling = polynomial(1 / 12, -1 / 360, 1 / 1260, -1 / 1680)
_digamma_series = polynomial(1 / 12, -1 / 120, 1 / 252, -1 / 240)
_trigamma_series = polynomial(1 / 6, -1 / 30, 1 / 42, -1 / 30)
_THREE, _FIVE, _NINE = number(3), number(5), number(9)
_SMALLEST_SHAPE = number(1e-18)


@compiled
def gamma_functions(x):  # type: ignore[no-untyped-def]
    r"""``log Gamma(x)``, digamma and trigamma of ``x > 0``.

    All three are moved to ``y = x + 4``, with :math:`q = x (x + 3)` and
    :math:`x (x+1) (x+2) (x+3) = q (q + 2)`:

    .. math::

        \log\Gamma(x) = \log\Gamma(y) - \log q (q + 2), \quad
        \psi(x) = \psi(y) - (2 x + 3) \left[\frac1q + \frac1{q+2}\right], \quad
        \psi'(x) = \psi'(y) + \frac{2q + 9}{q^2} + \frac{2q + 5}{(q+2)^2}.

    Below 1e-18, where the squares would overflow, the functions stay at their value there.
    """
    x = max(x, _SMALLEST_SHAPE)
    y = x + _SHIFT
    per_y = _ONE / y
    z = per_y * per_y
    log_y = log(y)
    q = x * (x + _THREE)
    product = q * (q + _TWO)
    per_product = _ONE / product
    first, second = (q + _TWO) * per_product, q * per_product
    log_gamma = (y - _HALF) * log_y - y + _HALF_LOG_TWO_PI + per_y * _stirling(z) - log(product)
    digamma = (
        log_y - _HALF * per_y - z * _digamma_series(z) - (_TWO * x + _THREE) * (first + second)
    )
    trigamma = (
        per_y
        + z * (_HALF + per_y * _trigamma_series(z))
        + (_TWO * q + _NINE) * first * first
        + (_TWO * q + _FIVE) * second * second
    )
    return log_gamma, digamma, trigamma
