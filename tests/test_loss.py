"""The fused pass against the tensor form of the loss, which is the obvious implementation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special as scipy_special

from velovi.model.compiled import loss
from velovi.model.compiled.loss import GeneInputs
from velovi.model.compiled.scratch import CHUNK
from velovi.model.compiled.vector_math import exp, gamma_functions, log
from velovi.model.module import VELOVAE

GENES = {"one gene": 1, "a chunk and a rest": CHUNK + 5, "two chunks": 2 * CHUNK}


def made_module(n_genes: int, **kwargs: object) -> VELOVAE:
    torch.manual_seed(0)
    known = {"switch_spliced": np.full(n_genes, 0.8), "switch_unspliced": np.full(n_genes, 0.7)}
    module = VELOVAE(n_genes, n_hidden=16, **known, **kwargs)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name in ("alpha", "beta_mean", "gamma_mean"):
            rate = getattr(module, f"{name}_unconstr")
            rate += torch.randn(n_genes, generator=generator)
        module.scale_unconstr += torch.randn(2 * n_genes, 4, generator=generator)
        module.beta_mean_unconstr[::3] = module.gamma_mean_unconstr[::3]
        module.beta_mean_unconstr[1::3] = module.gamma_mean_unconstr[1::3] + 1e-4
    return module


def decoded(n_cells: int, n_genes: int) -> dict[str, torch.Tensor]:
    """What the decoder might give, from the ordinary to the extreme."""
    torch.manual_seed(2)
    concentration = torch.nn.functional.softplus(4 * torch.randn(n_cells, n_genes, 4) - 1)
    concentration[0], concentration[1] = 50.0, 1e-5
    concentration[2, :, 0], concentration[2, :, 1:] = 30.0, 1e-3
    states = torch.distributions.Dirichlet(concentration).sample()
    states = states.clamp(1e-6, 1 - 1e-6)  # the limits depend on the precision
    rho, tau = torch.rand(2, n_cells, n_genes)
    rho[:3], tau[:3] = torch.tensor([[0.0], [1e-4], [1.0]]), torch.tensor([[1.0], [0.0], [1e-4]])
    return {"concentration": concentration, "states": states, "rho": rho, "tau": tau}


def gradients(module, data, decoded, dtype):
    """The data's terms and every gradient, in ``dtype``."""
    module = module.to(dtype)
    module.zero_grad()
    leaves = {k: v.to(dtype).clone().requires_grad_() for k, v in decoded.items()}
    terms = module._data_terms(*(d.to(dtype) for d in data), rates=module.get_rates(), **leaves)
    terms.mean.backward()
    found = {k: v.grad for k, v in leaves.items()}
    found |= {k: v.grad.clone() for k, v in module.named_parameters() if v.grad is not None}
    return terms, found


@pytest.mark.parametrize("n_genes", GENES.values(), ids=GENES)
@pytest.mark.parametrize("n_cells", [3, 37])
def test_equal_to_the_tensor_form_in_double_precision(n_genes, n_cells):
    module, inputs = made_module(n_genes), decoded(n_cells, n_genes)
    data = torch.rand(2, n_cells, n_genes)
    data[:, 0] = 0.0
    fast, mine = gradients(module, data, inputs, torch.float32)
    exact, other = gradients(module, data, inputs, torch.float64)
    torch.testing.assert_close(fast.mean.double(), exact.mean, rtol=1e-5, atol=0)
    for name in ("reconstruction", "divergence"):
        torch.testing.assert_close(
            getattr(fast, name).double(), getattr(exact, name), rtol=1e-5, atol=1e-4
        )
    assert mine.keys() == other.keys()
    for name, gradient in other.items():
        error = (mine[name].double() - gradient).abs()
        assert error.norm() <= 1e-5 * gradient.norm(), name
        # where the states' densities differ by e**1000, single precision, fused or not, knows
        # the small gradients to three digits
        largest = gradient.abs().max()
        assert (error <= 1e-5 * largest).all(), name
        assert (error <= 5e-3 * gradient.abs() + 1e-7 * largest).all(), name


def test_the_fused_pass_is_what_was_compared():
    module, data = made_module(3), torch.rand(2, 4, 3)
    name = module._data_terms(
        *data,
        rates=module.get_rates(),
        **{k: v.requires_grad_() for k, v in decoded(4, 3).items()},
    ).mean.grad_fn.name()
    assert "DataTerms" in name


def test_a_scaled_loss_has_scaled_gradients():
    inputs = {k: v.requires_grad_() for k, v in decoded(5, 4).items()}
    genes = GeneInputs(*(torch.rand(10, 4) + 0.1))
    terms = loss.data_terms(*torch.rand(2, 5, 4), **inputs, genes=genes, t_max=20, prior=0.25)
    once = torch.autograd.grad(terms.mean, inputs["rho"], retain_graph=True)[0]
    twice = torch.autograd.grad(2 * terms.mean, inputs["rho"])[0]
    torch.testing.assert_close(twice, 2 * once)


@pytest.mark.parametrize("broken", ["concentration", "states", "rho", "tau"])
def test_a_missing_number_is_not_hidden(broken):
    inputs = decoded(5, 4)
    inputs[broken][3, 2] = torch.nan
    genes = GeneInputs(*(torch.rand(10, 4) + 0.1))
    terms = loss.data_terms(*torch.rand(2, 5, 4), **inputs, genes=genes, t_max=20, prior=0.25)
    assert not torch.isfinite(terms.mean)


def test_the_number_of_threads_changes_nothing():
    inputs = decoded(100, 30)
    genes = GeneInputs(*(torch.rand(10, 30) + 0.1))
    data, found, threads = torch.rand(2, 100, 30), [], torch.get_num_threads()
    for number in (1, 3):
        torch.set_num_threads(number)
        leaves = {k: v.clone().requires_grad_() for k, v in inputs.items()}
        terms = loss.data_terms(*data, **leaves, genes=genes, t_max=20, prior=0.25)
        terms.mean.backward()
        found.append([terms.mean.detach(), *(leaf.grad for leaf in leaves.values())])
    torch.set_num_threads(threads)
    for item, three in zip(*found, strict=True):
        assert torch.equal(item, three)


def test_time_dependent_rates_take_the_tensor_form():
    module = made_module(4, time_dep_transcription_rate=True)
    data = torch.rand(2, 5, 4)
    loss = module({"X": data[0], "U": data[1]})[2].loss
    loss.backward()
    assert module.lambda_alpha_unconstr.grad.abs().sum() > 0


def test_special_functions():
    x = np.exp(np.linspace(np.log(1e-6), np.log(1e4), 400)).astype(np.float32)
    exact = x.astype(np.float64)
    logs = np.array([log(item) for item in x])
    np.testing.assert_allclose(logs, np.log(exact), rtol=3e-7, atol=3e-7)
    exponents = np.linspace(-80, 80, 400, dtype=np.float32)
    powers = np.array([exp(exponent) for exponent in exponents])
    np.testing.assert_allclose(powers, np.exp(exponents.astype(np.float64)), rtol=5e-7)
    found = np.array([gamma_functions(item) for item in x])
    for column, function in (
        (0, scipy_special.gammaln),
        (1, scipy_special.digamma),
        (2, lambda at: scipy_special.polygamma(1, at)),
    ):
        np.testing.assert_allclose(found[:, column], function(exact), rtol=2e-6, atol=2e-6)
