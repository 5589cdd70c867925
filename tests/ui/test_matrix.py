"""Every page with every kind of run: something to read and a way on, never a traceback."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pytest
from fakes import fake_result

from velovi.runs.folder import RunState
from velovi.runs.results import write_result

ROOT = Path(__file__).parents[2]
PAGES = tuple(sorted(path.stem for path in (ROOT / "pages").glob("*.py")))
EXPLORING = tuple(page for page in PAGES if page not in ("data", "train", "runs"))
BROKEN = "unexpected went wrong"


def without_embedding() -> anndata.AnnData:
    adata = fake_result(60, 4)
    for name in list(adata.obsm):
        del adata.obsm[name]
    adata.uns["velovi"]["grids"] = {}
    return adata


def with_nan() -> anndata.AnnData:
    adata = fake_result(60, 4)
    for name in adata.layers:
        adata.layers[name][:, 1] = np.nan
        adata.layers[name][:7, 2] = np.nan
    for column in ("latent_time", "velocity_confidence", "directional_difference"):
        adata.obs.loc[adata.obs.index[:5], column] = np.nan
    adata.obs["velocity_length"] = np.float32("nan")
    adata.obs.loc[adata.obs.index[:3], "clusters"] = None
    for column in ("fit_alpha", "fit_gamma", "fit_t_", "fit_explained"):
        adata.var.loc["Gene1", column] = np.nan
    adata.obsm["X_umap"][:4] = np.nan
    return adata


def with_few_layers() -> anndata.AnnData:
    adata = fake_result(60, 4)
    for name in list(adata.layers):
        if name not in ("Ms", "Mu", "velocity"):
            del adata.layers[name]
    for column in [item for item in adata.obs if str(item).startswith("directional")]:
        del adata.obs[column]
    return adata


RESULTS: dict[str, Callable[[], anndata.AnnData]] = {
    "one gene": lambda: fake_result(60, 1),
    "one cell of each group": lambda: fake_result(9, 3),
    "no clusters": lambda: fake_result(60, 4, labels=False),
    "no embedding": without_embedding,
    "missing values": with_nan,
    "few layers": with_few_layers,
}


@pytest.fixture(scope="session")
def stores(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("odd")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zarr and of means of nothing, while they are made
        for name, make in RESULTS.items():
            write_result(make(), folder / name / "result.zarr")
    return {name: folder / name / "result.zarr" for name in RESULTS}


def said(app) -> str:
    kinds = ("title", "subheader", "markdown", "error", "info", "warning", "success", "caption")
    return "\n".join(str(item.value) for kind in kinds for item in getattr(app, kind))


def selected(app, run_id: str, mask: np.ndarray):
    app.session_state["selected_cells"] = run_id, np.packbits(mask, bitorder="little")
    return app.run()


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("state", [None, *RunState])
def test_every_page_opens_in_every_state(page, state, open_page, run_in):
    app = open_page(page, **({} if state is None else {"run": run_in(state).run_id}))
    assert app.title[0].value
    assert BROKEN not in said(app)
    ended_badly = page in ("train", "runs") and state in (RunState.FAILED, RunState.LOST)
    assert ended_badly or not app.error


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("kind", RESULTS)
@pytest.mark.parametrize("which", ["none", "some", "all"])
def test_every_page_opens_with_odd_results(page, kind, which, open_page, run_in, stores):
    run = run_in(RunState.DONE)
    run.result_path.unlink()
    run.result_path.symlink_to(stores[kind])
    app = open_page(page, run=run.run_id)
    if which != "none":
        n_cells = RESULTS[kind]().n_obs
        selected(app, run.run_id, np.arange(n_cells) % 2 < (2 if which == "all" else 1))
    assert not app.exception
    assert BROKEN not in said(app)
    assert not app.error


@pytest.mark.parametrize("page", PAGES)
def test_addresses_that_name_nothing_are_a_note(page, open_page, run_in):
    run = run_in(RunState.DONE)
    app = open_page(
        page,
        run=run.run_id,
        gene="<script>",
        color="layer:x",
        color2="y",
        maps="9",
        embedding="../..",
        cells="none",
        velocity="?",
        dataset="gone",
    )
    assert not app.exception
    assert BROKEN not in said(app)


@pytest.mark.parametrize("page", PAGES)
def test_a_run_that_is_deleted_in_another_tab_is_a_sentence(page, open_page, run_in, workspace):
    run = run_in(RunState.DONE)
    app = open_page(page, run=run.run_id)
    workspace.delete_run(run.run_id)
    app.run()
    assert not app.exception
    assert BROKEN not in said(app)


@pytest.mark.parametrize("page", EXPLORING)
def test_a_result_of_another_version_says_so(page, open_page, run_in, tmp_path):
    import zarr

    run = run_in(RunState.DONE)
    run.result_path.unlink()
    adata = fake_result(30, 2)
    adata.uns["velovi"]["result_version"] = 1_000
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_result(adata, run.result_path)
    assert zarr.open_group(run.result_path)["uns/velovi/result_version"][()] == 1_000
    app = open_page(page, run=run.run_id)
    assert "written by another version" in said(app)
    assert "Train again" in said(app)
