"""Other formats become h5ad once, in a process of its own; everything else reads only h5ad.

``python -m velovi.data.formats.convert SOURCE OUT`` prints as JSON whether it wrote the file, or
what is wrong. A file may be made so that reading it takes for ever or fills the memory; then it is
this process that suffers.
"""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from velovi.data.check import answer_of, limit_process
from velovi.data.formats.containers import read_mudata, read_zarr, unpacked
from velovi.data.formats.foreign import foreign_reason
from velovi.data.formats.recognise import SourceFormat, recognise, sources_in
from velovi.data.h5ad import CONVERTED, as_data_error
from velovi.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData

_DEEPEST = 3  # archives inside each other
_ONE_ARCHIVE = "Unpack it, and bring the file or folder inside"
_SECONDS, _SECONDS_PER_BYTE = 60.0, 4e-6
_MEMORY, _MEMORY_PER_BYTE = 2**31, 60


@contextmanager
def as_h5ad(path: Path, *, trusted: bool = False) -> Iterator[Path]:
    """The path itself when nothing has to be converted, else an h5ad made of what it holds.

    Parameters
    ----------
    path
        A file or folder.
    trusted
        It has been checked before, so that this process may look into it.

    Raises
    ------
    DataError
        As :func:`convert`.
    """
    if trusted and not _needs_conversion(path):
        yield path
        return
    with TemporaryDirectory(prefix="velovi-read-") as folder:
        out = Path(folder) / f"{path.name}.h5ad"
        yield out if convert(path, out) else path


def _needs_conversion(path: Path) -> bool:
    found = recognise(path)
    return path.is_dir() or (found is not None and found.kind != "h5ad")


def convert(path: Path, out: Path) -> bool:
    """Write what a file or folder holds as h5ad, in a process of its own.

    Parameters
    ----------
    path
        A loom, MuData or zarr file, an archive, or a folder of counts.
    out
        The h5ad to write.

    Returns
    -------
    False when nothing was written, because the file is h5ad as it is, or none that we know: what
    reads h5ad says what it is instead.

    Raises
    ------
    DataError
        It holds no counts that we can read, or is damaged.
    """
    seconds = _SECONDS + _SECONDS_PER_BYTE * _size(path)
    answer = answer_of([__name__, str(path), str(out)], seconds=seconds, where=path.name)
    return bool(answer["converted"])


def convert_here(path: Path, out: Path, *, depth: int = 0, most: int | None = None) -> None:
    """What :func:`convert` does, in this process.

    Parameters
    ----------
    path, out
        As there.
    depth
        How many archives lie around it.
    most
        Bytes that archives may still unpack to.
    """
    if path.is_dir():
        inside = sources_in(path)
        if len(inside) > 1:
            _convert_samples(inside, out, depth, most)
            return
        found = next(iter(inside.values()), None)
    else:
        found = recognise(path)
    if found is None:
        raise _nothing_found(path.name, path)
    if found.kind in ("archive", "compressed"):
        if depth >= _DEEPEST:
            raise DataError("archives lie inside archives", where=path.name, remedy=_ONE_ARCHIVE)
        with unpacked(found.path, most) as (folder, left):
            files = [file for file in folder.rglob("*") if file.is_file()]
            # a file by itself is what it holds, whatever it is called
            held = files[0] if len(files) == 1 and recognise(files[0]) is not None else folder
            if held == folder and not sources_in(folder):
                raise _nothing_found(path.name, folder)
            convert_here(held, out, depth=depth + 1, most=left)
        return
    if found.kind == "h5ad":
        shutil.copyfile(found.path, out)
        return
    adata, notes = _reader(found)(found.path)
    _write(adata, out, found.title, notes)


def _convert_samples(
    samples: Mapping[str, SourceFormat], out: Path, depth: int, most: int | None
) -> None:
    """Several sources are samples, and become one."""
    from velovi.data.merge import SAMPLE, combine_samples
    from velovi.data.read import READING, read_h5ad_here

    parts: dict[str, AnnData] = {}
    notes: list[str] = []
    for name, item in samples.items():
        with TemporaryDirectory(prefix="velovi-sample-") as folder:
            own = Path(folder) / "sample.h5ad"
            convert_here(item.path, own, depth=depth + 1, most=most)
            parts[name] = read_h5ad_here(own)
        told = [str(note) for note in parts[name].uns.pop(READING)["notes"]]
        notes += [note for note in told if note not in (*notes, f"Read from {item.title}.")]
    made = combine_samples(parts)
    titles = ", ".join(dict.fromkeys(item.title for item in samples.values()))
    cells = ", ".join(f"{name} ({part.n_obs:,} cells)" for name, part in parts.items())
    notes.insert(0, f"Samples, told apart by the column '{SAMPLE}': {cells}.")
    if made.n_vars < max(part.n_vars for part in parts.values()):
        notes.append(f"Only the {made.n_vars:,} genes that all samples hold were taken.")
    _write(made, out, f"{len(parts)} samples ({titles})", notes)


def _write(adata: AnnData, out: Path, title: str, notes: list[str]) -> None:
    adata.uns[CONVERTED] = json.dumps({"title": title, "notes": notes})
    with warnings.catch_warnings(action="ignore"):  # names that repeat are told about elsewhere
        adata.write_h5ad(out, compression="lzf")


def _nothing_found(name: str, path: Path) -> DataError:
    found, remedy = foreign_reason(path)
    return DataError(
        "there are no spliced and unspliced counts here that can be read",
        where=name,
        found=found,
        remedy=remedy,
    )


def _reader(found: SourceFormat) -> Callable[[Path], tuple[AnnData, list[str]]]:
    from velovi.data.formats.loom import read_loom
    from velovi.data.formats.quantifiers import (
        read_alevin_fry,
        read_celldancer,
        read_kb,
        read_starsolo,
    )

    readers = {
        "loom": read_loom,
        "mudata": read_mudata,
        "zarr": read_zarr,
        "starsolo": read_starsolo,
        "alevin-fry": read_alevin_fry,
        "kb": read_kb,
        "celldancer": read_celldancer,
    }
    return readers[found.kind]


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def main() -> int:
    """Entry point of the process."""
    path, out = map(Path, sys.argv[1:3])
    size = _size(path)
    limit_process(_SECONDS + _SECONDS_PER_BYTE * size, _MEMORY + _MEMORY_PER_BYTE * size)
    try:
        with as_data_error(path, expected="counts that can be read"):
            wanted = _needs_conversion(path)
            if wanted:
                convert_here(path, out)
        answer: Mapping[str, object] = {"converted": wanted}
    except DataError as error:
        answer = error.to_dict()
    json.dump(answer, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
