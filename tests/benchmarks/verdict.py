"""The verdict on cells with and without velocity: ``python -m tests.benchmarks.verdict``."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from pathlib import Path

from tests.benchmarks.broken import CAPTURES, KINDS, broken, source
from velovi.config import EvidenceOptions, RunOptions
from velovi.runs.evidence_summary import EvidenceSummary
from velovi.runs.folder import RunFolder, RunSpec
from velovi.runs.results import ResultStore
from velovi.runs.worker import work

_DEFAULT = ("pancreas", *CAPTURES, "dyngen", "dentate")


def main() -> None:
    """Do a whole run for each source, kind and seed, and print its verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", nargs="+", default=list(_DEFAULT))
    parser.add_argument("--kinds", nargs="+", default=list(KINDS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--null-run", action="store_true", help="check each against its null too")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    print("source kind seed | verdict | branching | numbers | contradictions | seconds")
    for name in given.sources:
        for seed in given.seeds:
            cells = source(name, seed=seed, n_cells=given.cells)
            for kind in given.kinds:
                began = time.perf_counter()
                told = _judged(broken(cells, kind, seed=seed), given.null_run)
                seconds = time.perf_counter() - began
                print(f"{name} {kind} {seed} | {told} | {seconds:.0f}", flush=True)


def _judged(adata, null_run: bool) -> str:  # type: ignore[no-untyped-def]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "cells.h5ad"
        adata.write_h5ad(path)
        run = RunFolder(Path(scratch) / "run")
        run.path.mkdir()
        options = RunOptions(evidence=EvidenceOptions(null_run=null_run))
        run.write_spec(RunSpec("run", "run", "", str(path), options, time.time()))
        if work(run) != "done":
            return json.dumps(run.progress().error)
        found = EvidenceSummary.from_details(ResultStore(run.result_path).details)
    assert found is not None
    numbers = {
        name: found.numbers[name] for name in ("gene_half_agreement", "agreement_stochastic")
    }
    told = ", ".join(f"{name} {value:.2f}" for name, value in numbers.items())
    branching = "no groups" if found.flow is None else found.flow.branching
    contradictions = "; ".join(found.contradictions) or "none"
    return f"{found.verdict().support} | {branching} | {told} | {contradictions}"


if __name__ == "__main__":
    main()
