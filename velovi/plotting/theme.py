"""Colours and layout that all figures share, in a light and a dark dress."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

# Neighbours in the list differ in lightness as well as in hue, so that they stay apart for eyes
# that do not tell red from green.
PALETTE = (
    "#3f6fb5",
    "#e0872b",
    "#2a9d8f",
    "#c2517f",
    "#8f76cf",
    "#b9a32c",
    "#63b6e4",
    "#8a4b38",
    "#d9534f",
    "#5d9a45",
    "#24566b",
    "#eba6c4",
    "#6a3d9a",
    "#f3c27a",
    "#17807a",
    "#a6cf78",
    "#9c5a00",
    "#4cc6c4",
    "#5a5f96",
    "#dd8f70",
    "#1d6b40",
    "#b9b0e3",
    "#7d7a33",
    "#972b4b",
    "#79d3ab",
    "#474a55",
)

Scale = tuple[tuple[float, str], ...]


def _scale(*colors: str) -> Scale:
    return tuple((i / (len(colors) - 1), color) for i, color in enumerate(colors))


@dataclass(frozen=True)
class FigureTheme:
    """What a figure needs to know to look right on the page."""

    name: str
    ink: str
    muted: str
    grid: str
    paper: str
    missing: str
    stream: str
    stream_head: str
    accent: str
    induction: str
    repression: str
    abundance: Scale
    diverging: Scale
    time: Scale = field(
        default=_scale(
            "#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39", "#fde725"
        )
    )


LIGHT = FigureTheme(
    name="light",
    ink="#1d2433",
    muted="#667085",
    grid="rgba(29,36,51,0.09)",
    paper="#ffffff",
    missing="#d4d8e0",
    stream="rgba(24,30,46,0.62)",
    stream_head="rgba(24,30,46,0.85)",
    accent="#3b4cb8",
    induction="#0f8b8d",
    repression="#c8641b",
    abundance=_scale("#e4e7ee", "#b3c6e0", "#6c93cb", "#3d58b0", "#231f70"),
    diverging=_scale("#8a3d06", "#d9812f", "#f3cf9f", "#eceef2", "#a9c8e6", "#3f7fc1", "#123f7c"),
)

DARK = FigureTheme(
    name="dark",
    ink="#e7eaf2",
    muted="#9aa4b8",
    grid="rgba(231,234,242,0.11)",
    paper="#12151d",
    missing="#3a4152",
    stream="rgba(240,243,250,0.66)",
    stream_head="rgba(240,243,250,0.9)",
    accent="#8b9bff",
    induction="#4fd1c5",
    repression="#f2a65a",
    abundance=_scale("#2c3242", "#35508c", "#4384c4", "#74c3e0", "#e2fbff"),
    diverging=_scale("#ffc27a", "#e58a35", "#8a5526", "#363c4a", "#2f5f93", "#4d9be0", "#a9dcff"),
)


def theme_named(name: str | None) -> FigureTheme:
    """The dark theme when asked for by name, the light one otherwise."""
    return DARK if name == "dark" else LIGHT


def category_colors(
    categories: Sequence[str], given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """One colour for each category, none used twice.

    Parameters
    ----------
    categories
        Names in order.
    given
        The file's own colours; used where they are there.
    """
    given = given or {}
    taken = {color.lower() for color in given.values()}
    spare = (color for color in _endless_palette() if color not in taken)
    return {name: given.get(name) or next(spare) for name in categories}


def _endless_palette() -> Any:
    yield from PALETTE
    step = 0
    while True:
        # the golden ratio spreads hues so that no two in a row are close
        hue = (0.11 + step * 0.61803398875) % 1.0
        light = (0.40, 0.56, 0.70)[step % 3]
        red, green, blue = colorsys.hls_to_rgb(hue, light, 0.55)
        yield f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
        step += 1


def base_layout(theme: FigureTheme, *, height: int, **extra: Any) -> dict[str, Any]:
    """Layout that all figures share: no frame, system font, transparent ground."""
    layout: dict[str, Any] = {
        "height": height,
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 13, "color": theme.ink},
        "hoverlabel": {
            "bgcolor": theme.paper,
            "bordercolor": theme.grid,
            "font": {"family": FONT, "size": 13, "color": theme.ink},
        },
        "legend": {
            "bgcolor": "rgba(0,0,0,0)",
            "itemsizing": "constant",
            "font": {"color": theme.ink, "size": 13},
            "title": {"font": {"color": theme.muted, "size": 12}},
        },
        # without a ground of its own, the toolbar does not hide what lies under it
        "modebar": {
            "bgcolor": "rgba(0,0,0,0)",
            "color": theme.muted,
            "activecolor": theme.ink,
        },
        "dragmode": "pan",
    }
    return {**layout, **extra}


def axis(theme: FigureTheme, title: str, **extra: Any) -> dict[str, Any]:
    """A quiet axis with a title."""
    return {
        "title": {"text": title, "font": {"size": 13, "color": theme.muted}, "standoff": 8},
        "tickfont": {"size": 11, "color": theme.muted},
        "gridcolor": theme.grid,
        "zeroline": False,
        "showline": False,
        "automargin": True,
        **extra,
    }


def colorbar(theme: FigureTheme, title: str, **extra: Any) -> dict[str, Any]:
    """A slim colour key."""
    return {
        "title": {"text": title, "side": "top", "font": {"size": 12, "color": theme.muted}},
        "thickness": 10,
        "len": 0.5,
        "y": 0.98,
        "yanchor": "top",
        "outlinewidth": 0,
        "tickfont": {"size": 11, "color": theme.muted},
        "nticks": 5,
        **extra,
    }


def translucent(color: str, alpha: float) -> str:
    """A hex colour as rgba text."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"
