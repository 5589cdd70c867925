"""Every method of the interface with every awkward argument, and what it has to give.

With :func:`without_chance` nothing is random: each sample of a distribution is its mean. Every call
then has one right answer, which :class:`Oracle` works out in double precision from the textbook
solutions of the splicing equations, by code that shares nothing with the package but the networks.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from anndata import AnnData
from scipy.special import logsumexp
from scipy.stats import norm
from torch.distributions import Dirichlet, Normal

from velovi import VELOVAE

STATES = ["induction", "induction_steady", "repression", "repression_steady"]


@contextlib.contextmanager
def without_chance() -> Iterator[None]:
    """Every draw from a normal or Dirichlet distribution is its mean."""

    def normal(self, sample_shape=()):
        return self.loc.expand(self._extended_shape(torch.Size(sample_shape)))

    def dirichlet(self, sample_shape=()):
        mean = self.concentration / self.concentration.sum(-1, keepdim=True)
        return mean.expand(self._extended_shape(torch.Size(sample_shape)))

    with (
        mock.patch.object(Normal, "rsample", normal),
        mock.patch.object(Normal, "sample", normal),
        mock.patch.object(Dirichlet, "rsample", dirichlet),
        mock.patch.object(Dirichlet, "sample", dirichlet),
        mock.patch.object(torch, "randn_like", torch.zeros_like),
        mock.patch.object(VELOVAE, "compiled_draws", False),
    ):
        yield


class Oracle:
    """Answers for some cells, in the model's gene order, by obvious code.

    Parameters
    ----------
    model
        A trained model of either class.
    adata
        Any data with the model's genes.
    """

    def __init__(self, model: Any, adata: AnnData) -> None:
        module = model.module.eval()
        genes = list(model.adata.var_names)
        ordered = adata[:, genes]
        self.s, self.u = (
            np.asarray(x.todense() if sp.issparse(x) else x, dtype=float)
            for x in (ordered.layers["Ms"], ordered.layers["Mu"])
        )
        self.cells, self.genes = list(adata.obs_names), genes
        with torch.no_grad():
            data = torch.tensor(np.hstack([self.s, self.u]), dtype=torch.float32)
            mean, variance, _ = module.z_encoder(data.to(module.device))
            decoded = module.decoder(mean)
            concentration, rho, tau = (item.double().cpu().numpy() for item in decoded[:3])
        softplus = {
            name: np.logaddexp(0, value.detach().double().cpu().numpy())
            for name, value in module.named_parameters()
            if name.endswith("_unconstr")
        }
        self.latent, self.variance = mean.double().cpu().numpy(), variance.double().cpu().numpy()
        self.p = concentration / concentration.sum(-1, keepdims=True)
        self.alpha = np.minimum(softplus["alpha_unconstr"], 50)
        self.beta = np.minimum(softplus["beta_mean_unconstr"], 50)
        self.gamma = np.minimum(softplus["gamma_mean_unconstr"], 50)
        self.switch = np.minimum(softplus["switch_time_unconstr"], 20)
        deviation = np.sqrt(softplus["scale_unconstr"][:, 0])
        self.noise_u, self.noise_s = np.split(deviation, 2)
        self.up, self.down = self.switch * rho, (20 - self.switch) * tau
        self._solve()

    def _solve(self) -> None:
        a, b, g = self.alpha, self.beta, self.gamma
        rising = self._from(0, 0, a, self.up)
        at_switch = self._from(0, 0, a, self.switch)
        falling = self._from(*at_switch, 0, self.down)
        resting = np.zeros_like(self.u)
        steady = (a / b + resting, a / g + resting)
        states = [rising, steady, falling, (resting, resting)]
        self.fits_u, self.fits_s = (np.stack([state[k] for state in states], -1) for k in (0, 1))
        self.velocities = np.zeros_like(self.fits_s)
        self.velocities_u = np.zeros_like(self.fits_s)
        for k, transcription in ((0, a), (2, 0)):
            self.velocities[..., k] = b * states[k][0] - g * states[k][1]
            self.velocities_u[..., k] = transcription - b * states[k][0]
        end = np.zeros_like(self.u)
        self.times = np.stack([self.up, self.switch + end, self.switch + self.down, end], -1)

    def _from(self, u0: Any, s0: Any, alpha: Any, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The solution as every textbook has it."""
        b, g = self.beta, self.gamma
        fall_b, fall_g = np.exp(-b * t), np.exp(-g * t)
        u = u0 * fall_b + alpha / b * (1 - fall_b)
        lag = (alpha - b * u0) / (g - b) * (fall_g - fall_b)
        return u, s0 * fall_g + alpha / g * (1 - fall_g) + lag

    def over_states(self, values: np.ndarray, statistic: str = "mean") -> np.ndarray:
        if statistic == "mean":
            return (self.p * values).sum(-1)
        return np.take_along_axis(values, self.p.argmax(-1)[..., None], -1)[..., 0]

    def velocity(self, mode: str = "spliced", statistic: str = "mean") -> np.ndarray:
        values = self.velocities if mode == "spliced" else self.velocities_u
        return np.maximum(
            self.over_states(values, statistic), -(self.s if mode == "spliced" else self.u)
        )

    def time(self, statistic: str = "mean") -> np.ndarray:
        values = self.times.copy()
        if statistic == "max":
            values[..., 3] = 20
        return self.over_states(values, statistic)

    def fit(self) -> tuple[np.ndarray, np.ndarray]:
        return self.over_states(self.fits_s), self.over_states(self.fits_u)

    def likelihood(self) -> np.ndarray:
        quiet = np.array([1, 1, 1, 0.1])
        total = 0.0
        for x, fits, noise in (
            (self.s, self.fits_s, self.noise_s),
            (self.u, self.fits_u, self.noise_u),
        ):
            density = norm.logpdf(x[..., None], fits, noise[:, None] * quiet)
            total = total + logsumexp(density, b=self.p, axis=-1)
        return total

    def names(self) -> np.ndarray:
        return np.array(STATES, dtype=object)[self.p.argmax(-1)]


