"""What tests ask of every chart of a gene."""

from __future__ import annotations

import numpy as np


def whole_chart(chart) -> None:
    """Fails unless a browser can draw the chart: its ranges are ranges, its numbers numbers."""
    for axis in (chart.x, chart.y):
        assert axis.title
        assert np.isfinite([axis.low, axis.high]).all()
        assert axis.low < axis.high
    for group in chart.points:
        assert group.x.shape == group.y.shape
        assert group.x.dtype == group.y.dtype == np.float32
    for shape in (*chart.lines, *chart.areas):
        assert shape.path.dtype == np.float32
        assert np.isfinite(shape.path).all()
