"""A quick look into a file: h5py and NumPy only, in flat memory."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

from velovi.data import (
    MIN_CELLS,
    MOST_GROUPS,
    ColumnInfo,
    DatasetSummary,
    EmbeddingInfo,
    LayerInfo,
    Level,
    Problem,
    guess_layers,
    usual_labels,
)
from velovi.data.check import check_file
from velovi.data.columns import Matrix, shape_text
from velovi.data.formats.convert import as_h5ad
from velovi.data.groups import merge_small_groups
from velovi.data.h5ad import H5adFile, as_data_error
from velovi.data.hdf5_limits import COPY_AGAIN
from velovi.data.unreadable import unreadable_reason
from velovi.data.validate import MAKE_LAYERS
from velovi.errors import DataError

BLOCK = 1_000_000
"""Values read at a time."""

BATCHES = ("batch", "sample", "donor", "replicate", "orig.ident", "library", "patient", "dataset")
_BARCODE = re.compile(r"^(?P<before>.*?)[ACGT]{10,}x?(?P<after>.*)$")


def inspect_file(path: Path | str) -> DatasetSummary:
    """Summarise a file and everything that is wrong with it; never raises for bad content.

    It happens in a process of its own, because a damaged file can end the process that reads it.

    Parameters
    ----------
    path
        A file or folder of counts in any format, or what a user took for one.

    Returns
    -------
    DatasetSummary
        With an ``error`` among its problems when no run can start from this file.
    """
    try:
        with as_h5ad(Path(path)) as h5ad:
            return check_file(h5ad)
    except DataError as error:
        return DatasetSummary(problems=(_problem(error),))


def inspect_here(path: Path) -> DatasetSummary:
    """What :func:`inspect_file` says, worked out in this process."""
    reason = unreadable_reason(path)
    if reason is not None:
        found, remedy = reason
        what = f"This is not an AnnData (.h5ad) file but {found}."
        return DatasetSummary(problems=(Problem("error", what, remedy),))
    try:
        with as_data_error(path), h5py.File(path, "r") as file:
            return _Look(H5adFile(file)).summary()
    except DataError as error:
        return DatasetSummary(problems=(_problem(error),))


def _problem(error: DataError) -> Problem:
    parts = [error.what, f"found {error.found}" if error.found else ""]
    what = ": ".join(part for part in parts if part)
    return Problem("error", f"{what[:1].upper()}{what[1:]}.", error.remedy or COPY_AGAIN)


@dataclass
class _Scan:
    """What one pass over a matrix finds; ``cell_totals`` is (cells,)."""

    integer: bool
    cell_totals: np.ndarray
    n_bad: int
    n_bad_cells: int
    n_bad_genes: int


class _Look:
    """One open file: the parts of the summary, and the problems met on the way."""

    def __init__(self, file: H5adFile) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.shape = file.shape
        self.codes: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def add(self, level: Level, what: str, remedy: str = "") -> None:
        self.problems.append(Problem(level, what, remedy))

    def summary(self) -> DatasetSummary:
        columns = self._columns()
        label = _suggest_label(columns)
        draft = DatasetSummary(*self.shape, columns=columns, label_column=label)
        draft = replace(draft, embeddings=self._embeddings())
        self._check_names(columns)
        self._check_size()
        layers, scans = self._scan_layers()
        spliced, unspliced = guess_layers([layer.name for layer in layers])
        draft = replace(draft, layers=layers, spliced_layer=spliced, unspliced_layer=unspliced)
        self._check_layers_found(draft)
        for name in (spliced, unspliced):
            if name is not None and name in scans:
                self._check_values(name, scans[name])
        if spliced in scans and unspliced in scans:
            draft = self._compare(draft, scans[spliced], scans[unspliced])
        missing = next((column.n_missing for column in columns if column.name == label), 0)
        if missing:
            what = f"{missing:,} cells have no value in '{label}'."
            self.add("warning", what, "They will be shown as 'unlabelled'.")
        for name in self.file.columns["var"].values():
            self.file.column("var", name)  # what cannot be read is noted
        self.problems += self.file.problems
        order = {"error": 0, "warning": 1, "note": 2}
        problems = sorted(self.problems, key=lambda problem: order[problem.level])
        return replace(draft, problems=tuple(problems))

    def _columns(self) -> tuple[ColumnInfo, ...]:
        found = []
        for name, given in self.file.columns["obs"].items():
            column = self.file.column("obs", given)
            if column is None:
                continue
            codes, values = column.codes()
            if column.kind != "numeric":
                self.codes[name] = codes, values
            n_unique = len(np.unique(codes[codes >= 0]))
            found.append(ColumnInfo(name, column.kind, n_unique, int((codes < 0).sum())))
        return tuple(found)

    def _embeddings(self) -> tuple[EmbeddingInfo, ...]:
        return tuple(
            EmbeddingInfo(name, n_columns)
            for name, (_, n_columns) in self.file.embeddings.items()
            if n_columns >= 2
        )

    def _check_size(self) -> None:
        for kind, count in zip(("cells", "genes"), self.shape, strict=True):
            if count == 0:
                self.add("error", f"The file has no {kind}.", "Check how it was made or subset.")
        if 0 < self.shape[0] < MIN_CELLS:
            what = f"The file has only {self.shape[0]} cells; at least {MIN_CELLS} are needed."
            self.add("error", what, "Use a file with more cells.")

    def _check_names(self, columns: tuple[ColumnInfo, ...]) -> None:
        for kind, names in (("gene", self.file.var_names), ("cell", self.file.obs_names)):
            n_repeated = len(names) - len(set(names))
            if n_repeated:
                what = f"{n_repeated:,} {kind} names occur more than once."
                self.add("warning", what, "They will be made unique by adding -1, -2, ...")
        has_batch = any(
            word in column.name.lower()
            for column in columns
            for word in BATCHES
            if column.n_unique > 1
        )
        matches = [_BARCODE.match(name) for name in self.file.obs_names]
        groups = Counter(match.group("before", "after") for match in matches if match)
        # rare endings come from making names unique, not from samples
        n_samples = sum(n * len(groups) >= 0.25 * len(matches) for n in groups.values())
        if 1 < n_samples <= 100 and not has_batch:
            what = f"Cell names look like {n_samples} samples, but no column tells them apart."
            remedy = "Differences between samples can look like dynamics: add a 'batch' column."
            self.add("warning", what, remedy)

    def _scan_layers(self) -> tuple[tuple[LayerInfo, ...], dict[str, _Scan]]:
        """Describe every layer, and go through those two that a run would use."""
        found: dict[str, Matrix] = {}
        for name in self.file.paths("layers"):
            try:
                found[name] = self.file.matrix(f"layers/{name}")
            except DataError as error:
                self._left_out(name, error)
        guessed = guess_layers(list(found))
        layers, scans = [], {}
        for name, matrix in found.items():
            sparse = matrix.layout != "dense"
            layer = LayerInfo(name, sparse, str(matrix.values.dtype), None, None)
            if matrix.shape != self.shape:
                level: Level = "error" if name in guessed else "note"
                what = (
                    f"Layer '{name}' is {shape_text(matrix.shape)}, but the tables list "
                    f"{shape_text(self.shape)}."
                )
                self.add(level, what, "Write the file again with matching cells and genes.")
            else:
                try:
                    if name not in guessed:
                        layers.append(layer)
                        continue
                    with as_data_error(Path(name)):
                        scan = scans[name] = _scan(matrix, self.shape)
                    total = float(scan.cell_totals.sum())
                    total_or_none = total if np.isfinite(total) else None
                    layer = replace(layer, integer=scan.integer, total=total_or_none)
                except DataError as error:
                    self._left_out(name, error, needed=name in guessed)
            layers.append(layer)
        return tuple(layers), scans

    def _left_out(self, name: str, error: DataError, *, needed: bool | None = None) -> None:
        """Say that a layer cannot be read: an error where a run needs it, else a note."""
        if needed is None:
            needed = name in guess_layers([name, *self.file.paths("layers")])
        why = error.found or error.what
        what = f"Layer '{name}' cannot be read: {why}."
        self.add("error" if needed else "note", what, error.remedy or COPY_AGAIN)

    def _check_layers_found(self, draft: DatasetSummary) -> None:
        chosen = {"spliced": draft.spliced_layer, "unspliced": draft.unspliced_layer}
        everything = dict(zip(chosen, guess_layers(self.file.paths("layers")), strict=True))
        # of a layer that is there but unreadable, that is said already
        absent = [kind for kind, name in chosen.items() if name is None and not everything[kind]]
        if absent:
            names = ", ".join(f"'{layer.name}'" for layer in draft.layers) or "none"
            what = f"No layer of {' and '.join(absent)} counts was found (layers: {names})."
            self.add("error", what, MAKE_LAYERS + " If a layer has another name, choose it.")
            columns = [name for table in self.file.columns.values() for name in table.values()]
            old = [name for name in columns if "velocity" in name.lower()]
            if old:
                what = f"An earlier velocity analysis left results ({', '.join(old[:4])})."
                self.add("warning", what, "Use the file from before, which still has the layers.")
        elif None not in chosen.values() and tuple(chosen.values()) != ("spliced", "unspliced"):
            names = f"'{draft.spliced_layer}' and '{draft.unspliced_layer}'"
            what = f"{names} were taken as the spliced and unspliced counts."
            self.add("note", what, "Please check.")
        if {draft.spliced_layer, draft.unspliced_layer} & {"Ms", "Mu"}:
            what = "Only smoothed layers (Ms, Mu) are there, not counts."
            self.add("warning", what, "Use the file from before, with spliced and unspliced.")

    def _check_values(self, name: str, scan: _Scan) -> None:
        if scan.n_bad:
            what = (
                f"Layer '{name}' has {scan.n_bad:,} missing, infinite or negative values, in "
                f"{scan.n_bad_cells:,} cells and {scan.n_bad_genes:,} genes."
            )
            self.add("error", what, "Use the counts as the quantifier wrote them.")
        elif not scan.integer:
            what = f"Layer '{name}' does not hold whole counts."
            remedy = "It will be used as already normalised; it may have been scaled or logged."
            self.add("warning", what, remedy)

    def _compare(self, draft: DatasetSummary, s: _Scan, u: _Scan) -> DatasetSummary:
        """Unspliced fractions, and what the two layers together say."""
        if s.n_bad or u.n_bad:
            return draft
        both = s.cell_totals + u.cell_totals
        if not both.sum():
            if self.shape[0]:
                self.add("error", "The spliced and unspliced layers are empty.", MAKE_LAYERS)
            return draft
        if np.array_equal(s.cell_totals, u.cell_totals):
            what = "The spliced and the unspliced layer look identical."
            self.add("warning", what, "Check that the file holds both kinds of counts.")
        if (empty := int((both == 0).sum())) > 0:
            what = f"{empty:,} cells have no spliced or unspliced counts at all."
            self.add("warning", what, "Consider removing them.")
        fraction = float(u.cell_totals.sum() / both.sum())
        if not _usual(fraction):
            what = f"{fraction:.1%} of the counts are unspliced; 10 to 25 % is usual."
            remedy = "Check that the layers are not swapped and how introns were counted."
            self.add("warning", what, remedy)
        by_label: dict[str, float] = {}
        if draft.label_column in self.codes:
            codes, names = merge_small_groups(*self._groups(draft.label_column))
            known = codes >= 0
            parts = [
                np.bincount(codes[known], weights=item[known], minlength=len(names))
                for item in (u.cell_totals, both)
            ]
            by_label = {
                str(name): float(part / total)
                for name, part, total in zip(names, *parts, strict=True)
                if total > 0
            }
            self._check_fractions(fraction, by_label)
        return replace(draft, unspliced_fraction=fraction, unspliced_fraction_by_label=by_label)

    def _groups(self, label: str) -> tuple[np.ndarray, list[object]]:
        codes, names = self.codes[label]
        if len(names) > MOST_GROUPS:
            what = f"'{label}' has {len(names):,} kinds, more than can be told apart."
            remedy = f"The {MOST_GROUPS - 1} largest are shown by themselves, the others together."
            self.add("note", what, remedy)
        return codes, list(names)

    def _check_fractions(self, overall: float, by_label: dict[str, float]) -> None:
        odd = [f"'{name}' ({item:.1%})" for name, item in by_label.items() if not _usual(item)]
        if odd and _usual(overall):
            what = f"Unusual share of unspliced counts in {', '.join(odd[:5])}."
            self.add("note", what, "Velocities of these cells deserve a second look.")


def _usual(fraction: float) -> bool:
    return 0.05 <= fraction <= 0.5


def _suggest_label(columns: tuple[ColumnInfo, ...]) -> str | None:
    usable = [
        column.name for column in columns if column.kind != "numeric" and column.n_unique >= 2
    ]
    few = {column.name for column in columns if column.n_unique <= MOST_GROUPS}
    usual = usual_labels(usable)
    if usual:
        return next((name for name in usual if name in few), usual[0])
    for column in columns:
        if column.kind == "categorical" and 2 <= column.n_unique <= 60:
            return column.name
    return None


def _scan(matrix: Matrix, shape: tuple[int, int]) -> _Scan:
    """One pass over a matrix in blocks; totals are float64."""
    totals = np.zeros(shape[0])
    bad_cells, bad_genes = np.zeros(shape[0], dtype=bool), np.zeros(shape[1], dtype=bool)
    n_bad, integer = 0, True
    for rows, columns, values in matrix.blocks(BLOCK):
        bad = ~np.isfinite(values) | (values < 0)
        if bad.any():
            n_bad += int(bad.sum())
            bad_cells[rows[bad]], bad_genes[columns[bad]] = True, True
        if values.dtype.kind == "f" and integer:
            integer = bool(np.array_equal(values, np.rint(values)))
        totals += np.bincount(rows, weights=values, minlength=shape[0])
    return _Scan(integer, totals, n_bad, int(bad_cells.sum()), int(bad_genes.sum()))
