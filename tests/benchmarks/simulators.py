"""Simulated cells of several kinds, each with the true velocity of every cell.

`velovi.simulate` draws branches whose genes switch. What is learned on one simulator is judged on
others: here are a straight way, a cycle, noise that a cell's genes carry beside their programme,
and rates that differ between fates.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from velovi.data.simulate import TIME_END, TRUNK_END, abundances, draw_programme, simulate

SIMULATORS = ("branches", "straight", "noisy", "rates", "cycle")
_WAYS = {"straight": 1, "fork": 2, "tree": 3, "cycle": 0}
_PERIOD = 8.0
_FATES = {"straight": 1, "noisy": 2, "rates": 3}


def simulated(
    name: str, n_cells: int = 600, n_genes: int = 180, *, capture: float = 0.3, seed: int = 0
) -> AnnData:
    """Counts with ``true_velocity`` (molecules per unit of time) and groups in ``clusters``.

    Parameters
    ----------
    name
        ``"branches"``: `velovi.simulate`; ``"straight"``: the same with one fate; ``"noisy"``: each
        gene of a cell transcribed more or less than its programme says (log-normal, standard
        deviation .5); ``"rates"``: a third of the genes is degraded up to three times as fast in
        one fate; ``"cycle"``: transcription rises and falls with one period, each gene with a
        phase of its own.
    n_cells, n_genes, capture, seed
        As in `velovi.simulate`.
    """
    if name == "branches":
        return simulate(n_cells, n_genes, 3, seed, capture=capture)
    rng = np.random.default_rng(seed)
    if name == "cycle":
        time = rng.uniform(0, _PERIOD, n_cells)
        u, s, velocity = _cycle(time, n_genes, rng)
        groups = np.array([f"Phase {part + 1}" for part in (time / _PERIOD * 5).astype(int)])
    else:
        n_fates = _FATES[name]
        programme = draw_programme(n_genes, n_fates, rng)
        time, fate = rng.uniform(0, TIME_END, n_cells), rng.integers(n_fates, size=n_cells)
        u, s, velocity = abundances(programme, time, fate)
        if name == "noisy":
            noise = rng.lognormal(-0.125, 0.5, u.shape)  # a burst that both molecules still show
            u, s = u * noise, s * noise ** (programme.gamma / programme.beta)
            velocity = programme.beta * u - programme.gamma * s
        if name == "rates":
            faster = np.where(rng.uniform(size=n_genes) < 1 / 3, rng.uniform(1.5, 3, n_genes), 1)
            other = replace(programme, gamma=programme.gamma * faster)
            own = (fate == 0) & (time > TRUNK_END)
            for kept, made in zip((u, s, velocity), abundances(other, time, fate), strict=True):
                kept[own] = made[own]
        parts = (time / TIME_END * 4).astype(int)
        groups = np.array(
            [
                f"Part {p + 1}" + (f" of {f}" if p > 1 else "")
                for p, f in zip(parts, fate, strict=True)
            ]
        )
    return _counted(u, s, velocity, time, groups, capture, rng)


def _cycle(
    time: np.ndarray, n_genes: int, rng: np.random.Generator, period: float = _PERIOD
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """u, s and ds/dt under alpha = a (1 + h cos(w t - phase)), once the beginning is forgotten."""
    turn = 2 * np.pi / period
    beta, gamma = (
        rng.lognormal(np.log(2.4), 0.25, n_genes),
        rng.lognormal(np.log(0.75), 0.25, n_genes),
    )
    level = gamma * rng.lognormal(np.log(12.0), 0.6, n_genes)
    height, phase = rng.uniform(0.3, 1.0, n_genes), rng.uniform(0, 2 * np.pi, n_genes)
    wave = np.exp(1j * (turn * time[:, None] - phase))  # (cells, genes)
    u_wave = level * height / (beta + 1j * turn) * wave
    s_wave = beta * u_wave / (gamma + 1j * turn)
    u, s = level / beta + u_wave.real, level / gamma + s_wave.real
    return u, s, beta * u - gamma * s


def _counted(
    u: np.ndarray,
    s: np.ndarray,
    velocity: np.ndarray,
    time: np.ndarray,
    groups: np.ndarray,
    capture: float,
    rng: np.random.Generator,
) -> AnnData:
    depth = capture * rng.lognormal(-0.045, 0.3, len(time))[:, None]
    counts = {
        name: sp.csr_matrix(rng.poisson(np.clip(mean, 0, None) * depth).astype(np.float32))
        for name, mean in (("unspliced", u), ("spliced", s))
    }
    obs = pd.DataFrame(
        {"clusters": pd.Categorical(groups), "true_time": time},
        index=[f"cell_{index}" for index in range(len(time))],
    )
    var = pd.DataFrame(index=[f"gene_{index}" for index in range(u.shape[1])])
    truth = {"true_velocity": velocity.astype(np.float32), "true_spliced": s.astype(np.float32)}
    return AnnData(counts["spliced"].copy(), obs=obs, var=var, layers={**counts, **truth})


def drawn_at_random(seed: int, n_cells: int = 600) -> tuple[AnnData, dict[str, float | str]]:
    """Cells of a simulator whose every property is drawn: what is learned on many holds for one.

    Returns
    -------
    cells
        As :func:`simulated` gives them.
    drawn
        What was drawn: the ``way`` (straight, fork, tree or cycle), ``capture``, ``pace`` (how fast
        rates are beside the way), ``noise`` (log standard deviation beside the programme),
        ``rates`` (share of genes degraded faster on one way) and ``n_genes``.
    """
    rng = np.random.default_rng(seed)
    way = str(rng.choice(list(_WAYS)))
    drawn: dict[str, float | str] = {
        "way": way,
        "capture": float(np.exp(rng.uniform(np.log(0.03), np.log(0.5)))),
        "pace": float(np.exp(rng.uniform(np.log(0.4), np.log(2.5)))),
        "noise": float(rng.choice([0.0, rng.uniform(0, 0.7)])),
        "rates": float(rng.choice([0.0, rng.uniform(0, 0.5)])),
        "n_genes": int(rng.integers(80, 300)),
    }
    n_genes, pace = int(drawn["n_genes"]), float(drawn["pace"])
    if way == "cycle":
        time = rng.uniform(0, _PERIOD, n_cells)
        u, s, velocity = _cycle(time * pace, n_genes, rng, period=_PERIOD * pace)
        fate = np.zeros(n_cells, dtype=int)
    else:
        programme = draw_programme(n_genes, _WAYS[way], rng)
        programme = replace(programme, switches=programme.switches * pace)
        time = rng.uniform(0, TIME_END, n_cells)
        fate = rng.integers(_WAYS[way], size=n_cells)
        u, s, velocity = abundances(programme, time * pace, fate)
        chosen = rng.uniform(size=n_genes) < float(drawn["rates"])
        faster = np.where(chosen, rng.uniform(1.5, 3, n_genes), 1)
        other = replace(programme, gamma=programme.gamma * faster)
        own = (fate == 0) & (time > TRUNK_END)
        for kept, made in zip((u, s, velocity), abundances(other, time * pace, fate), strict=True):
            kept[own] = made[own]
        noise = rng.lognormal(-(float(drawn["noise"]) ** 2) / 2, float(drawn["noise"]), u.shape)
        u, s = u * noise, s * noise ** (programme.gamma / programme.beta)
        velocity = programme.beta * u - np.where(own[:, None], other.gamma, programme.gamma) * s
    parts = (time / time.max() * 3.999).astype(int)
    groups = np.array(
        [f"Part {p + 1} of {f if p > 1 else 0}" for p, f in zip(parts, fate, strict=True)]
    )
    return _counted(u, s, velocity, time, groups, float(drawn["capture"]), rng), drawn
