"""Evenly spaced streamlines of a velocity field on a grid, in plain numpy.

Drawn in the web process, so it needs no compiler and no plotting library: candidate lines are
integrated all at once (one numpy operation moves every line by a step), then the longest are kept
one after the other as long as they do not run into a line that is there already.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from velovi.errors import DataError, OptionError, check_range

LANES = 30  # lanes for lines along the longer side at density 1
STEP = 0.3  # integration step, in grid cells
STILL = 1e-9  # slower than this share of the fastest grid point counts as standing still

Field = tuple[NDArray[np.complex128], int, int]


def streamlines(
    x: ArrayLike,
    y: ArrayLike,
    u: ArrayLike,
    v: ArrayLike,
    *,
    density: float = 1.0,
    max_length: float = 1.0,
    min_length: float = 0.06,
) -> list[NDArray[np.float64]]:
    r"""Lines that follow the field everywhere and keep apart from each other.

    Each line solves :math:`dr/ds = (u, v) / \lVert (u, v) \rVert` by the midpoint rule (Runge-Kutta
    of second order), forwards and backwards from its seed, with bilinear interpolation between
    grid points. It ends at the border, beside a NaN, where the field stands still, where it would
    enter a lane that is taken by another line or by itself, or at its greatest length.

    Parameters
    ----------
    x, y
        (nx,) and (ny,) evenly spaced, ascending coordinates.
    u, v
        (ny, nx) field; NaN or a masked array's mask marks where it is unknown.
    density
        1 allows 30 lanes side by side along the longer side.
    max_length, min_length
        Of a line, as shares of the longer side; shorter lines are left out.

    Returns
    -------
    list of (points, 2) float64, in the direction of flow, longest candidates first; the same
    input gives the same lines.

    Raises
    ------
    DataError
        Shapes disagree, or coordinates are not finite, ascending and evenly spaced.
    OptionError
        A number is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> axis = np.linspace(0.0, 1.0, 20)
    >>> lines = streamlines(axis, axis, np.ones((20, 20)), np.zeros((20, 20)))
    >>> bool(np.ptp(lines[0][:, 1]) < 1e-9)
    True
    """
    xs, ys = _axis(x, "x"), _axis(y, "y")
    _check_options(density, max_length, min_length)
    field = _directions(xs, ys, u, v)
    side = max(xs.size, ys.size) - 1  # in grid cells
    lanes = max(1, round(LANES * density))
    width = side / lanes  # of a lane, in grid cells
    seeds = _seeds(field, width)
    if seeds.size == 0:
        return []
    steps = max(1, int(np.ceil(max_length * side / STEP / 2)))
    ahead, n_ahead = _trace(field, seeds, STEP, steps)
    back, n_back = _trace(field, seeds, -STEP, steps)
    columns = int((xs.size - 1) / width) + 1
    cells = [_lane(path, width, columns) for path in (ahead, back)]
    taken = np.zeros(columns * (int((ys.size - 1) / width) + 1), dtype=bool)
    least = max(2, int(np.ceil(min_length * side / STEP)))
    lines = []
    # stable: equally long candidates keep the order of their seeds
    for k in np.argsort(-(n_ahead + n_back), kind="stable"):
        if n_ahead[k] + n_back[k] < least:
            break
        if taken[cells[0][k, 0]]:
            continue
        kept = _claim(cells[0][k, : n_ahead[k] + 1], cells[1][k, : n_back[k] + 1], taken, least)
        if kept is not None:
            line = np.concatenate([back[k, kept[1] : 0 : -1], ahead[k, : kept[0] + 1]])
            lines.append(_to_data(line, xs, ys))
    return lines


def arrowheads(
    lines: Sequence[NDArray[np.float64]], spacing: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where to draw arrow heads on streamlines.

    Parameters
    ----------
    lines
        (points, 2) each, from :func:`streamlines`.
    spacing
        Distance between heads along a line, in units of the coordinates; a line shorter than
        twice this gets one head in its middle.

    Returns
    -------
    positions, directions
        (heads, 2) each; directions have length 1.

    Raises
    ------
    OptionError
        ``spacing`` is not a positive number.
    """
    if not np.isfinite(spacing) or spacing <= 0:
        raise OptionError("must be above 0", where="spacing", found=repr(spacing))
    places, headings = [np.empty((0, 2))], [np.empty((0, 2))]
    for line in lines:
        piece = np.diff(np.asarray(line, dtype=np.float64), axis=0)  # (points - 1, 2)
        length = np.hypot(piece[:, 0], piece[:, 1])
        end = np.cumsum(length)
        if end.size == 0 or end[-1] <= 0:
            continue
        heads = max(1, int(end[-1] / spacing))
        at = (np.arange(heads) + 0.5) * end[-1] / heads
        k = np.minimum(np.searchsorted(end, at), end.size - 1)
        heading = piece[k] / length[k, None]
        places.append(line[k + 1] - heading * (end[k] - at)[:, None])
        headings.append(heading)
    return np.concatenate(places), np.concatenate(headings)


