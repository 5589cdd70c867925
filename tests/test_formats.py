"""Every format gives the counts that were written, cell by cell and gene by gene."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest
import scipy.sparse as sp

from tests.written_formats import (
    alevin_fry,
    counts,
    kb,
    loom,
    starsolo,
    write_lines,
    write_matrix,
)
from velovi.data.check import NoAnswerError, run_limited
from velovi.data.formats import recognise, title_of
from velovi.data.formats.convert import convert_here
from velovi.data.inspect import inspect_file
from velovi.data.read import read
from velovi.data.simulate import simulate
from velovi.errors import DataError

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="the shared data are not here")


@pytest.fixture(scope="module")
def cells():
    """Fewer genes than cells, so that no matrix is square."""
    return simulate(50, 12, seed=3)


def mudata(adata, path):
    """An RNA modality beside another, as mudata 0.3 lays it out."""
    from anndata.io import write_elem

    with h5py.File(path, "w") as file:
        file.attrs["encoding-type"] = "MuData"
        modalities = file.create_group("mod")
        write_elem(modalities, "atac", anndata.AnnData(np.ones((50, 3))))
        write_elem(modalities, "rna", adata)
    return path


def celldancer(adata, path):
    lines = ["gene_name,unsplice,splice,cellID,clusters,embedding1,embedding2"]
    layers = [counts(adata, name) for name in ("unspliced", "spliced")]
    for at, gene in enumerate(adata.var_names):
        for row, cell in enumerate(adata.obs_names):
            values = [str(layer[row, at]) for layer in layers]
            lines.append(",".join([gene, *values, cell, "A", str(row), str(-row)]))
    write_lines(path, lines, packed=path.suffix == ".gz")
    return path


def zarr_store(adata, path):
    adata.write_zarr(path)
    return path


WRITERS = {
    "loom": lambda a, at: loom(a, at / "velocyto.loom"),
    "loom of scanpy": lambda a, at: loom(a, at / "x.loom", names=("obs_names", "var_names")),
    "loom by another name": lambda a, at: loom(a, at / "counts.h5ad"),
    "STARsolo": lambda a, at: starsolo(a, at / "raw"),
    "STARsolo, compressed": lambda a, at: starsolo(a, at / "filtered", packed=True),
    "STARsolo, one matrix": lambda a, at: starsolo(a, at / "raw", one_matrix=True),
    "STARsolo, whole": lambda a, at: starsolo(a, at / "Solo.out/Velocyto/raw").parents[1],
    "alevin-fry": lambda a, at: alevin_fry(a, at / "quant"),
    "alevin-fry, genes once": lambda a, at: alevin_fry(a, at / "quant", suffixes=False),
    "kb lamanno": lambda a, at: kb(a, at / "counts_unfiltered", "lamanno"),
    "kb nac": lambda a, at: kb(a, at / "counts_unfiltered", "nac"),
    "MuData": lambda a, at: mudata(a, at / "cells.h5mu"),
    "zarr": lambda a, at: zarr_store(a, at / "cells.zarr"),
    "cellDancer": lambda a, at: celldancer(a, at / "cells.csv"),
    "cellDancer, compressed": lambda a, at: celldancer(a, at / "cells.csv.gz"),
}


def converted(path, tmp_path):
    """As in a process of its own, which takes seconds to start."""
    convert_here(path, tmp_path / "converted.h5ad")
    return read(tmp_path / "converted.h5ad", layers=("spliced", "unspliced"))


def same_counts(found, cells):
    assert list(found.obs_names) == list(cells.obs_names)
    assert list(found.var_names) == list(cells.var_names)
    for name in ("spliced", "unspliced"):
        values = sp.csr_matrix(found.layers[name]).toarray()
        np.testing.assert_array_equal(values, expected(found, cells, name), err_msg=name)


def expected(found, cells, name):
    """Ambiguous molecules are spliced for alevin-fry alone."""
    both = "alevin-fry" in "".join(found.uns["velovi_reading"]["notes"])
    extra = counts(cells, "ambiguous") if both and name == "spliced" else 0
    return counts(cells, name) + extra


@pytest.mark.parametrize("name", WRITERS)
def test_a_format_gives_its_counts(name, cells, tmp_path):
    found = converted(WRITERS[name](cells, tmp_path), tmp_path)
    same_counts(found, cells)
    assert "Read from" in found.uns["velovi_reading"]["notes"][0]


def test_a_folder_and_a_file_are_read_and_checked_from_outside(cells, tmp_path):
    for path in (loom(cells, tmp_path / "a.h5ad"), starsolo(cells, tmp_path / "raw")):
        same_counts(read(path), cells)
        assert inspect_file(path).ready


@pytest.mark.parametrize("name", ["STARsolo, whole", "kb nac", "alevin-fry", "zarr"])
@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_a_folder_is_read_from_an_archive(name, kind, cells, tmp_path):
    folder = WRITERS[name](cells, tmp_path / "made")
    packed = shutil.make_archive(str(tmp_path / "packed"), kind, tmp_path / "made", folder.name)
    shutil.copyfile(packed, tmp_path / "upload")
    same_counts(converted(tmp_path / "upload", tmp_path), cells)


def test_a_compressed_file_is_read(cells, tmp_path):
    cells.write_h5ad(tmp_path / "a.h5ad")
    path = tmp_path / "a.h5ad.gz"
    path.write_bytes(gzip.compress((tmp_path / "a.h5ad").read_bytes()))
    same_counts(converted(path, tmp_path), cells)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.write(path, "inside/a.h5ad.gz")
    same_counts(converted(tmp_path / "b.zip", tmp_path), cells)


def test_a_loom_keeps_annotations_and_maps(cells, tmp_path):
    found = read(loom(cells, tmp_path / "a.loom"))
    assert found.obs["batch"].tolist() == ["a"] * 50
    np.testing.assert_array_equal(found.obsm["X_umap"][:, 0], np.arange(0, 100, 2))
    assert found.var["Start"].tolist() == list(range(12))
    np.testing.assert_array_equal(
        sp.csr_matrix(found.layers["ambiguous"]).toarray(), counts(cells, "ambiguous")
    )


def test_filtered_counts_come_before_raw_ones(cells, tmp_path):
    starsolo(cells, tmp_path / "Solo.out/Velocyto/raw")
    starsolo(cells[:20].copy(), tmp_path / "Solo.out/Velocyto/filtered")
    assert converted(tmp_path / "Solo.out", tmp_path).n_obs == 20


def three_samples(cells, at, kind):
    parts = {name: cells[rows].copy() for name, rows in (("A", range(20)), ("B", range(20, 50)))}
    for name, part in parts.items():
        if kind == "loom":
            loom(part, at / f"{name}.loom")
        elif kind == "STARsolo":
            starsolo(part, at / name / "Solo.out/Velocyto/filtered")
            starsolo(cells, at / name / "Solo.out/Velocyto/raw")
        else:
            (at / name).mkdir(parents=True)
            part.write_h5ad(at / name / "adata.h5ad")
    return at


@pytest.mark.parametrize("kind", ["loom", "STARsolo", "h5ad"])
def test_samples_of_a_folder_become_one(kind, cells, tmp_path):
    found = converted(three_samples(cells, tmp_path / "made", kind), tmp_path)
    same_counts(found, cells)
    assert found.obs["sample"].tolist() == ["A"] * 20 + ["B"] * 30
    note = found.uns["velovi_reading"]["notes"][0]
    assert "2 samples" in note
    assert "A (20 cells), B (30 cells)" in note
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "made")
    same_counts(converted(Path(packed), tmp_path), cells)


def test_genes_whose_names_end_like_kinds_stay_genes(cells, tmp_path):
    named = cells.copy()
    named.var_names = ["HLA-A", "HLA-U", "Twin", "Twin", *cells.var_names[4:]]
    for suffixes in (True, False):
        alevin_fry(named, tmp_path / f"{suffixes}", suffixes=suffixes)
        same_counts(converted(tmp_path / f"{suffixes}", tmp_path), named)


def test_kinds_that_do_not_belong_together_are_refused(cells, tmp_path):
    kb(cells, tmp_path / "kb/counts_unfiltered", "lamanno")
    kb(cells[:30].copy(), tmp_path / "kb/counts_filtered", "lamanno")
    assert converted(tmp_path / "kb", tmp_path).n_obs == 30
    loom(cells, tmp_path / "two/A.loom")
    cells.write_h5ad(tmp_path / "two/A.h5ad")
    with pytest.raises(DataError, match="several kinds"):
        converted(tmp_path / "two", tmp_path)
    loom(cells, tmp_path / "deep/A.loom")
    loom(cells, tmp_path / "deep/B/B.loom")
    assert converted(tmp_path / "deep", tmp_path).n_obs == 100
    (tmp_path / "deep/C.loom").write_bytes(b"broken")
    with pytest.raises(DataError, match="one of the files of this folder") as caught:
        converted(tmp_path / "deep", tmp_path)
    assert caught.value.where == "C.loom"


def test_names_of_cells_and_genes_in_a_table_are_text(cells, tmp_path):
    named = cells[:3].copy()
    named.obs_names, named.var_names = ["001", "01", "1"], ["NA", *cells.var_names[1:]]
    same_counts(converted(celldancer(named, tmp_path / "a.csv"), tmp_path), named)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    write_lines(tmp_path / "a.csv", [*lines, lines[1]])
    with pytest.raises(DataError, match="cannot be read"):
        converted(tmp_path / "a.csv", tmp_path)


def test_a_file_by_itself_is_what_it_holds(cells, tmp_path):
    cells.write_h5ad(tmp_path / "a.h5ad")
    path = tmp_path / "cells.gz"
    path.write_bytes(gzip.compress((tmp_path / "a.h5ad").read_bytes()))
    same_counts(converted(path, tmp_path), cells)


def test_kb_takes_the_cells_that_both_matrices_hold(cells, tmp_path):
    kb(cells, tmp_path / "kb", "lamanno")
    other = cells[::-1][:30]
    write_matrix(tmp_path / "kb/unspliced.mtx", counts(other, "unspliced"))
    write_lines(tmp_path / "kb/unspliced.barcodes.txt", list(other.obs_names))
    found = converted(tmp_path / "kb", tmp_path)
    shared = [name for name in cells.obs_names if name in set(other.obs_names)]
    same_counts(found, cells[shared])
    assert "Only the 30 cells" in found.uns["velovi_reading"]["notes"][0]


@needs_data
@pytest.mark.parametrize(
    "name",
    [
        *("velocyto_run_format.loom", "starsolo_Velocyto_filtered", "alevin_fry_usa"),
        *("kb_lamanno", "celldancer_20genes.csv.gz"),
    ],
)
def test_real_counts_are_the_same_in_every_format(name, tmp_path):
    folder = DATA / "formats"
    whole = read(DATA / "pancreas_3696x2000.h5ad", layers=("spliced", "unspliced"))
    found = converted(folder / name, tmp_path)
    by_id = converted(folder / "starsolo_Velocyto_filtered", tmp_path).var
    if found.var_names[0].startswith("ENSMUSG"):
        names = {row["gene_ids"]: gene for gene, row in by_id.iterrows()}
        found.var_names = [names[gene] for gene in found.var_names]
    found.obs_names = [cell.split(":")[-1].removesuffix("x") for cell in found.obs_names]
    genes = [gene for gene in found.var_names if gene in set(whole.var_names)]
    assert len(found) == 739
    assert len(genes) == (18 if "celldancer" in name else 317)
    for layer in ("spliced", "unspliced"):
        difference = found[:, genes].layers[layer] - whole[found.obs_names, genes].layers[layer]
        assert abs(difference).sum() == 0


# --- what cannot be read ------------------------------------------------------------------------


def damaged(cells, at):
    """Folder by folder: what is wrong, and a word of the sentence."""
    yield starsolo(cells, at / "truncated"), "not whole"
    lines = (at / "truncated/spliced.mtx").read_text().splitlines()
    write_lines(at / "truncated/spliced.mtx", lines[:-5])
    yield starsolo(cells, at / "outside"), "outside its own size"
    lines = (at / "outside/spliced.mtx").read_text().splitlines()
    write_lines(at / "outside/spliced.mtx", [*lines[:-1], "99 1 1"])
    yield starsolo(cells, at / "names"), "do not match"
    write_lines(at / "names/barcodes.tsv", list(cells.obs_names[:-1]))
    yield starsolo(cells, at / "words"), "cannot be read"
    lines = (at / "words/spliced.mtx").read_text().splitlines()
    write_lines(at / "words/spliced.mtx", [*lines[:-1], "1 x 1"])
    yield starsolo(cells, at / "dense"), "no sparse matrix"
    write_lines(at / "dense/spliced.mtx", ["%%MatrixMarket matrix array real general", "1 1", "1"])
    yield starsolo(cells, at / "wide"), "another number of values"
    lines = (at / "wide/spliced.mtx").read_text().splitlines()
    write_lines(
        at / "wide/spliced.mtx", [line + " 1" if line[0] != "%" else line for line in lines]
    )
    yield starsolo(cells, at / "narrow"), "not whole"
    lines = (at / "narrow/spliced.mtx").read_text().splitlines()
    write_lines(at / "narrow/spliced.mtx", [*lines[:-1], "2 3"])
    yield alevin_fry(cells, at / "no usa"), "USA mode"
    write_matrix(at / "no usa/alevin/quants_mat.mtx", counts(cells, "spliced"))
    write_lines(at / "no usa/alevin/quants_mat_cols.txt", list(cells.var_names))
    yield starsolo(cells, at / "gz", packed=True), "cannot be read"
    path = at / "gz/spliced.mtx.gz"
    path.write_bytes(path.read_bytes()[:-20])


def test_damage_is_told_in_a_sentence(cells, tmp_path):
    for folder, words in [*damaged(cells, tmp_path)]:
        with pytest.raises(DataError, match=words):
            converted(folder, tmp_path)
    assert not inspect_file(folder).ready


def test_what_is_no_velocity_file_is_named(cells, tmp_path):
    tenx = tmp_path / "filtered_feature_bc_matrix"
    write_matrix(tenx / "matrix.mtx", counts(cells, "spliced").T)
    write_lines(tenx / "barcodes.tsv", list(cells.obs_names))
    write_lines(tenx / "features.tsv", list(cells.var_names))
    with pytest.raises(DataError, match="without unspliced counts") as caught:
        read(tenx)
    assert "STARsolo" in caught.value.remedy
    (tmp_path / "seurat.rds").write_bytes(gzip.compress(b"X\n\0\0\0" + bytes(100)))
    with pytest.raises(DataError, match="an R object") as caught:
        read(tmp_path / "seurat.rds")
    assert "SeuratDisk" in caught.value.remedy
    loom(cells, tmp_path / "plain.loom")
    with h5py.File(tmp_path / "plain.loom", "a") as file:
        del file["layers"]
    summary = inspect_file(tmp_path / "plain.loom")
    assert not summary.ready
    assert any("unspliced" in problem.what for problem in summary.errors)


def test_an_archive_may_not_lead_out_or_unpack_without_end(tmp_path):
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
        archive.writestr("../../evil.h5ad", b"x")
    with pytest.raises(DataError, match="outside itself"):
        read(tmp_path / "out.zip")
    assert not (tmp_path.parent / "evil.h5ad").exists()
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.h5ad", bytes(300 * 2**20))
    with pytest.raises(DataError, match="more than its size"):
        read(tmp_path / "bomb.zip")
    simulate(40, 10).write_h5ad(tmp_path / "secret.h5ad")
    with tarfile.open(tmp_path / "link.tar", "w") as archive:
        link = tarfile.TarInfo("a.h5ad")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.h5ad")
        archive.addfile(link)
    with pytest.raises(DataError, match="no spliced and unspliced"):
        read(tmp_path / "link.tar")


def test_a_loom_may_not_take_its_counts_from_elsewhere(cells, tmp_path):
    loom(cells, tmp_path / "a.loom")
    with h5py.File(tmp_path / "a.loom", "a") as file:
        del file["layers/spliced"]
        secret = [("/etc/passwd", 0, 600)]
        file.create_dataset("layers/spliced", (12, 50), "u1", external=secret)
    with pytest.raises(DataError, match="from another file"):
        converted(tmp_path / "a.loom", tmp_path)
    with h5py.File(tmp_path / "a.loom", "a") as file:
        del file["layers/spliced"]
        file["layers/spliced"] = h5py.ExternalLink(str(tmp_path / "b.h5ad"), "X")
    with pytest.raises(DataError, match="from another file"):
        converted(tmp_path / "a.loom", tmp_path)


def test_what_a_killed_process_leaves_goes_with_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "leaves.py").write_text(
        "import os, tempfile; tempfile.mkdtemp(); os.kill(os.getpid(), 9)"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(NoAnswerError):
        run_limited(["leaves"], seconds=20)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] in ([], ["__pycache__"])


def test_names_without_their_endings():
    names = ("a.h5ad", "b.tar.gz", "c.v2.loom", "Solo.out", ".h5ad")
    assert [title_of(Path(name)) for name in names] == ["a", "b", "c.v2", "Solo.out", ".h5ad"]


def test_a_path_that_is_not_there_is_no_source(tmp_path):
    assert recognise(tmp_path / "absent") is None
    (tmp_path / "empty").mkdir()
    assert recognise(tmp_path / "empty") is None


def test_a_check_for_programs(cells, tmp_path):
    path = loom(cells, tmp_path / "a.loom")
    command = [sys.executable, "-m", "velovi", "check", str(path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    assert (done.returncode, told["ready"]) == (0, True)
    assert told["n_cells"] == 50
