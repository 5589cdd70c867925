"""From a file on disk to an AnnData, with a plain answer for every file that cannot be read."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from velovi.data import MIN_CELLS, guess_layers
from velovi.data.check import REMEDY, probe_file
from velovi.data.colors import group_colors
from velovi.data.h5ad import (
    COPY_AGAIN,
    Column,
    H5adFile,
    Table,
    by,
    first_outside_link,
    open_h5ad,
    require_stored_below,
)
from velovi.data.storable import clean_text, renamed, storable_name
from velovi.errors import DataError, UnknownNameError, first_named
from velovi.keys import UNLABELLED

if TYPE_CHECKING:
    import pandas as pd
    import scipy.sparse as sp
    from anndata import AnnData

_ROW_BLOCK = 1024

MAKE_LAYERS = (
    "Count spliced and unspliced RNA from the raw reads with velocyto, STARsolo (--soloFeatures "
    "Gene Velocyto), alevin-fry or kb (kallisto bustools), and put both counts into layers."
)
READING = "velovi_reading"
"""Where ``uns`` says how a file was read: ``notes``, and ``names`` that differ from the file's."""


def unreadable_reason(path: Path) -> tuple[str, str] | None:
    """What a file is instead of AnnData in HDF5, and the remedy; None when it looks right."""
    if not path.exists():
        return "nothing: there is no file of this name", "Check the path."
    if path.is_dir():
        return "a folder", "Choose a single file that ends in .h5ad."
    try:
        with path.open("rb") as file:
            start = file.read(512)
        if not h5py.is_hdf5(path):
            return _describe_bytes(start)
        with h5py.File(path, "r") as file:
            return _describe_hdf5(file)
    except PermissionError:
        return "a file this computer may not read", "Change the permissions of the file."
    except DataError as error:
        return f"a file that cannot be what it says ({error.what})", error.remedy or COPY_AGAIN
    except Exception:  # noqa: BLE001 - a damaged file makes h5py raise nearly every built-in kind
        return "a truncated or damaged HDF5 file", COPY_AGAIN


def _describe_bytes(start: bytes) -> tuple[str, str]:
    if not start:
        return "an empty file", COPY_AGAIN
    if start.startswith(b"version https://git-lfs"):
        return (
            "a Git LFS pointer (a few lines of text that stand in for the data)",
            "Run 'git lfs pull' where you cloned the repository, or download the file itself.",
        )
    known = {
        b"\x1f\x8b": "a gzip-compressed file",
        b"PK": "a zip archive",
        b"BZh": "a bzip2-compressed file",
        b"RDX": "an R data file",
    }
    for magic, name in known.items():
        if start.startswith(magic):
            return name, "Unpack it, or convert it to .h5ad, and try again."
    if start.lstrip()[:1] == b"<":
        return "a web page", "Download the file itself rather than the page that links to it."
    kind = "a text file" if b"\0" not in start else "a binary file of another kind"
    return kind, "Save the data as .h5ad with anndata or scanpy."


def _describe_hdf5(file: h5py.File) -> tuple[str, str] | None:
    kind = file.attrs.get("encoding-type", "")
    if (isinstance(kind, str) and kind == "MuData") or ("mod" in file and "X" not in file):
        names = ", ".join(map(clean_text, file.get("mod", {})))
        return (
            f"a MuData file of several modalities ({names})",
            "Save the RNA modality by itself: mudata.read(...).mod['rna'].write_h5ad('rna.h5ad').",
        )
    if "row_attrs" in file and "col_attrs" in file:
        return (
            "a loom file",
            "Convert it: pip install loompy, then "
            "anndata.io.read_loom(...).write_h5ad('data.h5ad').",
        )
    if "matrix" in file and "obs" not in file:
        return "a 10x Genomics matrix without spliced and unspliced counts", MAKE_LAYERS
    if "obs" not in file or "var" not in file:
        return (
            "an HDF5 file without tables of cells (obs) and genes (var)",
            "Save the data as .h5ad with anndata or scanpy.",
        )
    if (outside := first_outside_link(file)) is not None:
        return (
            f"an HDF5 file that takes {outside!r} from another file",
            "Save the data into one file: anndata.read_h5ad(...).write_h5ad('whole.h5ad').",
        )
    return None


