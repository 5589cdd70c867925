"""The quick look into a file: what it finds, what it says, and that it never raises."""

import json
import subprocess
import sys
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from velovi.data import DatasetSummary, guess_layers, inspect
from velovi.data.inspect import inspect_file
from velovi.data.simulate import simulate

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.exists(), reason=f"no shared data at {DATA}")
ODD = DATA / "odd"


def words(summary, level):
    return " ".join(problem.what for problem in summary.problems if problem.level == level)


def look(adata, folder):
    adata.write_h5ad(folder / "a.h5ad")
    return inspect_file(folder / "a.h5ad")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["spliced", "unspliced"], ("spliced", "unspliced")),
        (["Spliced", "Unspliced", "ambiguous"], ("Spliced", "Unspliced")),
        (["mature", "nascent"], ("mature", "nascent")),
        (["cyto", "nuc"], ("cyto", "nuc")),
        (["Cytoplasmic", "Nuclear"], ("Cytoplasmic", "Nuclear")),
        (["cyto", "nuclear"], ("cyto", "nuclear")),
        (["S", "U", "A"], ("S", "U")),
        (["Ms", "Mu"], ("Ms", "Mu")),
        (["Ms", "Mu", "unspliced", "spliced"], ("spliced", "unspliced")),
        (["counts_spliced", "counts_unspliced"], ("counts_spliced", "counts_unspliced")),
        (["spliced"], ("spliced", None)),
        (["counts"], (None, None)),
        ([], (None, None)),
    ],
)
def test_guess_layers(names, expected):
    assert guess_layers(names) == expected


@needs_data
def test_pancreas():
    found = inspect_file(DATA / "pancreas_3696x2000.h5ad")
    assert found.ready
    assert not found.problems
    assert (found.n_cells, found.n_genes, found.label_column) == (3696, 2000, "clusters")
    adata = anndata.read_h5ad(DATA / "pancreas_3696x2000.h5ad")
    u = np.asarray(adata.layers["unspliced"].sum(axis=1)).ravel()
    s = np.asarray(adata.layers["spliced"].sum(axis=1)).ravel()
    assert found.unspliced_fraction == pytest.approx(u.sum() / (u.sum() + s.sum()), rel=1e-6)
    beta = (adata.obs["clusters"] == "Beta").to_numpy()
    expected = u[beta].sum() / (u[beta].sum() + s[beta].sum())
    assert found.unspliced_fraction_by_label["Beta"] == pytest.approx(expected, rel=1e-6)
    assert {layer.name: layer.total for layer in found.layers}["spliced"] == s.sum()
    assert DatasetSummary.from_dict(json.loads(json.dumps(found.to_dict()))) == found


@needs_data
@pytest.mark.parametrize(
    ("name", "ready", "level", "says"),
    [
        ("anndata_v0.7.8.h5ad", False, "error", "'array', 'sparse'"),
        ("git_lfs_pointer_not_hdf5.h5ad", False, "error", "Git LFS pointer"),
        ("mudata_v0.4.1.h5mu", False, "error", "MuData"),
        ("pancreas_300x600_duplicate_var_names.h5ad", True, "warning", "3 gene names"),
        ("pancreas_300x600_layers_mature_nascent.h5ad", True, "note", "'mature' and 'nascent'"),
        ("pancreas_300x600_no_unspliced.h5ad", False, "error", "of unspliced counts"),
        ("scfates_velocity_obs_but_no_layers.h5ad", False, "warning", "velocity_pseudotime"),
        ("tidesurf_cellranger_Xonly.h5ad", False, "error", "layers: none"),
        ("tidesurf_no_filter.h5ad", True, "warning", "3.3% of the counts"),
    ],
)
def test_odd_files(name, ready, level, says):
    found = inspect_file(ODD / name)
    assert found.ready is ready
    assert says in words(found, level)
    assert all(problem.remedy for problem in found.problems if problem.level == "error")


@needs_data
@pytest.mark.filterwarnings("ignore")  # anndata's own, about the old file
def test_old_categories_are_read():
    found = inspect_file(ODD / "anndata_v0.7.8.h5ad")
    columns = {column.name: column for column in found.columns}
    obs = anndata.read_h5ad(ODD / "anndata_v0.7.8.h5ad").obs
    assert columns["obs_cat"].kind == "categorical"
    assert columns["obs_cat"].n_unique == obs["obs_cat"].nunique()
    assert found.label_column == "obs_cat"