def _axis(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Evenly spaced float64 coordinates; rounding of a float32 embedding is taken out."""
    axis = np.asarray(values, dtype=np.float64)
    even = axis.ndim == 1 and axis.size >= 2 and bool(np.isfinite(axis).all())
    if even:
        straight = np.linspace(axis[0], axis[-1], axis.size)
        even = axis[-1] > axis[0]
        even = even and np.abs(axis - straight).max() <= 0.05 * (straight[1] - straight[0])
    if not even:
        raise DataError(
            "coordinates must be finite, ascending and evenly spaced",
            where=name,
            expected="at least 2 of them in one dimension",
            found=f"shape {axis.shape}",
        )
    return straight


def _check_options(density: float, max_length: float, min_length: float) -> None:
    check_range("density", density, 0, 10, above_low=True)
    check_range("max_length", max_length, 0, 100, above_low=True)
    check_range("min_length", min_length, 0, 100, above_low=True)


def _directions(
    xs: NDArray[np.float64], ys: NDArray[np.float64], u: ArrayLike, v: ArrayLike
) -> Field:
    """The field in grid cells instead of data units, as complex numbers dx + i dy, flattened."""
    parts = []
    for name, values, axis in (("u", u, xs), ("v", v, ys)):
        part = np.ma.filled(np.ma.asarray(values).astype(np.float64), np.nan)
        if part.shape != (ys.size, xs.size):
            raise DataError(
                "field and coordinates disagree",
                where=name,
                expected=f"{ys.size} x {xs.size} (ny x nx)",
                found=" x ".join(map(str, part.shape)),
            )
        parts.append(part / (axis[1] - axis[0]))
    field = parts[0] + 1j * parts[1]
    speed = np.abs(field)
    fastest = speed[np.isfinite(speed)].max(initial=0.0)
    field[~np.isfinite(speed)] = np.nan
    if fastest > 0:
        field /= fastest
    return field.ravel(), xs.size, ys.size


def _seeds(field: Field, width: float) -> NDArray[np.complex128]:
    """One seed in the middle of each lane cell where the field is known."""
    _, nx, ny = field
    middles = [np.arange(width / 2, n - 1, width) for n in (nx, ny)]
    if any(middle.size == 0 for middle in middles):
        middles = [
            np.array([(n - 1) / 2]) if middle.size == 0 else middle
            for middle, n in zip(middles, (nx, ny), strict=True)
        ]
    columns, rows = np.meshgrid(*middles)  # (lanes up, lanes across) each
    seeds = np.asarray(columns + 1j * rows, dtype=np.complex128).ravel()
    return seeds[np.isfinite(_heading(field, seeds))]


def _heading(field: Field, at: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Unit direction at each place; NaN outside, beside a NaN and where the field is still."""
    values, nx, ny = field
    px, py = at.real, at.imag
    inside = (px >= 0) & (px <= nx - 1) & (py >= 0) & (py <= ny - 1)
    column = np.where(inside, px, 0).astype(np.intp)
    row = np.where(inside, py, 0).astype(np.intp)
    np.minimum(column, nx - 2, out=column)
    np.minimum(row, ny - 2, out=row)
    fx, fy = px - column, py - row
    corner = row * nx + column
    low, high = values[corner], values[corner + nx]
    low += fx * (values[corner + 1] - low)
    high += fx * (values[corner + nx + 1] - high)
    low += fy * (high - low)
    speed = np.abs(low)
    good = inside & (speed > STILL)  # NaN compares as False
    low[~good] = np.nan
    low[good] /= speed[good]
    return low


def _trace(
    field: Field, seeds: NDArray[np.complex128], step: float, steps: int
) -> tuple[NDArray[np.complex128], NDArray[np.intp]]:
    """Paths (seeds, steps + 1) from all seeds at once, and how many steps each could take."""
    path = np.full((steps + 1, seeds.size), np.nan, dtype=np.complex128)
    path[0] = seeds
    taken = np.zeros(seeds.size, dtype=np.intp)
    alive, at = np.arange(seeds.size), seeds
    heading = _heading(field, at)
    for k in range(1, steps + 1):
        at = at + step * _heading(field, at + (step / 2) * heading)
        # a point counts only where the field is known, so no line leaves the domain
        heading = _heading(field, at)
        good = np.isfinite(heading)
        if not good.all():
            alive, at, heading = alive[good], at[good], heading[good]
        if alive.size == 0:
            break
        path[k, alive] = at
        taken[alive] = k
    return path.T, taken


def _lane(path: NDArray[np.complex128], width: float, columns: int) -> NDArray[np.intp]:
    """Number of the lane cell that holds each point."""
    real, imag = np.nan_to_num(path.real), np.nan_to_num(path.imag)
    return (imag / width).astype(np.intp) * columns + (real / width).astype(np.intp)


def _claim(
    ahead: NDArray[np.intp], back: NDArray[np.intp], taken: NDArray[np.bool_], least: int
) -> tuple[int, int] | None:
    """Steps forwards and backwards until a taken lane; takes the lanes if they are enough.

    A path also ends where it comes back to a lane it has left, which closes a loop once.
    """
    n_ahead = _free(ahead, taken)
    own = ahead[: n_ahead + 1]
    taken[own] = True
    taken[ahead[0]] = False  # both halves start here
    n_back = _free(back, taken)
    if n_ahead + n_back < least:
        taken[own] = False
        return None
    taken[back[: n_back + 1]] = True
    taken[ahead[0]] = True
    return n_ahead, n_back


def _free(cells: NDArray[np.intp], taken: NDArray[np.bool_]) -> int:
    """Last step before a taken lane or a lane entered for the second time."""
    blocked = taken[cells]
    stop = int(np.argmax(blocked)) if blocked.any() else cells.size
    entries = np.flatnonzero(np.diff(cells[:stop], prepend=-1))  # where a lane is entered
    lanes = cells[entries]
    order = np.argsort(lanes, kind="stable")
    again = order[1:][lanes[order][1:] == lanes[order][:-1]]
    if again.size:
        stop = int(entries[again.min()])
    return max(stop - 1, 0)


def _to_data(
    line: NDArray[np.complex128], xs: NDArray[np.float64], ys: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.column_stack(
        [xs[0] + line.real * (xs[1] - xs[0]), ys[0] + line.imag * (ys[1] - ys[0])]
    )
