"""How well the model fits, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from velovi.errors import OptionError
from velovi.plotting.theme import FigureTheme, axis, base_layout


@dataclass(frozen=True)
class TrainingData:
    """Negative ELBO of the training and the held-out cells (epochs,); NaN where unknown."""

    epochs: np.ndarray
    train: np.ndarray
    held_out: np.ndarray

    def __post_init__(self) -> None:
        if not len(self.epochs) == len(self.train) == len(self.held_out):
            raise OptionError("the curves of a training history differ in length")

    @property
    def best(self) -> tuple[int, float] | None:
        """Epoch and value of the best held-out loss."""
        if not np.isfinite(self.held_out).any():
            return None
        at = int(np.nanargmin(self.held_out))
        return int(self.epochs[at]), float(self.held_out[at])

    def to_frame(self) -> pd.DataFrame:
        """One row an epoch."""
        return pd.DataFrame(
            {"epoch": self.epochs, "training_loss": self.train, "held_out_loss": self.held_out}
        )


def training_data(records: Sequence[Mapping[str, float]]) -> TrainingData:
    """Read the records of a run's history; a value that is missing becomes NaN."""

    def column(*names: str) -> np.ndarray:
        values = [next((r[n] for n in names if r.get(n) is not None), np.nan) for r in records]
        found = np.asarray(values, dtype=float)
        return np.where(np.isfinite(found), found, np.nan)

    epochs = np.array([r.get("epoch", i) for i, r in enumerate(records)], dtype=float)
    train, held_out = column("elbo_train", "train_loss"), column("elbo_validation")
    return TrainingData(epochs, train, held_out)


def loss_range(data: TrainingData) -> list[float] | None:
    """Vertical range that lets the steep first epochs leave the picture once they are past."""
    values = np.concatenate([data.train, data.held_out])
    values = values[np.isfinite(values)]
    if len(values) < 20:
        return None
    low, high = float(values.min()), float(np.percentile(values, 93))
    pad = 0.08 * max(high - low, 1e-6)
    return [low - pad, high + pad]


def leaves_out(data: TrainingData) -> bool:
    """Whether first epochs lie above the picture."""
    limits, values = loss_range(data), np.concatenate([data.train, data.held_out])
    return limits is not None and bool((values > limits[1]).any())


def training_figure(data: TrainingData, theme: FigureTheme, *, height: int = 300) -> go.Figure:
    """Loss of training and held-out cells; lower is better."""
    figure = go.Figure()
    curves = (
        ("training cells", data.train, theme.muted, 1.4),
        ("held-out cells", data.held_out, theme.accent, 2.4),
    )
    for name, values, color, width in curves:
        if np.isfinite(values).any():
            line = {"color": color, "width": width}
            known = np.isfinite(values)
            figure.add_trace(
                go.Scatter(
                    x=data.epochs[known],
                    y=values[known],
                    mode="lines",
                    name=name,
                    line=line,
                    hovertemplate="epoch %{x}: %{y:.1f}<extra>" + name + "</extra>",
                )
            )
    figure.update_layout(
        **base_layout(theme, height=height, showlegend=True),
        xaxis=axis(theme, "epoch", rangemode="tozero"),
        yaxis=axis(theme, "loss (negative ELBO)", range=loss_range(data)),
    )
    return figure.update_layout(
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0}, hovermode="x unified"
    )
