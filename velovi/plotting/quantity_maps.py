"""Maps of the same cells side by side, one for each quantity."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from velovi.errors import OptionError
from velovi.plotting.embedding import EmbeddingData


@dataclass(frozen=True)
class QuantityMaps:
    """Several quantities of the same cells; ``name`` says what they are quantities of."""

    name: str
    maps: tuple[EmbeddingData, ...]

    def __post_init__(self) -> None:
        for item in self.maps[1:]:
            if item.cells.tolist() != self.maps[0].cells.tolist():
                raise OptionError(
                    "maps side by side show different cells", where=self.name, found=item.title
                )

    def to_frame(self) -> pd.DataFrame:
        """One row for each cell, with its place and every quantity."""
        if not self.maps:
            return pd.DataFrame(columns=["cell", "x", "y"])
        frame = self.maps[0].to_frame()
        return frame.assign(**{item.title: item.values for item in self.maps[1:]})
