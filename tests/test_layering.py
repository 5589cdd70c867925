"""Imports go one way: the walls between the rooms, held here.

Read from the source text, so that an import inside a function counts as well; what may be
imported lazily is named with its reason.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "scvi", "lightning", "scanpy", "umap", "sklearn", "numba", "pynndescent"}

# room -> what it may import of this package, and which libraries it may not import at all
WALLS: dict[str, tuple[set[str], set[str]]] = {
    "errors": (set(), HEAVY | {"streamlit", "plotly", "anndata"}),
    "schedule": (set(), HEAVY | {"streamlit", "plotly", "anndata"}),
    "config": ({"errors", "schedule"}, HEAVY | {"streamlit", "plotly", "anndata"}),
    "data": ({"errors", "keys", "config", "kinetics", "data"}, HEAVY | {"streamlit", "plotly"}),
    "scaling": ({"errors", "keys", "data", "numerics"}, HEAVY | {"streamlit", "plotly"}),
    "neighbors": (set(), {"torch", "scvi", "scanpy", "umap", "streamlit", "plotly", "anndata"}),
    "preprocessing": (
        {"errors", "config", "data", "neighbors", "numerics", "scaling"},
        {"torch", "scvi", "streamlit", "plotly"},
    ),
    "kinetics": (set(), HEAVY | {"streamlit", "plotly", "anndata"}),
    "keys": (set(), HEAVY | {"streamlit", "plotly", "anndata", "numpy"}),
    "numerics": ({"errors", "numerics"}, HEAVY - {"numba"} | {"streamlit", "plotly", "anndata"}),
    "dynamics": (
        {"errors", "numerics", "dynamics"},
        {"torch", "scvi", "scanpy", "anndata", "streamlit"},
    ),
    "evidence": (
        {
            *("errors", "config", "keys", "data", "neighbors", "numerics", "preprocessing"),
            *("dynamics", "evidence", "scaling"),
        },
        {"torch", "scvi", "scanpy", "umap", "streamlit", "plotly"},
    ),
    "model": (
        {"errors", "keys", "config", "data", "numerics", "dynamics", "model"},
        {"scanpy", "umap", "streamlit", "plotly"},
    ),
    "plotting": (
        {"errors", "keys", "kinetics", "plotting"},
        HEAVY | {"streamlit", "scipy", "anndata", "zarr"},
    ),
    "pl": (
        {"", "errors", "keys", "data", "dynamics", "plotting", "runs", "pl"},
        {"torch", "scvi", "streamlit", "plotly"},
    ),
    "runs": (
        {
            *(
                "",
                "errors",
                "keys",
                "config",
                "data",
                "preprocessing",
                "scaling",
                "numerics",
                "model",
            ),
            *("dynamics", "evidence", "runs"),
        },
        {"streamlit", "plotly"},
    ),
    "ui": ({"", "errors", "keys", "config", "schedule", "plotting", "runs", "data", "ui"}, HEAVY),
}
# the part of ``runs`` that the web process imports
WEB_RUNS = (
    "folder",
    "workspace",
    "results",
    "launch",
    "hardware",
    "export",
    "custom_root_time",
    "velocity_signal",
    "cell_sets",
    "gene_sets",
    "estimate",
    "evidence_summary",
    "known_directions",
    "compare_runs",
)


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "velovi":
                found |= {f"velovi.{alias.name}" for alias in node.names}
            found.add(node.module)
    return found


def sources(room: str) -> list[Path]:
    one = ROOT / "velovi" / f"{room}.py"
    return [one] if one.exists() else sorted((ROOT / "velovi" / room).rglob("*.py"))


def rooms_of(names: set[str]) -> set[str]:
    return {
        name.split(".")[1] if "." in name else ""
        for name in names
        if name.split(".")[0] == "velovi" and name != "velovi.__version__"
    }


@pytest.mark.parametrize("room", WALLS)
def test_nothing_imports_upward(room):
    allowed, forbidden = WALLS[room]
    assert sources(room)
    for path in sources(room):
        names = imports(path)
        known = {p.stem for p in (ROOT / "velovi").iterdir()}
        inside = {item for item in rooms_of(names) if item in known or item == ""} - {""}
        assert inside <= allowed, f"{path} imports {inside - allowed}"
        assert not {n.split(".")[0] for n in names} & forbidden, path


def test_pages_import_the_interface_only():
    for path in [ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))]:
        assert rooms_of(imports(path)) <= {"ui", "plotting", "runs", "errors", ""}, path
        assert len(path.read_text().splitlines()) <= 100, path


def test_only_the_interface_imports_streamlit():
    for path in sorted((ROOT / "velovi").rglob("*.py")):
        if "streamlit" in {name.split(".")[0] for name in imports(path)}:
            assert path.parent.name == "ui", path


@pytest.mark.parametrize(
    "modules",
    [
        ["velovi", "velovi.config", "velovi.errors", "velovi.data"],
        [f"velovi.runs.{name}" for name in WEB_RUNS],
        ["velovi.preprocessing", "velovi.__main__"],
    ],
)
def test_light_modules_load_nothing_heavy(modules):
    code = f"import sys, {', '.join(modules)}\nprint(*sorted(set(sys.modules) & {HEAVY!r}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == []


def test_public_names():
    import velovi
    import velovi.preprocessing
    import velovi.runs.pipeline

    assert set(dir(velovi)) == set(velovi.__all__)
    for name in velovi.__all__:
        # a submodule of the same name would hide the function once it is imported
        assert callable(getattr(velovi, name)) or name in ("__version__", "pl"), name
    with pytest.raises(AttributeError, match="nothing"):
        velovi.nothing  # noqa: B018
