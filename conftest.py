"""What the examples in docstrings may use: a small model, its data and the demo's result."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest


@lru_cache(maxsize=1)
def _names() -> dict[str, Any]:
    import logging
    from pathlib import Path

    import anndata
    from scvi import settings

    import velovi

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    settings.verbosity = logging.ERROR
    settings.seed = 0
    prepared = velovi.preprocess(velovi.simulate(200, 40, seed=0))
    adata = prepared.adata
    velovi.VELOVI.setup_anndata(adata, spliced_layer="Ms", unspliced_layer="Mu")
    model = velovi.VELOVI(adata)
    model.train(max_epochs=2, enable_progress_bar=False, accelerator="cpu")
    result = anndata.read_zarr(Path(velovi.__file__).parent / "demo" / "result.zarr")
    return {
        "velovi": velovi,
        "adata": adata,
        "model": model,
        "result": result,
        "gene": result.var_names[0],
    }


@pytest.fixture(autouse=True)
def _example_names(request: pytest.FixtureRequest) -> None:
    """Give them to doctests alone: no test should depend on them."""
    if isinstance(request.node, pytest.DoctestItem):
        request.getfixturevalue("doctest_namespace").update(_names())
