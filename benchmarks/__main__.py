"""All timings beside the peers: ``python -m benchmarks [--json FILE]``.

Every measurement is a process of its own, ours and theirs in turns; the table holds medians and
the median of the ratios. Rows that need scVelo run in another environment, whose Python
``--scvelo PYTHON`` names (it needs scvelo and nothing of ours); without it they are left out.
Training has a command of its own, ``python -m benchmarks.training``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from work import ROWS, WITH_SCVELO  # noqa: E402 - a script beside this one

SIZES = {"graph": (20_000, 1_000), "projection": (20_000, 1_000)}
USUAL = (3_700, 1_100)


def measure(python: str, row: str, who: str, size: tuple[int, int], threads: int) -> dict[str, Any]:
    """One process; its line of JSON."""
    command = [python, str(HERE / "work.py"), row, who]
    command += ["--cells", str(size[0]), "--genes", str(size[1]), "--threads", str(threads)]
    limits = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), str(threads))
    environment = {**os.environ, **limits, "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare(row: str, scvelo: str | None, repeats: int, threads: int, size: Any) -> dict[str, Any]:
    """Medians of both, in turns."""
    theirs = scvelo if row in WITH_SCVELO else sys.executable
    pythons = {"theirs": theirs, "ours": sys.executable}
    found: dict[str, list[dict[str, Any]]] = {who: [] for who in pythons}
    for _ in range(repeats):
        for who, python in pythons.items():
            one = measure(str(python), row, who, size, threads)
            if row == "extrinsic" and who == "theirs" and "seconds" in one:
                # no environment holds both scVelo and the model, so the loop is timed in two parts
                drawn = measure(sys.executable, "samples", who, size, threads)
                one = {**one, "seconds": one["seconds"] + drawn["seconds"]}
            found[who].append(one)
    good = {who: [run for run in runs if "seconds" in run] for who, runs in found.items()}
    record: dict[str, Any] = {"row": row, "size": size, "threads": threads, "runs": found}
    for who, runs in good.items():
        if runs:
            record[who] = {key: median(run[key] for run in runs) for key in runs[0]}
    pairs = [
        theirs["seconds"] / ours["seconds"]
        for theirs, ours in zip(found["theirs"], found["ours"], strict=True)
        if "seconds" in theirs and "seconds" in ours
    ]
    if pairs:
        record["ratio"] = median(pairs)
    return record


def line(record: dict[str, Any]) -> str:
    """A row of the table."""
    cells = [ROWS[record["row"]].__doc__.split(":")[0].rstrip("."), "{:,} x {:,}"]
    cells[1] = cells[1].format(*record["size"])
    for who in ("theirs", "ours"):
        if who in record:
            cells.append("{seconds:.2f} s, {megabytes:.0f} MB".format(**record[who]))
        else:
            cells.append("failed: " + record["runs"][who][0]["error"][:60])
    cells.append(f"{record['ratio']:.1f}" if "ratio" in record else "")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", choices=tuple(ROWS), default=tuple(ROWS))
    parser.add_argument("--scvelo", help="Python of an environment with scvelo")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cells", type=int)
    parser.add_argument("--genes", type=int)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"{given.threads} thread(s), medians of {given.repeats}\n"
    )
    print("| work | cells x genes | theirs | ours | ratio of seconds |\n|---|---|---|---|---|")
    records = []
    for row in given.rows:
        if row == "samples":  # a part of the extrinsic row
            continue
        if row in WITH_SCVELO and not given.scvelo:
            continue
        size = SIZES.get(row, USUAL)
        size = (given.cells or size[0], given.genes or size[1])
        records.append(compare(row, given.scvelo, given.repeats, given.threads, size))
        print(line(records[-1]), flush=True)
    if given.json:
        given.json.write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