@dataclass(frozen=True)
class Case:
    """One call.

    Attributes
    ----------
    method, arguments
        What is called, and a description of the arguments.
    call
        Calls it on a model.
    expected
        The right answer: arrays in the order of the result's parts.
    frame
        Whether each part has to be a table with the right names.
    """

    method: str
    arguments: str
    call: Callable[[Any], Any]
    expected: Callable[[Any], tuple[np.ndarray, ...]]
    frame: bool
    cells: list[str] | None = None
    genes: list[str] | None = None

    def check(self, model: Any) -> str:
        """A description of the result; raises AssertionError when it is not right."""
        with warnings.catch_warnings(), contextlib.redirect_stdout(None):
            warnings.simplefilter("ignore")
            with without_chance():
                found = self.call(model)
        parts = found if isinstance(found, tuple) else (found,)
        parts = tuple(item for item in parts if not isinstance(item, list))
        expected = self.expected(model)
        assert len(parts) == len(expected), f"{len(parts)} parts"
        for part, right in zip(parts, expected, strict=True):
            self._compare(part, right)
        return ", ".join(f"{type(item).__name__} {np.shape(item)}" for item in parts)

    def _compare(self, part: Any, right: np.ndarray) -> None:
        assert np.shape(part) == right.shape, f"shape {np.shape(part)}, not {right.shape}"
        assert isinstance(part, pd.DataFrame) == self.frame, type(part).__name__
        if self.frame:
            assert self.cells is None or list(part.index) == self.cells, "names of cells"
            assert self.genes is None or list(part.columns) == self.genes, "names of genes"
        values = np.asarray(part)
        if right.dtype == object:
            assert (values == right).all(), "wrong names"
            return
        scale = np.abs(right).max() + 1e-12
        error = np.abs(values.astype(float) - right).max() / scale
        assert error < TOLERANCE, f"off by {error:.1e}"


# of the largest value: single precision, and the reference's 1e-6 in gamma - beta
TOLERANCE = 2e-3

