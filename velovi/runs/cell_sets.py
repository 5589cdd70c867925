"""Named sets of cells, kept in the workspace for each run.

A set is a bit for each cell of the run's result, in the order of the result.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from velovi.errors import DataError, StoreError
from velovi.runs.files import (
    make_folder,
    read_json_object,
    text,
    told_as_store_error,
    write_bytes,
    write_json,
)
from velovi.runs.naming import validate_name
from velovi.runs.workspace import Workspace, new_id


class CellSets:
    """The named sets of one run.

    Parameters
    ----------
    workspace
        Where they are kept, in ``cell_sets/<run id>``.
    run_id
        The run whose cells they hold.
    n_cells
        Cells of its result.
    """

    def __init__(self, workspace: Workspace, run_id: str, n_cells: int) -> None:
        self._folder = workspace.of_run("cell_sets", run_id)
        self._n_cells = n_cells

    def names(self) -> list[str]:
        """Names of the sets, in alphabetical order."""
        return sorted(self._files(), key=str.casefold)

    def load(self, name: str) -> np.ndarray:
        """Which cells are in a set, bool (cells,).

        Raises
        ------
        StoreError
            When there is no such set, or it belongs to another result.
        """
        path = self._path(name)
        try:
            packed = np.fromfile(path.with_suffix(".bits"), dtype=np.uint8)
        except OSError as error:
            raise StoreError(
                "this set of cells cannot be read",
                where=name,
                found=error.strerror or str(error),
                remedy="Delete it and select its cells again",
            ) from error
        if packed.size != (self._n_cells + 7) // 8:
            raise StoreError(
                "this set of cells belongs to another result",
                where=name,
                remedy="Delete it and select its cells again",
            )
        return np.unpackbits(packed, count=self._n_cells, bitorder="little").view(bool)

    def save(self, name: str, cells: np.ndarray) -> str:
        """Keep a set; one of the same name is replaced.

        Parameters
        ----------
        name
            1 to 60 characters.
        cells
            bool (cells,), at least one of them true.

        Returns
        -------
        The name under which it is kept.
        """
        name = validate_name(name, "a set of cells")
        cells = np.asarray(cells, dtype=bool)
        if cells.shape != (self._n_cells,) or not cells.any():
            raise DataError(
                "a set holds at least one of the run's cells",
                where=name,
                found=f"{int(cells.sum())} of {cells.size} cells",
                remedy="Select cells on a map first",
            )
        make_folder(self._folder)
        path = self._files().get(name, self._folder / f"{new_id()}.json")
        write_bytes(path.with_suffix(".bits"), np.packbits(cells, bitorder="little").tobytes())
        write_json(path, {"name": name, "cells": int(cells.sum())})
        return name

    def delete(self, name: str) -> None:
        """Remove a set."""
        path = self._path(name)
        with told_as_store_error(path):
            path.unlink(missing_ok=True)
            path.with_suffix(".bits").unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        try:
            return self._files()[name]
        except KeyError:
            raise StoreError(
                f"there is no set of cells named {name!r}",
                where="set of cells",
                expected=", ".join(self.names()) or "none was saved for this run",
                remedy="It may have been deleted; choose another",
            ) from None

    def _files(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for path in sorted(self._folder.glob("*.json")):
            try:
                name = text(read_json_object(path).get("name"))
            except (OSError, ValueError):
                continue  # deleted meanwhile, or not ours
            if name:
                found[name] = path
        return found
