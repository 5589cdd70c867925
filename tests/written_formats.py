"""Counts written as quantifiers and libraries write them, by code that shares none with readers."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from scipy.io import mmwrite

NAMES = ("spliced", "unspliced", "ambiguous")


def counts(adata: AnnData, name: str) -> np.ndarray:
    """Whole numbers, (cells, genes); ambiguous ones are made up."""
    if name == "ambiguous":
        return (np.arange(adata.n_obs * adata.n_vars) % 3 == 0).reshape(adata.shape).astype(int)
    return sp.csr_matrix(adata.layers[name]).toarray().astype(int)


def write_lines(path: Path, lines: list[str], *, packed: bool = False) -> None:
    """Text with a line for each, compressed or not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if packed else content)


def write_matrix(path: Path, matrix: np.ndarray, *, packed: bool = False) -> None:
    """A Matrix Market file by scipy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = path.with_name(path.name.removesuffix(".gz"))
    mmwrite(plain, sp.coo_matrix(matrix), field="integer")
    if packed:
        path.write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()


def loom(adata: AnnData, path: Path, *, names: tuple[str, str] = ("CellID", "Gene")) -> Path:
    """As velocyto writes it: genes by cells, dense."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        total = sum(counts(adata, name) for name in NAMES).T
        file["matrix"] = total.astype(np.float32)
        for name in NAMES:
            file[f"layers/{name}"] = counts(adata, name).T.astype(np.uint32)
        cell, gene = names
        text = h5py.string_dtype()
        file.create_dataset(f"col_attrs/{cell}", data=list(adata.obs_names), dtype=text)
        file.create_dataset(f"row_attrs/{gene}", data=list(adata.var_names), dtype=text)
        file.create_dataset(f"col_attrs/{'batch'}", data=["a"] * adata.n_obs, dtype=text)
        file["col_attrs/X_umap"] = np.arange(2 * adata.n_obs, dtype=float).reshape(-1, 2)
        file["row_attrs/Start"] = np.arange(adata.n_vars)
    return path


def starsolo(
    adata: AnnData, folder: Path, *, packed: bool = False, one_matrix: bool = False
) -> Path:
    """``Solo.out/Velocyto/raw``: genes by cells; early versions put three values in a line."""
    end = ".gz" if packed else ""
    rows = [f"ENS{at}\t{gene}\tGene Expression" for at, gene in enumerate(adata.var_names)]
    write_lines(folder / f"features.tsv{end}", rows, packed=packed)
    write_lines(folder / f"barcodes.tsv{end}", list(adata.obs_names), packed=packed)
    if not one_matrix:
        for name in NAMES:
            write_matrix(folder / f"{name}.mtx{end}", counts(adata, name).T, packed=packed)
        return folder
    layers = [counts(adata, name).T for name in NAMES]
    genes, cells = np.nonzero(sum(layers))
    lines = ["%%MatrixMarket matrix coordinate integer general", "%"]
    lines.append(f"{adata.n_vars} {adata.n_obs} {len(genes)}")
    for gene, cell in zip(genes, cells, strict=True):
        lines.append(" ".join(map(str, (gene + 1, cell + 1, *(x[gene, cell] for x in layers)))))
    write_lines(folder / f"matrix.mtx{end}", lines, packed=packed)
    return folder


def alevin_fry(adata: AnnData, folder: Path, *, suffixes: bool = True) -> Path:
    """USA mode: cells by genes, three blocks of them."""
    ends = ("", "-U", "-A")
    genes = list(adata.var_names)
    columns = [gene + end for end in ends for gene in genes] if suffixes else genes
    write_lines(folder / "alevin" / "quants_mat_cols.txt", columns)
    write_lines(folder / "alevin" / "quants_mat_rows.txt", list(adata.obs_names))
    blocks = np.hstack([counts(adata, name) for name in NAMES])
    write_matrix(folder / "alevin" / "quants_mat.mtx", blocks)
    return folder


def kb(adata: AnnData, folder: Path, workflow: str) -> Path:
    """``counts_unfiltered`` of kb-python."""
    if workflow == "lamanno":
        for name in NAMES[:2]:
            write_matrix(folder / f"{name}.mtx", counts(adata, name))
            write_lines(folder / f"{name}.barcodes.txt", list(adata.obs_names))
            write_lines(folder / f"{name}.genes.txt", list(adata.var_names))
        return folder
    write_lines(folder / "cells_x_genes.barcodes.txt", list(adata.obs_names))
    ids = [f"ENS{at}" for at in range(adata.n_vars)]
    write_lines(folder / "cells_x_genes.genes.txt", ids)
    write_lines(folder / "cells_x_genes.genes.names.txt", list(adata.var_names))
    for name, stem in zip(NAMES, ("mature", "nascent", "ambiguous"), strict=True):
        write_matrix(folder / f"cells_x_genes.{stem}.mtx", counts(adata, name))
    return folder
