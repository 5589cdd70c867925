"""Figures for paper: each draws one kind of data into matplotlib's axes.

They take the same data as the figures on the screen (``velovi.plotting.*_data``) and know nothing
of results, pages or files. :mod:`velovi.pl` is the way in from a notebook, the **Save** button
that of the app. Sizes are points on paper; texts follow ``font.size``.
"""
