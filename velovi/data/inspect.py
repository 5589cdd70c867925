"""A quick look into an .h5ad file, for the web process: h5py and NumPy only, in flat memory."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from velovi.data import (
    MIN_CELLS,
    ColumnInfo,
    DatasetSummary,
    EmbeddingInfo,
    Kind,
    LayerInfo,
    Level,
    Problem,
    guess_layers,
    usual_labels,
)
from velovi.data.read import COPY_AGAIN, MAKE_LAYERS, unreadable_reason

BLOCK = 1_000_000
"""Values read at a time."""

BATCHES = ("batch", "sample", "donor", "replicate", "orig.ident", "library", "patient", "dataset")
_BARCODE = re.compile(r"^(?P<before>.*?)[ACGT]{10,}x?(?P<after>.*)$")
_TROUBLE = (OSError, KeyError, ValueError, TypeError, RuntimeError, IndexError, AttributeError)
"""What h5py raises, and what our own look at an unexpected content may raise."""


def inspect_file(path: Path | str) -> DatasetSummary:
    """Summarise a file and everything that is wrong with it; never raises for bad content.

    Parameters
    ----------
    path
        An .h5ad file of any anndata version, or what a user took for one.

    Returns
    -------
    DatasetSummary
        With an ``error`` among its problems when no run can start from this file.
    """
    path = Path(path)
    reason = unreadable_reason(path)
    if reason is not None:
        found, remedy = reason
        what = f"This is not an AnnData (.h5ad) file but {found}."
        return DatasetSummary(problems=(Problem("error", what, remedy),))
    try:
        with h5py.File(path, "r") as file:
            return _Look(file).summary()
    except _TROUBLE as error:
        what = f"The contents of the file are damaged or in an unknown layout ({error})."
        return DatasetSummary(problems=(Problem("error", what, COPY_AGAIN),))


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

    def __init__(self, file: h5py.File) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.obs_names, self.var_names = _index(file["obs"]), _index(file["var"])
        self.shape = (len(self.obs_names), len(self.var_names))
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
        spliced, unspliced = guess_layers([one.name for one in layers])
        draft = replace(draft, layers=layers, spliced_layer=spliced, unspliced_layer=unspliced)
        self._check_layers_found(draft)
        for name in (spliced, unspliced):
            if name is not None and name in scans:
                self._check_values(name, scans[name])
        if spliced in scans and unspliced in scans:
            draft = self._compare(draft, scans[spliced], scans[unspliced])
        missing = next((one.n_missing for one in columns if one.name == label), 0)
        if missing:
            what = f"{missing:,} cells have no value in '{label}'."
            self.add("warning", what, "They will be shown as 'unlabelled'.")
        order = {"error": 0, "warning": 1, "note": 2}
        problems = sorted(self.problems, key=lambda one: order[one.level])
        return replace(draft, problems=tuple(problems))

    def _columns(self) -> tuple[ColumnInfo, ...]:
        found = []
        for name in _column_names(self.file["obs"]):
            try:
                kind, codes, values = _column(self.file, name)
            except _TROUBLE:
                self.add("note", f"The column '{name}' of the cells could not be read.")
                continue
            if kind != "numeric":
                self.codes[name] = codes, values
            n_missing = int((codes < 0).sum())
            n_unique = len(np.unique(codes[codes >= 0]))
            found.append(ColumnInfo(name, kind, n_unique, n_missing))
        return tuple(found)

    def _embeddings(self) -> tuple[EmbeddingInfo, ...]:
        shapes = {name: _shape(one) for name, one in self.file.get("obsm", {}).items()}
        return tuple(
            EmbeddingInfo(name, shape[1])
            for name, shape in shapes.items()
            if isinstance(self.file["obsm"][name], h5py.Dataset)
            and len(shape) == 2
            and shape[1] >= 2
        )

    def _check_size(self) -> None:
        for kind, count in zip(("cells", "genes"), self.shape, strict=True):
            if count == 0:
                self.add("error", f"The file has no {kind}.", "Check how it was made or subset.")
        if 0 < self.shape[0] < MIN_CELLS:
            what = f"The file has only {self.shape[0]} cells; at least {MIN_CELLS} are needed."
            self.add("error", what, "Use a file with more cells.")

    def _check_names(self, columns: tuple[ColumnInfo, ...]) -> None:
        for kind, names in (("gene", self.var_names), ("cell", self.obs_names)):
            n_repeated = len(names) - len(set(names))
            if n_repeated:
                what = f"{n_repeated:,} {kind} names occur more than once."
                self.add("warning", what, "They will be made unique by adding -1, -2, ...")
        has_batch = any(
            word in one.name.lower() for one in columns for word in BATCHES if one.n_unique > 1
        )
        matches = [_BARCODE.match(name) for name in self.obs_names]
        groups = Counter(one.group("before", "after") for one in matches if one)
        # rare endings come from making names unique, not from samples
        n_samples = sum(n * len(groups) >= 0.25 * len(matches) for n in groups.values())
        if 1 < n_samples <= 100 and not has_batch:
            what = f"Cell names look like {n_samples} samples, but no column tells them apart."
            remedy = "Differences between samples can look like dynamics: add a 'batch' column."
            self.add("warning", what, remedy)

    def _scan_layers(self) -> tuple[tuple[LayerInfo, ...], dict[str, _Scan]]:
        layers, scans = [], {}
        for name, node in self.file.get("layers", {}).items():
            sparse, dtype = isinstance(node, h5py.Group), str(_values(node).dtype)
            layer = LayerInfo(name, sparse, dtype, None, None)
            if _shape(node) != self.shape:
                what = (
                    f"Layer '{name}' is {_by(_shape(node))}, but the tables list {_by(self.shape)}."
                )
                self.add("error", what, "Write the file again with matching cells and genes.")
            else:
                try:
                    scan = scans[name] = _scan(node, self.shape)
                    total = float(scan.cell_totals.sum())
                    total_or_none = total if np.isfinite(total) else None
                    layer = replace(layer, integer=scan.integer, total=total_or_none)
                except _TROUBLE as error:
                    self.add("error", f"Layer '{name}' cannot be read ({error}).", COPY_AGAIN)
            layers.append(layer)
        if "X" in self.file and _shape(self.file["X"]) != self.shape:
            what = f"X is {_by(_shape(self.file['X']))}, but the tables list {_by(self.shape)}."
            self.add("error", what, "Write the file again with matching cells and genes.")
        return tuple(layers), scans

    def _check_layers_found(self, draft: DatasetSummary) -> None:
        chosen = {"spliced": draft.spliced_layer, "unspliced": draft.unspliced_layer}
        absent = [kind for kind, name in chosen.items() if name is None]
        if absent:
            names = ", ".join(f"'{one.name}'" for one in draft.layers) or "none"
            what = f"No layer of {' and '.join(absent)} counts was found (layers: {names})."
            self.add("error", what, MAKE_LAYERS + " If a layer has another name, choose it.")
            columns = [*_column_names(self.file["obs"]), *_column_names(self.file["var"])]
            old = [name for name in columns if "velocity" in name.lower()]
            if old:
                what = f"An earlier velocity analysis left results ({', '.join(old[:4])})."
                self.add("warning", what, "Use the file from before, which still has the layers.")
        elif (draft.spliced_layer, draft.unspliced_layer) != ("spliced", "unspliced"):
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
            codes, names = self.codes[draft.label_column]
            known = codes >= 0
            parts = [
                np.bincount(codes[known], weights=one[known], minlength=len(names))
                for one in (u.cell_totals, both)
            ]
            by_label = {
                str(name): float(part / total)
                for name, part, total in zip(names, *parts, strict=True)
                if total > 0
            }
            self._check_fractions(fraction, by_label)
        return replace(draft, unspliced_fraction=fraction, unspliced_fraction_by_label=by_label)

    def _check_fractions(self, overall: float, by_label: dict[str, float]) -> None:
        odd = [f"'{name}' ({one:.1%})" for name, one in by_label.items() if not _usual(one)]
        if odd and _usual(overall):
            what = f"Unusual share of unspliced counts in {', '.join(odd[:5])}."
            self.add("note", what, "Velocities of these cells deserve a second look.")


def _usual(fraction: float) -> bool:
    return 0.05 <= fraction <= 0.5


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{side:,}" for side in shape)


def _suggest_label(columns: tuple[ColumnInfo, ...]) -> str | None:
    usable = [one.name for one in columns if one.kind != "numeric" and one.n_unique >= 2]
    usual = usual_labels(usable)
    if usual:
        return usual[0]
    for one in columns:
        if one.kind == "categorical" and 2 <= one.n_unique <= 60:
            return one.name
    return None


# Reading HDF5 ------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _array(node: h5py.Dataset | h5py.Group) -> tuple[np.ndarray, np.ndarray]:
    """Values of one column, and a mask of those that are missing, both (n,)."""
    if isinstance(node, h5py.Group):  # nullable arrays: values and mask
        return _array(node["values"])[0], np.asarray(node["mask"][:], dtype=bool)
    values = node[:]
    if values.dtype.kind in "OS":
        values = np.array([_text(one) for one in values.tolist()], dtype=object)
        return values, np.isin(values, ["", "nan", "NaN", "None"])
    return values, np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)


def _index(table: h5py.Dataset | h5py.Group) -> list[str]:
    if isinstance(table, h5py.Dataset):  # anndata < 0.7: a compound array, names in field one
        return [_text(one) for one in table[table.dtype.names[0]].tolist()]
    values, _ = _array(table[_text(table.attrs.get("_index", "_index"))])
    return [str(one) for one in values.tolist()]


def _column_names(table: h5py.Dataset | h5py.Group) -> list[str]:
    if isinstance(table, h5py.Dataset):
        return list(table.dtype.names[1:])
    return [_text(one) for one in table.attrs.get("column-order", [])]


def _column(file: h5py.File, name: str) -> tuple[Kind, np.ndarray, np.ndarray]:
    """Kind of a column of obs, code of each cell (-1 for missing) and the values of the codes."""
    table = file["obs"]
    old = isinstance(table, h5py.Dataset)
    node = table[name]
    if isinstance(node, h5py.Group) and "codes" in node:
        return "categorical", node["codes"][:].astype(int), _array(node["categories"])[0]
    if not old and "categories" in getattr(node, "attrs", {}):  # anndata 0.7: a reference
        return "categorical", node[:].astype(int), _array(file[node.attrs["categories"]])[0]
    if old and f"uns/{name}_categories" in file:
        return "categorical", node.astype(int), _array(file[f"uns/{name}_categories"])[0]
    values, missing = _array(node)
    kind: Kind = "text" if values.dtype.kind in "OSU" else "numeric"
    kind = "categorical" if values.dtype.kind == "b" else kind
    codes = np.full(len(values), -1)
    uniques, codes[~missing] = np.unique(values[~missing], return_inverse=True)
    return kind, codes, uniques


def _values(node: h5py.Dataset | h5py.Group) -> h5py.Dataset:
    return node["data"] if isinstance(node, h5py.Group) else node


def _shape(node: h5py.Dataset | h5py.Group) -> tuple[int, ...]:
    if isinstance(node, h5py.Dataset):
        return tuple(node.shape)
    stored = node.attrs.get("shape", node.attrs.get("h5sparse_shape", ()))
    return tuple(int(side) for side in stored)


def _scan(node: h5py.Dataset | h5py.Group, shape: tuple[int, ...]) -> _Scan:
    """One pass over a matrix in blocks; totals are float64."""
    totals = np.zeros(shape[0])
    bad_cells, bad_genes = np.zeros(shape[0], dtype=bool), np.zeros(shape[1], dtype=bool)
    n_bad, integer = 0, True
    for rows, columns, values in _blocks(node, shape):
        bad = ~np.isfinite(values) | (values < 0)
        if bad.any():
            n_bad += int(bad.sum())
            bad_cells[rows[bad]], bad_genes[columns[bad]] = True, True
        if values.dtype.kind == "f" and integer:
            integer = bool(np.array_equal(values, np.rint(values)))
        totals += np.bincount(rows, weights=values, minlength=shape[0])
    return _Scan(integer, totals, n_bad, int(bad_cells.sum()), int(bad_genes.sum()))


def _blocks(
    node: h5py.Dataset | h5py.Group, shape: tuple[int, ...]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Cells, genes and values of at most about ``BLOCK`` entries at a time."""
    if isinstance(node, h5py.Dataset):
        step = max(1, BLOCK // max(shape[1], 1))
        for start in range(0, shape[0], step):
            part = node[start : start + step]
            rows, columns = np.indices(part.shape, dtype=np.int64).reshape(2, -1)
            yield rows + start, columns, part.ravel()
        return
    kind = _text(node.attrs.get("encoding-type", node.attrs.get("h5sparse_format", "csr")))
    by_gene = kind.startswith("csc")
    pointers = node["indptr"][:].astype(np.int64)
    n_major, n_values = shape[1] if by_gene else shape[0], node["data"].shape[0]
    if len(pointers) != n_major + 1 or pointers[-1] != n_values or (np.diff(pointers) < 0).any():
        raise ValueError("its index does not fit its values")
    for start in range(0, n_values, BLOCK):
        stop = min(start + BLOCK, n_values)
        counts = np.diff(np.clip(pointers, start, stop))
        major, minor = np.repeat(np.arange(n_major), counts), node["indices"][start:stop]
        values = node["data"][start:stop]
        yield (minor, major, values) if by_gene else (major, minor, values)