def read(path: Path | str, *, layers: tuple[str, str] | None = None) -> AnnData:
    """Read a file of spliced and unspliced counts.

    Parameters
    ----------
    path
        The file; its ending says how it is read.
    layers
        Read only these two layers, and of the rest only what a run uses: X, the tables of cells
        and genes, embeddings and colours. Everything that can be read when left out.

    Returns
    -------
    AnnData
        In memory, as stored, (cells, genes). ``uns["velovi_reading"]`` has ``notes`` on parts that
        were left out or kept under another name, and ``names`` (JSON) of the latter.

    Raises
    ------
    DataError
        The file is missing, of another kind, or damaged.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "cells.h5ad"
    >>> from velovi import simulate
    >>> simulate(40, 10).write_h5ad(path)
    >>> read(path).shape
    (40, 10)
    """
    path = Path(path)
    if path.suffix.lower() != ".h5ad":
        reason = unreadable_reason(path) if path.suffix.lower() == ".h5mu" else None
        raise DataError(
            "this kind of file cannot be read",
            where=path.name,
            expected="a file that ends in .h5ad",
            found=reason[0] if reason else repr(path.suffix or path.name),
            remedy=reason[1] if reason else "Save the data as .h5ad with anndata or scanpy",
        )
    return _read_h5ad(path, layers)


def _read_h5ad(path: Path, layers: tuple[str, str] | None) -> AnnData:
    reason = unreadable_reason(path)
    if reason is not None:
        found, remedy = reason
        raise DataError(
            "the file cannot be opened",
            where=path.name,
            expected="an AnnData file (.h5ad)",
            found=found,
            remedy=remedy,
        )
    if layers is None and (trouble := probe_file(path)) is not None:
        # what a run reads has been checked; a file that comes from anywhere has not
        raise DataError(
            "the file cannot be opened",
            where=path.name,
            expected="an AnnData file (.h5ad)",
            found=trouble.rstrip("."),
            remedy=REMEDY,
        )
    return open_h5ad(path, lambda file: _assemble(file, layers))


def look_at_everything(path: Path) -> None:
    """Read all of a file but the numbers of its matrices; what is wrong with it does not matter."""
    if unreadable_reason(path) is not None:
        return
    with suppress(DataError):
        open_h5ad(path, _touch)


def _touch(file: H5adFile) -> None:
    tables: tuple[Table, Table] = ("obs", "var")
    for table in tables:
        for given in file.columns[table].values():
            file.column(table, given)
            file.colors(given)
    for name in file.embeddings:
        file.embedding(name)
    for path in ["X", *(f"layers/{name}" for name in file.paths("layers"))]:
        with suppress(DataError):
            file.matrix(path)
    for part in ("uns", "obsp", "varm", "varp"):
        if isinstance(file.file.get(part), h5py.Group):
            with suppress(DataError):
                require_stored_below(file.file[part])


def _assemble(file: H5adFile, layers: tuple[str, str] | None) -> AnnData:
    import pandas as pd
    from anndata import AnnData

    names = {"obs": file.obs_names, "var": file.var_names}
    tables = {}
    for table, rows in names.items():
        columns = {
            stored: column
            for stored, given in file.columns[table].items()  # type: ignore[index]
            if (column := file.column(table, given)) is not None  # type: ignore[arg-type]
        }
        frame = pd.DataFrame(
            {name: _series(item, rows, table) for name, item in columns.items()},
            index=pd.Index(rows, dtype=object),
        )
        called = file.index_name(table)  # type: ignore[arg-type]
        known = called is None or called in frame.columns
        frame.index.name = None if known else storable_name(str(called), frame.columns)
        tables[table] = frame
    with warnings.catch_warnings(action="ignore"):  # names that repeat are told about elsewhere
        adata = AnnData(_read_x(file), obs=tables["obs"], var=tables["var"])
    chosen = _chosen_layers(file, layers)
    needed = layers or guess_layers(chosen)
    for name in chosen:
        try:
            matrix = file.matrix(f"layers/{name}")
            if matrix.shape != file.shape:
                raise DataError(f"it is {by(matrix.shape)}, but the tables list {by(file.shape)}")
            adata.layers[name] = matrix.read()
        except DataError as error:
            if name in needed:
                raise
            file.note(f"Layer '{name}' was left out: {error.what}.")
    for name in file.embeddings:
        values = file.embedding(name)
        if values is not None:
            adata.obsm[name] = values
    for stored, given in file.columns["obs"].items():
        colors = file.colors(given)
        if colors is not None:
            adata.uns[f"{stored}_colors"] = colors
    if layers is None:
        _read_rest(file, adata)
    adata.uns[READING] = {
        "notes": np.array([problem.what for problem in file.problems], dtype=object),
        "names": json.dumps(_renamed(file)),
    }
    return adata