SUMMARIES: dict[str, tuple[Callable[..., Any], Callable[[Oracle], tuple[np.ndarray, ...]]]] = {
    "get_velocity": (lambda m, **k: m.get_velocity(**k), lambda o: (o.velocity(),)),
    "get_velocity, velo_statistic=max": (
        lambda m, **k: m.get_velocity(velo_statistic="max", **k),
        lambda o: (o.velocity(statistic="max"),),
    ),
    "get_velocity, velo_mode=unspliced": (
        lambda m, **k: m.get_velocity(velo_mode="unspliced", **k),
        lambda o: (o.velocity("unspliced"),),
    ),
    "get_latent_time": (lambda m, **k: m.get_latent_time(**k), lambda o: (o.time(),)),
    "get_latent_time, time_statistic=max": (
        lambda m, **k: m.get_latent_time(time_statistic="max", **k),
        lambda o: (o.time("max"),),
    ),
    "get_expression_fit": (lambda m, **k: m.get_expression_fit(**k), lambda o: o.fit()),
    "get_gene_likelihood": (
        lambda m, **k: m.get_gene_likelihood(**k),
        lambda o: (o.likelihood(),),
    ),
    "get_state_assignment": (lambda m, **k: m.get_state_assignment(**k), lambda o: (o.p,)),
    "get_state_assignment, hard_assignment": (
        lambda m, **k: m.get_state_assignment(hard_assignment=True, **k),
        lambda o: (o.names(),),
    ),
}
SAMPLED_OVERALL = ("get_velocity", "get_latent_time")


def cases(own: AnnData, other: AnnData) -> list[Case]:
    """All calls, for a model trained on ``own``; ``other`` has other cells of the same genes."""
    n = own.n_obs
    mask = np.zeros(n, dtype=bool)
    mask[[3, 7, n - 1]] = True
    few = [7, 3, n - 1]
    genes = [str(own.var_names[k]) for k in (7, 2, 9)]
    sparse, shuffled = own.copy(), other[:, ::-1].copy()
    for name in ("Ms", "Mu"):
        sparse.layers[name] = sp.csr_matrix(sparse.layers[name])
    arguments: dict[str, tuple[dict[str, Any], AnnData, Any, Any]] = {
        "defaults": ({}, own, None, None),
        "batch_size=50": ({"batch_size": 50}, own, None, None),
        "indices, list": ({"indices": few}, own, few, None),
        "indices, array": ({"indices": np.array(few)}, own, few, None),
        "indices, mask": ({"indices": mask}, own, np.flatnonzero(mask), None),
        "gene_list reordered": ({"gene_list": genes}, own, None, genes),
        "indices and gene_list": ({"indices": few, "gene_list": genes}, own, few, genes),
        "adata, other cells": ({"adata": other}, other, None, None),
        "adata, a view": ({"adata": other[5:25]}, other[5:25].copy(), None, None),
        "adata, sparse": ({"adata": sparse}, own, None, None),
        "adata, genes reordered": ({"adata": shuffled}, other, None, None),
        "n_samples=4": ({"n_samples": 4}, own, None, None),
        "n_samples=1": ({"n_samples": 1}, own, None, None),
        "return_mean=False, n_samples=1": (
            {"n_samples": 1, "return_mean": False},
            own,
            None,
            None,
        ),
        "return_mean=False, n_samples=3": (
            {"n_samples": 3, "return_mean": False},
            own,
            None,
            None,
        ),
        "return_numpy=True": ({"return_numpy": True}, own, None, None),
        "return_numpy=False": ({"return_numpy": False}, own, None, None),
        "return_numpy=None": ({"return_numpy": None}, own, None, None),
    }
    found = []
    for method, (call, answer) in SUMMARIES.items():
        for label, (given, data, cells, wanted) in arguments.items():
            if "hard" in method and not given.get("return_mean", True):
                continue  # the likeliest state is that of the mean
            found.append(_case(method, label, call, answer, given, data, cells, wanted))
    for method in SAMPLED_OVERALL:
        call, answer = SUMMARIES[method]
        given = {"n_samples_overall": 2, "indices": [5], "n_samples": 3, "return_mean": False}
        label = "n_samples_overall=2, indices=[5], n_samples=3, return_mean=False"
        found.append(_case(method, label, call, answer, given, own, [5, 5], None))
    return found + _latent_cases(own, other, few)


