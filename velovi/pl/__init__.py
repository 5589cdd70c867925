"""Figures for papers and notebooks, of a model, its results or a run.

>>> import velovi
>>> axes = velovi.pl.embedding(result, "clusters")

Each function takes a trained :class:`velovi.VELOVI`, the AnnData of
:meth:`~velovi.VELOVI.to_scvelo` or of a run, or the folder of a run; draws into ``ax`` or into a
new figure in the style of a paper (millimetres, 8 point letters); and returns the axes. ``save``
writes a file of the kind that its ending names. What the app's **Save** writes is drawn by the same
code.
"""

from velovi.pl._cells import embedding
from velovi.pl._genes import gene_over_time, phase_portrait, states
from velovi.pl._numbers import rates, scatter, time_heatmap, training, uncertainty

__all__ = [
    "embedding",
    "gene_over_time",
    "phase_portrait",
    "rates",
    "scatter",
    "states",
    "time_heatmap",
    "training",
    "uncertainty",
]
