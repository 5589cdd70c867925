"""velocyto's loom files, and those that scanpy and loompy write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import scipy.sparse as sp

from velovi.data.h5ad import as_data_error
from velovi.data.hdf5_limits import require_inside, require_stored_below
from velovi.data.storable import clean_text
from velovi.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

_NAMES = {
    "col_attrs": ("CellID", "obs_names", "cell_names", "barcodes", "index"),
    "row_attrs": ("Gene", "var_names", "gene_names", "Accession", "index"),
}
_VALUES = 20_000_000  # read at a time


def read_loom(path: Path) -> tuple[AnnData, list[str]]:
    """Read a loom file: genes are its rows there, cells its columns.

    Returns
    -------
    adata
        (cells, genes), every layer sparse; attributes of one dimension are columns, those of two
        are in ``obsm``.
    notes
        What was left out.
    """
    from anndata import AnnData

    with as_data_error(path), h5py.File(path, "r") as file:
        require_inside(file)
        require_stored_below(file)
        if not isinstance(file["matrix"], h5py.Dataset) or file["matrix"].ndim != 2:
            raise DataError("a loom file has no matrix", where=path.name)
        n_genes, n_cells = file["matrix"].shape
        notes: list[str] = []
        obs, obsm = _table(file, "col_attrs", n_cells, notes)
        var, wide = _table(file, "row_attrs", n_genes, notes)
        notes += [f"'{name}' of row_attrs was left out: it is no column." for name in wide]
        group = file.get("layers")
        layers = {}
        for name in group if isinstance(group, h5py.Group) else ():
            if name and group[name].shape == (n_genes, n_cells):
                layers[clean_text(name)] = _sparse(group[name])
            else:
                notes.append(f"Layer '{clean_text(name)}' was left out: it has another size.")
        x = layers["spliced"].copy() if "spliced" in layers else _sparse(file["matrix"])
        return AnnData(x, obs=obs, var=var, layers=layers, obsm=obsm), notes


def _sparse(data: h5py.Dataset) -> sp.csr_matrix:
    """Genes by cells to sparse cells by genes, some genes at a time."""
    if data.dtype.kind not in "iufb":
        raise DataError("a layer holds no numbers", where=str(data.name), found=str(data.dtype))
    step = max(1, _VALUES // max(data.shape[1], 1))
    blocks = [
        sp.csc_matrix(np.asarray(data[start : start + step], dtype=np.float32).T)
        for start in range(0, data.shape[0], step)
    ]
    if not blocks:
        return sp.csr_matrix((data.shape[1], 0), dtype=np.float32)
    return sp.csr_matrix(sp.hstack(blocks, format="csr"))


def _table(
    file: h5py.File, part: str, length: int, notes: list[str]
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Attributes of cells or genes, and those of two dimensions by themselves."""
    import pandas as pd

    columns: dict[str, Any] = {}
    wide: dict[str, np.ndarray] = {}
    for given in file[part]:
        name, data = clean_text(given), file[part][given]
        if not isinstance(data, h5py.Dataset) or data.shape[:1] != (length,):
            notes.append(f"'{name}' of {part} was left out: it is no column of {length:,} values.")
            continue
        values = data[()]
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim == 1:
            text = values.dtype.kind in "OSU"
            columns[name] = np.array([clean_text(v) for v in values], object) if text else values
        elif values.ndim == 2 and values.dtype.kind in "iuf":
            wide[name] = values.astype(np.float32)
        else:
            notes.append(f"'{name}' of {part} was left out: it is no table of numbers.")
    index = next((name for name in _NAMES[part] if name in columns), None)
    names = columns.pop(index) if index else np.arange(length).astype(str).astype(object)
    if index is None:
        kind = "cells" if part == "col_attrs" else "genes"
        notes.append(f"The file names no {kind}; they are numbered.")
    table = pd.DataFrame(columns, index=pd.Index([str(name) for name in names], dtype=object))
    return table, wide
