"""Which way cells go between groups, and what in it contradicts itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from velovi.errors import UnknownNameError
from velovi.numerics.inputs import as_labels, as_matrix, as_square
from velovi.numerics.vectors import row_cosines

Branching = Literal["parts", "joins", "neither", "unknown"]
FEWEST_AT_BORDER = 10
"""Cells with neighbours in the other group that each of two groups must have to be a pair."""
LEAST_CBDIR = 0.1
"""Smaller, a direction between two groups is not called clear, however small its error."""
_ERRORS = 2.0
_COLUMNS = (
    *("source", "target", "n_source", "n_target", "net_flow"),
    *("cbdir", "cbdir_se", "cbdir_back", "cbdir_back_se", "consensus", "clear"),
)


@dataclass(frozen=True)
class GroupFlow:
    """Flow between groups that touch.

    Attributes
    ----------
    pairs
        Row for each pair of groups that touch, from ``source`` to ``target`` by the larger of the
        two cosines. ``n_source`` and ``n_target``: cells with neighbours in the other group.
        ``net_flow``: from -1 (all of it back) to 1 (all one way) of the probability to step across,
        NaN without transitions. ``cbdir``: mean cosine between the arrows of the source's border
        cells and the ways to their neighbours in the target; ``cbdir_back``: the same of the
        target's cells towards the source; ``cbdir_se`` and ``cbdir_back_se``: standard errors over
        cells and halves of the genes. ``consensus``: mean cosine at the border with other arrows,
        NaN without. ``clear``: whether the source points to the target and the target away from
        the source, both beyond two standard errors and 0.1.
    labels
        Names of all groups.
    """

    pairs: pd.DataFrame
    labels: tuple[str, ...]

    @property
    def clear_pairs(self) -> pd.DataFrame:
        """The pairs whose direction is clear."""
        return self.pairs[self.pairs["clear"].astype(bool)]

    @property
    def starts(self) -> tuple[str, ...]:
        """Groups that cells clearly leave and none clearly enter."""
        sources, targets = self._ends()
        return tuple(sorted(sources - targets))

    @property
    def ends(self) -> tuple[str, ...]:
        """Groups that cells clearly enter and none clearly leave."""
        sources, targets = self._ends()
        return tuple(sorted(targets - sources))

    @property
    def branching(self) -> Branching:
        """Whether ways part or join; with fewer than two clear pairs it is unknown.

        They part with at least twice as many ends as starts, and join with twice as many starts as
        ends. Cells of one kind become several kinds more often than the reverse, so that ways that
        part speak for the direction, and ways that join for its opposite.
        """
        if len(self.clear_pairs) < 2:
            return "unknown"
        starts, ends = len(self.starts), len(self.ends)
        if min(starts, ends) and ends >= 2 * starts:
            return "parts"
        return "joins" if min(starts, ends) and starts >= 2 * ends else "neither"

    @property
    def loops(self) -> tuple[tuple[str, ...], ...]:
        """Sets of groups in which clear pairs lead from each to each, as round a circle."""
        clear = self.clear_pairs
        source, target = (
            pd.Categorical(clear[end], categories=list(self.labels)).codes
            for end in ("source", "target")
        )
        size = (len(self.labels), len(self.labels))
        steps = sp.coo_matrix((np.ones(len(clear)), (source, target)), shape=size)
        _, part = connected_components(steps, connection="strong")
        sets = [np.flatnonzero(part == number) for number in np.unique(part)]
        return tuple(tuple(self.labels[at] for at in own) for own in sets if len(own) > 1)

    def beyond(self, null: Self | None) -> Self:
        """The same flow, in which directions that the null has as well are not clear.

        Parameters
        ----------
        null
            Flow of the same cells without velocity; None changes nothing.

        Returns
        -------
        A direction stays clear where its ``cbdir`` lies two of its standard errors above that of
        the null from the same group to the same other; where the null has no such pair it stays.
        """
        if null is None:
            return self
        there = null.pairs.set_index(["source", "target"])["cbdir"].to_dict()
        there |= null.pairs.set_index(["target", "source"])["cbdir_back"].to_dict()
        pairs = self.pairs.copy()
        without = [
            there.get(ends, np.nan) for ends in zip(pairs["source"], pairs["target"], strict=True)
        ]
        above = pairs["cbdir"] - np.array(without, dtype=float)
        as_null = (above < _ERRORS * pairs["cbdir_se"]).to_numpy(dtype=bool)
        pairs["clear"] = pairs["clear"].to_numpy(dtype=bool) & ~as_null
        return replace(self, pairs=pairs)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        rows = self.pairs.round(4).astype(object)
        rows = rows.where(pd.notna(rows), None)
        return {"labels": list(self.labels), "pairs": rows.to_dict("records")}

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Self:
        """From :meth:`to_dict`.

        Raises
        ------
        KeyError, TypeError, ValueError
            It is damaged.
        """
        pairs = pd.DataFrame(kept["pairs"], columns=list(_COLUMNS))
        numbers = [name for name in _COLUMNS if name not in ("source", "target", "clear")]
        pairs[numbers] = pairs[numbers].astype(float)
        if not all(isinstance(name, str) for end in ("source", "target") for name in pairs[end]):
            raise TypeError("groups are named by text")
        if not all(isinstance(clear, bool | np.bool_) for clear in pairs["clear"]):
            raise TypeError("a direction is clear or not")
        return cls(pairs, tuple(map(str, kept["labels"])))

    def _ends(self) -> tuple[set[str], set[str]]:
        clear = self.clear_pairs
        return set(clear["source"]), set(clear["target"])

    def agreement(self, known: Sequence[tuple[str, str]]) -> list[str]:
        """Whether directions that are known are found: a word for each.

        Returns
        -------
        ``"agrees"``, ``"contradicts"``, ``"unclear"`` (they touch, without a clear direction) or
        ``"apart"`` (they do not touch) for each (source, target).

        Raises
        ------
        UnknownNameError
            A group is not there.
        """
        missing = [name for pair in known for name in pair if name not in self.labels]
        if missing:
            raise UnknownNameError(
                f"no cell is of the group {missing[0]!r}",
                where="known directions",
                expected=", ".join(self.labels[:10]),
            )
        words = []
        for source, target in known:
            word = "apart"
            for row in self.pairs.itertuples():
                if {row.source, row.target} == {source, target}:
                    forward = row.source == source
                    word = "unclear" if not row.clear else "agrees" if forward else "contradicts"
            words.append(word)
        return words


def group_flow(
    embedding: np.ndarray,
    arrows: np.ndarray,
    neighbors: sp.spmatrix,
    labels: Sequence[Any] | np.ndarray,
    *,
    transition: sp.spmatrix | None = None,
    half_arrows: np.ndarray | None = None,
    other_arrows: np.ndarray | None = None,
) -> GroupFlow:
    """Flow between groups that touch among neighbours.

    Parameters
    ----------
    embedding, arrows
        Places of the cells and the velocities drawn there, (cells, dimensions).
    neighbors
        (cells, cells); every stored entry off the diagonal is a neighbour.
    labels
        Group of each cell, (cells,); missing for none.
    transition
        Probabilities to step from cell to cell, for ``net_flow``; entries below 0 are left out.
    half_arrows
        Arrows of halves of the genes, (halves, cells, dimensions), whose spread is part of the
        standard errors; see :func:`gene_half_arrows`.
    other_arrows
        Those of another method, (cells, dimensions), for ``consensus``.

    Returns
    -------
    GroupFlow

    Raises
    ------
    DataError
        Shapes disagree or values are not finite.

    Examples
    --------
    >>> from velovi.evidence import group_flow
    >>> flow = group_flow(
    ...     result.obsm["X_umap"],
    ...     result.obsm["velocity_umap"],
    ...     result.obsp["distances"],
    ...     result.obs["clusters"],
    ... )
    >>> flow.branching in ("parts", "joins", "neither", "unknown")
    True
    """
    x = as_matrix(embedding, "embedding", dtype=np.float64)
    v = as_matrix(arrows, "arrows", shape=(x.shape[0], x.shape[1]), dtype=np.float64)
    knn = as_square(neighbors, "neighbors", x.shape[0]).tocoo()
    groups = pd.Categorical(as_labels(labels, x.shape[0]))
    names = tuple(map(str, groups.categories))
    code = groups.codes.astype(np.int64)
    border = (code[knn.row] != code[knn.col]) & (code[knn.row] >= 0) & (code[knn.col] >= 0)
    i, j = knn.row[border], knn.col[border]
    crossing = _Crossing(x, i, j, code, len(names))
    forward = crossing.scores(v)
    errors = crossing.errors(v) ** 2
    if half_arrows is not None:
        spread = [(crossing.scores(np.asarray(half)) - forward) ** 2 for half in half_arrows]
        errors = errors + np.mean(spread, axis=0)
    error = np.sqrt(errors)
    agreement = (
        None if other_arrows is None else row_cosines(v, np.asarray(other_arrows, dtype=float))
    )
    steps = None if transition is None else _steps(transition, code, len(names))
    rows = []
    touching = np.argwhere(np.triu(np.minimum(crossing.n_cells, crossing.n_cells.T), 1))
    for a, b in touching.tolist():
        if min(crossing.n_cells[a, b], crossing.n_cells[b, a]) < FEWEST_AT_BORDER:
            continue
        s, t = (a, b) if forward[a, b] >= forward[b, a] else (b, a)
        cbdir, back = forward[s, t], forward[t, s]
        clear = cbdir > max(_ERRORS * error[s, t], LEAST_CBDIR) and -back > max(
            _ERRORS * error[t, s], LEAST_CBDIR
        )
        rows.append(
            (
                *(names[s], names[t], *crossing.n_cells[[s, t], [t, s]].tolist()),
                np.nan if steps is None else _net(steps[s, t], steps[t, s]),
                *(cbdir, error[s, t], back, error[t, s]),
                np.nan if agreement is None else crossing.border_mean(agreement, s, t),
                bool(clear),
            )
        )
    return GroupFlow(pd.DataFrame(rows, columns=list(_COLUMNS)), names)


class _Crossing:
    """Pairs of neighbours of different groups, and means over them."""

    def __init__(
        self, x: np.ndarray, i: np.ndarray, j: np.ndarray, code: np.ndarray, n_groups: int
    ) -> None:
        step = x[j] - x[i]
        length = np.linalg.norm(step, axis=1, keepdims=True)
        self._step = np.divide(step, length, out=np.zeros_like(step), where=length > 0)
        self._i, self._n_groups = i, n_groups
        # one entry for each cell and group that it has neighbours in
        key, self._at = np.unique(i * n_groups + code[j], return_inverse=True)
        self._count = np.bincount(self._at, minlength=len(key))
        self._cell, target = key // n_groups, key % n_groups
        self._pair = code[self._cell] * n_groups + target
        self._cells_of_pair = np.bincount(self._pair, minlength=n_groups**2)
        self.n_cells = self._cells_of_pair.reshape(n_groups, n_groups)

    def _by_cell(self, arrows: np.ndarray) -> np.ndarray:
        length = np.linalg.norm(arrows, axis=1)
        unit = arrows / np.where(length > 0, length, 1)[:, None]
        cosine = (self._step * unit[self._i]).sum(axis=1)
        return np.bincount(self._at, cosine, minlength=len(self._count)) / self._count

    def _means(self, values: np.ndarray) -> np.ndarray:
        sums = np.bincount(self._pair, values, minlength=self._n_groups**2)
        return sums / np.maximum(self._cells_of_pair, 1)

    def scores(self, arrows: np.ndarray) -> np.ndarray:
        """CBDir from each group to each other, (groups, groups)."""
        shape = (self._n_groups, self._n_groups)
        return self._means(self._by_cell(arrows)).reshape(shape)

    def errors(self, arrows: np.ndarray) -> np.ndarray:
        """Their standard errors over cells, (groups, groups)."""
        values = self._by_cell(arrows)
        apart = self._means((values - self._means(values)[self._pair]) ** 2)
        return np.sqrt(apart / np.maximum(self._cells_of_pair - 1, 1)).reshape(self.n_cells.shape)

    def border_mean(self, values: np.ndarray, a: int, b: int) -> float:
        """Mean of the cells' values at the border of two groups, on both sides of it."""
        pairs = (a * self._n_groups + b, b * self._n_groups + a)
        found = values[self._cell[np.isin(self._pair, pairs)]]
        found = found[np.isfinite(found)]
        return float(found.mean()) if len(found) else float("nan")


