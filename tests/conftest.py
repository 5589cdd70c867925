"""What every test may use: real data, small models, and a way to choose the device."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# more threads than free cores is many times slower; numba's count becomes torch's too
for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


# modules that train, start processes or draw many pages; `make check` leaves them out
SLOW_MODULES = {
    *("test_api", "test_config", "test_confidence", "test_custom_root_time", "test_damage"),
    *("test_diagnostics", "test_dirichlet_sampler", "test_drawing", "test_earlier_workspace"),
    *("test_genes_page", "test_inspect", "test_journeys", "test_map_page", "test_matrix"),
    *("test_odd_files", "test_pages", "test_picture", "test_pl", "test_preprocessing"),
    *("test_read", "test_reference", "test_reference_defects", "test_run_damage", "test_runs"),
    *("test_runs_page", "test_saving", "test_scores", "test_summary", "test_time_page"),
    "test_wheel",
}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    # not even imported, which takes as long as the quick tests
    quick = config.getoption("--quick")
    return True if quick and collection_path.stem in SLOW_MODULES else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # short modules come last, so that no worker is left alone with a long one
    items.sort(key=lambda item: item.path.stem not in SLOW_MODULES)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="leave slow modules out")
    parser.addoption("--device", default="cpu", help="where model tests run: cpu, cuda or mps")


def pytest_configure(config: pytest.Config) -> None:
    os.environ["VELOVI_TEST_DEVICE"] = str(config.getoption("--device"))


@pytest.fixture(scope="session", autouse=True)
def _untraced_compiling() -> Iterator[None]:
    """Compile without coverage's tracer, which makes compiling half as slow again.

    It is a tracer of every line of Python, and numba's compiler has very many of them.
    """
    tracer = sys.gettrace()
    if tracer is None:
        yield
        return
    from numba.core import event

    class Untraced(event.Listener):
        depth = 0

        def on_start(self, event: event.Event) -> None:
            self.depth += 1
            sys.settrace(None)

        def on_end(self, event: event.Event) -> None:
            self.depth -= 1
            if self.depth == 0:
                sys.settrace(tracer)

    with event.install_listener("numba:compile", Untraced()):
        yield


def real_data(name: str) -> Path:
    """A file of real cells, or a skip that says what is missing."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"needs the real data file {path}, which is not here")
    return path


@pytest.fixture(scope="session")
def dentate_gyrus() -> Path:
    return real_data("dentategyrus_200x530.h5ad")


@pytest.fixture(scope="session")
def pancreas() -> Path:
    return real_data("pancreas_3696x2000.h5ad")
