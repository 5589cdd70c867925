"""The process that does one run: ``python -m velovi.runs.worker RUN_FOLDER``.

It speaks only through the run's folder. However it ends, it says so there, unless it is killed;
then the folder's state is "lost".
"""

from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path

from velovi.errors import Cancelled, VeloviError
from velovi.runs.folder import RunFolder, discard
from velovi.runs.progress import Reporter

log = logging.getLogger("velovi.worker")


def work(folder: RunFolder) -> str:
    """Do the run and return its outcome: ``"done"``, ``"failed"`` or ``"cancelled"``."""
    with Reporter(folder) as reporter:
        try:
            from velovi.runs.pipeline import run_pipeline

            run_pipeline(folder, reporter)
            outcome, error = "done", None
        except Cancelled:
            outcome, error = "cancelled", None
        except VeloviError as found:
            with folder.log_path.open("a") as stream:
                stream.write(f"{found}\n")  # an ordinary mistake needs no traceback
            outcome, error = "failed", found
        except MemoryError:
            _write_log(folder)
            outcome, error = "failed", _out_of_memory()
        except Exception as found:  # noqa: BLE001 - the last line of defence, told in full
            _write_log(folder)
            outcome, error = "failed", _unexpected(found)
        if outcome == "cancelled":
            discard(folder)
        reporter.finish(outcome, error)
    return outcome


def _write_log(folder: RunFolder) -> None:
    with folder.log_path.open("a") as stream:
        stream.write(traceback.format_exc())


def _out_of_memory() -> VeloviError:
    return VeloviError(
        "the machine ran out of memory",
        remedy="Keep fewer genes, use a part of the cells, or a machine with more memory",
    )


def _unexpected(found: Exception) -> VeloviError:
    return VeloviError(
        "something unexpected went wrong",
        found=f"{type(found).__name__}: {str(found)[:300]}",
        remedy="The run's log has the details; please report them",
    )


def main() -> int:
    """Entry point of the worker process."""
    folder = RunFolder(Path(sys.argv[1]))
    outcome = work(folder)
    _start_next(folder)
    return 0 if outcome in ("done", "cancelled") else 1


def _start_next(folder: RunFolder) -> None:
    # a run made by the command line may lie outside any workspace; then there is no queue
    from velovi.runs.launch import LocalLauncher
    from velovi.runs.workspace import Workspace

    root = folder.path.resolve().parent.parent
    if folder.path.parent.name == "runs" and (root / "datasets").is_dir():
        LocalLauncher(Workspace(root)).advance(finished=folder)


if __name__ == "__main__":
    sys.exit(main())
