"""Dirichlet divergence, mean and draws against torch.distributions."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Dirichlet, kl_divergence

from velovi.model import dirichlet


@pytest.fixture
def concentration() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.rand(7, 5, 4, generator=generator, dtype=torch.float64) * 6 + 1e-3
    ).requires_grad_()


def test_divergence_and_gradient_equal_torch(concentration):
    ours = dirichlet.divergence_from_symmetric(concentration, 0.25)
    theirs = kl_divergence(
        Dirichlet(concentration), Dirichlet(torch.full_like(concentration, 0.25))
    )
    assert torch.allclose(ours, theirs, rtol=1e-12)
    weight = torch.linspace(-1, 1, ours.numel(), dtype=torch.float64).view_as(ours)
    (mine,) = torch.autograd.grad((ours * weight).sum(), concentration)
    (other,) = torch.autograd.grad((theirs * weight).sum(), concentration)
    assert torch.allclose(mine, other, rtol=1e-9)


def test_divergence_is_zero_at_the_prior():
    at_prior = torch.full((3, 4), 0.25)
    assert dirichlet.divergence_from_symmetric(at_prior, 0.25).abs().max() < 1e-6


def test_draws_average_to_the_mean(concentration):
    torch.manual_seed(0)
    many = concentration.detach().expand(20_000, 7, 5, 4)
    draws = dirichlet.sample(many)
    assert torch.allclose(draws.sum(-1), torch.ones(()).double(), atol=1e-12)
    error = (draws.mean(0) - dirichlet.mean(concentration)).abs().max()
    assert error < 0.012


def test_tiny_concentrations_give_finite_probabilities():
    draws = dirichlet.sample(torch.full((1000, 4), 1e-4))
    assert torch.isfinite(draws).all()
