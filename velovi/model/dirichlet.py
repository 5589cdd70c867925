"""Dirichlet distributions over the four transcription states, for whole matrices at once.

Concentrations have the states on the last axis: ``(..., 4)``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.distributions import Dirichlet

from velovi.model.compiled import dirichlet_sampler


def sample(concentration: Tensor, compiled: bool = False, out: Tensor | None = None) -> Tensor:
    """One draw for each entry, with the pathwise gradient; states sum to one.

    Metal has no Dirichlet kernel, so there the draw is made on the CPU and moved back.

    Parameters
    ----------
    concentration
        ``(..., 4)``, positive.
    compiled
        Use :mod:`velovi.model.compiled.dirichlet_sampler` where it covers the concentrations:
        other numbers of the same distribution, several times faster.
    out
        Memory that the compiled sampler may write a draw without gradient into.
    """
    if compiled and dirichlet_sampler.covers(concentration):
        return dirichlet_sampler.sample(concentration, out)
    if concentration.device.type == "mps":
        return sample(concentration.cpu()).to(concentration.device)
    return Dirichlet(concentration, validate_args=False).rsample()


def mean(concentration: Tensor) -> Tensor:
    """Expected state probabilities."""
    return concentration / concentration.sum(dim=-1, keepdim=True)


class _DivergenceFromSymmetric(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, concentration: Tensor, prior: float) -> Tensor:
        ctx.save_for_backward(concentration)
        ctx.prior = prior  # type: ignore[attr-defined]
        total = concentration.sum(dim=-1)
        n_states = concentration.shape[-1]
        base = torch.tensor([prior, n_states * prior], dtype=torch.float64)
        constant = float((n_states * torch.lgamma(base[0]) - torch.lgamma(base[1])).item())
        slope = torch.digamma(concentration) - torch.digamma(total).unsqueeze(-1)
        return (
            torch.lgamma(total)
            - torch.lgamma(concentration).sum(dim=-1)
            + ((concentration - prior) * slope).sum(dim=-1)
            + constant
        )

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor, None]:
        (concentration,) = ctx.saved_tensors  # type: ignore[attr-defined]
        prior: float = ctx.prior  # type: ignore[attr-defined]
        total = concentration.sum(dim=-1, keepdim=True)
        own = (concentration - prior) * torch.polygamma(1, concentration)
        shared = (total - concentration.shape[-1] * prior) * torch.polygamma(1, total)
        return grads[0].unsqueeze(-1) * (own - shared), None


def divergence_from_symmetric(concentration: Tensor, prior: float) -> Tensor:
    """``KL(Dirichlet(concentration) || Dirichlet(prior, ..., prior))``.

    Written out so that the backward pass costs two trigamma evaluations and nothing else.

    Parameters
    ----------
    concentration
        ``(..., 4)``, positive.
    prior
        The symmetric prior's concentration.

    Returns
    -------
    Tensor
        ``(...)``, not negative.
    """
    return _DivergenceFromSymmetric.apply(concentration, prior)
