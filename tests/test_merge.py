"""Counts of several samples, and of annotated cells, against what they were made from."""

from __future__ import annotations

import subprocess
import sys

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from tests.written_formats import loom
from velovi.data.merge import SAMPLE, add_counts, barcode_of, combine_samples, match_cells
from velovi.data.simulate import simulate
from velovi.errors import DataError

N = 40


def barcodes(n, seed):
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("ACGT"), 16)) for _ in range(n)]


@pytest.fixture
def samples():
    """Two samples; ten barcodes of the second are those of cells of the first."""
    made, first = {}, barcodes(N, 1)
    for seed, name in enumerate(("E14", "E15")):
        cells = simulate(N, 12, seed=seed)
        own = first if not seed else [*first[:10], *barcodes(N - 10, 2)]
        cells.obs_names = own
        cells.obsm["X_umap"] = np.arange(2.0 * N).reshape(N, 2) + 100 * seed
        made[name] = cells
    return made


# how the names of one cell differ between an annotated object and a file of counts
MANGLED = {
    "velocyto": lambda code, name, at: (f"{code}-1-{at}", f"{name}:{code}x"),
    "suffix by sample": lambda code, name, at: (f"{code}-{at + 1}", f"{code}-1"),
    "prefix": lambda code, name, at: (f"{name}_{code}-1", f"{code}"),
    "Seurat": lambda code, name, at: (f"{code}_{at + 1}", f"{name}_{code}"),
}


def annotated(samples, how, *, column=False, names=True):
    """Both samples in another order, with maps and clusters and without counts."""
    parts = []
    for at, (name, cells) in enumerate(samples.items()):
        part = anndata.AnnData(obs=cells.obs.copy(), obsm={"X_umap": cells.obsm["X_umap"].copy()})
        part.obs["truth"] = [f"{name}/{code}" for code in cells.obs_names]
        given = [MANGLED[how](code, name, at)[0] for code in cells.obs_names]
        part.obs_names = given if names else [f"{code}-1" for code in cells.obs_names]
        if column:
            part.obs["donor"] = pd.Categorical([f"donor {at}"] * N)
        parts.append(part)
    whole = anndata.concat(parts)
    return whole[np.random.default_rng(0).permutation(whole.n_obs)].copy()


def files(samples, how):
    found = {}
    for at, (name, cells) in enumerate(samples.items()):
        part = cells.copy()
        part.obs_names = [MANGLED[how](code, name, at)[1] for code in cells.obs_names]
        found[name] = part
    return found


def same_counts(made, samples):
    assert made.n_obs
    for row, truth in enumerate(made.obs["truth"]):
        name, code = truth.split("/")
        for layer in ("spliced", "unspliced"):
            np.testing.assert_array_equal(
                sp.csr_matrix(made.layers[layer]).toarray()[row],
                sp.csr_matrix(samples[name][code].layers[layer]).toarray()[0],
            )


@pytest.mark.parametrize("how", MANGLED)
def test_counts_find_their_cells_whatever_their_names(samples, how):
    whole = annotated(samples, how)
    made, match = add_counts(whole, files(samples, how))
    assert match.told_apart_by == "what stands around the barcodes"
    assert list(made.obs_names) == list(whole.obs_names)
    assert match.table["share"].tolist() == [1.0, 1.0]
    assert made.obs["sample"].tolist() == [item.split("/")[0] for item in made.obs["truth"]]
    np.testing.assert_array_equal(made.obsm["X_umap"], whole.obsm["X_umap"])
    same_counts(made, samples)


def test_a_column_tells_samples_apart_when_names_do_not(samples):
    whole = annotated(samples, "velocyto", column=True, names=False)
    made, match = add_counts(whole, files(samples, "velocyto"))
    assert match.told_apart_by == "'donor'"
    same_counts(made, samples)


def test_one_file_for_one_sample_takes_all_cells_together(samples):
    one = {"E14": samples["E14"]}
    whole = annotated(one, "velocyto")
    made, match = add_counts(whole, files(one, "velocyto"))
    assert match.told_apart_by == "nothing: all cells together"
    assert "sample" not in made.obs
    same_counts(made, samples)


