"""The wheel: what is installed from it serves the app, and works without the app's libraries."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.browser.app import ROOT, _wait_until_healthy, settle, wait_for_map, watch

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel was installed; its libraries are those of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "-w", str(folder / "dist"), str(ROOT)]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    target = folder / "installed"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True)
    return target


def _elsewhere(installed: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VELOVI_")}
    return {**kept, "PYTHONPATH": str(installed)}


@pytest.mark.browser
def test_an_installed_wheel_serves_the_demo(installed: Path, tmp_path: Path, browser: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "velovi", "serve", "--port", str(port)],
        cwd=tmp_path,
        env=_elsewhere(installed),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    trouble: list[str] = []
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_healthy(url, process)
        page = browser.new_page()
        watch(page, trouble)
        page.goto(f"{url}/?run=demo")
        settle(page)
        wait_for_map(page)
        assert page.inner_text("h1") == "Where cells go"
        page.close()
    finally:
        process.terminate()
        process.wait(10)
    assert not trouble
    assert (tmp_path / "workspace").is_dir()


def test_the_model_and_its_plots_need_no_streamlit(installed: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['streamlit'] = None; import velovi; from velovi import VELOVI;"
        "print(velovi.__file__, VELOVI.__name__, velovi.pl.embedding.__name__)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=_elsewhere(installed),
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == [
        str(installed / "velovi" / "__init__.py"),
        "VELOVI",
        "embedding",
    ]


def test_serving_without_streamlit_is_a_sentence(installed: Path, tmp_path: Path) -> None:
    code = (
        "import importlib.util as util, sys; find = util.find_spec;"
        "util.find_spec = lambda name, *rest: None if name == 'streamlit' else find(name, *rest);"
        "from velovi.__main__ import main; sys.exit(main(['serve']))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=_elsewhere(installed),
        capture_output=True,
        text=True,
    )
    assert found.returncode != 0
    assert "velovi-explorer[app]" in found.stderr
    assert "Traceback" not in found.stderr