def _renamed(file: H5adFile) -> dict[str, dict[str, str]]:
    """``{stored: name in the file}`` of what is stored under another name, by its place."""
    return {
        "obs": renamed(file.columns["obs"]),
        "var": renamed(file.columns["var"]),
        "obsm": renamed({name: path for name, (path, _) in file.embeddings.items()}),
    }


def _series(column: Column, index: list[str], table: str) -> Any:
    import pandas as pd

    if column.categories is not None:
        # what repeats among the categories is one category
        names, place = np.unique(column.categories.astype(object).astype(str), return_inverse=True)
        if len(names) < len(column.categories):
            codes = np.append(place, -1)[column.values]
            return pd.Categorical.from_codes(codes, pd.Index(names, dtype=object))
        categories = pd.Index(column.categories)
        return pd.Categorical.from_codes(column.values, categories, ordered=column.ordered)
    if column.kind == "text":
        values = column.values.copy()
        if table == "obs":
            values[column.missing] = np.nan
        return pd.Series(values, index=index, dtype=object).array
    if column.missing.any() and column.values.dtype.kind != "f":
        if column.values.dtype.kind == "b":
            return pd.arrays.BooleanArray(column.values.copy(), column.missing.copy())
        return pd.arrays.IntegerArray(column.values.copy(), column.missing.copy())
    return column.values


def _read_x(file: H5adFile) -> Any:
    if "X" not in file.file:
        return None
    try:
        matrix = file.matrix("X")
        if matrix.shape != file.shape:
            raise DataError(f"X is {by(matrix.shape)}, but the tables list {by(file.shape)}")
        return matrix.read()
    except DataError as error:
        file.note(f"X of the file was left out: {error.what}.")
    except (OSError, RuntimeError, ValueError, KeyError):
        file.note("X of the file was left out: it is damaged.")
    return None


def _chosen_layers(file: H5adFile, layers: tuple[str, str] | None) -> list[str]:
    there = file.paths("layers")
    if layers is None:
        return there
    for name in layers:
        if name not in there:
            raise missing_layer(name, there)
    return list(dict.fromkeys(layers))


def _read_rest(file: H5adFile, adata: AnnData) -> None:
    """What no run uses, for those who read the file in a notebook."""
    from anndata.io import read_elem

    for part in ("uns", "obsp", "varm", "varp"):
        group = file.file.get(part)
        if not isinstance(group, h5py.Group):
            continue
        target = getattr(adata, part)
        for name in group:
            if name in target:
                continue
            try:
                require_stored_below(group[name])
                with warnings.catch_warnings(action="ignore"):
                    target[clean_text(name)] = read_elem(group[name])
            except Exception as error:  # noqa: BLE001 - nobody asked for this part
                why = next(iter(clean_text(error).strip().splitlines()), type(error).__name__)
                file.note(f"'{clean_text(name)}' of {part} was left out: {why[:160]}.")


"""How each ending of a file name is read; further formats are added here."""


SMOOTH_LAYERS = "Smooth counts with velovi.preprocess or scvelo.pp.moments, which write Ms and Mu"


