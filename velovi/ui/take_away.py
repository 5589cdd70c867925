"""A figure to take away."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go


def take_away(
    name: str, figure: Callable[[], go.Figure], frame: Callable[[], pd.DataFrame], *, key: str
) -> None:
    """Written elsewhere."""
