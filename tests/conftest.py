"""What every test may use: real data, small models, and a way to choose the device."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# more threads than free cores is many times slower; numba's count becomes torch's too
for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", default="cpu", help="where model tests run: cpu, cuda or mps")


def pytest_configure(config: pytest.Config) -> None:
    os.environ["VELOVI_TEST_DEVICE"] = str(config.getoption("--device"))


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
