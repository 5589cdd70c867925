"""Reading .h5ad files and checking layers: every bad file gets a plain answer."""

from pathlib import Path

import anndata
import numpy as np
import pytest
import scipy.sparse as sp

from velovi.data.clean import without_missing_labels
from velovi.data.inspect import inspect_file
from velovi.data.read import read
from velovi.data.simulate import simulate
from velovi.data.validate import validate
from velovi.errors import DataError

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.exists(), reason=f"no shared data at {DATA}")


@needs_data
@pytest.mark.parametrize("path", sorted(DATA.glob("**/*.h5ad")), ids=lambda path: path.stem)
def test_every_shared_file_is_read_or_refused_in_plain_words(path):
    if "lfs" in path.name:
        with pytest.raises(DataError, match="Git LFS pointer"):
            read(path)
    else:
        assert read(path).n_obs > 0


@needs_data
def test_mudata_is_named():
    with pytest.raises(DataError, match="MuData") as caught:
        read(DATA / "odd" / "mudata_v0.4.1.h5mu")
    assert caught.value.remedy
    assert caught.value.expected


def test_round_trip(tmp_path):
    adata = simulate(50, 10)
    adata.write_h5ad(tmp_path / "a.h5ad")
    again = read(tmp_path / "a.h5ad")
    for name in adata.layers:
        assert np.asarray((again.layers[name] != adata.layers[name]).sum()) == 0


def bad_files(folder):
    simulate(50, 10).write_h5ad(folder / "good.h5ad")
    content = (folder / "good.h5ad").read_bytes()
    (folder / "truncated.h5ad").write_bytes(content[: len(content) // 2])
    (folder / "empty.h5ad").write_bytes(b"")
    (folder / "zipped.h5ad").write_bytes(b"\x1f\x8b" + content)
    (folder / "page.h5ad").write_bytes(b"<!DOCTYPE html>")
    (folder / "folder.h5ad").mkdir()
    return {
        "truncated": "truncated",
        "empty": "empty",
        "zipped": "gzip",
        "page": "web page",
        "folder": "folder",
        "absent": "no file",
    }


def test_bad_files(tmp_path):
    for name, word in bad_files(tmp_path).items():
        with pytest.raises(DataError, match=word) as caught:
            read(tmp_path / f"{name}.h5ad")
        assert caught.value.remedy
        assert f"{name}.h5ad" in str(caught.value)
    with pytest.raises(DataError, match="csv"):
        read(tmp_path / "table.csv")


def test_damaged_content_is_not_a_traceback_of_h5py(tmp_path):
    import h5py

    simulate(50, 10).write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "a") as file:
        del file["layers/spliced/indices"]
    with pytest.raises(DataError, match="damaged"):
        read(tmp_path / "a.h5ad")


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "dense"])
@pytest.mark.parametrize(
    ("value", "word"), [(np.nan, "NaN"), (np.inf, "infinite"), (-1.0, "negative")]
)
def test_validate_counts_offenders(kind, value, word):
    adata = simulate(40, 10)
    dense = adata.layers["unspliced"].toarray()
    dense[3, 2] = dense[3, 4] = dense[7, 2] = value
    matrix = dense if kind == "dense" else sp.coo_matrix(dense).asformat(kind)
    if kind == "coo":  # AnnData itself refuses COO
        matrix = sp.csr_matrix(dense)
    adata.layers["unspliced"] = matrix
    with pytest.raises(DataError, match=word) as caught:
        validate(adata, "spliced", "unspliced")
    assert "'unspliced'" in str(caught.value)
    assert "3 " in caught.value.found
    assert "2 cells and 2 genes" in caught.value.found


def test_validate_missing_layer_and_empty_data():
    adata = simulate(40, 10)
    validate(adata, "spliced", "unspliced")
    with pytest.raises(DataError, match="'nuclear'"):
        validate(adata, "spliced", "nuclear")
    with pytest.raises(DataError, match="different layers"):
        validate(adata, "spliced", "spliced")
    with pytest.raises(DataError, match="no cells"):
        validate(adata[:0], "spliced", "unspliced")
    with pytest.raises(DataError, match="no genes"):
        validate(adata[:, :0], "spliced", "unspliced")


def test_validate_text_layer():
    adata = anndata.AnnData(np.ones((3, 2), dtype=np.float32))
    adata.layers["u"] = np.full((3, 2), "x", dtype=object)
    adata.layers["s"] = adata.X.copy()
    with pytest.raises(DataError, match="not a matrix of numbers"):
        validate(adata, "s", "u")


def test_missing_labels_of_each_kind():
    import pandas as pd

    obs = pd.DataFrame(
        {
            "cat": pd.Categorical(["a", None, "b"]),
            "text": ["x", None, "y"],
            "number": [1.0, np.nan, 2.0],
            "codes": pd.Categorical([1, None, 2]),
            "whole": ["p", "q", "r"],
        }
    )
    before = obs.copy(deep=True)
    clean = without_missing_labels(obs)
    pd.testing.assert_frame_equal(obs, before)
    assert list(clean["cat"].astype(str)) == ["a", "unlabelled", "b"]
    assert list(clean["text"].astype(str)) == ["x", "unlabelled", "y"]
    assert list(clean["codes"].astype(str)) == ["1", "unlabelled", "2"]
    assert clean["number"].isna().sum() == 1
    assert list(clean["whole"]) == ["p", "q", "r"]


@pytest.mark.parametrize("kind", ["external storage", "external link", "virtual"])
def test_a_file_that_reaches_outside_itself_is_refused(tmp_path, kind):
    """Otherwise an upload could show any file of the server to whoever uploads it."""
    import h5py
    from anndata import AnnData

    secret = tmp_path / "secret"
    secret.write_bytes(b"not for you" * 100)
    path = tmp_path / "cells.h5ad"
    AnnData(np.ones((40, 5), dtype=np.float32)).write_h5ad(path)
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["data"] = np.arange(80.0).reshape(40, 2)
    with h5py.File(path, "a") as file:
        if kind == "external storage":
            file.create_dataset("obsm/X_leak", (40, 2), dtype="u1", external=[(str(secret), 0, 80)])
        elif kind == "external link":
            file["obsm/X_leak"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "data")
        else:
            layout = h5py.VirtualLayout((40, 2), dtype=float)
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "data", (40, 2))
            file["obsm"].create_virtual_dataset("X_leak", layout)
    with pytest.raises(DataError, match="X_leak"):
        read(path)
    assert not inspect_file(path).ready
