"""A small finished run made from closed forms, and run folders in every state."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import replace
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd

from velovi.config import RunOptions
from velovi.kinetics import splicing_solution
from velovi.runs.folder import Progress, RunFolder, RunSpec, RunState
from velovi.runs.jobs import WorkerProcess
from velovi.runs.results import write_result
from velovi.runs.workspace import Workspace

STATES = ("induction", "induction_steady", "repression", "repression_steady")
T_MAX = 20.0

SIGNAL = {
    "strength": "none",
    "sentence": "4 % of 100 genes repeat themselves: no more than chance would give.",
    "share_above_null": 0.04,
    "share_above_null_overall": None,
    "n_cells": 400,
    "n_cells_within": 390,
    "n_genes": 100,
    "reliability_within": [0.1, 0.2, 0.3],
    "null_within": [-0.1, 0.0, 0.1],
    "groups": [
        {"group": "A*b*", "n_cells": 90, "share_above_null": 0.02, "strength": "cannot tell"},
        {"group": "Stem", "n_cells": 300, "share_above_null": 0.05, "strength": "none"},
    ],
}
"""What a look for velocity in the counts has found."""


def _paths(n_cells: int, n_groups: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Positions on a curved, branching tissue, direction there, group, time (cells,)."""
    time_ = np.sort(rng.random(n_cells)) ** 0.9
    late = np.clip((time_ - 0.45) / 0.55, 0, 1)
    branch = rng.integers(0, 2, n_cells) * 2 - 1
    center = np.stack([12 * time_, 2.5 * np.sin(5 * time_) + branch * 4.2 * late**1.4], axis=1)
    tangent = np.stack(
        [
            np.full(n_cells, 12.0),
            12.5 * np.cos(5 * time_) + branch * 4.2 * 1.4 * late**0.4 / 0.55 * (late > 0),
        ],
        axis=1,
    )
    positions = center + rng.normal(scale=0.42 + 0.2 * rng.random((n_cells, 1)), size=(n_cells, 2))
    along = np.minimum((time_ * (n_groups - 1)).astype(int), n_groups - 2)
    group = np.where((branch > 0) & (late > 0.45), n_groups - 1, along)
    return positions, tangent, group, time_


def _grid(positions: np.ndarray, velocity: np.ndarray, side: int = 45) -> dict[str, np.ndarray]:
    low, high = positions.min(axis=0), positions.max(axis=0)
    x, y = np.linspace(low[0], high[0], side), np.linspace(low[1], high[1], side)
    points = np.stack(np.meshgrid(x, y), axis=-1)  # (ny, nx, 2)
    away = ((points[:, :, None] - positions[None, None]) ** 2).sum(axis=-1)
    weight = np.exp(-away / (2 * 0.35**2))
    mass = weight.sum(axis=-1)
    field = np.einsum("yxc,cd->yxd", weight, velocity) / np.maximum(mass, 1e-9)[..., None]
    field[mass < 2] = np.nan
    return {"x": x, "y": y, "u": field[..., 0], "v": field[..., 1], "mass": mass}