def validate(
    adata: AnnData, spliced_layer: str, unspliced_layer: str, *, smoothed: bool = False
) -> None:
    """Check that both layers hold finite numbers that are not negative.

    Parameters
    ----------
    adata
        The data.
    spliced_layer, unspliced_layer
        Names of the layers.
    smoothed
        Whether they are to hold smoothed abundance rather than counts, for the words of an error.

    Raises
    ------
    DataError
        A layer is missing or has unusable values, or there are no cells or no genes.
    """
    for kind, count in (("cells", adata.n_obs), ("genes", adata.n_vars)):
        if count == 0:
            raise DataError(
                f"there are no {kind}",
                expected="cells and genes",
                found=f"{adata.n_obs} cells and {adata.n_vars} genes",
                remedy="Check how the file was made or subset",
            )
    if spliced_layer == unspliced_layer:
        raise DataError(
            "spliced and unspliced counts cannot come from the same layer",
            where=f"layer {spliced_layer!r}",
            remedy="Choose two different layers",
        )
    for name in (spliced_layer, unspliced_layer):
        if name not in adata.layers:
            raise missing_layer(name, adata.layers, smoothed=smoothed)
        _check_values(name, adata.layers[name], smoothed)


def missing_layer(name: str, there: Iterable[str], *, smoothed: bool = False) -> DataError:
    """The error for a layer that is not among those that are there."""
    return DataError(
        "the layer is missing",
        where=f"layer {name!r}",
        expected="one layer of spliced and one of unspliced "
        + ("abundance" if smoothed else "counts"),
        found=", ".join(map(repr, filter(None, there))) or "no layers",
        remedy="Choose another layer. If there is none: "
        + (SMOOTH_LAYERS if smoothed else MAKE_LAYERS),
    )


def dense(matrix: Any) -> np.ndarray:
    """A plain array of a dense or sparse matrix."""
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)


def require_cells(n_cells: int) -> None:
    """Raise DataError when there are fewer cells than neighbourhoods need."""
    if n_cells < MIN_CELLS:
        raise DataError(
            "there are too few cells for RNA velocity",
            where="cells",
            expected=f"at least {MIN_CELLS}",
            found=str(n_cells),
            remedy="Use a file with more cells",
        )


def gene_mask(names: pd.Index, wanted: tuple[str, ...]) -> np.ndarray:
    """Where ``names`` (genes,) are among ``wanted``, all of which have to be there."""
    unknown = [item for item in wanted if item not in names]
    if unknown:
        raise UnknownNameError(
            f"no gene is called {first_named(map(repr, unknown))}",
            where="genes_to_keep",
            expected="names of genes in the file, such as " + ", ".join(names[:3]),
            remedy="Check spelling and capitals, or remove them from the list",
        )
    return names.isin(wanted)


def _check_values(name: str, matrix: Any, smoothed: bool) -> None:
    """Raise DataError when values of the (cells, genes) matrix are NaN, infinite or negative."""
    import scipy.sparse as sp

    numeric = getattr(matrix, "dtype", np.dtype(object)).kind in "biuf"
    if not numeric or not (sp.issparse(matrix) or isinstance(matrix, np.ndarray)):
        raise DataError(
            "the layer is not a matrix of numbers in memory",
            where=f"layer {name!r}",
            expected="a NumPy array or SciPy sparse matrix of numbers",
            found=f"{type(matrix).__name__} of {getattr(matrix, 'dtype', 'unknown type')}",
            remedy="Load the data into memory and store counts in the layer",
        )
    if all_finite_nonnegative(matrix):
        return
    wrong: dict[str, Callable[[Any], Any]] = {
        "missing (NaN)": np.isnan,
        "infinite": np.isinf,
        "negative": lambda x: x < 0,
    }
    counts = dict.fromkeys(wrong, 0)
    cells: set[int] = set()
    genes: set[int] = set()
    for rows, columns, values in _blocks(matrix):
        for kind, test in wrong.items():
            bad = test(values)
            if bad.any():
                counts[kind] += int(bad.sum())
                cells.update(rows[bad].tolist())
                genes.update(columns[bad].tolist())
    if cells:
        found = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
        raise DataError(
            "the layer has values that cannot be " + ("abundances" if smoothed else "counts"),
            where=f"layer {name!r}",
            expected="finite numbers, 0 or more",
            found=f"{found} values in {len(cells):,} cells and {len(genes):,} genes",
            remedy=SMOOTH_LAYERS
            if smoothed
            else "Use the counts as the quantifier wrote them, not scaled or corrected values",
        )


