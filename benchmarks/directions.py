"""CBDir of finished runs against the known directions of a data set, edge by edge.

``python -m benchmarks.directions pancreas RUN [RUN ...]``, or for other data

``python -m benchmarks.directions RUN [RUN ...] --label cell_type --edges "A>B" "B>C"``
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import anndata
import numpy as np

from velovi.dynamics import cbdir
from velovi.runs.folder import RunFolder
from velovi.runs.results import ResultStore

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


def scores(
    run: Path, edges: list[tuple[str, str]], label: str = "clusters", basis: str = "X_umap"
) -> dict[str, object]:
    """CBDir of one run, with the figures one wants to see beside it.

    Parameters
    ----------
    run
        A finished run's folder.
    edges
        Pairs of groups of which the first becomes the second.
    label
        The annotation that holds the groups.
    basis
        Key of the embedding; with or without "X_".
    """
    folder = RunFolder(run)
    store = ResultStore(folder.result_path)
    if label not in store.obs:
        raise SystemExit(f"{run} has no annotation {label!r}, only {', '.join(store.obs)}")
    if basis not in store.embeddings:
        basis = f"X_{basis}"
    groups = store.obs[label].astype(str).to_numpy()
    strangers = sorted({item for edge in edges for item in edge} - set(groups))
    if strangers:
        raise SystemExit(f"{label!r} has no group {', '.join(strangers)}")
    adata = anndata.read_zarr(folder.result_path)
    found = cbdir(
        store.embedding(basis),
        store.embedded_velocity(basis),
        adata.obsp["distances"],
        groups,
        edges,
    )
    history = folder.history()
    held_out = [item["elbo_validation"] for item in history if "elbo_validation" in item]
    return {
        "run": run.name,
        "seed": folder.spec().options.train.seed,
        "embedding": basis,
        "neighbours": int(np.median(np.diff(adata.obsp["distances"].tocsr().indptr))),
        "genes": adata.n_vars,
        "epochs": len(history),
        "train_seconds": history[-1].get("seconds") if history else None,
        "elbo_validation_last": round(held_out[-1], 1) if held_out else None,
        "elbo_validation_best": round(min(held_out), 1) if held_out else None,
        "confidence_median": round(float(adata.obs["velocity_confidence"].median()), 3),
        "edges": {
            f"{a} -> {b}": [round(float(mean), 3), int(cells)]
            for (a, b), mean, cells in zip(found.edges, found.mean, found.n_cells, strict=True)
        },
    }


def main() -> None:
    """Print one JSON record for each run: every edge with its mean cosine and number of cells."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", help="run folders; first a known data set, if it is one")
    parser.add_argument("--label", default="clusters", help="annotation that holds the groups")
    parser.add_argument("--edges", nargs="+", metavar="A>B", help="what becomes what")
    parser.add_argument("--basis", default="X_umap")
    given = parser.parse_args()
    runs = list(given.runs)
    edges = EDGES[runs.pop(0)] if runs[0] in EDGES else []
    if given.edges:
        pairs = [edge.partition(">") for edge in given.edges]
        edges = [(first.strip(), last.strip()) for first, _, last in pairs]
    if not edges or not runs:
        parser.error(f"name runs and --edges, or one of {', '.join(sorted(EDGES))} before the runs")
    for run in runs:
        print(json.dumps(scores(Path(run), edges, given.label, given.basis), indent=1))


if __name__ == "__main__":
    main()