def fake_result(
    n_cells: int = 300, n_genes: int = 12, n_groups: int = 8, *, labels: bool = True, seed: int = 0
) -> anndata.AnnData:
    """A result as the pipeline would leave it, with known rates."""
    rng = np.random.default_rng(seed)
    positions, tangent, group, time_ = _paths(n_cells, n_groups, rng)
    beta, gamma = rng.uniform(0.2, 0.9, n_genes), rng.uniform(0.1, 0.6, n_genes)
    alpha, switch = rng.uniform(0.2, 0.6, n_genes), rng.uniform(4, 15, n_genes)
    offset = rng.uniform(-0.15, 0.15, n_genes)
    t = np.clip(time_[:, None] + offset, 0, 1) * T_MAX
    fit_u, fit_s = np.empty((n_cells, n_genes)), np.empty((n_cells, n_genes))
    for g in range(n_genes):
        rates = alpha[g], beta[g], gamma[g]
        on_u, on_s = splicing_solution(0, 0, *rates, np.minimum(t[:, g], switch[g]))
        top_u, top_s = splicing_solution(0, 0, *rates, switch[g])
        tau = np.maximum(t[:, g] - switch[g], 0)
        off_u, off_s = splicing_solution(top_u, top_s, 0, *rates[1:], tau)
        on = t[:, g] <= switch[g]
        fit_u[:, g], fit_s[:, g] = np.where(on, on_u, off_u), np.where(on, on_s, off_s)
    noise = rng.normal(scale=0.06, size=(2, n_cells, n_genes))
    raising = 1 / (1 + np.exp(2 * (t - switch)))
    steady = np.clip(t / T_MAX, 0.05, 0.95) * 0.5
    layers = {
        "Ms": np.clip(fit_s * (1 + noise[0]) + 0.02 * noise[1], 0, None),
        "Mu": np.clip(fit_u * (1 + noise[1]) + 0.02 * noise[0], 0, None),
        "velocity": beta * fit_u - gamma * fit_s,
        "velocity_u": alpha * raising - beta * fit_u,
        "velocity_sd": 0.05 + 0.05 * rng.random((n_cells, n_genes)),
        "fit_t": t,
        "fit_s": fit_s,
        "fit_u": fit_u,
        "fit_s_sd": 0.03 + 0.05 * fit_s,
        "fit_u_sd": 0.02 + 0.05 * fit_u,
        "p_induction": raising * (1 - steady),
        "p_induction_steady": raising * steady,
        "p_repression": (1 - raising) * (1 - steady),
        "p_repression_steady": (1 - raising) * steady,
    }
    names = pd.Index([f"Gene{g}" for g in range(n_genes)])
    obs = pd.DataFrame(
        {
            "latent_time": time_.astype(np.float32),
            "velocity_length": rng.gamma(4, 2, n_cells).astype(np.float32),
            "velocity_confidence": rng.beta(12, 2, n_cells).astype(np.float32),
            "directional_variance": rng.gamma(2, 0.01, n_cells),
            "directional_difference": rng.gamma(6, 0.05, n_cells),
            "directional_cosine_sim_variance": rng.gamma(2, 0.001, n_cells),
            "directional_cosine_sim_mean": rng.beta(30, 2, n_cells),
            "n_counts": rng.integers(500, 5000, n_cells),
        },
        index=[f"cell{i}" for i in range(n_cells)],
    )
    groups = ["Stem", "Cycling", "Progenitor", "Early", "Transit", "Late", "Fate A", "Fate B"]
    groups = (groups + [f"Group {i}" for i in range(9, n_groups + 1)])[:n_groups]
    if labels:
        obs.insert(0, "clusters", pd.Categorical.from_codes(group, groups))
    var = pd.DataFrame(
        {
            "fit_alpha": alpha,
            "fit_beta": beta,
            "fit_gamma": gamma,
            "fit_t_": switch,
            "fit_scaling": 1.0,
            "fit_explained": rng.uniform(0.1, 0.9, n_genes),
            "fit_likelihood": rng.uniform(0.1, 0.6, n_genes),
            "velocity_r2": rng.uniform(0.02, 0.9, n_genes),
            "velocity_gamma": gamma / beta,
        },
        index=names,
    )
    dropped = pd.Index([f"Dropped{i}" for i in range(5)])
    genes = pd.DataFrame(
        {
            "kept": [True] * n_genes + [False] * len(dropped),
            "reason": [""] * n_genes + ["fewer than 20 shared counts"] * len(dropped),
            "shared_counts": rng.integers(20, 4000, n_genes + len(dropped)),
            "r2": list(var["velocity_r2"]) + [np.nan] * len(dropped),
            "gamma": list(var["velocity_gamma"]) + [np.nan] * len(dropped),
        },
        index=names.append(dropped),
    )
    velocity = 0.06 * tangent + rng.normal(scale=0.05, size=tangent.shape)
    return anndata.AnnData(
        X=layers["Ms"].astype(np.float32),
        obs=obs,
        var=var,
        layers={name: layer.astype(np.float32) for name, layer in layers.items()},
        obsm={
            "X_umap": positions.astype(np.float32),
            "velocity_umap": velocity.astype(np.float32),
        },
        uns={
            "velovi": {
                "result_version": 1,
                "genes": genes,
                "grids": {"X_umap": _grid(positions, velocity)},
                "notes": ["a note"],
                "velocity_signal": json.dumps(SIGNAL),
            }
        },
    )


