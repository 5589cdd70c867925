"""The posterior: one loop over minibatches and samples, and small functions that read it.

Batching, moving data to the device and drawing samples happen in :func:`iterate`, once. What a
caller wants is a :data:`Quantity`, a function from one posterior sample to a tensor, and
:func:`collect` averages or stacks its values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from scvi.module._constants import MODULE_KEYS
from torch import Tensor

from velovi.model import dirichlet, kinetics
from velovi.model.compiled.decoding import Decoding
from velovi.model.compiled.loss import GeneInputs
from velovi.model.decoder import DecoderVELOVI
from velovi.model.kinetics import Rates
from velovi.model.module import SPLICED_KEY, UNSPLICED_KEY, VELOVAE, StateMeans

Minibatches = Iterable[Mapping[str, Tensor]]
_ROWS_TOGETHER = 256
Statistic = Literal["mean", "max"]
Mode = Literal["spliced", "unspliced"]


@dataclass(frozen=True)
class PosteriorSample:
    """One draw of everything for one minibatch.

    Attributes
    ----------
    spliced, unspliced
        The data, ``(cells, genes)``.
    drawn_states
        A Dirichlet draw ``(cells, genes, 4)``, or None when none was wanted.
    concentration
        The Dirichlet's concentrations ``(cells, genes, 4)``.
    rho, tau
        Times as shares of the induction and the repression interval, ``(cells, genes)``; empty
        when they were not wanted.
    rates
        Rates of every gene.
    switch_time
        ``(genes,)``.
    genes
        What compiled loops need of every gene; None where they do not apply.
    first, number
        Position of the minibatch's first cell, and the sample's number.
    """

    module: VELOVAE
    spliced: Tensor
    unspliced: Tensor
    drawn_states: Tensor | None
    concentration: Tensor
    rho: Tensor
    tau: Tensor
    rates: Rates
    switch_time: Tensor
    genes: GeneInputs | None
    first: int
    number: int

    @cached_property
    def states(self) -> Tensor:
        """State probabilities ``(cells, genes, 4)``: the draw, or their expectation."""
        if self.drawn_states is not None:
            return self.drawn_states
        return dirichlet.mean(self.concentration)

    @cached_property
    def induction_time(self) -> Tensor:
        """Time since induction began, ``(cells, genes)``."""
        return self.switch_time * self.rho

    @cached_property
    def repression_time(self) -> Tensor:
        """Time since the switch, ``(cells, genes)``."""
        return (self.module.t_max - self.switch_time) * self.tau

    @cached_property
    def means(self) -> StateMeans:
        """Mean abundance in each state."""
        return self.module.get_state_means(self.rates, self.rho, self.tau)


Quantity = Callable[[PosteriorSample], Tensor]


@contextmanager
def evaluating(module: VELOVAE) -> Iterator[VELOVAE]:
    """The module in evaluation mode, and back in its own afterwards."""
    was_training = module.training
    module.eval()
    try:
        yield module
    finally:
        module.train(was_training)


@contextmanager
def seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    """Random numbers from a seed of their own; the global generator goes on as if none was drawn.

    With None they come from the global generator, which ``scvi.settings.seed`` sets.
    """
    if seed is None:
        yield
        return
    metal = torch.mps.get_rng_state() if device.type == "mps" else None
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield
    finally:
        if metal is not None:
            torch.mps.set_rng_state(metal)


def compiles(module: VELOVAE) -> bool:
    """Whether the compiled loops over posterior samples apply: float32 on the CPU."""
    weights = module.alpha_unconstr
    return (
        module.fused
        and not module.time_dep_transcription_rate
        and weights.device.type == "cpu"
        and weights.dtype == torch.float32
    )


def iterate(
    module: VELOVAE,
    minibatches: Minibatches,
    *,
    n_samples: int = 1,
    draw_states: bool = True,
    times: bool = True,
    latent_dim: int | None = None,
) -> Iterator[PosteriorSample]:
    """Posterior samples, minibatch by minibatch.

    A sample is to be read before the next is taken, which may lie in the same memory.

    Each minibatch is encoded once. Random numbers come from torch's global generator, minibatch
    by minibatch; the compiled sampler of state probabilities takes two of them as its keys.

    Parameters
    ----------
    module
        The model; put into evaluation mode for the loop and back afterwards.
    minibatches
        Mappings with the spliced and the unspliced matrix, each ``(cells, genes)``.
    n_samples
        Samples for each cell.
    draw_states
        Draw state probabilities from their Dirichlet distribution; otherwise take its mean,
        which is exact for every quantity that is linear in them.
    times
        Work out the times; without them only the state probabilities can be read.
    latent_dim
        Use only this latent dimension for the times.
    """
    with evaluating(module):
        rates, switch_time = module.get_rates(), module.get_switch_time()
        known = module.gene_inputs(rates) if compiles(module) else None
        decode: Decoding | DecoderVELOVI = module.decoder
        if known is not None and not torch.is_grad_enabled():
            decode = Decoding(module.decoder, times=times)
        first = 0
        for tensors in minibatches:
            data = [tensors[key].to(module.device) for key in (SPLICED_KEY, UNSPLICED_KEY)]
            for number, (states, concentration, rho, tau) in enumerate(
                _decode(module, decode, data, n_samples, draw_states, latent_dim)
            ):
                yield PosteriorSample(
                    module=module,
                    spliced=data[0],
                    unspliced=data[1],
                    drawn_states=states,
                    concentration=concentration,
                    rho=rho,
                    tau=tau,
                    rates=rates,
                    switch_time=switch_time,
                    genes=known,
                    first=first,
                    number=number,
                )
            first += data[0].shape[0]


def _decode(
    module: VELOVAE,
    decode: Decoding | DecoderVELOVI,
    data: list[Tensor],
    n_samples: int,
    draw_states: bool,
    latent_dim: int | None,
) -> Iterator[tuple[Tensor | None, Tensor, Tensor, Tensor]]:
    memory = torch.empty(0) if isinstance(decode, Decoding) else None
    encoded = module.inference(*data)
    mean, variance = encoded[MODULE_KEYS.QZM_KEY], encoded[MODULE_KEYS.QZV_KEY]
    # small minibatches are decoded some samples at a time, for which the weights are read once;
    # with torch's draws one at a time, which is the order of the reference's random numbers
    together = max(1, _ROWS_TOGETHER // len(mean)) if module.compiled_draws else 1
    for first in range(0, n_samples, together):
        numbers = range(first, min(first + together, n_samples))
        cell_states = [
            encoded[MODULE_KEYS.Z_KEY] if number == 0 else module.draw_cell_state(mean, variance)
            for number in numbers
        ]
        cell_state = torch.cat(cell_states)
        decoded = decode(cell_state, latent_dim=latent_dim)
        drawn = None
        if draw_states:
            if memory is not None and len(memory) < len(cell_state):
                memory = torch.empty_like(decoded[0])
            out = None if memory is None else memory[: len(cell_state)]
            drawn = dirichlet.sample(decoded[0], module.compiled_draws, out)
        for place in range(len(numbers)):
            rows = slice(place * len(mean), (place + 1) * len(mean))
            concentration, rho, tau = (item[rows] for item in decoded)
            yield None if drawn is None else drawn[rows], concentration, rho, tau


# Quantities. Each takes a sample and gives (cells, genes) unless it says otherwise.


def states(sample: PosteriorSample) -> Tensor:
    """State probabilities ``(cells, genes, 4)``."""
    return sample.states


def velocity(mode: Mode = "spliced", statistic: Statistic = "mean") -> Quantity:
    """``ds/dt`` or ``du/dt`` per unit of model time; zero in both steady states.

    ``statistic="mean"`` is the expectation over states, ``"max"`` the value in the likeliest.
    """

    def quantity(sample: PosteriorSample) -> Tensor:
        values = state_velocities(sample, mode)
        return _over_states(sample.states, values, statistic)

    return quantity


def state_velocities(sample: PosteriorSample, mode: Mode) -> tuple[Tensor, ...]:
    """Velocity in each of the four states, each ``(cells, genes)``."""
    rising, _, falling = sample.means
    rates = sample.rates
    if mode == "spliced":
        up = kinetics.spliced_velocity(rates, rising)
        down = kinetics.spliced_velocity(rates, falling)
    else:
        transcription = kinetics.transcription_rate(rates, sample.induction_time)
        up = kinetics.unspliced_velocity(rates, rising, transcription)
        down = kinetics.unspliced_velocity(rates, falling, 0.0)
    rest = torch.zeros_like(up)
    return up, rest, down, rest


def latent_time(statistic: Statistic = "mean") -> Quantity:
    """Gene-wise latent time, between 0 and the end of the model's time axis.

    In the mean, repression's steady state counts as time 0: a gene that is off is as likely not
    to have begun as to have ended. With ``"max"`` it is the end of the axis.
    """

    def quantity(sample: PosteriorSample) -> Tensor:
        return _over_states(sample.states, state_times(sample, statistic), statistic)

    return quantity


def state_times(sample: PosteriorSample, statistic: Statistic = "mean") -> tuple[Tensor, ...]:
    """Latent time in each of the four states, each ``(cells, genes)``."""
    up = sample.induction_time
    end = torch.zeros_like(up) if statistic == "mean" else torch.full_like(up, sample.module.t_max)
    switch = sample.switch_time.expand_as(up)
    return up, switch, switch + sample.repression_time, end


def fit(mode: Mode) -> Quantity:
    """Fitted abundance, the expectation over states."""

    def quantity(sample: PosteriorSample) -> Tensor:
        return _over_states(sample.states, state_fits(sample, mode), "mean")

    return quantity


def state_fits(sample: PosteriorSample, mode: Mode) -> tuple[Tensor, ...]:
    """Fitted abundance in each of the four states, broadcastable to ``(cells, genes)``."""
    fitted: list[Tensor] = [getattr(state, mode) for state in sample.means]
    return (*fitted, torch.zeros_like(fitted[0]))


def log_likelihood(sample: PosteriorSample) -> Tensor:
    """Log-density of spliced and unspliced abundance together."""
    spliced, unspliced = sample.module.log_likelihood(
        sample.spliced, sample.unspliced, sample.means, sample.states
    )
    return spliced + unspliced


def _over_states(probabilities: Tensor, values: tuple[Tensor, ...], statistic: Statistic) -> Tensor:
    shape = probabilities.shape[:-1]
    stacked = torch.stack([value.expand(shape) for value in values], dim=-1)
    if statistic == "mean":
        return (probabilities * stacked).sum(dim=-1)
    likeliest = probabilities.argmax(dim=-1, keepdim=True)
    return stacked.gather(-1, likeliest).squeeze(-1)


def collect(
    samples: Iterable[PosteriorSample],
    quantities: Mapping[str, Quantity],
    *,
    n_cells: int,
    n_samples: int,
    genes: np.ndarray | None = None,
    return_mean: bool = True,
) -> dict[str, np.ndarray]:
    """Average or stack quantities over posterior samples.

    Parameters
    ----------
    samples
        From :func:`iterate`.
    quantities
        What to collect, by name.
    n_cells, n_samples
        Sizes of the result.
    genes
        Positions of the genes to keep, in the order wanted; all when left out.
    return_mean
        Average over samples; memory then does not grow with their number.

    Returns
    -------
    dict of numpy.ndarray
        ``(cells, genes, ...)`` means, or ``(samples, cells, genes, ...)``.
    """
    collected: dict[str, np.ndarray] = {}
    for sample in samples:
        for name, quantity in quantities.items():
            value = quantity(sample)
            if genes is not None:
                value = value[:, torch.as_tensor(genes, device=value.device)]
            values = value.cpu().numpy()
            if name not in collected:
                leading = (n_cells,) if return_mean else (n_samples, n_cells)
                collected[name] = np.zeros(leading + values.shape[1:], dtype=values.dtype)
            rows = slice(sample.first, sample.first + len(values))
            if return_mean:
                collected[name][rows] += values / n_samples
            else:
                collected[name][sample.number, rows] = values
    return collected
