"""Why a file that is no readable .h5ad cannot be read, in words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import h5py

from velovi.data.hdf5_limits import COPY_AGAIN, first_outside_link
from velovi.data.storable import clean_text
from velovi.data.validate import MAKE_LAYERS
from velovi.errors import DataError

if TYPE_CHECKING:
    pass


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
        b"X\n\0\0\0": "an R object",
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
