"""Plotly figures drawn with matplotlib, for paper instead of the screen.

:mod:`velovi.plotting.static` is the way in and loads this package, and with it matplotlib, only
when a picture is made.

A drawing keeps the figure's own colours, ranges and places. Sizes in pixels become points by two
scales: texts so that the figure's basic font has the size asked for, marks (points, lines, dashes)
so that they cover the same share of the figure as on the screen.
"""
