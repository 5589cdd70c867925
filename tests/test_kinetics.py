"""The closed forms against an ODE solver and against arithmetic with many digits."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from velovi.kinetics import splicing_solution
from velovi.model import kinetics
from velovi.model.kinetics import Abundance, Rates

RATE = st.floats(1e-3, 50)
TIME = st.floats(1e-3, 20)


def rates(alpha, beta, gamma, alpha_1=0.0, lambda_alpha=0.0, *, lag=False, dtype=torch.float64):
    values = (alpha, beta, gamma, alpha_1, lambda_alpha)
    return Rates(*(torch.tensor([v], dtype=dtype) for v in values), lag)


def solve(alpha, beta, gamma, time, start=(0.0, 0.0)):
    found = solve_ivp(
        lambda t, y: (alpha(t) - beta * y[0], beta * y[0] - gamma * y[1]),
        (0, time),
        start,
        method="LSODA",
        rtol=1e-11,
        atol=1e-13,
    )
    return found.y[:, -1]


def exact_induction(alpha, beta, gamma, time):
    """Many digits; the confluent formula where the rates agree."""
    with mpmath.workdps(60):
        a, b, g, t = (mpmath.mpf(v) for v in (alpha, beta, gamma, time))
        u = a / b * (1 - mpmath.exp(-b * t))
        if b == g:
            s = a / b * (1 - (1 + b * t) * mpmath.exp(-b * t))
        else:
            s = a / g * (1 - mpmath.exp(-g * t)) + a / (g - b) * (
                mpmath.exp(-g * t) - mpmath.exp(-b * t)
            )
        return float(u), float(s)


@pytest.mark.parametrize(("beta", "gamma"), [(0.7, 0.3), (0.3, 0.7), (0.5, 0.5), (5.0, 0.01)])
@pytest.mark.parametrize("time", [0.05, 1.0, 12.0])
def test_induction_solves_the_equations(beta, gamma, time):
    found = kinetics.induction(rates(1.3, beta, gamma), torch.tensor([time], dtype=torch.float64))
    u, s = solve(lambda t: 1.3, beta, gamma, time)
    assert found.unspliced.item() == pytest.approx(u, rel=1e-8)
    assert found.spliced.item() == pytest.approx(s, rel=1e-8)


@pytest.mark.parametrize(("beta", "gamma"), [(0.7, 0.3), (0.3, 0.7), (0.5, 0.5), (5.0, 0.01)])
@pytest.mark.parametrize("time", [0.05, 1.0, 12.0])
def test_repression_solves_the_equations(beta, gamma, time):
    start = Abundance(*(torch.tensor([v], dtype=torch.float64) for v in (0.8, 1.4)))
    found = kinetics.repression(
        rates(9.0, beta, gamma), start, torch.tensor([time], dtype=torch.float64)
    )
    u, s = solve(lambda t: 0.0, beta, gamma, time, (0.8, 1.4))
    assert found.unspliced.item() == pytest.approx(u, rel=1e-7)
    assert found.spliced.item() == pytest.approx(s, rel=1e-7)


@pytest.mark.parametrize(
    ("beta", "gamma", "lag"), [(0.7, 0.3, 0.1), (0.5, 0.5, 0.2), (0.4, 0.9, 0.4), (0.6, 0.6, 0.6)]
)
def test_time_dependent_transcription_solves_the_equations(beta, gamma, lag):
    time = torch.tensor([3.0], dtype=torch.float64)
    given_rates = rates(0.2, beta, gamma, 1.5, lag, lag=True)
    found = kinetics.induction(given_rates, time)
    u, s = solve(lambda t: 1.5 - (1.5 - 0.2) * np.exp(-lag * t), beta, gamma, 3.0)
    assert found.unspliced.item() == pytest.approx(u, rel=1e-8)
    assert found.spliced.item() == pytest.approx(s, rel=1e-8)
    rate = kinetics.transcription_rate(given_rates, time)
    assert rate.item() == pytest.approx(1.5 - 1.3 * np.exp(-lag * 3.0))


@settings(max_examples=400, deadline=None)
@given(RATE, st.one_of(RATE, st.none(), st.floats(-1e-5, 1e-5)), TIME)
def test_float32_is_accurate_for_every_pair_of_rates(beta, gamma, time):
    if gamma is None:
        gamma = beta
    elif abs(gamma) <= 1e-5:
        gamma = beta * (1 + gamma)
    beta, gamma, time = (float(np.float32(v)) for v in (beta, gamma, time))
    found = kinetics.induction(
        rates(1.0, beta, gamma, dtype=torch.float32), torch.tensor([time], dtype=torch.float32)
    )
    u, s = exact_induction(1.0, beta, gamma, time)
    assert found.unspliced.item() == pytest.approx(u, rel=1e-6)
    assert found.spliced.item() == pytest.approx(s, rel=1e-6)


def test_gradients_agree_with_finite_differences_where_rates_agree():
    values = torch.tensor([1.2, 0.5, 0.5 + 1e-9, 0.7], dtype=torch.float64, requires_grad=True)

    def spliced(v):
        zero = torch.zeros(1, dtype=torch.float64)
        given_rates = Rates(v[0:1], v[1:2], v[2:3], zero, zero)
        return kinetics.induction(given_rates, v[3:4]).spliced

    assert torch.autograd.gradcheck(spliced, (values,), eps=1e-6, atol=1e-6)


def test_gradients_are_finite_at_time_zero_and_at_equal_rates():
    tensors = [torch.full((1,), v, requires_grad=True) for v in (1.0, 0.5, 0.5)]
    zero = torch.zeros(1)
    time = torch.zeros(1, requires_grad=True)
    given_rates = Rates(*tensors, zero, zero)
    up = kinetics.induction(given_rates, time)
    down = kinetics.repression(given_rates, up, time)
    (up.spliced + up.unspliced + down.spliced + down.unspliced).sum().backward()
    assert all(torch.isfinite(t.grad).all() for t in (*tensors, time))


def test_velocities_are_the_derivatives():
    given_rates = rates(1.3, 0.7, 0.4)
    time = torch.tensor([1.7], dtype=torch.float64, requires_grad=True)
    at = kinetics.induction(given_rates, time)
    (ds,) = torch.autograd.grad(at.spliced.sum(), time, retain_graph=True)
    (du,) = torch.autograd.grad(at.unspliced.sum(), time)
    assert kinetics.spliced_velocity(given_rates, at).item() == pytest.approx(ds.item(), rel=1e-9)
    assert kinetics.unspliced_velocity(given_rates, at, 1.3).item() == pytest.approx(
        du.item(), rel=1e-9
    )


def test_long_induction_reaches_the_steady_state():
    given_rates = rates(1.3, 0.7, 0.4)
    at = kinetics.induction(given_rates, torch.tensor([200.0], dtype=torch.float64))
    rest = kinetics.steady_state(given_rates)
    assert at.unspliced.item() == pytest.approx(rest.unspliced.item())
    assert at.spliced.item() == pytest.approx(rest.spliced.item())


@pytest.mark.parametrize("gamma", [0.05, 0.5, 0.5 + 1e-10, 0.5 + 1e-6, 4.0])
@pytest.mark.parametrize("alpha", [0.0, 1.7])
def test_the_numpy_solution_solves_the_equations(alpha, gamma):
    time = np.array([0.0, 1e-6, 0.3, 5.0, 40.0])
    unspliced, spliced = splicing_solution(0.8, 0.3, alpha, 0.5, gamma, time)
    for k, end in enumerate(time[1:], start=1):
        expected = solve(lambda t: alpha, 0.5, gamma, end, (0.8, 0.3))
        np.testing.assert_allclose([unspliced[k], spliced[k]], expected, rtol=1e-6, atol=1e-9)
    assert (unspliced[0], spliced[0]) == (0.8, 0.3)