def add_run(workspace: Workspace, state: RunState, name: str = "Gut") -> RunFolder:
    """A run folder that :meth:`RunFolder.state` reads as the state asked for."""
    run = RunFolder(workspace.runs_path / f"20260101-000000-{state.value}")
    run.path.mkdir()
    source = str(workspace.root / "gone.h5ad")
    run.write_spec(
        RunSpec(run.run_id, f"{name} {state.value}", "gone", source, RunOptions(), time.time() - 90)
    )
    if state == RunState.QUEUED:
        return run
    progress = Progress(
        stage="train",
        step=42,
        of=200,
        message="Training",
        eta=75.0,
        heartbeat=time.time(),
        started=time.time() - 30,
        pid=os.getpid(),
        host=socket.gethostname(),
        device="2 CPU cores",
    )
    for epoch in range(42):
        loss = -700 + 900 * np.exp(-epoch / 8) + 5 * np.sin(epoch)
        run.append_history(
            {"epoch": epoch, "elbo_train": loss - 8, "elbo_validation": loss, "seconds": 0.5}
        )
    alive = state in (RunState.RUNNING, RunState.STOPPING, RunState.CANCELLING)
    owner = WorkerProcess.of_process(os.getpid())
    run.write_owner(owner if alive else WorkerProcess(2**22 + 5, 1.0, socket.gethostname()))
    if state == RunState.STOPPING:
        run.request_stop()
    if state in (RunState.CANCELLING, RunState.CANCELLED):
        run.request_cancel()
    if state == RunState.FAILED:
        error = {
            "what": "the spliced layer is empty",
            "where": "spliced",
            "expected": None,
            "found": "no counts",
            "remedy": "Choose another layer",
        }
        progress = replace(progress, outcome="failed", error=error)
        run.log_path.write_text("Traceback: in full\n")
    if state == RunState.DONE:
        progress = replace(progress, outcome="done", stage="write")
    run.write_progress(progress)
    return run


def write_velocity_file(path: Path, *, unspliced: bool = True) -> Path:
    """A small h5ad with counts."""
    rng = np.random.default_rng(0)
    spliced = rng.poisson(2.0, (80, 20)).astype(np.float32)
    layers = {"spliced": spliced}
    if unspliced:
        layers["unspliced"] = rng.poisson(0.4, (80, 20)).astype(np.float32)
    labels = pd.Categorical.from_codes(rng.integers(0, 3, 80), ["A", "B", "C"])
    obs = pd.DataFrame({"clusters": labels}, index=[f"c{i}" for i in range(80)])
    anndata.AnnData(spliced, obs=obs, layers=layers).write_h5ad(path)
    with h5py.File(path) as file:
        assert "spliced" in file["layers"]
    return path


class FakeLauncher:
    """Remembers what it was asked to do."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.stopped: list[RunFolder] = []
        self.cancelled: list[RunFolder] = []

    @property
    def waiting(self) -> list[RunFolder]:
        """Runs that it would start, the first one first."""
        runs = self.workspace.runs(with_demo=False)
        return [run for run in reversed(runs) if run.state() is RunState.QUEUED]

    def start_waiting_runs(self) -> None:
        pass

    def stop(self, run: RunFolder) -> None:
        self.stopped.append(run)
        run.request_stop()

    def cancel(self, run: RunFolder) -> None:
        self.cancelled.append(run)
        run.request_cancel()


def write_fake_result(run: RunFolder, **options: object) -> None:
    """Put a finished result into a run's folder."""
    write_result(fake_result(**options), run.result_path)  # type: ignore[arg-type]
