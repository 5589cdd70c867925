"""Groups of cells, few enough to be told apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from velovi.data import MOST_GROUPS

OTHERS = "other groups"


def merge_small_groups(
    codes: np.ndarray, names: Sequence[object], most: int = MOST_GROUPS
) -> tuple[np.ndarray, list[object]]:
    """The largest groups as they are and the others together, if there are too many.

    Parameters
    ----------
    codes
        Group of each cell (cells,), -1 for none.
    names
        What the codes stand for.
    most
        Groups that there may be, the merged one among them.

    Returns
    -------
    codes, names
        The same when there are few enough; else the largest ``most - 1`` in their own order, and
        "other groups" last.

    Examples
    --------
    >>> codes, names = merge_small_groups(np.array([0, 0, 1, 2, 2, 3, -1]), list("abcd"), most=3)
    >>> codes.tolist(), names
    ([0, 0, 2, 1, 1, 2, -1], ['a', 'c', 'other groups'])
    """
    if len(names) <= most:
        return codes, list(names)
    sizes = np.bincount(codes[codes >= 0], minlength=len(names))
    kept = np.sort(np.argsort(-sizes, kind="stable")[: most - 1])
    place = np.full(len(names) + 1, most - 1)
    place[kept], place[-1] = np.arange(most - 1), -1
    taken = {str(names[number]) for number in kept}
    others = OTHERS if OTHERS not in taken else f"{OTHERS} (merged)"
    return place[codes], [*(names[number] for number in kept), others]
