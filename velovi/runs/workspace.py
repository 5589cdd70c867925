"""A workspace: the user's files and runs, in one folder."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from velovi import __version__
from velovi.config import RunOptions
from velovi.errors import DataError, StoreError
from velovi.runs.folder import RunFolder, RunSpec, read_json, write_json
from velovi.runs.names import LONGEST_NAME, checked_name, free_name

if TYPE_CHECKING:
    from velovi.data import DatasetSummary

DEMO_FOLDER = Path(__file__).parent.parent / "demo"
DEMO_RUN_ID = "demo"
_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
# folders of the workspace that keep what readers made of a run, in a folder for each
OfARun = Literal["cell_sets", "times"]
_RECORDED = ("torch", "scvi-tools", "anndata", "scanpy", "numpy", "zarr")


@dataclass(frozen=True)
class Dataset:
    """One file that the user brought."""

    path: Path

    @property
    def dataset_id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def source(self) -> Path:
        """The file itself."""
        return self.path / "source.h5ad"

    @property
    def name(self) -> str:
        """What the user called the file."""
        return str(read_json(self.path / "dataset.json")["name"])

    @property
    def created(self) -> float:
        """When it was brought, in seconds since 1970."""
        return float(read_json(self.path / "dataset.json")["created"])

    def summary(self) -> DatasetSummary:
        """What the file holds and what is wrong with it; read once, then kept beside it."""
        from velovi.data import DatasetSummary
        from velovi.data.inspect import inspect_file

        kept = self.path / "summary.json"
        if kept.exists():
            try:
                return DatasetSummary.from_dict(read_json(kept))
            except (ValueError, TypeError, KeyError):
                kept.unlink()
        summary = inspect_file(self.source)
        write_json(kept, summary.to_dict())
        return summary


class Workspace:
    """Files and runs below one folder.

    Parameters
    ----------
    root
        The folder; made when missing. The environment variable ``VELOVI_WORKSPACE`` or
        ``./workspace`` when left out.
    """

    def __init__(self, root: Path | str | None = None) -> None:
        chosen = root or os.environ.get("VELOVI_WORKSPACE") or "workspace"
        self.root = Path(chosen).expanduser().resolve()
        self.datasets_path.mkdir(parents=True, exist_ok=True)
        self.runs_path.mkdir(parents=True, exist_ok=True)

    @property
    def datasets_path(self) -> Path:
        """Where the files lie."""
        return self.root / "datasets"

    @property
    def runs_path(self) -> Path:
        """Where the runs lie."""
        return self.root / "runs"

    def add_dataset(self, source: Path, name: str, *, move: bool = False) -> Dataset:
        """Take a file into the workspace.

        Parameters
        ----------
        source
            The file to take.
        name
            What to call it.
        move
            Move it (an upload's temporary file) instead of copying.
        """
        if not source.is_file():
            raise DataError(
                "there is no such file", where=str(source), remedy="Check the path and its name"
            )
        dataset_id = new_id()
        beside = self.datasets_path / f".{dataset_id}"
        beside.mkdir()
        try:
            (shutil.move if move else shutil.copyfile)(source, beside / "source.h5ad")
            write_json(beside / "dataset.json", {"name": name, "created": time.time()})
            beside.rename(self.datasets_path / dataset_id)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        return Dataset(self.datasets_path / dataset_id)

    def datasets(self) -> list[Dataset]:
        """All files, the newest first."""
        found = [
            Dataset(path)
            for path in self.datasets_path.iterdir()
            if not path.name.startswith(".") and (path / "dataset.json").exists()
        ]
        return sorted(found, key=lambda one: one.created, reverse=True)

    def dataset(self, dataset_id: str) -> Dataset:
        """One file by its id."""
        path = self.datasets_path / checked_id(dataset_id)
        if not (path / "dataset.json").exists():
            raise StoreError(
                "this file is not in the workspace",
                where=dataset_id,
                remedy="Choose another on the Data page, or upload it again",
            )
        return Dataset(path)

    def delete_dataset(self, dataset_id: str) -> None:
        """Remove a file; the runs made from it stay."""
        _remove(self.dataset(dataset_id).path)

    def create_run(self, dataset: Dataset, options: RunOptions, name: str = "") -> RunFolder:
        """Put a run in the queue; :class:`~velovi.runs.launch.LocalLauncher` starts it.

        A name that another run has already gets a number.
        """
        return self._new_run(dataset.dataset_id, str(dataset.source), options, name or dataset.name)

    def run_again(
        self,
        run: RunFolder,
        options: RunOptions | None = None,
        *,
        cells: Sequence[str] | None = None,
        name: str = "",
    ) -> RunFolder:
        """A new run from the same file, with the same options and cells unless others are given.

        Parameters
        ----------
        run
            The earlier run.
        options
            In place of its options.
        cells
            Names of the only cells to use.
        name
            In place of its name; a number follows when another run has it already.
        """
        spec = run.spec()
        if not Path(spec.source).exists():
            raise DataError(
                "the file of this run is gone",
                where=spec.name,
                remedy="Upload it again and start a new run",
            )
        return self._new_run(
            spec.dataset_id,
            spec.source,
            options or spec.options,
            name or spec.name,
            run.only_cells() if cells is None else list(cells),
        )

    def _new_run(
        self,
        dataset_id: str,
        source: str,
        options: RunOptions,
        name: str,
        cells: list[str] | None = None,
    ) -> RunFolder:
        name = self.free_run_name(name)
        folder = RunFolder(self.runs_path / new_id())
        beside = RunFolder(self.runs_path / f".{folder.run_id}")
        beside.path.mkdir(parents=True)
        beside.write_spec(
            RunSpec(folder.run_id, name, dataset_id, source, options, time.time(), versions())
        )
        if cells is not None:
            beside.cells_path.write_text("\n".join(cells) + "\n")
        beside.path.rename(folder.path)
        return folder

    def runs(self, *, with_demo: bool = True) -> list[RunFolder]:
        """All runs, the newest first; the demo that comes with the app is last."""
        found = [
            RunFolder(path)
            for path in self.runs_path.iterdir()
            if not path.name.startswith(".") and (path / "spec.json").exists()
        ]
        found.sort(key=lambda run: run.run_id, reverse=True)
        demo = RunFolder(DEMO_FOLDER)
        return found + ([demo] if with_demo and (demo.path / "spec.json").exists() else [])

    def free_run_name(self, name: str) -> str:
        """The name, with a number behind it when a run of this workspace has it already."""
        taken = set()
        for run in self.runs(with_demo=False):
            with suppress(StoreError):  # deleted since the list was made
                taken.add(run.spec().name)
        return free_name(name, taken)

    def run(self, run_id: str) -> RunFolder:
        """One run by its id; ``"demo"`` is the one that comes with the app."""
        if run_id == DEMO_RUN_ID:
            return RunFolder(DEMO_FOLDER)
        path = self.runs_path / checked_id(run_id)
        if not (path / "spec.json").exists():
            raise StoreError(
                "this run is not in the workspace",
                where=run_id,
                remedy="It may have been deleted; choose another run",
            )
        return RunFolder(path)

    def rename_run(self, run_id: str, name: str) -> None:
        """Call a run something else.

        Raises
        ------
        OptionError
            When the name is empty or too long.
        StoreError
            When the run is the demo, or is not there any more.
        """
        run = self.run(run_id)
        if run_id == DEMO_RUN_ID:
            raise StoreError("the demo belongs to the app and cannot be renamed", where=run_id)
        name = checked_name(name, "a run", LONGEST_NAME)
        run.write_spec(replace(run.spec(), name=name))

    def delete_run(self, run_id: str) -> None:
        """Remove a run that nobody is working on."""
        run = self.run(run_id)
        if run_id == DEMO_RUN_ID:
            raise StoreError("the demo belongs to the app and cannot be deleted", where=run_id)
        if run.state().active:
            raise StoreError(
                "this run is still busy", where=run.spec().name, remedy="Cancel it first"
            )
        _remove(run.path)
        for kind in get_args(OfARun):
            shutil.rmtree(self.of_run(kind, run_id), ignore_errors=True)

    def of_run(self, kind: OfARun, run_id: str) -> Path:
        """Where readers' cell sets or times of a run are kept; they go when it is deleted."""
        return self.root / kind / checked_id(run_id)


def new_id() -> str:
    """A name that sorts by time and cannot be guessed."""
    return time.strftime("%Y%m%d-%H%M%S-", time.gmtime()) + secrets.token_hex(8)


def versions() -> dict[str, str]:
    """Versions of the packages that shape a result."""
    found = {"velovi": __version__}
    for name in _RECORDED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def checked_id(name: str, what: str = "an id of this workspace") -> str:
    """The id of a file, a run or what belongs to one, once it is known to be a plain name."""
    # ids come from URLs: nothing but plain names may reach the file system
    if not _ID.fullmatch(name):
        raise StoreError(f"this is not {what}", where=repr(name[:80]))
    return name


def _remove(path: Path) -> None:
    doomed = path.with_name(f".{path.name}.deleted")
    path.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)
