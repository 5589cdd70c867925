"""The compiled Dirichlet sampler: its distribution, and its pathwise gradient."""

from __future__ import annotations

import ast
from pathlib import Path

import mpmath
import numba
import numpy as np
import pytest
import torch
from modelling import QUIET, made_model, scaled_data, trained_model
from scipy import special, stats
from torch.distributions import Dirichlet

from velovi.model import dirichlet
from velovi.model.compiled import dirichlet_sampler, gamma_grad
from velovi.model.compiled import vector_math as compiled_parts

SHAPES = (1e-3, 0.03, 0.25, 0.8, 1.0, 3.0, 50.0)


def drawn(concentration: list[float], n: int, seed: int = 0) -> np.ndarray:
    torch.manual_seed(seed)
    return (
        dirichlet_sampler.sample(torch.tensor(concentration).expand(100, n // 100, 4))
        .numpy()
        .reshape(-1, 4)
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("others", [0.01, 1.0, 20.0])
def test_every_share_has_its_beta_distribution(shape, others):
    n = 40_000
    found = drawn([others, shape, others / 2, others * 2], n)
    exact = stats.beta(shape, 3.5 * others)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    share = found[:, 1].astype(float)
    assert abs(share.mean() - exact.mean()) < 5 * exact.std() / np.sqrt(n)
    spread = (share - exact.mean()) ** 2
    assert abs(spread.mean() - exact.var()) < 5 * spread.std() / np.sqrt(n) + 1e-7
    # shares that single precision cannot tell from 0 or 1 are compared as such
    low, high = 1e-30, 1 - 1e-6
    inside = share[(share > low) & (share < high)]
    for part, chance in (
        (share <= low, exact.cdf(low)),
        (share >= high, exact.sf(high)),
    ):
        assert abs(part.mean() - chance) < 5 * np.sqrt(chance / n) + 2 / n
    if len(inside) > 1000:
        within = exact.cdf(high) - exact.cdf(low)
        test = stats.kstest(inside, lambda x: (exact.cdf(x) - exact.cdf(low)) / within)
        assert test.pvalue > 1e-4


def test_shares_are_correlated_as_in_a_dirichlet():
    shape = [0.3, 1.5, 0.7, 4.0]
    found = np.cov(drawn(shape, 200_000).T)
    mean = np.array(shape) / sum(shape)
    exact = (np.diag(mean) - np.outer(mean, mean)) / (sum(shape) + 1)
    np.testing.assert_allclose(found, exact, atol=4e-4)


def test_places_and_calls_are_independent():
    torch.manual_seed(1)
    concentration = torch.full((200, 50, 4), 0.8)
    first, second = (dirichlet_sampler.sample(concentration).numpy() for _ in range(2))
    n = first[..., 0].size
    for a, b in (
        (first[1:], first[:-1]),
        (first[:, 1:], first[:, :-1]),
        (first, second),
    ):
        assert abs(np.corrcoef(a[..., 0].ravel(), b[..., 0].ravel())[0, 1]) < 5 / np.sqrt(n)


def test_one_seed_one_draw_with_any_number_of_threads():
    concentration = torch.rand(100, 300, 4) + 0.01
    found, threads = [], torch.get_num_threads()
    for seed, number in ((0, 1), (0, 3), (1, 1)):
        torch.manual_seed(seed)
        torch.set_num_threads(number)
        leaf = concentration.clone().requires_grad_()
        states = dirichlet_sampler.sample(leaf)
        (states[..., 0] ** 2).sum().backward()
        found.append((states.detach(), leaf.grad))
    torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(found[0], found[1], strict=True))
    assert not torch.equal(found[0][0], found[2][0])


@numba.njit
def _slopes(shapes, log_x):
    found = np.empty(shapes.size, np.float32)
    for i in range(shapes.size):
        found[i] = gamma_grad.slope(*gamma_grad.slope_row(shapes[i]), log_x[i])
    return found


def test_slope_of_a_gamma_draw_is_minus_the_change_of_its_distribution_over_its_density():
    rng = np.random.default_rng(0)
    shapes = np.exp(rng.uniform(-7, 5, 60))
    x = special.gammaincinv(shapes, rng.uniform(0, 1, 60))
    shapes, x = shapes[x > 1e-300], x[x > 1e-300]
    exact = []
    for a, at in zip(map(mpmath.mpf, shapes), map(mpmath.mpf, x), strict=True):
        change = mpmath.diff(lambda b, at=at: mpmath.gammainc(b, 0, at, regularized=True), a)
        density = at ** (a - 1) * mpmath.exp(-at) / mpmath.gamma(a)
        exact.append(float(-a * change / density / at))
    np.testing.assert_allclose(gamma_grad.scaled_slope(shapes, np.log(x)), exact, rtol=1e-6)
    found = _slopes(shapes.astype(np.float32), np.log(x).astype(np.float32))
    np.testing.assert_allclose(found, exact, rtol=1e-3)


def test_table_is_close_to_the_quadrature_wherever_draws_can_be():
    rng = np.random.default_rng(1)
    shapes = np.exp(rng.uniform(-12, 7, 20_000)).astype(np.float32)
    log_x = np.log(shapes + 0.5) + rng.uniform(-40, 5, 20_000)
    log_x = log_x.astype(np.float32)
    exact = gamma_grad.scaled_slope(shapes.astype(float), log_x.astype(float))
    np.testing.assert_allclose(_slopes(shapes, log_x), exact, rtol=1e-3)


def gradients(concentration, densities, sample):
    """Gradients of the negative log-likelihood of two mixtures, by concentration."""
    leaf = concentration.clone().requires_grad_()
    states = sample(leaf).clamp(1e-7, 1)
    loss = -(states[:, :, None, :] * densities).sum(dim=-1).log().sum()
    return torch.autograd.grad(loss, leaf)[0].double()


@pytest.mark.parametrize(
    ("middle", "spread"), [(0.0, 0.3), (0.0, 2.0), (3.0, 1.0)], ids=["start", "wide", "large"]
)
def test_gradient_is_unbiased_and_no_noisier_than_torch(middle, spread):
    torch.manual_seed(0)
    n, repeats = 60, 20_000
    densities = torch.exp(-0.5 * (2 * torch.randn(n, 2, 4)) ** 2)
    concentration = torch.nn.functional.softplus(middle + spread * torch.randn(n, 4))
    concentration = concentration.expand(repeats, n, 4).contiguous()
    ours = gradients(concentration, densities, dirichlet_sampler.sample)
    theirs = gradients(
        concentration, densities, lambda c: Dirichlet(c, validate_args=False).rsample()
    )
    error = ((ours.var(dim=0) + theirs.var(dim=0)) / repeats).sqrt()
    z = (ours.mean(dim=0) - theirs.mean(dim=0)) / error
    assert z.pow(2).mean().sqrt() < 1.2
    assert z.abs().max() < 5
    ratios = ours.var(dim=0) / theirs.var(dim=0)
    assert ratios.median() < 1.05
    assert ours.var(dim=0).sum() < 1.1 * theirs.var(dim=0).sum()


def test_extreme_concentrations_stay_finite():
    concentration = torch.tensor([0.0, 1e-30, 1e-6, 1e-3, 1.0, 1e3, 1e6])
    grid = torch.cartesian_prod(*[concentration] * 4).view(1, -1, 4).requires_grad_()
    torch.manual_seed(0)
    states = dirichlet_sampler.sample(grid)
    (states**2).sum().backward()
    assert torch.isfinite(states).all()
    assert torch.isfinite(grid.grad).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e37, -1.0, 0.0])
