"""What a file or folder is that holds nothing for us, and two lines that make something."""

from __future__ import annotations

from pathlib import Path

from velovi.data.formats.recognise import find
from velovi.data.unreadable import unreadable_reason
from velovi.data.validate import MAKE_LAYERS

_R_REMEDY = (
    "In R: SeuratDisk::SaveH5Seurat(object, 'data.h5Seurat'); "
    "SeuratDisk::Convert('data.h5Seurat', dest = 'h5ad'). Spliced and unspliced counts have to be "
    "assays of the object."
)


def foreign_reason(path: Path) -> tuple[str, str]:
    """What stands in a sentence for a path that :func:`recognise` does not know, and the remedy."""
    if not path.is_dir():
        found = unreadable_reason(path)
        return found if found is not None else ("a file of another kind", MAKE_LAYERS)
    files = [item for item in path.rglob("*") if item.is_file()]
    if any(item.suffix.lower() in (".rds", ".rda", ".rdata") for item in files):
        return "an R object", _R_REMEDY
    folders = {item.parent for item in files}
    if any(
        find(folder, "matrix.mtx").is_file() and find(folder, "barcodes.tsv").is_file()
        for folder in folders
    ):
        return "a count matrix without unspliced counts (as Cell Ranger writes it)", MAKE_LAYERS
    if len(files) == 1:
        found = unreadable_reason(files[0])
        if found is not None:
            return f"a folder with {found[0]}", found[1]
    names = ", ".join(sorted(item.name for item in files)[:4]) or "nothing"
    return f"a folder with {names}", MAKE_LAYERS
