"""The check of a file in a process of its own, which may neither take long nor much memory.

``python -m velovi.data.check FILE`` prints the summary as JSON. A file may be made so that reading
it crashes HDF5, takes for ever or fills the memory; then it is this process that suffers.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

from velovi.data import DatasetSummary, Problem

SECONDS, SECONDS_PER_BYTE = 8.0, 1 / 4e6
"""How long a check may take: what a small file may, and what each byte of a large one adds."""
MEMORY, MEMORY_PER_BYTE = 350 * 2**20, 6
"""Bytes that a check may take beside what Python itself needs, in the same way."""
_PACKAGE_PARENT = Path(__file__).resolve().parents[2]


def check_file(path: Path) -> DatasetSummary:
    """What a file holds and what is wrong with it, from a process of its own.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    DatasetSummary
        As :func:`velovi.data.inspect.inspect_file` gives it, or one that says that the file
        cannot be checked.
    """
    size = path.stat().st_size if path.is_file() else 0
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(_PACKAGE_PARENT), *filter(None, [environment.get("PYTHONPATH")])]
    )
    limit = SECONDS + SECONDS_PER_BYTE * size
    try:
        done = subprocess.run(
            [sys.executable, "-m", "velovi.data.check", str(path)],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=limit, env=environment,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return _refused(f"Looking into this file was given up after {limit:.0f} seconds.")
    if done.returncode != 0:
        return _refused("Looking into this file ends the program that reads it.")
    try:
        return DatasetSummary.from_dict(json.loads(done.stdout))
    except (ValueError, TypeError, KeyError):
        return _refused("Looking into this file gives no answer.")


def _refused(what: str) -> DatasetSummary:
    remedy = (
        "It is damaged, or declares what it does not hold. Copy or download it again, or write it "
        "anew with anndata."
    )
    return DatasetSummary(problems=(Problem("error", what, remedy),))


def _limit_memory(size: int) -> None:
    """Take no more than the file can justify; more ends in a sentence, not in a full machine."""
    allowed = MEMORY + MEMORY_PER_BYTE * size
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + allowed
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    except (OSError, ValueError):  # a system that cannot; the limit of time stays
        return


def main() -> int:
    """Entry point of the process."""
    from velovi.data.inspect import inspect_file

    path = Path(sys.argv[1])
    _limit_memory(path.stat().st_size if path.is_file() else 0)
    json.dump(inspect_file(path).to_dict(), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