@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_bad_number_among_good_ones_stays_where_it_is(bad, place):
    concentration = torch.ones(20, 30, 4)
    concentration[7, 11, place] = bad
    concentration.requires_grad_()
    states = dirichlet_sampler.sample(concentration)
    (states**2).sum().backward()
    good = torch.ones(20, 30, dtype=bool)
    good[7, 11] = False
    assert torch.isfinite(states[good]).all()
    assert torch.isfinite(concentration.grad[good]).all()
    if np.isnan(bad):
        assert torch.isnan(states[7, 11]).any()


def test_torch_draws_what_the_compiled_sampler_does_not_cover():
    double = torch.ones(3, 2, 4, dtype=torch.float64)
    for concentration in (double, torch.ones(2, 4)):
        torch.manual_seed(0)
        found = dirichlet.sample(concentration, compiled=True)
        torch.manual_seed(0)
        assert torch.equal(found, dirichlet.sample(concentration))


def test_one_seed_one_trained_model():
    models = [trained_model(scaled_data(), epochs=3) for _ in range(2)]
    weights = [model.module.state_dict() for model in models]
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name
    plain = made_model(scaled_data())
    plain.module.compiled_draws = False
    plain.train(max_epochs=3, **QUIET)
    other = plain.module.state_dict()
    assert any(not torch.equal(value, other[name]) for name, value in weights[0].items())


def test_a_change_of_what_is_built_in_makes_kept_code_stale(monkeypatch):
    def loop(x):
        return x

    kept = compiled_parts.compiled_loop("nsz")(loop)._cache._cache_file._source_stamp
    assert compiled_parts.compiled_loop("nsz")(loop)._cache._cache_file._source_stamp == kept
    stamp = compiled_parts._stamp
    for changed in compiled_parts._INLINED:
        monkeypatch.setattr(
            compiled_parts,
            "_stamp",
            lambda path, changed=changed: 0 if path == changed else stamp(path),
        )
        assert compiled_parts.compiled_loop("nsz")(loop)._cache._cache_file._source_stamp != kept


def test_compiled_code_builds_in_no_other_file():
    compiled = Path(compiled_parts.__file__).parent
    package = compiled.parents[2]
    used = set()
    for path in compiled.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("velovi."):
                used.add(package.joinpath(*str(node.module).split(".")).with_suffix(".py"))
    # threads, compiling, names of what every gene has, the tensor form: nothing of them is compiled
    not_compiled = {
        *(compiled.parent / f"{name}.py" for name in ("decoder",)),
        *(package / "velovi" / "numerics" / f"{name}.py" for name in ("parallel", "numba_utils")),
        compiled / "loss.py",
    }
    assert used - not_compiled == set(compiled_parts._INLINED)
