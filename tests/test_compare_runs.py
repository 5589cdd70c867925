"""Two runs beside each other, against arrays in memory."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from tests.ui.fakes import fake_result
from velovi.errors import DataError
from velovi.runs.compare_runs import compare_runs
from velovi.runs.results import ResultStore, write_result


def stored(adata, path):
    write_result(adata, path)
    return ResultStore(path)


@pytest.fixture
def first(tmp_path):
    return stored(fake_result(120, 8), tmp_path / "first.zarr")


def test_a_run_is_as_itself(first):
    found = compare_runs(first, first)
    np.testing.assert_allclose(found.angle, 0, atol=1e-2)
    assert (found.genes["opposite"] == 0).all()
    np.testing.assert_allclose(found.genes["correlation"], 1)
    assert found.time_rank == pytest.approx(1)
    assert found.changed.empty


def test_velocities_and_times_are_compared_by_name(first, tmp_path):
    rng = np.random.default_rng(0)
    other = fake_result(120, 8)
    other.layers["velocity"] += rng.normal(0, 0.05, other.shape).astype(np.float32)
    other.layers["velocity"][:, 2] *= -1
    other.obs["latent_time"] = rng.random(120)
    other = other[rng.permutation(120)[:100], rng.permutation(8)[:7]].copy()
    shown = []
    found = compare_runs(first, stored(other, tmp_path / "b.zarr"), progress=shown.append)
    cells, genes = list(other.obs_names), [g for g in first.genes if g in other.var_names]
    mine = fake_result(120, 8)[cells, genes]
    theirs = other[:, genes]
    a, b = (np.asarray(item.layers["velocity"], dtype=float) for item in (mine, theirs))
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    places = first.obs.index.get_indexer(cells)
    np.testing.assert_allclose(found.angle[places], np.degrees(np.arccos(cosine)), atol=1e-3)
    assert np.isnan(found.angle).sum() == 20
    np.testing.assert_allclose(found.genes.loc[genes, "opposite"], (a * b < 0).mean(axis=0))
    expected = [np.corrcoef(a[:, g], b[:, g])[0, 1] for g in range(len(genes))]
    np.testing.assert_allclose(found.genes.loc[genes, "correlation"], expected, atol=1e-6)
    times = (mine.obs["latent_time"], other.obs["latent_time"])
    assert found.time_rank == pytest.approx(spearmanr(*times)[0], abs=1e-6)
    assert found.n_cells == 100
    assert shown[-1] == 1
    if "Gene2" in genes:
        assert found.changed.index[0] == "Gene2"


def test_cells_that_stand_still_have_no_angle(first, tmp_path):
    other = fake_result(120, 8)
    other.layers["velocity"][:5] = 0
    found = compare_runs(first, stored(other, tmp_path / "b.zarr"))
    assert np.isnan(found.angle[:5]).all()
    assert np.isfinite(found.angle[5:]).all()


def test_runs_of_other_cells_or_genes_cannot_be_compared(first, tmp_path):
    others = fake_result(120, 8)
    others.obs_names = [f"other{i}" for i in range(120)]
    with pytest.raises(DataError, match="share too little"):
        compare_runs(first, stored(others, tmp_path / "cells.zarr"))
    genes = fake_result(120, 8)
    genes.var_names = [f"other{i}" for i in range(8)]
    genes.uns["velovi"]["genes"] = genes.uns["velovi"]["genes"].iloc[:0]
    with pytest.raises(DataError, match="0 genes"):
        compare_runs(first, stored(genes, tmp_path / "genes.zarr"))
