"""Cells on an embedding, as many maps side by side as there are things to colour by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from velovi.ui.view import ResultView


@dataclass(frozen=True)
class Coloring:
    """What the colour of a cell means: an annotation, or a layer of a gene."""

    column: str | None = None
    gene: str | None = None
    layer: str | None = None


def cell_map(
    view: ResultView, colorings: Sequence[Coloring], *, key: str, height: int = 480
) -> None:
    """Draw linked maps of the cells; a lasso in one selects in all."""
    st.info("The map is drawn here.")
