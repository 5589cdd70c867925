"""Figures: numbers first, drawing second.

Every figure is a pair. ``xxx_data(...)`` returns a frozen dataclass that checks itself and can be
written as a table; ``xxx_figure(data, theme)`` draws it with Plotly. Nothing here reads a run.
"""
