"""scVelo and CellRank on what ``to_scvelo`` writes, without touching it in between.

``python -m benchmarks.interchange make COUNTS.h5ad RESULT.h5ad`` here, and in an environment
with scvelo and cellrank ``python benchmarks/interchange.py use RESULT.h5ad``.
"""

from __future__ import annotations

import argparse
import traceback
import warnings
from collections.abc import Callable
from typing import Any


def make(counts: str, result: str, epochs: int) -> None:
    """Train briefly and write the result."""
    from velovi import VELOVI, preprocess, read

    adata = preprocess(read(counts)).adata
    VELOVI.setup_anndata(adata, spliced_layer="Ms", unspliced_layer="Mu")
    model = VELOVI(adata)
    model.train(max_epochs=epochs, enable_progress_bar=False, accelerator="cpu")
    model.to_scvelo().write_h5ad(result)


def use(result: str) -> None:
    """Call what a user of scVelo and CellRank would call, and say which calls worked."""
    warnings.simplefilter("ignore")
    import anndata
    import cellrank
    import numpy as np
    import scvelo

    scvelo.settings.verbosity = 0
    adata = anndata.read_h5ad(result)
    basis = next(name for name in ("umap", "tsne", "pca") if f"X_{name}" in adata.obsm)

    def velocity_kernel() -> Any:
        return cellrank.kernels.VelocityKernel(adata).compute_transition_matrix(
            show_progress_bar=False
        )

    def macrostates() -> Any:
        matrix = scvelo.utils.get_transition_matrix(adata, self_transitions=True)
        kernel = cellrank.kernels.PrecomputedKernel(matrix, adata=adata)
        return cellrank.estimators.GPCCA(kernel).compute_schur(n_components=5)

    calls: dict[str, Callable[[], Any]] = {
        "scvelo.tl.velocity_graph": lambda: scvelo.tl.velocity_graph(
            adata, show_progress_bar=False
        ),
        "scvelo.tl.velocity_embedding": lambda: scvelo.tl.velocity_embedding(adata, basis=basis),
        "scvelo.tl.velocity_confidence": lambda: scvelo.tl.velocity_confidence(adata),
        "scvelo.tl.terminal_states": lambda: scvelo.tl.terminal_states(adata),
        "scvelo.tl.velocity_pseudotime": lambda: scvelo.tl.velocity_pseudotime(adata),
        "scvelo.tl.latent_time": lambda: scvelo.tl.latent_time(adata),
        "scvelo.tl.rank_velocity_genes": lambda: scvelo.tl.rank_velocity_genes(
            adata, groupby="clusters", min_corr=0.1
        ),
        "scvelo.pl.scatter of a gene": lambda: scvelo.pl.scatter(
            adata, basis=adata.var_names[0], show=False
        ),
        "scvelo.pl.velocity_embedding_stream": lambda: scvelo.pl.velocity_embedding_stream(
            adata, basis=basis, show=False
        ),
        "cellrank VelocityKernel": velocity_kernel,
        "cellrank PrecomputedKernel and GPCCA": macrostates,
    }
    print(f"scvelo {scvelo.__version__}, cellrank {cellrank.__version__}, numpy {np.__version__}")
    for name, call in calls.items():
        try:
            call()
            print(f"{name:40s} works")
        except Exception as failure:  # noqa: BLE001 - which of their calls fail is the finding
            where = traceback.extract_tb(failure.__traceback__)[-1]
            print(
                f"{name:40s} {type(failure).__name__}: {failure} ({where.filename}:{where.lineno})"
            )


def main() -> None:
    """Make or use."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("make", "use"))
    parser.add_argument("files", nargs="+")
    parser.add_argument("--epochs", type=int, default=100)
    given = parser.parse_args()
    if given.what == "make":
        make(*given.files, epochs=given.epochs)
    else:
        use(*given.files)


if __name__ == "__main__":
    main()
