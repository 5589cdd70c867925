"""Matrices in memory and in files."""

from __future__ import annotations

import numpy as np
import psutil
import pytest

from velovi.numerics.out_of_core import (
    MatrixAllocator,
    RowWriter,
    gene_blocks,
    in_memory,
    mapped_file,
    release_pages,
)


def test_beyond_the_budget_matrices_are_files(tmp_path, caplog):
    store = MatrixAllocator(tmp_path / "scratch", budget_gb=2 * 400 / 2**30)
    with caplog.at_level("INFO", logger="velovi"):
        made = [store.empty(name, (10, 10)) for name in ("a", "b", "c")]
    assert [mapped_file(item) is not None for item in made] == [False, False, True]
    assert store.files == ["c"]
    assert "c (0.0 GB) is kept in a file" in caplog.text
    assert (tmp_path / "scratch" / "c.f32").stat().st_size == 400


@pytest.mark.parametrize("by", ["cells", "genes"])
@pytest.mark.parametrize("budget", [1.0, 1e-9])
def test_a_matrix_keeps_its_values_wherever_it_lives(tmp_path, by, budget):
    matrix = MatrixAllocator(tmp_path, budget).empty("m", (300, 7), by)
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous == (by == "cells")
    wanted = np.random.default_rng(0).normal(size=(300, 7)).astype(np.float32)
    for start in range(0, 300, 64):
        matrix[start : start + 64] = wanted[start : start + 64]
        release_pages(matrix)
    np.testing.assert_array_equal(matrix, wanted)


@pytest.mark.parametrize("budget", [1.0, 1e-9])
@pytest.mark.parametrize("batch", [1000, 4096, 5000])
def test_rows_come_to_stand_where_they_belong(tmp_path, budget, batch):
    matrix = MatrixAllocator(tmp_path, budget).empty("m", (9001, 3), "genes")
    wanted = np.random.default_rng(0).normal(size=matrix.shape).astype(np.float32)
    writer = RowWriter(matrix)
    for start in range(0, len(wanted), batch):
        writer.add(wanted[start : start + batch])
    writer.close()
    np.testing.assert_array_equal(matrix, wanted)


def test_the_usual_budget_is_half_of_the_free_memory(tmp_path):
    free = psutil.virtual_memory().available
    assert MatrixAllocator(tmp_path).budget == pytest.approx(free / 2, rel=0.2)
    assert not list(tmp_path.iterdir())


def test_blocks_of_genes_cover_all():
    for n_cells, n_genes in ((10, 5), (10**6, 40), (2**26, 3), (0, 2)):
        blocks = list(gene_blocks(n_cells, n_genes))
        assert [g for block in blocks for g in range(n_genes)[block]] == list(range(n_genes))
        assert all(n_cells * (b.stop - b.start) <= 2**24 or b.stop - b.start == 1 for b in blocks)
    assert in_memory("x", (2, 3), "genes").flags.f_contiguous


def test_files_are_removed_when_the_work_ends(tmp_path):
    folder = tmp_path / "scratch"
    with MatrixAllocator(folder, 1e-9) as store:
        store.empty("m", (3, 3))
        assert (folder / "m.f32").exists()
    assert not folder.exists()


def test_files_are_removed_when_the_work_goes_wrong(tmp_path):
    folder, store = tmp_path / "scratch", MatrixAllocator(tmp_path / "scratch", 1e-9)
    store.empty("m", (3, 3))
    with pytest.raises(ValueError, match="went wrong"), store:
        raise ValueError("went wrong")
    assert not folder.exists()
