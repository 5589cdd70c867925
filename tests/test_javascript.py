"""The JavaScript of the drawings: its pure functions, its style, and the joined files."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from velovi.ui.components import WEB, joined_script

ROOT = Path(__file__).resolve().parents[1]
MOUNTED = (
    *("scatter", "chart", "table", "row_events", "hover_query", "url_sync", "preload_plotly"),
    "visible_part",
)


def node() -> str:
    """The system's node, or the one that Playwright brings."""
    found = shutil.which("node")
    if found:
        return found
    import playwright

    return str(Path(playwright.__file__).parent / "driver" / "node")


def test_pure_functions():
    tests = sorted(map(str, (ROOT / "tests" / "js").glob("*.test.js")))
    done = subprocess.run([node(), "--test", *tests], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert re.search(r"pass [1-9]", done.stdout)


@pytest.mark.parametrize("name", MOUNTED)
def test_joined_files_are_one_module_without_imports(name):
    script = joined_script(f"{name}.js")
    assert not re.search(r"^import ", script, re.MULTILINE)
    assert script.count("export default ") == 1
    check = [node(), "--input-type=module", "--check"]
    done = subprocess.run(check, input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_file_is_mounted_or_imported():
    used = {name + ".js" for name in MOUNTED}
    for path in WEB.glob("*.js"):
        used |= set(re.findall(r'from "\./(\w+\.js)"', path.read_text()))
    assert used == {path.name for path in WEB.glob("*.js")}


@pytest.mark.skipif(
    not (ROOT / "node_modules" / ".bin" / "biome").exists(), reason="npm install was not run"
)
def test_style():
    done = subprocess.run(
        [ROOT / "node_modules" / ".bin" / "biome", "check", "velovi/ui/web", "tests/js"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