def _case(
    method: str,
    label: str,
    call: Callable[..., Any],
    answer: Callable[[Oracle], tuple[np.ndarray, ...]],
    given: dict[str, Any],
    data: AnnData,
    cells: Any,
    genes: list[str] | None,
) -> Case:
    stacked = given.get("return_mean") is False and given["n_samples"] > 1
    stacked = stacked and "n_samples_overall" not in given
    numbers = method == "get_state_assignment"

    def expected(model: Any) -> tuple[np.ndarray, ...]:
        oracle = Oracle(model, data)
        rows = slice(None) if cells is None else cells
        columns = slice(None) if genes is None else [oracle.genes.index(g) for g in genes]
        parts = [item[rows][:, columns] for item in answer(oracle)]
        return tuple(np.stack([part] * 3) if stacked else part for part in parts)

    names = list(data.obs_names)
    return Case(
        method,
        label,
        lambda m: call(m, **given),
        expected,
        frame=not (stacked or numbers or given.get("return_numpy")),
        cells=names if cells is None else [names[k] for k in cells],
        genes=genes,
    )


def _latent_cases(own: AnnData, other: AnnData, few: list[int]) -> list[Case]:
    """The methods that give no table of cells and genes."""

    def latent(data: AnnData, cells: Any = slice(None)) -> Callable[[Any], tuple[np.ndarray]]:
        return lambda m: (Oracle(m, data).latent[cells],)

    def bound(m: Any) -> tuple[np.ndarray]:
        return (-Oracle(m, own).likelihood().sum(-1),)

    def rates(m: Any) -> tuple[np.ndarray, ...]:
        oracle = Oracle(m, own)
        return oracle.beta, oracle.gamma, oracle.alpha

    def mixture(m: Any) -> tuple[np.ndarray, ...]:
        oracle = Oracle(m, own)
        return oracle.latent[few], np.sqrt(oracle.variance[few])

    def centres(m: Any) -> tuple[np.ndarray, ...]:
        around = m.get_aggregated_posterior(indices=few).component_distribution.base_dist
        return around.loc.cpu().numpy(), around.scale.cpu().numpy()

    def still(m: Any) -> tuple[np.ndarray, ...]:
        return np.zeros((own.n_obs, 4)), np.ones((own.n_obs, 3))

    def agree(m: Any, **given: Any) -> tuple[np.ndarray, ...]:
        table, cosines = m.get_directional_uncertainty(n_samples=3, n_jobs=1, **given)
        return table.to_numpy()[:, :4], cosines

    def still_other(m: Any) -> tuple[np.ndarray, ...]:
        return np.zeros((other.n_obs, 4)), np.ones((other.n_obs, 3))

    plain = {
        ("get_latent_representation", "defaults"): (
            lambda m: m.get_latent_representation(),
            latent(own),
        ),
        ("get_latent_representation", "give_mean=False, batch_size=50"): (
            lambda m: m.get_latent_representation(give_mean=False, batch_size=50),
            latent(own),
        ),
        ("get_latent_representation", "indices, list"): (
            lambda m: m.get_latent_representation(indices=few),
            latent(own, few),
        ),
        ("get_latent_representation", "adata, genes reordered"): (
            lambda m: m.get_latent_representation(other[:, ::-1].copy()),
            latent(other),
        ),
        ("get_latent_representation", "adata, a view"): (
            lambda m: m.get_latent_representation(other[5:25]),
            latent(other[5:25].copy()),
        ),
        ("get_reconstruction_error", "return_mean=False"): (
            lambda m: (
                m.get_reconstruction_error(return_mean=False)["reconstruction_loss"].cpu().numpy()
            ),
            bound,
        ),
        ("get_rates", "defaults"): (
            lambda m: tuple(m.get_rates()[k] for k in ("beta", "gamma", "alpha")),
            rates,
        ),
        ("get_aggregated_posterior", "indices, list"): (centres, mixture),
        ("get_directional_uncertainty", "defaults"): (agree, still),
        ("get_directional_uncertainty", "gene_list"): (
            lambda m: agree(m, gene_list=list(own.var_names[:5])),
            still,
        ),
        ("get_directional_uncertainty", "adata, other cells"): (
            lambda m: agree(m, adata=other),
            still_other,
        ),
    }
    return [
        Case(method, label, call, expected, frame=False)
        for (method, label), (call, expected) in plain.items()
    ]
