"""The check of a file in a process of its own, which may neither take long nor much memory.

``python -m velovi.data.check FILE`` prints the summary as JSON. A file may be made so that reading
it crashes HDF5, takes for ever or fills the memory; then it is this process that suffers.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from velovi.data import DatasetSummary, Problem
from velovi.errors import DataError

SECONDS, SECONDS_PER_BYTE = 4.0, 6e-7
"""Seconds of work that a check may take: a small file, and what each byte of a large one adds."""
PATIENCE = 2.25
"""How many times as long it may take by the clock, on a machine that is busy with other work."""
MEMORY, MEMORY_PER_BYTE = 350 * 2**20, 6
"""Bytes that a check may take beside what Python itself needs, in the same way."""
REMEDY = (
    "It is damaged, or declares what it does not hold. Copy or download it again, or write it anew "
    "with anndata."
)
_OUT_OF_TIME = {-int(getattr(signal, name)) for name in ("SIGXCPU",) if hasattr(signal, name)}
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
        As :func:`velovi.data.inspect.inspect_here` gives it, or one that says that the file
        cannot be checked.
    """
    try:
        return DatasetSummary.from_dict(json.loads(_answer(path)))
    except NoAnswerError as trouble:
        problem = Problem("error", str(trouble), REMEDY)
        return DatasetSummary(problems=(problem,), given_up=trouble.given_up)


def probe_file(path: Path) -> str | None:
    """Whether a file can be opened without ending the process; what happens when it cannot.

    Everything but the numbers of its matrices is read once, in a process of its own.
    """
    try:
        _answer(path, "--probe")
    except NoAnswerError as trouble:
        return str(trouble)
    return None


class NoAnswerError(Exception):
    """The process that looked into a file ended, or was given up, before it could answer."""

    def __init__(self, what: str, *, given_up: bool = False) -> None:
        super().__init__(what)
        self.given_up = given_up


def _answer(path: Path, *flags: str) -> bytes:
    size = path.stat().st_size if path.is_file() else 0
    return run_limited([__name__, str(path), *flags], seconds=_seconds(size))


def run_limited(arguments: Sequence[str], *, seconds: float) -> bytes:
    """What a module of this package prints when it runs in a process of its own.

    Parameters
    ----------
    arguments
        The module's name and what follows it. It limits itself with :func:`limit_process`.
    seconds
        Of work that it may take.

    Returns
    -------
    A JSON object.

    Raises
    ------
    NoAnswerError
        It ended, or was given up, before it could answer.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(_PACKAGE_PARENT), *filter(None, [environment.get("PYTHONPATH")])]
    )
    patience = PATIENCE * seconds
    try:
        # what a process that is ended leaves behind goes with this folder
        with TemporaryDirectory(prefix="velovi-process-") as scratch:
            done = subprocess.run(
                [sys.executable, "-m", *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=patience,
                env={**environment, "TMPDIR": scratch},
                check=False,
            )
    except subprocess.TimeoutExpired:
        raise NoAnswerError(
            f"Looking into this file was given up after {patience:.0f} seconds.", given_up=True
        ) from None
    if done.returncode in _OUT_OF_TIME:
        raise NoAnswerError(
            f"Looking into this file was given up after {seconds:.0f} seconds of work."
        )
    if done.returncode != 0 or not done.stdout.startswith(b"{"):
        raise NoAnswerError("Looking into this file ends the program that reads it.")
    return done.stdout


def answer_of(arguments: Sequence[str], *, seconds: float, where: str) -> dict[str, Any]:
    """What a module of this package answers as JSON, its errors raised here.

    Parameters
    ----------
    arguments, seconds
        As in :func:`run_limited`.
    where
        The file that is named when there is no answer.

    Raises
    ------
    DataError
        It answered with an error, or not at all.
    """
    try:
        answer: dict[str, Any] = json.loads(run_limited(arguments, seconds=seconds))
    except NoAnswerError as trouble:
        raise DataError(
            "the file cannot be read",
            where=where,
            found=str(trouble).rstrip("."),
            remedy=REMEDY,
        ) from trouble
    if "what" in answer:
        parts = {name: answer.get(name) for name in ("expected", "found", "remedy")}
        raise DataError(answer["what"], where=answer.get("where") or where, **parts)
    return answer


def _seconds(size: int) -> float:
    return SECONDS + SECONDS_PER_BYTE * size


def limit_process(seconds: float, memory: int) -> None:
    """Let this process take no more than that, so that a file cannot fill the machine.

    Parameters
    ----------
    seconds
        Of work.
    memory
        Bytes beside what it has taken so far.
    """
    try:
        import resource  # of POSIX systems only

        whole = max(1, round(seconds))
        resource.setrlimit(resource.RLIMIT_CPU, (whole, whole + 1))
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    except (ImportError, OSError, ValueError):  # a system that cannot; the limit of time stays
        return


def main() -> int:
    """Entry point of the process."""
    from velovi.data.inspect import inspect_here
    from velovi.data.read import look_at_everything

    path = Path(sys.argv[1])
    size = path.stat().st_size if path.is_file() else 0
    limit_process(_seconds(size), MEMORY + MEMORY_PER_BYTE * size)
    if "--probe" in sys.argv[2:]:
        look_at_everything(path)
        print("{}")  # noqa: T201 - the answer
    else:
        json.dump(inspect_here(path).to_dict(), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