def all_finite_nonnegative(matrix: Any) -> bool:
    """Whether all values are finite and not negative, seen without copying anything."""
    values = matrix if isinstance(matrix, np.ndarray) else getattr(matrix, "data", None)
    if not isinstance(values, np.ndarray) or values.dtype == object:
        return False  # another kind of sparse matrix: look closely
    # a missing number is its own smallest and compares as false
    return values.size == 0 or bool(values.min() >= 0 and np.isfinite(values.max()))


def _blocks(matrix: Any) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Cells, genes and values of the stored entries, some cells at a time."""
    kind = getattr(matrix, "format", "dense")
    if kind not in ("csr", "csc", "dense"):
        matrix = matrix.tocsr()
    along_genes = kind == "csc"
    n = matrix.shape[1] if along_genes else matrix.shape[0]
    for start in range(0, n, _ROW_BLOCK):
        block = slice(start, start + _ROW_BLOCK)
        part = matrix[:, block] if along_genes else matrix[block]
        if kind != "dense":
            part = part.tocoo()
            rows, columns, values = part.row, part.col, part.data
        else:
            rows, columns = np.nonzero(part)
            values = part[rows, columns]
        yield (rows, columns + start, values) if along_genes else (rows + start, columns, values)


# Cleaning: each gives a new object ----------------------------------------------------------------


def as_counts(layer: Any) -> sp.csr_matrix:
    """Any matrix as CSR float32, (cells, genes); shares memory with it where that is possible."""
    import scipy.sparse as sp

    matrix = sp.csr_matrix(layer, dtype=np.float32)
    if not matrix.has_canonical_format:  # repeated entries; the sum must not be written in place
        matrix = matrix.copy()
        matrix.sum_duplicates()
    return matrix


def has_integer_values(matrix: sp.csr_matrix) -> bool:
    """Whether every stored value is a finite whole number."""
    return bool(
        np.isfinite(matrix.data).all() and np.array_equal(matrix.data, np.rint(matrix.data))
    )


def unique_names(names: pd.Index) -> pd.Index:
    """Names with -1, -2, ... added to repetitions."""
    import pandas as pd
    from anndata.utils import make_index_unique

    names = pd.Index(names.astype(str))
    return names if names.is_unique else make_index_unique(names)


def without_missing_labels(obs: pd.DataFrame) -> pd.DataFrame:
    """A copy whose text columns are categories, 'unlabelled' where a value is missing."""
    import pandas as pd

    obs = obs.copy()
    for name in obs.columns:
        column = obs[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            if column.notna().all():
                continue
            names = list(dict.fromkeys([*column.cat.categories.astype(str), UNLABELLED]))
        elif pd.api.types.is_numeric_dtype(column) or column.dtype.kind in "bmM":
            continue
        else:
            names = sorted(set(column.dropna().astype(str)) - {UNLABELLED})
            names += [] if column.notna().all() else [UNLABELLED]
        text = column.astype(object).where(column.notna(), UNLABELLED).astype(str)
        obs[name] = pd.Categorical(text, categories=names)
    return obs


def label_colors(adata: AnnData, obs: pd.DataFrame) -> tuple[dict[str, np.ndarray], list[str]]:
    """Colours that ``adata.uns`` holds for columns of a cleaned ``obs``.

    Parameters
    ----------
    adata
        The data as it came.
    obs
        Its annotations after :func:`without_missing_labels`.

    Returns
    -------
    colors, notes
        ``{column_colors: hexadecimal colours}`` ready for ``uns``, and a sentence for each column
        whose colours could not be used as they are.
    """
    found, notes = {}, []
    for name in obs.columns:
        given = adata.uns.get(f"{name}_colors")
        if given is None or not hasattr(obs[name], "cat"):
            continue
        groups = [str(category) for category in obs[name].cat.categories]
        added = UNLABELLED if adata.obs[name].isna().any() else None
        colors, note = group_colors(given, groups, unlabelled=added)
        if colors is not None:
            found[f"{name}_colors"] = np.array(colors, dtype=object)
        if note:
            used = "" if colors else "; other colours are used"
            notes.append(f"Colours of '{name}' in the file: {note}{used}.")
    return found, notes
