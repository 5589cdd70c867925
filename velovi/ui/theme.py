"""The figures' dress, and what goes around them."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from velovi.plotting.theme import FigureTheme, theme_named


def current_theme() -> FigureTheme:
    """Light or dark, as the reader's page is."""
    return theme_named(st.context.theme.type)


def page_style() -> None:
    """Room for figures: the theme has no setting for the sides of a page or a figure's gap."""
    st.html(
        "<style>"
        ".stMainBlockContainer{padding-left:clamp(1.2rem,2.6vw,3.2rem);"
        "padding-right:clamp(1.2rem,2.6vw,3.2rem);max-width:1720px}"
        "[data-testid=stMetricLabel] p{opacity:.75}"
        "</style>"
    )


def draw(figure: go.Figure, key: str, *, alt: str, toolbar: bool = True) -> None:
    """Put a figure on the page as it is, with a small tool bar that can save it as a picture."""
    config: dict[str, Any] = {
        "displaylogo": False,
        "scrollZoom": True,
        "displayModeBar": "hover" if toolbar else False,
        "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
        "toImageButtonOptions": {"format": "png", "scale": 3, "filename": key},
    }
    st.plotly_chart(figure, theme=None, width="stretch", key=key, config=config, alt=alt)


def browser_colors(theme: FigureTheme) -> dict[str, str]:
    """Colours of what our own drawings in the browser are made of."""
    light = theme.name == "light"
    return {
        "paper": theme.paper,
        "ink": theme.ink,
        "muted": theme.muted,
        "line": "#d9dee8" if light else "#323a4c",
        "grid": theme.grid,
        "accent": theme.accent,
        "stream": theme.stream,
        "stream_head": theme.stream_head,
        "halo": "rgba(255,255,255,0.85)" if light else "rgba(18,21,29,0.85)",
        "veil": "rgba(59,76,184,0.10)" if light else "rgba(139,155,255,0.14)",
    }


def color_key(colors: Mapping[str, str]) -> None:
    """One line that says which colour is which group."""
    parts = [
        f'<span style="display:inline-flex;align-items:center;margin:0 14px 2px 0">'
        f'<span style="width:10px;height:10px;border-radius:50%;background:{html.escape(color)};'
        f'margin-right:6px"></span>{html.escape(name)}</span>'
        for name, color in colors.items()
    ]
    st.html(f'<div style="font-size:0.85rem;opacity:0.85;line-height:1.7">{"".join(parts)}</div>')
