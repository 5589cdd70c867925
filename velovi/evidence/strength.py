"""When a signal in counts is called clear, and when too little was compared to tell."""

from __future__ import annotations

import math
from typing import Literal

CLEAR, SOME = 0.35, 0.10
"""Shares of genes above the null's 95th percentile, .05 by chance; see `docs/evidence.md`."""
FEWEST_IN_GROUP = 60
"""Smaller groups are not looked at by themselves."""
ENOUGH_CELLS, ENOUGH_GENES = 300, 30
"""With fewer, too little can be told from chance to call its absence a finding."""

Strength = Literal["clear", "some", "none", "cannot tell"]


def strength_of(share_above_null: float, n_cells: int, n_genes: int) -> Strength:
    """What a share of genes above the null says, 0 to 1, when so many cells were compared.

    Examples
    --------
    >>> strength_of(0.5, 100, 500), strength_of(0.2, 1000, 500), strength_of(0.06, 100, 500)
    ('clear', 'some', 'cannot tell')
    """
    if math.isfinite(share_above_null) and share_above_null >= CLEAR and n_genes >= ENOUGH_GENES:
        return "clear"
    if n_cells < ENOUGH_CELLS or n_genes < ENOUGH_GENES or not math.isfinite(share_above_null):
        return "cannot tell"
    return "some" if share_above_null >= SOME else "none"