def test_a_barcode_that_could_be_of_either_sample_is_of_none(samples):
    whole = annotated(samples, "velocyto", names=False)
    made, match = add_counts(whole, files(samples, "velocyto"))
    assert match.told_apart_by == "nothing: all cells together"
    assert made.n_obs == 2 * N - 20  # ten barcodes are in both
    assert match.table["share"].tolist() == [0.75, 0.75]
    same_counts(made, samples)


def test_a_cell_of_another_sample_gets_no_counts_by_a_shared_barcode(samples):
    """The file holds one sample; a third of the other's cells share barcodes with it."""
    whole = annotated(samples, "suffix by sample")
    one = {"E14": files(samples, "suffix by sample")["E14"]}
    made, match = add_counts(whole, one)
    assert made.n_obs == N
    assert all(truth.startswith("E14") for truth in made.obs["truth"])
    assert match.table.loc["E14", "group"] == "*-1"
    same_counts(made, samples)


def test_a_file_may_hold_several_samples(samples):
    both = combine_samples(samples)
    whole = annotated(samples, "suffix by sample")
    kept = [code.split("/")[1] not in set(barcodes(N, 1)[:10]) for code in whole.obs["truth"]]
    made, _ = add_counts(whole[kept], {"all": both})
    assert made.n_obs == sum(kept)
    same_counts(made, samples)


def test_barcodes_of_several_parts_are_compared_whole():
    codes = [f"AAACATCG_{code[:8]}_{code[8:]}" for code in barcodes(20, 5)]
    names = [f"{code}__s1" for code in codes]
    obs = pd.DataFrame(index=names)
    assert match_cells(names, obs, {"a": codes}).table.loc["a", "found"] == 20
    others = [f"AAACATCG_{code[:8]}_{code[8:]}" for code in barcodes(20, 6)]
    assert match_cells(names, obs, {"a": others}).table.loc["a", "found"] == 0
    same = ["ACGTACGTACGT-1", "ACGTACGTACGT-2"]
    exact = match_cells(same, pd.DataFrame(index=same), {"a": same[::-1]})
    assert [list(rows) for rows in exact.rows["a"]] == [[0, 1], [1, 0]]


def test_a_sample_column_of_the_file_stays_and_repeated_genes_are_kept(samples):
    for cells in samples.values():
        cells.obs["sample"] = "own"
        cells.var_names = ["Twin", "Twin", *cells.var_names[2:]]
    made = combine_samples(samples)
    assert set(made.obs["sample_from_file"]) == {"own"}
    assert list(made.var_names[:2]) == ["Twin", "Twin-1"]
    total = sum(cells.layers["spliced"].sum() for cells in samples.values())
    assert made.layers["spliced"].sum() == total


def test_cells_without_a_map_get_none(samples):
    del samples["E15"].obsm["X_umap"]
    assert "X_umap" not in combine_samples(samples, genes="all").obsm


def test_too_few_cells_are_refused_unless_allowed(samples):
    whole = annotated({"E14": samples["E14"]}, "velocyto")
    few = {"E14": files(samples, "velocyto")["E14"][:10]}
    with pytest.raises(DataError, match="too few cells") as caught:
        add_counts(whole, few)
    assert "E14: 10 of 40" in caught.value.found
    made, _ = add_counts(whole, few, least=0.1)
    assert made.n_obs == 10
    same_counts(made, samples)
    with pytest.raises(DataError, match="too few cells"):
        add_counts(whole, {"E14": files(samples, "velocyto")["E14"][:0]})


