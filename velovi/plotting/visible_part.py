"""The part of a figure that a reader sees, so that a saved figure shows the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from velovi.plotting.embedding import EmbeddingData
from velovi.plotting.quantity_maps import QuantityMaps

Range = tuple[float, float]


@dataclass(frozen=True)
class VisiblePart:
    """What is in sight.

    Attributes
    ----------
    x, y
        Ends of the axes, in data coordinates; None for the whole figure.
    hidden
        Names of the groups that are not shown on a map.
    """

    x: Range | None = None
    y: Range | None = None
    hidden: frozenset[str] = frozenset()

    def of(self, data: Any) -> Any:
        """The data of a map with the cells in sight only; other data as it is."""
        if isinstance(data, QuantityMaps):
            return replace(data, maps=tuple(self._of_map(item) for item in data.maps))
        return self._of_map(data) if isinstance(data, EmbeddingData) else data

    def limits(self, data: Any) -> dict[str, Range]:
        """Arguments of what draws the data on axes; a map brings its own extent."""
        if isinstance(data, EmbeddingData | QuantityMaps):
            return {}
        ends = {"xlim": self.x, "ylim": self.y}
        return {name: item for name, item in ends.items() if item is not None}

    def _of_map(self, data: EmbeddingData) -> EmbeddingData:
        seen = np.ones(len(data.cells), dtype=bool)
        for axis, ends in enumerate((self.x, self.y)):
            if ends is not None:
                seen &= (data.positions[:, axis] >= ends[0]) & (data.positions[:, axis] <= ends[1])
        if data.labels is not None and self.hidden:
            seen &= ~np.isin(np.asarray(data.labels, dtype=str), list(self.hidden))
        extent = (self.x, self.y) if self.x is not None and self.y is not None else None
        return replace(
            data,
            cells=data.cells[seen],
            positions=data.positions[seen],
            labels=None if data.labels is None else data.labels[seen],
            values=None if data.values is None else data.values[seen],
            extent=extent,
        )
