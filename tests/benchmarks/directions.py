"""CBDir of finished runs against the known directions of a data set, edge by edge.

``python -m tests.benchmarks.directions pancreas RUN [RUN ...]``
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import anndata
import numpy as np

from velovi.dynamics import cbdir
from velovi.runs.folder import RunFolder

EDGES = {
    "pancreas": [
        ("Ngn3 low EP", "Ngn3 high EP"),
        ("Ngn3 high EP", "Pre-endocrine"),
        ("Pre-endocrine", "Beta"),
        ("Pre-endocrine", "Alpha"),
        ("Pre-endocrine", "Epsilon"),
        ("Pre-endocrine", "Delta"),
        ("Ductal", "Ngn3 low EP"),
    ],
    "dentategyrus": [
        ("nIPC", "Neuroblast"),
        ("Neuroblast", "Granule immature"),
        ("Granule immature", "Granule mature"),
        ("OPC", "OL"),
    ],
}


def scores(run: Path, data: str, basis: str = "umap") -> dict[str, object]:
    """CBDir of one run, with the figures one wants to see beside it."""
    folder = RunFolder(run)
    adata = anndata.read_zarr(folder.result_path)
    found = cbdir(
        adata.obsm[f"X_{basis}"][:, :2],
        adata.obsm[f"velocity_{basis}"][:, :2],
        adata.obsp["distances"],
        adata.obs["clusters"].to_numpy(),
        EDGES[data],
    )
    history = folder.history()
    return {
        "run": run.name,
        "seed": folder.spec().options.train.seed,
        "embedding": basis,
        "neighbours": int(np.median(np.diff(adata.obsp["distances"].tocsr().indptr))),
        "genes": adata.n_vars,
        "epochs": len(history),
        "train_seconds": history[-1]["seconds"],
        "elbo_validation_last": round(history[-1]["elbo_validation"], 1),
        "elbo_validation_best": round(min(one["elbo_validation"] for one in history), 1),
        "confidence_median": round(float(adata.obs["velocity_confidence"].median()), 3),
        "edges": {
            f"{a} -> {b}": [round(float(mean), 3), int(cells)]
            for (a, b), mean, cells in zip(found.edges, found.mean, found.n_cells, strict=True)
        },
    }


def main() -> None:
    """Print one JSON record for each run: every edge with its mean cosine and number of cells."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", choices=sorted(EDGES))
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--basis", default="umap")
    given = parser.parse_args()
    for run in given.runs:
        print(json.dumps(scores(run, given.data, given.basis), indent=1))


if __name__ == "__main__":
    main()
