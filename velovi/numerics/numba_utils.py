"""Compiled loops that are kept on disk between processes, where there is a place for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def cached_njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """``numba.njit`` without the GIL, kept on disk; without keeping where nothing can be written.

    Parameters
    ----------
    **options
        Of ``numba.njit``.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(nogil=True, cache=True, **options)(function)
        except RuntimeError:  # neither the package's folder nor the user's can be written
            return numba.njit(nogil=True, **options)(function)

    return decorate
