"""Which of the fitted rates could be found again if the fit were the truth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from velovi.errors import DataError, OptionError
from velovi.numerics.vectors import rank_percent

RATE_NAMES = ("fit_alpha", "fit_beta", "fit_gamma", "fit_t_")
"""Columns of ``var`` that are compared."""
_NUMBERS = ("spearman", "low", "high", "rank_error")
_LEAST_GENES = 4  # the standard error of a rank correlation needs more than three
_FEWEST_GENES = 30  # for a rate to be called identified
_LEAST_CORRELATION = 0.5  # below it two thirds of the order is noise
_MOST_COUNTS = 1e15
_NORMAL = 1.96  # standard errors that hold 95 %
_COVERED = 0.9  # of the genes lie within the interval of their rank


def counts_of_fit(
    fitted: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    size_factors: np.ndarray | None,
    *,
    seed: int,
) -> np.ndarray:
    """Draw the counts that a fit expects, Poisson around it.

    Parameters
    ----------
    fitted
        Fitted abundance, scaled (cells, genes).
    low, high
        Of each gene before scaling (genes,): what 0 and 1 stand for.
    size_factors
        What the counts of each cell were multiplied by (cells,); None when nothing was.
    seed
        Of the draw.

    Returns
    -------
    Whole numbers, float32 (cells, genes).

    Examples
    --------
    >>> fitted, low, high = np.full((4, 2), 0.5), np.zeros(2), np.array([2.0, 8.0])
    >>> counts_of_fit(fitted, low, high, None, seed=0).shape
    (4, 2)
    """
    if fitted.ndim != 2 or fitted.shape[1] != len(low) or len(low) != len(high):
        raise OptionError(
            "the fit and the ranges of its genes do not match",
            expected=f"(cells, {len(low)}) values",
            found=str(fitted.shape),
        )
    if size_factors is not None and len(size_factors) != len(fitted):
        raise OptionError(
            "there is not one size factor for each cell",
            expected=f"{len(fitted):,}",
            found=f"{len(size_factors):,}",
        )
    factors = np.ones(len(fitted)) if size_factors is None else np.asarray(size_factors)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.clip(fitted * (high - low) + low, 0, None) / factors[:, None]
    if not np.isfinite(mean).all() or mean.max(initial=0) > _MOST_COUNTS:
        raise OptionError(
            "no counts can be drawn of this fit",
            expected=f"finite means up to {_MOST_COUNTS:.0e}, and size factors above 0",
        )
    return np.random.default_rng(seed).poisson(mean).astype(np.float32)


def rate_recovery(fitted: pd.DataFrame, recovered: pd.DataFrame) -> pd.DataFrame:
    """Compare rates with those fitted to cells simulated from them.

    The simulated cells follow the model exactly, so that real ones can only do worse: a rate that
    is not found again here is not known; one that is found may still be wrong.

    Parameters
    ----------
    fitted, recovered
        Columns of :data:`RATE_NAMES`, (genes, rates), with names of genes.

    Returns
    -------
    Row for each rate in both:

    ``spearman``, ``low``, ``high``
        Rank correlation over genes and its 95 % interval (Bonett and Wright 2000).
    ``rank_error``
        Ranks from 0 to 100 within which nine of ten genes were found again.
    ``identified``
        Whether ``low`` is at least one half, over at least thirty genes.

    Raises
    ------
    DataError
        Fewer than four genes are in both.

    Examples
    --------
    >>> rates = pd.DataFrame({"fit_gamma": np.arange(30.0)}, index=[f"g{i}" for i in range(30)])
    >>> rate_recovery(rates, rates)[["spearman", "rank_error"]].round(2).to_numpy().tolist()
    [[1.0, 0.0]]
    """
    genes = fitted.index.intersection(recovered.index)
    rows: dict[str, dict[str, float | bool]] = {}
    for name in RATE_NAMES:
        if name not in fitted or name not in recovered:
            continue
        pair = pd.DataFrame({"a": fitted.loc[genes, name], "b": recovered.loc[genes, name]})
        pair = pair.replace([np.inf, -np.inf], np.nan).dropna()
        if len(pair) < _LEAST_GENES:
            raise DataError(
                "rates cannot be compared",
                where=name,
                expected=f"at least {_LEAST_GENES} genes",
                found=str(len(pair)),
            )
        rows[name] = _compared(pair["a"], pair["b"])
    return pd.DataFrame.from_dict(rows, orient="index")


def _compared(fitted: pd.Series, recovered: pd.Series) -> dict[str, float | bool]:
    constant = fitted.nunique() < 2 or recovered.nunique() < 2
    rho = 0.0 if constant else float(fitted.corr(recovered, method="spearman"))
    error = np.sqrt((1 + rho**2 / 2) / (len(fitted) - 3)) * _NORMAL
    turned = np.arctanh(np.clip(rho, -1 + 1e-9, 1 - 1e-9))
    low, high = float(np.tanh(turned - error)), float(np.tanh(turned + error))
    apart = (rank_percent(fitted) - rank_percent(recovered)).abs()
    return {
        "spearman": rho,
        "low": low,
        "high": high,
        "rank_error": float(apart.quantile(_COVERED)),
        "identified": low >= _LEAST_CORRELATION and len(fitted) >= _FEWEST_GENES,
    }


def recovery_to_dict(table: pd.DataFrame) -> dict[str, dict[str, float | bool]]:
    """Plain values of :func:`rate_recovery`, ready for JSON."""
    kept: dict[str, dict[str, float | bool]] = {}
    for name, row in table.iterrows():
        numbers = {column: round(float(row[column]), 4) for column in _NUMBERS}
        kept[str(name)] = {**numbers, "identified": bool(row["identified"])}
    return kept


def recovery_from_dict(kept: Mapping[str, Mapping[str, float | bool]]) -> pd.DataFrame:
    """What :func:`recovery_to_dict` keeps, as a table again."""
    return pd.DataFrame.from_dict({name: dict(row) for name, row in kept.items()}, orient="index")
