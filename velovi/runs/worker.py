"""The process that does one run: ``python -m velovi.runs.worker RUN_FOLDER``.

It speaks only through the run's folder. However it ends, it says so there, unless it is killed;
then the folder's state is "lost".
"""

from __future__ import annotations

import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

from velovi.errors import Cancelled, StoreError, VeloviError
from velovi.runs.files import FolderLock, store_error
from velovi.runs.folder import RunFolder, discard
from velovi.runs.progress import Reporter

_LOCK_SECONDS, _LOCK_PAUSE = 3.0, 0.05


def work(folder: RunFolder) -> str:
    """Do the run and return its outcome: ``"done"``, ``"failed"`` or ``"cancelled"``.

    Raises
    ------
    StoreError
        Another process works in this folder, or the run has ended already; nothing was touched.
    """
    lock = _sole_worker(folder)
    try:
        return _work(folder)
    finally:
        lock.release()


def _sole_worker(folder: RunFolder) -> FolderLock:
    """The lock of the folder, before anything in it is read or written."""
    lock, began = FolderLock(folder.lock_path), time.monotonic()
    while not lock.acquire():
        # whoever looks at the folder holds its lock for a moment; another worker keeps it
        if time.monotonic() - began > _LOCK_SECONDS:
            raise StoreError("another process works on this run", where=folder.run_id)
        time.sleep(_LOCK_PAUSE)
    outcome = folder.progress().outcome
    if outcome or folder.result_path.exists():
        lock.release()
        raise StoreError(
            "this run has ended already", where=folder.run_id, found=outcome or "a result"
        )
    return lock


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
        except VeloviError as found:
            _write_log(folder, f"{found}\n")  # an ordinary mistake needs no traceback
            outcome, error = "failed", found
        except MemoryError:
            _write_log(folder, traceback.format_exc())
            outcome, error = "failed", _out_of_memory()
        except OSError as found:
            _write_log(folder, traceback.format_exc())
            outcome, error = "failed", _storage_error(folder, found)
        except Exception as found:  # noqa: BLE001 - the last line of defence, told in full
            _write_log(folder, traceback.format_exc())
            outcome, error = "failed", _unexpected(found)
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


def _storage_error(folder: RunFolder, found: OSError) -> VeloviError:
    """The sentence for what the system said of a file, when that is about the disk."""
    told = store_error(found, folder.path / (Path(str(found.filename or "")).name or "a file"))
    return told if found.errno is not None else _unexpected(found)


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
            LocalLauncher(Workspace(root)).advance(finished=folder)


if __name__ == "__main__":
    sys.exit(main())
