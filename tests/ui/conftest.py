"""A workspace of its own for each test, and runs in every state."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

sys.path.insert(0, str(Path(__file__).parent))

from fakes import FakeLauncher, add_run, fake_result

from velovi.runs.folder import RunFolder, RunState
from velovi.runs.results import ResultStore, write_result
from velovi.runs.workspace import Workspace

ROOT = Path(__file__).parents[2]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """An empty workspace without a demo."""
    monkeypatch.setenv("VELOVI_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.delenv("VELOVI_DATA", raising=False)
    monkeypatch.setattr("velovi.runs.workspace.DEMO_FOLDER", tmp_path / "no_demo")
    monkeypatch.setattr("velovi.ui.data_panel.DEMO_FOLDER", tmp_path / "no_demo")
    # a page that looks for velocity in a file would start a process for every test
    monkeypatch.setattr("velovi.runs.velocity_signal.SignalFolder.start", lambda folder: 0)
    monkeypatch.chdir(ROOT)
    return Workspace()


@pytest.fixture(scope="session")
def result_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("result") / "result.zarr"
    with warnings.catch_warnings():
        # zarr says that its consolidated metadata may change; that is not what is tested here
        warnings.simplefilter("ignore")
        write_result(fake_result(), path)
    return path


@pytest.fixture
def store(result_path: Path) -> ResultStore:
    return ResultStore(result_path)


@pytest.fixture
def run_in(workspace: Workspace, result_path: Path) -> Callable[[RunState], RunFolder]:
    """Make a run in the state asked for."""

    def make(state: RunState) -> RunFolder:
        run = add_run(workspace, state)
        if state == RunState.DONE:
            run.result_path.symlink_to(result_path)
        assert run.state() == state
        return run

    return make


@pytest.fixture
def launcher(workspace: Workspace) -> FakeLauncher:
    return FakeLauncher(workspace)


@pytest.fixture
def open_page(workspace: Workspace, launcher: FakeLauncher) -> Callable[..., AppTest]:
    """Open one page of the app with query parameters and see that nothing was raised."""

    def opened(page: str, **query: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30)
        app.session_state["launcher"] = launcher
        app.query_params.update(query)
        app.run()
        if page != "map":
            app.switch_page(f"pages/{page}.py")
            app.query_params.update(query)
            app.run()
        assert not app.exception
        return app

    return opened