@needs_data
@pytest.mark.parametrize("path", sorted(DATA.glob("**/*.h5ad")), ids=lambda path: path.stem)
def test_small_blocks_find_the_same(path, monkeypatch):
    whole = inspect_file(path)
    monkeypatch.setattr(inspect, "BLOCK", 997 if path.stat().st_size < 3e6 else 100_003)
    again = inspect_file(path)
    assert again.problems == whole.problems
    assert [layer.integer for layer in again.layers] == [layer.integer for layer in whole.layers]
    for layer, other in zip(again.layers, whole.layers, strict=True):
        assert layer.total == pytest.approx(other.total)


@pytest.mark.parametrize("kind", ["csr", "csc", "dense"])
def test_bad_values_are_counted(tmp_path, kind):
    adata = simulate(60, 12)
    dense = adata.layers["unspliced"].toarray()
    dense[3, 2], dense[3, 4], dense[7, 2] = np.nan, np.inf, -1
    adata.layers["unspliced"] = dense if kind == "dense" else sp.csr_matrix(dense).asformat(kind)
    found = look(adata, tmp_path)
    assert "3 missing, infinite or negative values, in 2 cells and 2 genes" in words(found, "error")
    json.dumps(found.to_dict(), allow_nan=False)


def test_warnings(tmp_path):
    adata = simulate(60, 12)
    adata.layers["spliced"] = adata.layers["spliced"] * 0.37
    adata.layers["unspliced"] = adata.layers["spliced"].copy()
    adata.layers["unspliced"].data[: adata.layers["unspliced"].indptr[1]] = 0
    adata.layers["spliced"].data[: adata.layers["spliced"].indptr[1]] = 0
    adata.obs["clusters"] = adata.obs["clusters"].where(np.arange(60) > 4)
    rng = np.random.default_rng(0)
    barcodes = ["".join(rng.choice(list("ACGT"), 16)) for _ in range(60)]
    adata.obs_names = [f"{barcode}-{1 + i % 2}" for i, barcode in enumerate(barcodes)]
    said = words(look(adata, tmp_path), "warning")
    for part in (
        "whole counts",
        "identical",
        "1 cells have no spliced",
        "5 cells have no value",
        "look like 2 samples",
    ):
        assert part in said
    adata.obs["sample"] = [str(i % 2) for i in range(60)]
    assert "samples" not in words(look(adata, tmp_path), "warning")


def test_few_or_no_cells_and_genes(tmp_path):
    adata = simulate(40, 10)
    assert "only 12 cells" in words(look(adata[:12].copy(), tmp_path), "error")
    assert "no cells" in words(look(adata[:0].copy(), tmp_path), "error")
    assert "no genes" in words(look(adata[:, :0].copy(), tmp_path), "error")


def test_damaged_parts_are_reported_not_raised(tmp_path):
    path = tmp_path / "a.h5ad"
    for damage in ("layers/spliced/indices", "layers/spliced/data", "obs/clusters/codes", "var"):
        simulate(40, 10).write_h5ad(path)
        with h5py.File(path, "a") as file:
            del file[damage]
        assert inspect_file(path).problems
    simulate(40, 10).write_h5ad(path)
    with h5py.File(path, "a") as file:
        file["layers/spliced"].attrs["shape"] = [40, 11]
    assert "40 x 11" in words(inspect_file(path), "error")
    content = path.read_bytes()
    for share in (0.2, 0.5, 0.9, 0.99):
        path.write_bytes(content[: int(share * len(content))])
        assert not inspect_file(path).ready
    assert "no file" in words(inspect_file(tmp_path / "absent.h5ad"), "error")
    assert "folder" in words(inspect_file(tmp_path), "error")


def test_random_damage_never_raises(tmp_path):
    path = tmp_path / "a.h5ad"
    simulate(40, 10).write_h5ad(path)
    content = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(30):
        broken = content.copy()
        broken[rng.integers(len(content), size=40)] = rng.integers(256, size=40)
        path.write_bytes(broken.tobytes())
        assert isinstance(inspect_file(path), DatasetSummary)


def test_columns_of_every_kind(tmp_path):
    adata = simulate(60, 10)
    adata.obs["flag"] = np.arange(60) % 2 == 0
    adata.obs["maybe"] = pd.array([1, None, 2] * 20, dtype="Int64")
    adata.obs["text"] = [f"t{i}" for i in range(60)]
    columns = {column.name: column for column in look(adata, tmp_path).columns}
    assert (columns["flag"].kind, columns["flag"].n_unique) == ("categorical", 2)
    assert (columns["maybe"].n_unique, columns["maybe"].n_missing) == (2, 20)
    assert columns["true_time"].kind == "numeric"
    assert columns["text"].kind == "text"


def test_nothing_heavy_is_imported():
    code = (
        "import sys, velovi.data.inspect; "
        "heavy = {'torch', 'scvi', 'scanpy', 'anndata', 'umap', 'sklearn', 'numba'}; "
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    root = Path(__file__).resolve().parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)
