"""Folders of counts as STARsolo, alevin-fry and kb-python write them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from velovi.data.formats.matrix_market import (
    cells_by_genes,
    read_matrix_market,
    read_names,
)
from velovi.data.formats.recognise import find, kb_stems, value_columns
from velovi.errors import DataError

if TYPE_CHECKING:
    from anndata import AnnData

_STARSOLO = ("spliced", "unspliced", "ambiguous")
_SUFFIXES = {"unspliced": "-U", "ambiguous": "-A"}


def read_starsolo(folder: Path) -> tuple[AnnData, list[str]]:
    """Counts of ``Solo.out/Velocyto/{raw,filtered}``, three matrices or one of three values.

    Returns
    -------
    adata
        Layers ``spliced``, ``unspliced`` and ``ambiguous``; gene symbols name the genes and
        ``gene_ids`` their accessions.
    notes
        What a reader of the counts has to know.
    """
    barcodes = read_names(find(folder, "barcodes.tsv"))
    features = find(folder, "features.tsv")
    features = features if features.is_file() else find(folder, "genes.tsv")
    ids, names = read_names(features), read_names(features, column=1)
    if find(folder, "spliced.mtx").is_file():
        found = {
            name: read_matrix_market(find(folder, f"{name}.mtx"))[0]
            for name in _STARSOLO
            if find(folder, f"{name}.mtx").is_file()
        }
    else:
        path = find(folder, "matrix.mtx")
        n_values = value_columns(path)
        if n_values != len(_STARSOLO):
            raise DataError(
                "STARsolo's matrix.mtx has no spliced and unspliced counts",
                where=str(path.parent.name),
                expected="three values in a line: spliced, unspliced, ambiguous",
                found=f"{n_values}",
                remedy="Choose the folder Solo.out/Velocyto of a run with --soloFeatures Gene "
                "Velocyto",
            )
        found = dict(zip(_STARSOLO, read_matrix_market(path, n_values), strict=True))
    layers = {
        name: cells_by_genes(matrix, len(barcodes), len(names), where=name, genes_first=True)
        for name, matrix in found.items()
    }
    return _adata(layers, barcodes, names, ids), []


def read_alevin_fry(folder: Path) -> tuple[AnnData, list[str]]:
    """Counts of alevin-fry in USA mode, in which ambiguous molecules count as spliced.

    Returns
    -------
    adata
        ``spliced`` is spliced and ambiguous together; ``ambiguous`` by itself too.
    notes
        That sum.
    """
    barcodes = read_names(find(folder, "quants_mat_rows.txt"))
    columns = read_names(find(folder, "quants_mat_cols.txt"))
    matrix = read_matrix_market(find(folder, "quants_mat.mtx"))[0]
    if sorted(matrix.shape) == sorted((len(barcodes), 3 * len(columns))):
        # some versions name each gene once; blocks are spliced, unspliced, ambiguous
        columns = [gene + end for end in ("", "-U", "-A") for gene in columns]
    matrix = cells_by_genes(
        matrix, len(barcodes), len(columns), where="quants_mat.mtx", genes_first=False
    )
    parts = _usa_columns(columns)
    genes = [columns[at] for at in parts["spliced"]]
    layers = {name: matrix[:, places].tocsr() for name, places in parts.items()}
    layers["spliced"] = (layers["spliced"] + layers["ambiguous"]).tocsr()
    note = "Ambiguous molecules were counted as spliced, as alevin-fry's authors advise."
    return _adata(layers, barcodes, genes, genes), [note]


def _usa_columns(columns: list[str]) -> dict[str, np.ndarray]:
    """Positions of each kind's columns, gene by gene in the order of the spliced ones.

    Three blocks of the same genes, the last two named with -U and -A; or in any other order, if no
    name repeats.
    """
    third = len(columns) // 3
    genes = columns[:third]
    blocks = [genes, *([gene + end for gene in genes] for end in _SUFFIXES.values())]
    if columns == [name for block in blocks for name in block]:
        places = np.arange(3 * third).reshape(3, third)
        return dict(zip(("spliced", *_SUFFIXES), places, strict=True))
    at = {name: place for place, name in enumerate(columns)}
    genes = [name for name in columns if all(name + end in at for end in _SUFFIXES.values())]
    if genes and 3 * len(genes) == len(columns) == len(at):
        ends = {"spliced": "", **_SUFFIXES}
        return {name: np.array([at[gene + end] for gene in genes]) for name, end in ends.items()}
    raise DataError(
        "these counts of alevin-fry tell no spliced from unspliced molecules",
        where="quants_mat_cols.txt",
        expected="each gene three times: itself, with -U and with -A",
        found=f"{len(columns):,} columns, {len(genes):,} genes of that kind",
        remedy="Index a splici or spliceu reference, and quantify in USA mode",
    )


def read_kb(folder: Path) -> tuple[AnnData, list[str]]:
    """Counts of kb-python: workflow ``lamanno`` (spliced) or ``nac`` (mature, nascent).

    Returns
    -------
    adata
        Cells that both matrices hold; a gene's id beside its symbol where there is one.
    notes
        What was left out, and where ambiguous molecules are.
    """
    names = {file.name.removesuffix(".gz") for file in folder.iterdir()}
    stems = kb_stems(names)
    if stems is None:
        raise DataError("these are no counts of kb-python", where=folder.name)
    layers: dict[str, sp.csr_matrix] = {}
    tables: dict[str, tuple[list[str], list[str]]] = {}
    for layer, stem in zip(_STARSOLO, stems, strict=True):
        if not stem:
            continue
        own = f"{stem}.barcodes.txt" in names
        shared = stem if own else "cells_x_genes"
        barcodes = read_names(find(folder, f"{shared}.barcodes.txt"))
        genes = read_names(find(folder, f"{shared}.genes.txt"))
        matrix = read_matrix_market(find(folder, f"{stem}.mtx"))[0]
        layers[layer] = cells_by_genes(
            matrix, len(barcodes), len(genes), where=f"{stem}.mtx", genes_first=False
        )
        tables[layer] = barcodes, genes
    layers, barcodes, genes = _shared_cells_and_genes(layers, tables)
    symbols = find(folder, "cells_x_genes.genes.names.txt")
    titles = read_names(symbols) if symbols.is_file() else genes
    if len(titles) != len(genes):
        titles = genes
    notes = []
    if len(barcodes) < max(len(table[0]) for table in tables.values()):
        notes.append(f"Only the {len(barcodes):,} cells that both matrices hold were taken.")
    if stems[0].endswith("cell"):
        notes.append("Totals of kb-python count ambiguous molecules as spliced and as unspliced.")
    if "ambiguous" in layers:
        notes.append("Ambiguous molecules are a layer by themselves, and in neither count.")
    return _adata(layers, barcodes, titles, genes), notes


def read_celldancer(path: Path) -> tuple[AnnData, list[str]]:
    """CellDancer's table: a line for each gene and cell; a missing line is no count.

    Returns
    -------
    adata
        Layers ``spliced`` and ``unspliced``; other columns that are the same in all lines of a
        cell are its annotations, ``embedding1`` and ``embedding2`` a map.
    notes
        Columns that were left out.
    """
    import pandas as pd
    from anndata import AnnData

    try:
        names = {"cellID": str, "gene_name": str}
        numbers = {"splice": np.float64, "unsplice": np.float64}
        table = pd.read_csv(path, dtype={**names, **numbers}, keep_default_na=False)
        twice = int(table.duplicated(["cellID", "gene_name"]).sum())
        if twice:
            raise ValueError(f"{twice:,} lines tell of a gene and cell again")
        cells, genes = (pd.factorize(table[name]) for name in ("cellID", "gene_name"))
        shape = len(cells[1]), len(genes[1])
        layers = {
            layer: sp.csr_matrix(
                (table[column].to_numpy(dtype=np.float32), (cells[0], genes[0])), shape=shape
            )
            for layer, column in (("spliced", "splice"), ("unspliced", "unsplice"))
        }
    except (ValueError, KeyError, TypeError, pd.errors.ParserError) as error:
        raise DataError(
            "this table cannot be read", where=path.name, found=str(error).splitlines()[0][:160]
        ) from error
    rest = table.drop(columns=["gene_name", "splice", "unsplice"]).groupby("cellID", sort=False)
    same = (rest.nunique(dropna=False) < 2).all()
    obs = rest.first()
    obs.index = pd.Index([str(name) for name in obs.index], dtype=object)
    places = [name for name in ("embedding1", "embedding2") if same.get(name, False)]
    obsm = {"X_embedding": obs[places].to_numpy(dtype=np.float32)} if len(places) == 2 else {}
    changing = [str(name) for name, item in same.items() if not item]
    obs = obs.drop(columns=[*changing, *(places if obsm else ())])
    notes = [f"'{name}' differs within a cell and was left out." for name in changing]
    var = pd.DataFrame(index=pd.Index(genes[1], dtype=object))
    return AnnData(layers["spliced"].copy(), obs=obs, var=var, layers=layers, obsm=obsm), notes


def _shared_cells_and_genes(
    layers: dict[str, sp.csr_matrix], tables: dict[str, tuple[list[str], list[str]]]
) -> tuple[dict[str, sp.csr_matrix], list[str], list[str]]:
    """The cells and genes that all matrices hold, in the order of the first."""
    first = tables["spliced"]
    if all(table == first for table in tables.values()):
        return layers, *first
    kept: list[list[str]] = []
    for side, kind in enumerate(("cells", "genes")):
        if any(len(set(table[side])) < len(table[side]) for table in tables.values()):
            raise DataError(
                f"names of {kind} repeat, and differ between spliced and unspliced counts",
                where="kb-python's output",
                remedy="Take both matrices from the same run",
            )
        there = set.intersection(*(set(table[side]) for table in tables.values()))
        kept.append([name for name in first[side] if name in there])
    if not kept[0] or not kept[1]:
        raise DataError(
            "spliced and unspliced counts have no cell or no gene in common",
            where="spliced and unspliced",
            remedy="Take both matrices from the same run",
        )
    chosen = {}
    for layer, matrix in layers.items():
        rows, columns = (
            _positions(names, wanted) for names, wanted in zip(tables[layer], kept, strict=True)
        )
        chosen[layer] = matrix[rows][:, columns].tocsr()
    return chosen, kept[0], kept[1]


def _positions(names: list[str], wanted: list[str]) -> np.ndarray:
    at = {name: place for place, name in enumerate(names)}
    return np.array([at[name] for name in wanted], dtype=np.intp)


def _adata(
    layers: dict[str, sp.csr_matrix], barcodes: list[str], genes: list[str], ids: list[str]
) -> AnnData:
    import pandas as pd
    from anndata import AnnData

    var = pd.DataFrame(index=pd.Index(genes, dtype=object))
    if ids != genes:
        var["gene_ids"] = np.array(ids, dtype=object)
    obs = pd.DataFrame(index=pd.Index(barcodes, dtype=object))
    return AnnData(layers["spliced"].copy(), obs=obs, var=var, layers=layers)
