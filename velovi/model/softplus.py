"""The decoder's last step without gradients, compiled: torch's own takes longer than the loops."""

from __future__ import annotations

import torch
from torch import Tensor

from velovi.model.blocks import over_blocks
from velovi.model.special import compiled_loop, exp, log, number

_loop = compiled_loop("contract", "nsz")
_ZERO, _ONE = number(0), number(1)
_LINEAR_FROM = number(20)  # as torch has it: beyond, the difference is below float32


def softplus_in_place(values: Tensor) -> Tensor:
    """``log(1 + exp(x))`` of a contiguous float32 tensor on the CPU, in its own memory."""
    rows = values.view(len(values), -1).numpy()
    over_blocks(
        lambda start, stop: _softplus(start, stop, rows), len(rows), torch.get_num_threads()
    )
    return values


@_loop
def _softplus(start, stop, rows):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        values = rows[row]
        for i in range(values.shape[0]):
            x = values[i]
            small = -abs(x)
            # for small e, log(1 + e) loses what 1 + e rounds away; the quotient gives it back
            e = exp(small)
            whole = _ONE + e
            rest = e if whole == _ONE else log(whole) * (e / (whole - _ONE))
            soft = max(x, _ZERO) + rest
            values[i] = x if x > _LINEAR_FROM else soft
