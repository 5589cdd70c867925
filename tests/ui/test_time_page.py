"""The Time page: times that begin where the reader says."""

from __future__ import annotations

import shutil
import time

import anndata
import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from velovi.runs.custom_root_time import custom_root_time, times
from velovi.runs.folder import RunState
from velovi.runs.results import write_result
from velovi.runs.workspace import DEMO_FOLDER
from velovi.ui.time_panel import OWN

PATIENCE = 60.0


def test_a_time_from_a_group_is_worked_out_shown_and_deleted(open_page, workspace, run_in):
    run = run_in(RunState.DONE)
    run.result_path.unlink()  # a link to a result that all tests share
    shutil.copytree(DEMO_FOLDER / "result.zarr", run.result_path)
    app: AppTest = open_page("latent_time", run=run.run_id)
    group = app.selectbox(key="root_group_False").options[1]
    app.selectbox(key="root_group_False").select(group).run()
    app.button(key="request_time").click().run()
    folder = workspace.of_run("times", run.run_id)
    end = time.monotonic() + PATIENCE
    while (found := times(folder))[0].state == "working" and time.monotonic() < end:
        time.sleep(0.2)
    assert [(item.state, item.name) for item in found] == [("done", f"from {group}")]
    time_id = found[0].time_id
    app.run()
    assert app.selectbox(key="time_choice").value == time_id
    assert any("This is time" in item.value for item in app.toast)
    assert not app.exception
    assert not app.error
    assert app.query_params["time"] in (time_id, [time_id])
    assert np.isfinite(custom_root_time(folder, time_id)).all()

    app.button(key=f"delete_{time_id}").click().run()
    assert times(folder) == []
    assert app.selectbox(key="time_choice").value == OWN
    assert not app.exception
    assert not app.error


@pytest.mark.parametrize("turned", [False, True])
def test_a_time_against_the_arrows_is_contradicted_in_red(open_page, run_in, turned):
    run = run_in(RunState.DONE)
    run.result_path.unlink()
    result = anndata.read_zarr(DEMO_FOLDER / "result.zarr")
    if turned:
        result.obs["latent_time"] = 1 - result.obs["latent_time"]
    write_result(result, run.result_path)
    app: AppTest = open_page("latent_time", run=run.run_id)
    assert any("contradicts the arrows" in item.value for item in app.error) == turned
    assert any("of 1,600 cells that lie close" in item.value for item in app.caption)
