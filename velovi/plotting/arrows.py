"""Velocity as arrows on a grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from velovi.errors import OptionError
from velovi.plotting.embedding import StreamlineSet
from velovi.plotting.streamlines import arrowheads, streamlines

HEAD_SPACING = 0.11  # between the heads of a line, as a share of the map's longer side
ARROWS = 26  # along the longer side at density 1


def stream_arrows(
    x: ArrayLike, y: ArrayLike, u: ArrayLike, v: ArrayLike, *, density: float = 1.0
) -> StreamlineSet:
    """Streamlines of a field with arrowheads along them; parameters as in :func:`grid_arrows`."""
    lines = streamlines(x, y, u, v, density=density)
    longer = max(np.ptp(np.asarray(side)) for side in (x, y))
    heads, directions = arrowheads(lines, HEAD_SPACING * float(longer))
    return StreamlineSet(tuple(lines), np.asarray(heads), np.asarray(directions))


def grid_arrows(
    x: ArrayLike,
    y: ArrayLike,
    u: ArrayLike,
    v: ArrayLike,
    *,
    density: float = 1.0,
    length: float = 1.0,
) -> StreamlineSet:
    """One arrow for each of evenly spaced points of a field.

    Parameters
    ----------
    x, y
        (nx,) and (ny,) coordinates of the grid.
    u, v
        (ny, nx) field; not drawn where it is not finite.
    density
        1 draws about 26 arrows along the longer side, at most one for each grid point.
    length
        1 makes the arrow of the 90th percentile of speeds as long as arrows are apart; others
        are in proportion, none longer than one and a half of that.

    Returns
    -------
    StreamlineSet
        A line of two points for each arrow, its head at the second.
    """
    if density <= 0 or length <= 0:
        raise OptionError(
            "density and length of arrows are above zero", found=f"{density}, {length}"
        )
    xs, ys = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    field = np.stack([np.asarray(u, dtype=float), np.asarray(v, dtype=float)], axis=-1)
    every = max(1, round(max(xs.size, ys.size) / (ARROWS * density)))
    places = np.stack(np.meshgrid(xs, ys), axis=-1)[every // 2 :: every, every // 2 :: every]
    moves = field[every // 2 :: every, every // 2 :: every].reshape(-1, 2)
    places = places.reshape(-1, 2)
    speed = np.hypot(moves[:, 0], moves[:, 1])
    known = np.isfinite(speed) & (speed > 0)
    if not known.any():
        return StreamlineSet()
    places, moves, speed = places[known], moves[known], speed[known]
    apart = every * float(max(np.ptp(xs), np.ptp(ys))) / max(xs.size - 1, ys.size - 1, 1)
    share = np.minimum(speed / np.percentile(speed, 90), 1.5) * length
    directions = moves / speed[:, None]
    reach = directions * (share * apart)[:, None]
    starts, ends = places - reach / 2, places + reach / 2
    lines = tuple(np.stack([starts, ends], axis=1))  # (arrows, 2 points, 2)
    return StreamlineSet(lines, ends, directions)