def _steps(transition: sp.spmatrix, code: np.ndarray, n_groups: int) -> np.ndarray:
    """Probability to step from group to group, summed over cells, (groups, groups)."""
    moves = sp.coo_matrix(transition)
    known = (moves.data > 0) & (code[moves.row] >= 0) & (code[moves.col] >= 0)
    pair = code[moves.row[known]] * n_groups + code[moves.col[known]]
    return np.bincount(pair, moves.data[known], minlength=n_groups**2).reshape(n_groups, n_groups)


def _net(there: float, back: float) -> float:
    return float((there - back) / (there + back)) if there + back > 0 else float("nan")


def against_time(
    flow: GroupFlow, time: np.ndarray, labels: Sequence[Any] | np.ndarray
) -> list[tuple[str, str]]:
    """Pairs with a clear direction whose target is earlier than their source.

    Parameters
    ----------
    flow
        From :func:`group_flow`.
    time, labels
        Shared latent time and group of each cell, (cells,).
    """
    table = pd.DataFrame({"time": np.asarray(time, dtype=float), "group": np.asarray(labels)})
    middle = table.groupby(table["group"].astype(str))["time"].median()
    pairs = flow.clear_pairs[["source", "target"]].itertuples(index=False)
    return [(s, t) for s, t in pairs if middle.get(s, np.nan) > middle.get(t, np.nan)]


def at_both_ends(
    time: np.ndarray, labels: Sequence[Any] | np.ndarray, *, width: float = 0.1
) -> dict[str, tuple[int, int]]:
    """Groups with cells at the start and at the end of time, which one kind of cell can hardly be.

    Parameters
    ----------
    time, labels
        Shared latent time from 0 to 1 and group of each cell, (cells,).
    width
        How much of time counts as its start, and as its end.

    Returns
    -------
    Cells of the group at the start and at the end, by group; of groups with at least ten and a
    twentieth of their cells at each end.
    """
    names, times = np.asarray(labels).astype(str), np.asarray(time, dtype=float)
    found = {}
    for name in sorted(set(names)):
        own = times[names == name]
        early, late = int((own <= width).sum()), int((own >= 1 - width).sum())
        if min(early, late) >= max(10, 0.05 * len(own)):
            found[name] = (early, late)
    return found
