"""The whole way from a file to a result store, as the number of cells grows.

``python -m benchmarks.scale --out DIR [--cells 10000 100000] [--genes 1000] [--json FILE]``

Cells are simulated, written as h5ad and given to ``python -m velovi run`` with its defaults, in a
process of its own; options after ``--`` are passed on. The table has minutes and peak memory of
every stage. Memory that the process owns counts; pages of files that happen to be in memory are
given separately, since they are handed back when somebody needs the room.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil

from velovi import simulate
from velovi.runs.folder import RunFolder

EVERY = 0.2  # seconds between looks
CAPTURE = 0.06  # so that about a quarter of the counts are not zero, as in real data


def data(cells: int, genes: int, out: Path) -> Path:
    """A file of simulated counts; kept from an earlier run."""
    path = out / f"cells{cells}x{genes}.h5ad"
    if not path.exists():
        # by a process that gives its memory back before the run begins
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
            apart.submit(_simulate, cells, genes, path).result()
    return path


def _simulate(cells: int, genes: int, path: Path) -> None:
    adata = simulate(cells, genes, seed=0, capture=CAPTURE, keep_truth=False)
    adata.write_h5ad(path)


def memory(process: psutil.Process) -> tuple[float, float]:
    """Gigabytes that the process owns, and of files that it sees in memory."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    found = {key: value for key, _, value in (line.partition(":") for line in lines)}
    own, files = (int(found[key].split()[0]) / 2**20 for key in ("RssAnon", "RssFile"))
    return own, files


def run(path: Path, folder: Path, options: list[str]) -> dict[str, Any]:
    """One run, watched; seconds and gigabytes of each stage."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "velovi", "run", str(path), "--out", str(folder), *options]
    started = subprocess.run([*command, "--detach"], capture_output=True, text=True, check=False)
    if started.returncode:
        raise SystemExit(started.stderr)
    watched, stages = RunFolder(folder), {}
    process: psutil.Process | None = None
    last = time.monotonic()
    while (state := watched.state()).active:
        progress = watched.progress()
        if progress.pid and process is None:
            process = psutil.Process(progress.pid)
        now = time.monotonic()
        if progress.stage and process is not None:
            stage = stages.setdefault(progress.stage, {"seconds": 0.0, "own": 0.0, "files": 0.0})
            stage["seconds"] += now - last
            try:
                own, files = memory(process)
            except (OSError, KeyError):  # it has just ended
                continue
            stage["own"], stage["files"] = max(stage["own"], own), max(stage["files"], files)
        last = now
        time.sleep(EVERY)
    if state.value != "done":
        raise SystemExit(f"{state}: {watched.log_path.read_text()[-2000:]}")
    size = sum(item.stat().st_size for item in watched.result_path.rglob("*") if item.is_file())
    return {"stages": stages, "result_gb": size / 2**30, "epochs": len(watched.history())}


def table(records: list[dict[str, Any]]) -> str:
    """Markdown: a row for each stage, a column for each size."""
    heads = [f"{record['cells']:,} x {record['genes']:,}" for record in records]
    lines = ["| stage | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for stage in records[0]["stages"]:
        cells = [
            "{:.1f} min, {:.1f} GB (files {:.1f})".format(
                record["stages"][stage]["seconds"] / 60,
                record["stages"][stage]["own"],
                record["stages"][stage]["files"],
            )
            for record in records
        ]
        lines.append(f"| {stage} | " + " | ".join(cells) + " |")
    totals = [sum(stage["seconds"] for stage in record["stages"].values()) for record in records]
    peaks = [max(stage["own"] for stage in record["stages"].values()) for record in records]
    cells = [
        f"{total / 60:.1f} min, {peak:.1f} GB, {record['epochs']} epochs, store "
        f"{record['result_gb']:.1f} GB"
        for total, peak, record in zip(totals, peaks, records, strict=True)
    ]
    lines.append("| in all | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cells", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--genes", type=int, default=1_000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("options", nargs="*", help="of velovi run, after --")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    records = []
    for cells in given.cells:
        path = data(cells, given.genes, given.out)
        found = run(path, given.out / f"run{cells}", given.options)
        records.append({"cells": cells, "genes": given.genes, **found})
        print(table(records[-1:]), flush=True)
    print(table(records))
    if given.json:
        given.json.write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
