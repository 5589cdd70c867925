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
from typing import TYPE_CHECKING, Any, Literal, get_args

from velovi import __version__
from velovi.config import RunOptions
from velovi.data.check import check_file
from velovi.data.formats.convert import convert
from velovi.errors import DataError, OptionError, StoreError
from velovi.runs.files import (
    PART,
    FolderLock,
    leftovers,
    make_folder,
    number,
    read_json_object,
    remove,
    text,
    told_as_store_error,
    write_bytes,
    write_json,
)
from velovi.runs.folder import RunFolder, RunSpec, RunState
from velovi.runs.naming import LONGEST_NAME, unique_name, validate_name

if TYPE_CHECKING:
    from velovi.data import DatasetSummary

DEMO_FOLDER = Path(__file__).parent.parent / "demo"
DEMO_RUN_ID = "demo"
_LEFT_SECONDS = 86_400.0
MOST_WAITING = 100
"""Runs that may wait, unless VELOVI_RUNS_WAITING says otherwise."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
# folders of the workspace that keep what readers made of a run, in a folder for each
OfARun = Literal["cell_sets", "times", "known_directions"]
_BAD_SUMMARY = (OSError, ValueError, TypeError, KeyError, AttributeError)
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
        """What the user called the file.

        Raises
        ------
        StoreError
            The file's description cannot be read.
        """
        name = text(self._description().get("name"))
        if not name.strip():
            raise self._unreadable("it has no name")
        return name

    @property
    def created(self) -> float:
        """When it was brought, in seconds since 1970; StoreError as for :attr:`name`."""
        return number(self._description().get("created"))

    def _description(self) -> dict[str, Any]:
        try:
            return read_json_object(self.path / "dataset.json")
        except (OSError, ValueError) as error:
            raise self._unreadable(str(error)) from error

    def _unreadable(self, found: str) -> StoreError:
        return StoreError(
            "what the workspace knows of this file cannot be read",
            where=self.dataset_id,
            found=found,
            remedy="Delete it on the Data page and bring the file again",
        )

    def kept_summary(self) -> DatasetSummary | None:
        """The summary as it was kept; None when there is none that can be read."""
        from velovi.data import DatasetSummary

        try:
            return DatasetSummary.from_dict(read_json_object(self.path / "summary.json"))
        except _BAD_SUMMARY:
            return None

    def summary(self) -> DatasetSummary:
        """What the file holds and what is wrong with it; read once, then kept beside it."""
        kept = self.kept_summary()
        if kept is not None:
            return kept
        summary = check_file(self.source)  # what it was has become h5ad when it was taken in
        if summary.given_up:  # the next look may find a quieter machine
            return summary
        # a full disk is no reason not to say what is in the file
        with suppress(StoreError):
            write_json(self.path / "summary.json", summary.to_dict())
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
        make_folder(self.datasets_path)
        make_folder(self.runs_path)

    @property
    def datasets_path(self) -> Path:
        """Where the files lie."""
        return self.root / "datasets"

    @property
    def runs_path(self) -> Path:
        """Where the runs lie."""
        return self.root / "runs"

    def add_dataset(self, source: Path, name: str, *, move: bool = False) -> Dataset:
        """Take a file into the workspace, as h5ad whatever it was.

        Parameters
        ----------
        source
            The file or folder of counts to take.
        name
            What to call it.
        move
            Move it (an upload's temporary file) instead of copying.

        Raises
        ------
        DataError
            There is no such file, or it holds no counts that can be read.
        StoreError
            The workspace has no room for it or cannot be written to.
        """
        if not source.exists():
            raise DataError(
                "there is no such file", where=str(source), remedy="Check the path and its name"
            )
        dataset_id = new_id()
        beside = self.datasets_path / f".{dataset_id}{PART}"
        with told_as_store_error(beside / name):
            try:
                beside.mkdir()
                if not convert(source, beside / "source.h5ad"):
                    (shutil.move if move else shutil.copyfile)(source, beside / "source.h5ad")
                write_json(beside / "dataset.json", {"name": name, "created": time.time()})
                beside.rename(self.datasets_path / dataset_id)
            except BaseException:
                remove(beside)
                raise
        return Dataset(self.datasets_path / dataset_id)

    def datasets(self) -> list[Dataset]:
        """All files that can be described, the newest first."""
        found = []
        for dataset in self._dataset_folders():
            with suppress(StoreError):
                _ = dataset.name
                found.append((dataset.created, dataset))
        return [item for _, item in sorted(found, key=lambda pair: pair[0], reverse=True)]

    def unreadable_datasets(self) -> list[Dataset]:
        """Files whose description is damaged; all that can be done with one is to delete it."""
        return [folder for folder in self._dataset_folders() if not _has_name(folder)]

    def _dataset_folders(self) -> list[Dataset]:
        return [Dataset(path) for path in _folders(self.datasets_path)]

    def dataset(self, dataset_id: str) -> Dataset:
        """One file by its id."""
        path = self.datasets_path / checked_id(dataset_id)
        if not path.is_dir():
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
        self.require_room()
        name = self.free_run_name(name)
        folder = RunFolder(self.runs_path / new_id())
        beside = RunFolder(self.runs_path / f".{folder.run_id}{PART}")
        spec = RunSpec(folder.run_id, name, dataset_id, source, options, time.time(), versions())
        with told_as_store_error(beside.path):
            try:
                beside.path.mkdir(parents=True)
                beside.write_spec(spec)
                if cells is not None:
                    write_bytes(beside.cells_path, ("\n".join(cells) + "\n").encode())
                beside.path.rename(folder.path)
            except BaseException:
                remove(beside.path)
                raise
        return folder

    def require_room(self) -> None:
        """Look whether one more run may wait, before it is made.

        Raises
        ------
        StoreError
            As many runs wait as may.
        """
        most = number_from_environment("VELOVI_RUNS_WAITING", MOST_WAITING)
        waiting = sum(run.state() is RunState.QUEUED for run in self.runs(with_demo=False))
        if waiting >= most:
            raise StoreError(
                "no more runs may wait",
                where="queue",
                expected=f"at most {most} waiting runs",
                found=f"{waiting}",
                remedy="Wait until some are done or cancel some; VELOVI_RUNS_WAITING sets how "
                "many may wait",
            )

    def runs(self, *, with_demo: bool = True) -> list[RunFolder]:
        """All runs, the newest first; the demo that comes with the app is last.

        Some of them may be unreadable: :meth:`RunFolder.spec` says so.
        """
        found = [RunFolder(path) for path in _folders(self.runs_path)]
        found.sort(key=lambda run: run.run_id, reverse=True)
        demo = RunFolder(DEMO_FOLDER)
        return found + ([demo] if with_demo and (demo.path / "spec.json").exists() else [])

    def unreadable_runs(self) -> list[RunFolder]:
        """Runs that do not say what they are; all that can be done with one is to delete it."""
        found = []
        for run in self.runs(with_demo=False):
            try:
                run.spec()
            except StoreError:
                found.append(run)
        return found

    def free_run_name(self, name: str) -> str:
        """The name, with a number behind it when a run of this workspace has it already."""
        taken = set()
        for run in self.runs(with_demo=False):
            with suppress(StoreError):  # deleted since the list was made
                taken.add(run.spec().name)
        return unique_name(name, taken)

    def run(self, run_id: str) -> RunFolder:
        """One run by its id; ``"demo"`` is the one that comes with the app."""
        if run_id == DEMO_RUN_ID:
            return RunFolder(DEMO_FOLDER)
        path = self.runs_path / checked_id(run_id)
        if not path.is_dir():
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
        name = validate_name(name, "a run", LONGEST_NAME)
        run.write_spec(replace(run.spec(), name=name))

    def delete_run(self, run_id: str) -> None:
        """Remove a run that nobody is working on."""
        run = self.run(run_id)
        if run_id == DEMO_RUN_ID:
            raise StoreError("the demo belongs to the app and cannot be deleted", where=run_id)
        readable = run_id not in [item.run_id for item in self.unreadable_runs()]
        if FolderLock.held(run.lock_path) or (readable and run.state().active):
            raise StoreError(
                "this run is still busy",
                where=run.spec().name if readable else run_id,
                remedy="Cancel it first",
            )
        _remove(run.path)
        for kind in get_args(OfARun):
            remove(self.of_run(kind, run_id))

    def tidy(self) -> list[str]:
        """Remove what killed processes left half written in the workspace for a day; its names."""
        places = (self.root, self.datasets_path, self.runs_path)
        doomed = [path for place in places for path in leftovers(place)]
        doomed += [path for path in self.root.glob(".upload-*") if path.is_dir()]
        old = [path for path in doomed if _is_old(path)]
        for path in old:
            remove(path)
        return sorted(path.name for path in old)

    def of_run(self, kind: OfARun, run_id: str) -> Path:
        """Where readers' cell sets or times of a run are kept; they go when it is deleted."""
        return self.root / kind / checked_id(run_id)


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _LEFT_SECONDS
    except OSError:
        return False


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


def number_from_environment(name: str, default: int) -> int:
    """A number of runs that an environment variable sets.

    Raises
    ------
    OptionError
        It is no whole number from 1.
    """
    given = os.environ.get(name, str(default))
    if not given.isdecimal() or not 1 <= int(given) <= 1_000_000:
        raise OptionError(
            "this is not a number of runs",
            where=name,
            expected="a whole number from 1",
            found=repr(given),
        )
    return int(given)


def _has_name(dataset: Dataset) -> bool:
    try:
        return bool(dataset.name)
    except StoreError:
        return False


def _folders(path: Path) -> list[Path]:
    """The folders of files or of runs; those that are being made or removed are hidden."""
    with told_as_store_error(path), os.scandir(path) as entries:
        return [Path(entry.path) for entry in entries if _shown(entry)]


def _shown(entry: os.DirEntry[str]) -> bool:
    return (
        not entry.name.startswith(".")
        and _ID.fullmatch(entry.name) is not None
        and (entry.is_dir())
    )


def _remove(path: Path) -> None:
    doomed = path.with_name(f".{path.name}.deleted{PART}")
    with told_as_store_error(path):
        path.rename(doomed)
    remove(doomed)
