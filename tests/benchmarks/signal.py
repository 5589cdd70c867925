"""Velocity in the counts of cells with and without it: ``python -m tests.benchmarks.signal``."""

from __future__ import annotations

import argparse
import time
import warnings

from tests.benchmarks.broken import KINDS, SOURCES, broken, source
from velovi.evidence import velocity_signal


def main() -> None:
    """Print a row for each source, kind and seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", nargs="+", default=list(SOURCES))
    parser.add_argument("--kinds", nargs="+", default=list(KINDS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--cells", type=int, default=1000)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    print("source kind seed overall within share_overall share_within genes cells strength seconds")
    for name in given.sources:
        for seed in given.seeds:
            cells = source(name, seed=seed, n_cells=given.cells)
            for kind in given.kinds:
                made = broken(cells, kind, seed=seed)
                began = time.perf_counter()
                found = velocity_signal(made, label_column="clusters", seed=seed)
                middle = found.genes.median()
                print(
                    f"{name} {kind} {seed} {middle['reliability']:.2f} "
                    f"{middle['reliability_within']:.2f} {found.share_above_null_overall:.2f} "
                    f"{found.share_above_null:.2f} {found.n_genes} {found.n_cells_within} "
                    f"{found.strength.replace(' ', '_')} {time.perf_counter() - began:.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
