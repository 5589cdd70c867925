"""What a file or folder is, by what it holds and not by its name."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import h5py

from velovi.errors import DataError

Kind = Literal[
    "h5ad",
    "loom",
    "mudata",
    "zarr",
    "starsolo",
    "alevin-fry",
    "kb",
    "celldancer",
    "archive",
    "compressed",
]

TITLES: dict[Kind, str] = {
    "h5ad": "AnnData (.h5ad)",
    "loom": "a loom file",
    "mudata": "MuData (.h5mu)",
    "zarr": "AnnData in zarr",
    "starsolo": "STARsolo's Velocyto output",
    "alevin-fry": "alevin-fry's USA output",
    "kb": "kb-python's output",
    "celldancer": "cellDancer's table",
    "archive": "an archive",
    "compressed": "a gzip-compressed file",
}
CELLDANCER = {"gene_name", "unsplice", "splice", "cellID"}
"""Columns of cellDancer's table, a line for each gene and cell."""
_ENDINGS = (".h5ad", ".loom", ".h5mu")
_PACKED = (*(f"{ending}.gz" for ending in _ENDINGS), ".zip", ".tar", ".tar.gz", ".tgz")
SUFFIXES = (*_PACKED, *_ENDINGS, ".csv.gz")
"""Endings of files that may hold counts; the longest that fits comes first."""
_DEPTH, _MOST_FOLDERS = 6, 2_000
_BEGINNING = 65_536  # characters
_UNFILTERED = {"raw": "filtered", "counts_unfiltered": "counts_filtered"}
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_TAR_AT, _TAR = 257, b"ustar"


@dataclass(frozen=True)
class SourceFormat:
    """A file or folder that can be read.

    Attributes
    ----------
    kind
        How it is read.
    path
        Itself, or the folder inside it that holds the counts.
    """

    kind: Kind
    path: Path

    @property
    def title(self) -> str:
        """What it is called in a sentence."""
        return TITLES[self.kind]


def recognise(path: Path) -> SourceFormat | None:
    """What kind of source a path is; None for what is none that we know.

    A folder is looked through for the first that holds counts; see :func:`sources_in`.

    Examples
    --------
    >>> import tempfile
    >>> from velovi import simulate
    >>> path = Path(tempfile.mkdtemp()) / "cells.data"
    >>> simulate(40, 10).write_h5ad(path)
    >>> recognise(path).kind
    'h5ad'
    """
    if path.is_dir():
        return next(iter(sources_in(path).values()), None)
    if not path.is_file():
        return None
    if h5py.is_hdf5(path):
        kind = _of_hdf5(path)
        return None if kind is None else SourceFormat(kind, path)
    with path.open("rb") as file:
        start = file.read(_TAR_AT + len(_TAR))
    if start.startswith(_ZIP) or start[_TAR_AT:] == _TAR:
        return SourceFormat("archive", path)
    if start.startswith(_GZIP):
        return SourceFormat("compressed", path)
    return SourceFormat("celldancer", path) if _is_celldancer(start) else None


def sources_below(folder: Path, most: int) -> list[Path]:
    """Files and folders of counts in a folder, by their names and beginnings.

    Parameters
    ----------
    folder
        Looked through to its depths; what lies inside a folder of counts is not listed.
    most
        Paths after which the search ends.
    """
    found: list[Path] = []
    waiting = [folder]
    while waiting and len(found) < most:
        here = waiting.pop(0)
        if _of_folder(here) is not None:
            found.append(here)
            continue
        found += [file for file in _files(here) if file.name.lower().endswith(SUFFIXES)]
        waiting += _folders(here)
    return sorted(found[:most])


def may_be_source(path: Path) -> bool:
    """Whether a path's name, or the names in a folder, are those of counts."""
    if path.is_dir():
        return _of_folder(path) is not None
    return path.is_file() and path.name.lower().endswith(SUFFIXES)


def title_of(path: Path) -> str:
    """A name for what was read from a path, without the endings of files.

    Examples
    --------
    >>> title_of(Path("day 15/pancreas.h5ad.gz")), title_of(Path("Solo.out"))
    ('pancreas', 'Solo.out')
    """
    name = path.name
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def _of_hdf5(path: Path) -> Kind | None:
    try:
        with h5py.File(path, "r") as file:
            if {"row_attrs", "col_attrs", "matrix"} <= set(file):
                return "loom"
            if isinstance(file.get("mod"), h5py.Group) and "X" not in file:
                return "mudata"
            return "h5ad" if {"obs", "var"} <= set(file) else None
    except Exception:  # noqa: BLE001 - a damaged file makes h5py raise nearly every built-in kind
        return None


