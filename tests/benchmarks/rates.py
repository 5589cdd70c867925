"""Which rates are found again, beside the truth: ``python -m tests.benchmarks.rates``."""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import pandas as pd
from anndata import AnnData

from tests.benchmarks.broken import CAPTURES, SOURCES, source
from velovi.config import EvidenceOptions, RunOptions
from velovi.runs.evidence_summary import kept_rate_recovery
from velovi.runs.folder import RunFolder, RunSpec
from velovi.runs.results import ResultStore
from velovi.runs.worker import work

_TRUE = {"fit_alpha": "true_alpha", "fit_beta": "true_beta", "fit_gamma": "true_gamma"}


def main() -> None:
    """Do a run that checks its rates, and print both rank correlations of each rate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", nargs="+", default=["pancreas", *CAPTURES], choices=SOURCES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--cells", type=int, default=1000)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    print("source seed rate | found again in cells simulated from the fit (95 %) | of the truth")
    for name in given.sources:
        for seed in given.seeds:
            for row in _rows(source(name, seed=seed, n_cells=given.cells)):
                print(f"{name} {seed} {row}", flush=True)


def _rows(adata: AnnData) -> list[str]:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "cells.h5ad"
        adata.write_h5ad(path)
        run = RunFolder(Path(scratch) / "run")
        run.path.mkdir()
        options = RunOptions(evidence=EvidenceOptions(null_run=False, rate_check=True))
        run.write_spec(RunSpec("run", "run", "", str(path), options, time.time()))
        assert work(run) == "done", run.progress().error
        store = ResultStore(run.result_path)
        found = kept_rate_recovery(store.details)
        assert found is not None, store.details["notes"]
        var = store.var
    rows = []
    for rate, row in found.iterrows():
        known = _TRUE.get(str(rate))
        truth = float("nan")
        if known in adata.var:
            own = pd.Series(var[str(rate)]).astype(float)
            truth = own.corr(adata.var[known].loc[own.index], method="spearman")
        told = f"{row['spearman']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
        rows.append(f"{rate} | {told} | {truth:.2f}")
    return rows


if __name__ == "__main__":
    main()
