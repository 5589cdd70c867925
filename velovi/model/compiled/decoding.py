"""The decoder without gradients on the CPU, for passes that decode many samples.

Its last layers are nearly all of the work. Here they write into memory that is used again, from
weights that lie as the matrix product reads them, and one compiled pass adds the bias and takes the
function of each number: torch's own functions take longer than the products leave time for.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from velovi.model.compiled.vector_math import compiled_loop, exp, log, number
from velovi.model.decoder import DecoderVELOVI
from velovi.numerics.parallel import over_blocks

_loop = compiled_loop("contract", "nsz")
_ZERO, _ONE = number(0), number(1)
_LINEAR_FROM = number(20)  # as torch has it: beyond, the difference is below float32


class Decoding:
    """Decode cell states again and again.

    Parameters
    ----------
    decoder
        In evaluation mode and on the CPU, in single precision.
    times
        Work out the times as well; without, they are empty.
    """

    def __init__(self, decoder: DecoderVELOVI, *, times: bool = True) -> None:
        self._decoder, self._times = decoder, times
        self._concentration = _Head(decoder.px_pi_decoder, softplus_in_place)
        self._rho = _Head(decoder.px_rho_decoder[0], sigmoid_in_place)
        self._tau = _Head(decoder.px_tau_decoder[0], sigmoid_in_place)

    def __call__(
        self, cell_state: Tensor, latent_dim: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As :meth:`DecoderVELOVI.forward`; the next call writes over what this one gave."""
        decoder = self._decoder
        found = self._concentration(decoder.pi_first_decoder(cell_state))
        concentration = found.view(len(cell_state), decoder.n_output, 4)
        if not self._times:
            empty = cell_state.new_empty(0, decoder.n_output)
            return concentration, empty, empty
        if decoder.linear_decoder:
            return concentration, *decoder.times(cell_state, latent_dim)
        hidden = decoder.hidden_of_times(cell_state, latent_dim)
        return concentration, self._rho(hidden), self._tau(hidden)


class _Head:
    """A linear layer and a function of each number, in memory of its own."""

    def __init__(self, layer: nn.Module, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        assert isinstance(layer, nn.Linear)
        self._layer, self._function = layer, function
        self._weight: Tensor | None = None
        self._memory = torch.empty(0)

    def __call__(self, hidden: Tensor) -> Tensor:
        if self._weight is None:
            self._weight = self._layer.weight.detach().t().contiguous()
        if len(self._memory) < len(hidden):
            self._memory = torch.empty(len(hidden), self._layer.out_features)
        found = torch.mm(hidden, self._weight, out=self._memory[: len(hidden)])
        return self._function(found, self._layer.bias.detach())


def softplus_in_place(values: Tensor, bias: Tensor) -> Tensor:
    """``log(1 + exp(values + bias))`` in the memory of the values.

    Parameters
    ----------
    values
        ``(rows, columns)``, contiguous float32 on the CPU.
    bias
        ``(columns,)``, added first.
    """
    return _in_place(_softplus, values, bias)


def sigmoid_in_place(values: Tensor, bias: Tensor) -> Tensor:
    """``1 / (1 + exp(-values - bias))``; parameters as in :func:`softplus_in_place`."""
    return _in_place(_sigmoid, values, bias)


def _in_place(loop: Callable[..., None], values: Tensor, bias: Tensor) -> Tensor:
    arrays = values.numpy(), bias.numpy()
    over_blocks(
        lambda start, stop: loop(start, stop, *arrays), len(values), torch.get_num_threads()
    )
    return values


@_loop
def _softplus(start, stop, rows, bias):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        values = rows[row]
        for i in range(values.shape[0]):
            x = values[i] + bias[i]
            small = -abs(x)
            # for small e, log(1 + e) loses what 1 + e rounds away; the quotient gives it back
            e = exp(small)
            whole = _ONE + e
            rest = e if whole == _ONE else log(whole) * (e / (whole - _ONE))
            soft = max(x, _ZERO) + rest
            values[i] = x if x > _LINEAR_FROM else soft


@_loop
def _sigmoid(start, stop, rows, bias):  # type: ignore[no-untyped-def]
    for row in range(start, stop):
        values = rows[row]
        for i in range(values.shape[0]):
            x = values[i] + bias[i]
            e = exp(-abs(x))
            values[i] = (_ONE if x >= _ZERO else e) / (_ONE + e)
