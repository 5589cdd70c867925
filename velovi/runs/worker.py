"""The process that does one run: ``python -m velovi.runs.worker RUN_FOLDER``.

It speaks only through the run's folder. However it ends, it says so there, unless it is killed;
then the folder's state is "lost".
"""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress
from pathlib import Path

from velovi.errors import Cancelled, StoreError, VeloviError
from velovi.runs.folder import RunFolder, discard
from velovi.runs.jobs import failure
from velovi.runs.progress import Reporter


def work(folder: RunFolder) -> str:
    """Do the run and return its outcome: ``"done"``, ``"failed"`` or ``"cancelled"``.

    Raises
    ------
    StoreError
        Another process works in this folder, or the run has ended already; nothing was touched.
    """
    with folder.sole_worker():
        outcome = folder.progress().outcome
        if outcome or folder.result_path.exists():
            raise StoreError(
                "this run has ended already", where=folder.run_id, found=outcome or "a result"
            )
        return _work(folder)


def _work(folder: RunFolder) -> str:
    left = folder.tidy()
    with Reporter(folder) as reporter:
        try:
            if left:
                reporter.notes.append(
                    "An earlier process of this run was interrupted; what it had left half "
                    f"written was removed ({', '.join(left)})."
                )
            from velovi.runs.pipeline import run_pipeline

            run_pipeline(folder, reporter)
            outcome, error = "done", None
        except Cancelled:
            outcome, error = "cancelled", None
        except Exception as raised:  # noqa: BLE001 - the last line of defence, told in full
            # an ordinary mistake needs no traceback
            ordinary = isinstance(raised, VeloviError)
            _write_log(folder, f"{raised}\n" if ordinary else traceback.format_exc())
            outcome, error = "failed", failure(raised, folder.path)
        if outcome == "cancelled":
            discard(folder)
        elif outcome == "failed":
            folder.tidy()  # a full disk has room for the last word again
        reporter.finish(outcome, error)
    return outcome


def _write_log(folder: RunFolder, text: str) -> None:
    try:
        with folder.log_path.open("a", encoding="utf-8", errors="replace") as stream:
            stream.write(text)
    except OSError:  # the disk may be what went wrong
        sys.stderr.write(text)


def main() -> int:
    """Entry point of the worker process."""
    folder = RunFolder(Path(sys.argv[1]))
    try:
        outcome = work(folder)
    except StoreError as refused:
        sys.stderr.write(f"{refused}\n")
        return 3
    _start_next(folder)
    return 0 if outcome in ("done", "cancelled") else 1


def _start_next(folder: RunFolder) -> None:
    # a run made by the command line may lie outside any workspace; then there is no queue
    from velovi.runs.launch import LocalLauncher
    from velovi.runs.workspace import Workspace

    root = folder.path.resolve().parent.parent
    if folder.path.parent.name == "runs" and (root / "datasets").is_dir():
        # when nothing can be started, the next look at a page says so
        with suppress(StoreError):
            LocalLauncher(Workspace(root)).start_waiting_runs(finished=folder)


if __name__ == "__main__":
    sys.exit(main())