def test_genes_are_joined_by_name_or_id(samples, tmp_path):
    cells = samples["E14"]
    whole = annotated({"E14": cells}, "velocyto")
    ids = [f"ENSG{at}" for at in range(12)]
    whole = anndata.AnnData(
        np.zeros((N, 5)),
        obs=whole.obs,
        var=pd.DataFrame({"highly_variable": [True] * 5}, index=ids[:5]),
        obsm=dict(whole.obsm),
    )
    counts = files({"E14": cells}, "velocyto")["E14"]
    counts.var["gene_ids"] = ids
    made, _ = add_counts(whole, {"E14": counts})
    assert list(made.var_names) == list(cells.var_names)
    assert made.var["highly_variable"].tolist()[:5] == [True] * 5
    assert not made.var["highly_variable"][5:].any()
    made.write_h5ad(tmp_path / "made.h5ad")
    assert anndata.read_h5ad(tmp_path / "made.h5ad").var["highly_variable"].sum() == 5


def test_what_the_object_brought_stays(samples):
    whole = annotated(samples, "velocyto")
    whole.uns["clusters_colors"] = np.array(["#112233"] * 3)
    whole.obsp["distances"] = sp.random(whole.n_obs, whole.n_obs, 0.1, "csr", random_state=0)
    before = whole.copy()
    made, _ = add_counts(whole, files(samples, "velocyto"))
    pd.testing.assert_frame_equal(made.obs[list(whole.obs)], whole.obs)
    assert (made.obsp["distances"] != whole.obsp["distances"]).nnz == 0
    assert list(made.uns["clusters_colors"]) == ["#112233"] * 3
    assert before.obs.equals(whole.obs)


def test_samples_become_one_with_names_of_their_own(samples):
    made = combine_samples(samples)
    assert made.obs_names.is_unique
    assert made.obs[SAMPLE].value_counts().to_dict() == {"E14": N, "E15": N}
    made.obs["truth"] = [name.replace(":", "/") for name in made.obs_names]
    same_counts(made, samples)
    assert "X_umap" in made.obsm


def test_genes_are_shared_or_all(samples):
    samples["E15"] = samples["E15"][:, :8].copy()
    assert combine_samples(samples).n_vars == 8
    whole = combine_samples(samples, genes="all")
    assert whole.n_vars == 12
    absent = whole[whole.obs[SAMPLE] == "E15", samples["E14"].var_names[8:]]
    assert sp.csr_matrix(absent.layers["spliced"]).nnz == 0
    samples["E15"].var_names = [f"other{at}" for at in range(8)]
    with pytest.raises(DataError, match="too few genes in common"):
        combine_samples(samples)


def test_a_sample_without_velocity_counts_is_named(samples):
    for layer in ("unspliced", "true_unspliced"):
        del samples["E15"].layers[layer]
    with pytest.raises(DataError, match="no spliced and unspliced") as caught:
        combine_samples(samples)
    assert caught.value.where == "E15"


def test_no_cells_match_nothing():
    found = match_cells([], pd.DataFrame(index=[]), {"a": ["cell_1"], "b": []})
    assert found.table["found"].tolist() == [0, 0]
    with pytest.raises(DataError, match="too few cells"):
        found.require()


def test_names_without_a_barcode_are_themselves():
    names = ["cell_1", "cell_2"]
    found = match_cells(names, pd.DataFrame(index=names), {"a": ["cell_2", "cell_1"]})
    assert [list(rows) for rows in found.rows["a"]] == [[0, 1], [1, 0]]
    assert barcode_of("") == ""


def test_the_command_line_merges(samples, tmp_path):
    whole = annotated(samples, "velocyto")
    whole.write_h5ad(tmp_path / "whole.h5ad")
    paths = []
    for name, cells in files(samples, "velocyto").items():
        paths.append(str(loom(cells, tmp_path / f"{name}.loom")))
    out = tmp_path / "out.h5ad"
    command = [sys.executable, "-m", "velovi", "merge", *paths, "--out", str(out)]
    into = ["--into", str(tmp_path / "whole.h5ad")]
    done = subprocess.run([*command, *into], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "E14: 40 of 40 cells (100 %)" in done.stdout
    same_counts(anndata.read_h5ad(out), samples)
    again = subprocess.run([*command, *into], capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "there already" in again.stderr
    out.unlink()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert anndata.read_h5ad(out).n_obs == 2 * N