def sources_in(folder: Path) -> dict[str, SourceFormat]:
    """All sources in a folder and below it, by what tells them apart.

    They are samples of one experiment. What lies inside a folder of counts is part of it; of raw
    and filtered counts the filtered ones are taken.

    Raises
    ------
    DataError
        They are of several kinds, or one is damaged.
    """
    found: dict[Path, SourceFormat] = {}
    level, seen = [folder], 0
    for _ in range(_DEPTH):
        below: list[Path] = []
        for here in level:
            kind = _of_folder(here)
            if kind is not None:
                found[here] = SourceFormat(kind, here)
                continue
            for file in filter(_is_source, _files(here)):
                item = recognise(file)
                if item is None:
                    raise DataError(
                        "one of the files of this folder cannot be read",
                        where=file.name,
                        found="a truncated or damaged file",
                        remedy="Copy or download it again, or leave it out",
                    )
                found[file] = item
            below += _folders(here)
        level, seen = below, seen + len(below)
        if not level or seen > _MOST_FOLDERS:
            break
    kept = {
        here: item
        for here, item in found.items()
        if here.with_name(_UNFILTERED.get(here.name, " ")) not in found
    }
    kinds = {item.title for item in kept.values()}
    if len(kinds) > 1:
        raise DataError(
            "there are counts of several kinds, and it is not clear which to take",
            where=folder.name,
            found=", ".join(sorted(kinds)),
            remedy="Bring one of them, or files of one kind for all samples",
        )
    return dict(zip(_told_apart(list(kept)), kept.values(), strict=True))


def _told_apart(paths: list[Path]) -> list[str]:
    """A name for each path: the first of its parts that differs between them."""
    if len(paths) < 2:
        return [title_of(path) for path in paths]
    parts = [path.parts for path in paths]
    at = next(
        at for at in range(max(map(len, parts))) if len({part[at : at + 1] for part in parts}) > 1
    )
    for names in (
        [title_of(Path(part[min(at, len(part) - 1)])) for part in parts],
        ["/".join((*part[at:-1], title_of(Path(part[-1])))) for part in parts],
    ):
        if len(set(names)) == len(names):
            return names
    return ["/".join(part[at:]) for part in parts]


def _is_source(path: Path) -> bool:
    name = path.name.lower()
    if name.endswith(_ENDINGS):
        return True
    if name.endswith(".csv"):
        with path.open("rb") as file:
            return _is_celldancer(file.read(_TAR_AT))
    return name.endswith(_PACKED)


def _is_celldancer(start: bytes) -> bool:
    header = start.split(b"\n", 1)[0].decode(errors="replace").strip().replace('"', "")
    return set(header.split(",")) >= CELLDANCER


def _of_folder(folder: Path) -> Kind | None:
    names = {file.name.removesuffix(".gz") for file in _files(folder)}
    if names & {".zgroup", "zarr.json"} and {"obs", "var"} <= {
        item.name for item in _folders(folder)
    }:
        return "zarr"
    if "quants_mat.mtx" in names and any(
        name.startswith("quants_mat_cols") or name.startswith("quants_mat_rows") for name in names
    ):
        return "alevin-fry"
    if kb_stems(names):
        return "kb"
    tables = bool(names & {"barcodes.tsv"}) and bool(names & {"features.tsv", "genes.tsv"})
    if tables and {"spliced.mtx", "unspliced.mtx"} <= names:
        return "starsolo"
    if tables and "matrix.mtx" in names and folder.parent.name == "Velocyto":
        return "starsolo"
    if tables and "matrix.mtx" in names and value_columns(find(folder, "matrix.mtx")) > 1:
        return "starsolo"
    return None


def kb_stems(names: set[str]) -> tuple[str, str, str] | None:
    """Stems of the matrices of spliced, unspliced and ambiguous counts; None for other folders.

    The last is empty where a workflow counts no ambiguous molecules.

    Examples
    --------
    >>> kb_stems({"spliced.mtx", "spliced.barcodes.txt", "spliced.genes.txt", "unspliced.mtx"})
    ('spliced', 'unspliced', '')
    """
    for spliced, unspliced, ambiguous in (
        ("spliced", "unspliced", ""),
        ("cells_x_genes.mature", "cells_x_genes.nascent", "cells_x_genes.ambiguous"),
        ("cells_x_genes.cell", "cells_x_genes.nucleus", ""),
    ):
        if not {f"{spliced}.mtx", f"{unspliced}.mtx"} <= names:
            continue
        if {f"{spliced}.barcodes.txt", "cells_x_genes.barcodes.txt"} & names:
            return spliced, unspliced, ambiguous if f"{ambiguous}.mtx" in names else ""
    return None


def find(folder: Path, name: str) -> Path:
    """A file of this name, or the same compressed."""
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    return folder / name


def value_columns(path: Path) -> int:
    """Values in each line of a Matrix Market file; STARsolo writes three side by side.

    Only its beginning is read; 0 when that says nothing.
    """
    from velovi.data.formats.matrix_market import open_text

    try:
        with open_text(path) as lines:
            start = lines.read(_BEGINNING)
    except (OSError, EOFError, ValueError, zlib.error):
        return 0
    rows = [row for row in start.splitlines() if row.strip() and not row.startswith("%")]
    return max(len(rows[1].split()) - 2, 0) if len(rows) > 1 else 0


def _files(folder: Path) -> list[Path]:
    return _inside(folder, folders=False)


def _folders(folder: Path) -> list[Path]:
    return _inside(folder, folders=True)


def _inside(folder: Path, *, folders: bool) -> list[Path]:
    try:
        items = sorted(folder.iterdir())
    except OSError:
        return []
    hidden = (".zgroup", ".zattrs")
    return [
        item
        for item in items
        if item.is_dir() == folders and (not item.name.startswith(".") or item.name in hidden)
    ]
