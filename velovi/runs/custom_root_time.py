"""Shared latent times that begin at cells which a user chose.

The web process asks and reads; ``python -m velovi.runs.custom_root_time FOLDER`` works, because the
dynamics need compiled loops. Each time is one folder below a folder of times, which belongs to one
result and lies in the workspace (``<workspace>/times/<run_id>``), also for the demo, whose result
lies in the package::

    <times>/<id>/
      request.json    the result, the name, the root cells
      launched.json   who works on it; .lock is held by it
      log.txt         what went wrong, in full
      time.npy        float32 (cells,), written beside and renamed; or
      error.json      the parts of an error

The folder is the truth: whoever looks, after any restart, sees the same state.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from velovi.errors import OptionError, StoreError
from velovi.runs.files import number, read_json_object, text, write_file, write_json
from velovi.runs.jobs import STARTING_LIMIT, JobFolder, reap
from velovi.runs.naming import validate_name
from velovi.runs.workspace import DEMO_FOLDER, checked_id, new_id

# a process on another machine cannot be looked up; after so many seconds it is given up
REMOTE_LIMIT = 3600.0
MOST_AT_ONCE = 2

State = Literal["working", "done", "failed", "lost"]


class RootTimeFolder(JobFolder):
    """The folder of one time."""

    module = "velovi.runs.custom_root_time"


@dataclass(frozen=True)
class CustomRootTime:
    """One time, as far as it has come.

    Attributes
    ----------
    time_id
        Its folder's name; sorts by when it was asked for.
    name
        What the user calls it.
    n_root_cells
        How many cells it begins at.
    state
        ``"lost"``: its process ended without a word.
    error
        The parts of the error when it failed, as :meth:`VeloviError.to_dict` gives them.
    """

    time_id: str
    name: str
    n_root_cells: int
    state: State
    error: Mapping[str, str | None] | None = None


def request_time(result_path: Path, times_folder: Path, name: str, root: ArrayLike) -> str:
    """Start to work out the shared time that begins at some cells, in a process of its own.

    Parameters
    ----------
    result_path
        The ``result.zarr`` of a finished run; it is only read.
    times_folder
        Where the times of this result are kept; made when missing. The app uses
        ``<workspace>/times/<run_id>``.
    name
        1 to 60 characters.
    root
        Indices (roots,) of the cells at which time begins, in the order of the result.

    Returns
    -------
    The time's id.

    Raises
    ------
    OptionError
        The name or the root cells make no sense.
    StoreError
        There is no such result, it has no latent time of genes, nothing can be written there, or
        two times of this result are being worked out already.
    """
    cells = _checked_root(root, _n_cells(Path(result_path)))
    if sum(item.state == "working" for item in times(times_folder)) >= MOST_AT_ONCE:
        raise StoreError(
            "other times are being worked out",
            where=Path(result_path).parent.name,
            expected=f"at most {MOST_AT_ONCE} at once, because each holds the result in memory",
            remedy="Wait for one of them, or cancel it",
        )
    request = {
        "name": validate_name(name, "a time"),
        "result": str(Path(result_path).resolve()),
        "root": cells.tolist(),
        "created": time.time(),
    }
    folder = Path(times_folder).resolve() / new_id()
    _check_place(folder)
    beside = folder.with_name(f".{folder.name}")
    try:
        beside.mkdir(parents=True)
        write_json(beside / "request.json", request)
        beside.rename(folder)
        RootTimeFolder(folder).start()
    except (StoreError, OSError) as error:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            "the time cannot be kept here",
            where=str(times_folder),
            found=error.strerror or str(error),
            remedy="Let VELOVI_WORKSPACE name a folder that the app can write to, with room on "
            "its disk",
        ) from error
    return folder.name


def times(times_folder: Path) -> list[CustomRootTime]:
    """All times of a result, in the order in which they were asked for."""
    reap()
    asked: list[tuple[int, Path]] = []
    for path in Path(times_folder).glob("[!.]*/request.json"):
        with suppress(OSError):  # deleted meanwhile
            asked.append((path.stat().st_mtime_ns, path))
    folders = [item for _, item in sorted(asked)]
    found = [_look(folder.parent) for folder in folders]
    return [item for item in found if item is not None]


def custom_root_time(
    times_folder: Path, time_id: str, *, n_cells: int | None = None
) -> NDArray[np.float32]:
    """A time that is done.

    Parameters
    ----------
    times_folder, time_id
        Which.
    n_cells
        Cells of the result that it is for, if that is to be checked.

    Returns
    -------
    float32 (cells,) in [0, 1], in the order of the result.

    Raises
    ------
    StoreError
        There is no such time, it is not done, or it is of another result.
    """
    folder = _folder(times_folder, time_id)
    try:
        found = np.load(folder / "time.npy", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise StoreError(
            "this time is not there",
            where=time_id,
            remedy="It may still be worked out, or have failed or been deleted",
        ) from error
    if n_cells is not None and found.shape != (n_cells,):
        raise StoreError(
            "this time belongs to another result",
            where=time_id,
            expected=f"{n_cells:,} cells",
            found=f"{found.size:,} cells",
            remedy="Delete it and choose its root again",
        )
    return np.asarray(found, dtype=np.float32)


def delete_time(times_folder: Path, time_id: str) -> None:
    """Remove a time, and end the process that works on it; nothing happens when it is gone."""
    folder = _folder(times_folder, time_id)
    RootTimeFolder(folder).kill()
    doomed = folder.with_name(f".{folder.name}.deleted")
    try:
        folder.rename(doomed)
    except FileNotFoundError:
        return
    shutil.rmtree(doomed, ignore_errors=True)
    reap()


def _n_cells(result_path: Path) -> int:
    """Cells of a result, from the description of the layer that is needed."""
    try:
        return int(read_json_object(result_path / "layers" / "fit_t" / "zarr.json")["shape"][0])
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        there = result_path.exists()
        raise StoreError(
            "this result has no latent time of each gene" if there else "there is no result here",
            where=result_path.parent.name,
            remedy="Choose another run, or train again",
        ) from error


def _checked_root(root: ArrayLike, n_cells: int) -> NDArray[np.int64]:
    given = np.atleast_1d(np.asarray(root))
    whole = given.ndim == 1 and (given.size == 0 or np.issubdtype(given.dtype, np.integer))
    if not whole or given.size == 0:
        raise OptionError(
            "time needs at least one cell to begin at",
            where="root",
            expected="numbers of cells",
            found="none" if given.size == 0 else f"{given.dtype} of shape {given.shape}",
            remedy="Select cells on a map first",
        )
    cells = np.unique(given.astype(np.int64))
    if cells[0] < 0 or cells[-1] >= n_cells:
        raise OptionError(
            "a root cell is not in the result",
            where="root",
            expected=f"numbers from 0 to {n_cells - 1}",
            found=f"{cells[0] if cells[0] < 0 else cells[-1]}",
            remedy="Select the cells again on this run's map",
        )
    return cells


def _check_place(folder: Path) -> None:
    if folder.is_relative_to(DEMO_FOLDER.resolve()):
        raise StoreError(
            "nothing is written into the demo, which belongs to the package",
            where=str(folder.parent),
            remedy="Keep its times in the workspace, as <workspace>/times/demo",
        )


def _folder(times_folder: Path, time_id: str) -> Path:
    return Path(times_folder) / checked_id(time_id, "the id of a time")


def _look(folder: Path) -> CustomRootTime | None:
    """One time as its folder tells it; None when it is being deleted."""
    try:
        request = read_json_object(folder / "request.json")
        name, n_root, created = text(request["name"]), len(request["root"]), request["created"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    created = number(created)
    # the process first: if it ends after this look, its result is there at the next one
    working = _works(folder, time.time() - created)
    error = None
    state: State = "working" if working else "lost"
    if (folder / "time.npy").exists():
        state = "done"
    elif (error := RootTimeFolder(folder).error()) is not None:
        state = "failed"
    return CustomRootTime(folder.name, str(name), n_root, state, error)


def _works(folder: Path, age: float) -> bool:
    worker = RootTimeFolder(folder).worker()
    if not worker.launched:
        return age < STARTING_LIMIT
    return age < REMOTE_LIMIT if worker.alive is None else worker.alive


def work(folder: Path) -> bool:
    """Work out the time of one folder; whether it went well. A failure is told in the folder.

    Raises
    ------
    StoreError
        Another process works on it.
    """

    def work_out() -> None:
        request = read_json_object(folder / "request.json")
        root = np.asarray(request["root"], dtype=np.int64)
        time_of_cells = time_from_root(Path(request["result"]), root)
        write_file(
            folder / "time.npy",
            lambda stream: np.save(stream, time_of_cells, allow_pickle=False),
        )

    return RootTimeFolder(folder).attempt(work_out)


def time_from_root(result_path: Path, root: NDArray[np.int64]) -> NDArray[np.float32]:
    """The shared time of a result, float32 (cells,), with 0 at the cells ``root`` (roots,).

    It is worked out as a run does it, but from these cells on.

    Raises
    ------
    StoreError
        The result lacks something that is needed.
    OptionError
        ``root`` is not of cells of the result.
    """
    from scipy import sparse

    from velovi import dynamics

    parts = {
        key: _read(result_path, key)
        for key in (
            "layers/fit_t",
            "uns/velocity_graph",
            "uns/velocity_graph_neg",
            "obsp/connectivities",
        )
    }
    gene_time, *matrices = parts.values()
    positive, negative, connectivities = (sparse.csr_matrix(matrix) for matrix in matrices)
    transition = dynamics.transition_matrix(dynamics.VelocityGraph(positive, negative))
    return dynamics.shared_latent_time(gene_time, transition, connectivities, root=root).time


def _read(result_path: Path, key: str) -> Any:
    import zarr
    from anndata.io import read_elem

    try:
        return read_elem(zarr.open_group(result_path, mode="r")[key])
    except (OSError, KeyError, ValueError) as error:
        raise StoreError(
            "this result lacks something that a time from a root needs",
            where=result_path.parent.name,
            expected=key,
            found="a damaged or missing part",
            remedy="Train again with this version",
        ) from error


def main() -> int:
    """Entry point of the process."""
    return 0 if work(Path(sys.argv[1])) else 1


if __name__ == "__main__":
    sys.exit(main())
